//! Tests as a small language.
//!
//! A script is one line after the other, each an event with its time (left out: the time of the line before):
//!
//! ```text
//! policy patience=2s quarantine_jitter=0    before everything else; what is not named is the default
//! seed 7                                    the same; usually 1
//! 0ms kind k0 pools=p0,p1
//! 0ms join w1 p0 slots=1
//! 0ms submit a1 task=t1 kind=k0 attempts=3 priority=2 deadline=5s
//! 9ms ended a1#1 w1 trap took=9ms
//! 20ms tick
//! 90ms run                                  ticks at every wake-up until then
//! does w1 trap,ok 5ms                       from now on it ends by itself what it is given, after 5 ms, in this order
//!                                           and then over again
//! limits a1,a2 busy=5s                      a worker that is given these is busy, whatever it does else
//! idle                                      time goes on until nothing is left to happen
//! ```
//!
//! Everything that came out is compared as text, each command after the time at which it came. `#` begins a comment.

use std::collections::BTreeMap;

use super::words;
use crate::{ActionId, AttemptId, Command, End, Event, Moment, Policy, Scheduler, WorkerId};

/// No test goes on for more turns than this: one that would never be idle fails instead.
const TURNS_MAX: usize = 100_000;

/// Plays the script and compares what comes out with `expect`, line by line.
#[track_caller]
pub(super) fn check(script: &str, expect: &str) {
    let got = play(script).log;
    let wanted: Vec<&str> = lines(expect).collect();
    if got.iter().map(String::as_str).ne(wanted.iter().copied()) {
        panic!("wanted (-) and got (+) differ:\n{}", differ(&wanted, &got));
    }
}

/// Plays the script and returns the scheduler as it is then.
pub(super) fn play(script: &str) -> Replay {
    let mut replay = Replay::default();
    for line in lines(script) {
        replay.line(line);
    }
    replay
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split(" # ").next().unwrap_or(line).trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The longest common part marked with two blanks, the rest with the side that it is on. Not similar: this crate has no
/// dependencies, not even for its tests.
fn differ(wanted: &[&str], got: &[String]) -> String {
    let mut common = vec![vec![0_usize; got.len() + 1]; wanted.len() + 1];
    for w in (0..wanted.len()).rev() {
        for g in (0..got.len()).rev() {
            common[w][g] = if wanted[w] == got[g] {
                common[w + 1][g + 1] + 1
            } else {
                common[w + 1][g].max(common[w][g + 1])
            };
        }
    }
    let (mut w, mut g, mut text) = (0, 0, String::new());
    while w < wanted.len() || g < got.len() {
        if w < wanted.len() && g < got.len() && wanted[w] == got[g] {
            text += &format!("  {}\n", got[g]);
            (w, g) = (w + 1, g + 1);
        } else if w < wanted.len() && (g == got.len() || common[w + 1][g] >= common[w][g + 1]) {
            text += &format!("- {}\n", wanted[w]);
            w += 1;
        } else {
            text += &format!("+ {}\n", got[g]);
            g += 1;
        }
    }
    text
}

/// What a worker does by itself.
struct Habit {
    ends: Vec<End>,
    after: Moment,
    done: usize,
}

/// A scheduler, the workers' habits and what came out.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) log: Vec<String>,
    pub(super) now: Moment,
    policy: Policy,
    seed: Option<u64>,
    scheduler: Option<Scheduler>,
    habits: BTreeMap<WorkerId, Habit>,
    /// How actions end that have a limit of their own.
    limits: BTreeMap<ActionId, End>,
    /// Ends that the habits have made sure of.
    coming: BTreeMap<(Moment, usize), (AttemptId, WorkerId, End)>,
    turns: usize,
}

impl Replay {
    pub(super) fn scheduler(&mut self) -> &mut Scheduler {
        self.scheduler
            .get_or_insert_with(|| Scheduler::new(self.policy.clone(), self.seed.unwrap_or(1)).expect("a valid policy"))
    }

    pub(super) fn line(&mut self, line: &str) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words[0].starts_with(|first: char| first.is_ascii_digit()) {
            let to = words::moment(words.remove(0));
            assert!(to >= self.now, "time goes back in {line:?}");
            if words == ["run"] {
                return self.run(to);
            }
            self.now = to;
        }
        match words.as_slice() {
            ["policy" | "seed", ..] if self.scheduler.is_some() => panic!("too late for {line:?}"),
            ["policy", rest @ ..] => words::set_policy(&mut self.policy, rest),
            ["seed", seed] => self.seed = Some(seed.parse().expect("a seed")),
            ["does", worker, ends, after] => {
                let habit = Habit {
                    ends: words::ends(ends),
                    after: words::moment(after),
                    done: 0,
                };
                let worker = WorkerId(worker[1..].parse().expect("a worker"));
                self.habits.insert(worker, habit);
            }
            ["limits", actions, end] => {
                let end = words::ends(end)[0];
                let ids = actions.split(',').map(|id| id[1..].parse().expect("an action"));
                self.limits.extend(ids.map(|id| (ActionId(id), end)));
            }
            ["idle"] => self.run(Moment::NEVER),
            words => self.handle(words::event(words)),
        }
    }

    /// Lets time pass until `to`, or if it is never until nothing is left to happen.
    fn run(&mut self, to: Moment) {
        loop {
            let end = self.coming.keys().next().map(|(at, _)| *at);
            let next = end.into_iter().chain(self.scheduler().next_wakeup()).min();
            let Some(at) = next.filter(|at| *at <= to) else { break };
            self.now = self.now.max(at);
            if end == Some(at)
                && let Some((_, (attempt, worker, end))) = self.coming.pop_first()
            {
                let took = self.habits[&worker].after.since(Moment::START);
                self.handle(Event::AttemptEnded {
                    attempt,
                    worker,
                    end,
                    took,
                });
            } else {
                self.handle(Event::Tick);
            }
        }
        if to != Moment::NEVER {
            self.now = to;
        }
    }

    fn handle(&mut self, event: Event) {
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "this never comes to rest; the last was {event}");
        let now = self.now;
        let mut out = Vec::new();
        self.scheduler().handle(now, event, &mut out);
        for command in out {
            self.log.push(format!("{now} {command}"));
            if let Command::Assign { attempt, worker } = command
                && let Some(habit) = self.habits.get_mut(&worker)
            {
                let usual = habit.ends[habit.done % habit.ends.len()];
                let end = self.limits.get(&attempt.action).copied().unwrap_or(usual);
                habit.done += 1;
                let at = now + habit.after.since(Moment::START);
                self.coming.insert((at, self.log.len()), (attempt, worker, end));
            }
        }
    }
}
