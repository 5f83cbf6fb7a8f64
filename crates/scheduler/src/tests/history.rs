//! Random pools and random failures from a seed, with every rule checked after every event.

mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    account::Account,
    fate::{Behaviour, random_policy, roll},
    integrity,
    watch::Watch,
    words,
};
use crate::{
    ActionId, AttemptId, BucketId, Command, End, Event, Moment, Policy, PoolId, Scheduler, WorkerId, rng::Rng,
    state::Mutation,
};
/// How many histories the test plays, each of some hundred events: about half a minute without optimization, a quarter
/// of that with.
const HISTORIES: u64 = if cfg!(debug_assertions) { 10_000 } else { 40_000 };

/// No history needs nearly as many events. One that does is not getting anywhere.
const EVENTS_MAX: usize = 20_000;

struct Run {
    rng: Rng,
    now: Moment,
    policy: Policy,
    seed: u64,
    scheduler: Scheduler,
    watch: Watch,
    log: Vec<(Moment, Event)>,
    commands: Vec<Command>,
    behaviours: BTreeMap<WorkerId, Behaviour>,
    pools: u64,
    poison: BTreeMap<ActionId, End>,
    /// What the world has in store, by time and then in the order of planning.
    coming: BTreeMap<(Moment, usize), Event>,
    workers: u32,
    /// Whether some workers belong to others.
    has_owners: bool,
    /// Those that do, and whether they lie.
    owned: BTreeMap<WorkerId, bool>,
    /// By bucket.
    accounts: Vec<Account>,
    /// Everything goes well from now on.
    calm: bool,
}

/// Plays one history. The rule that was broken, and the script that leads there.
pub(super) fn play(seed: u64, mutation: Option<Mutation>) -> Result<Vec<Command>, String> {
    let mut world = Run::new(seed, mutation);
    let outcome = world.run().and_then(|()| world.again());
    outcome
        .map(|()| std::mem::take(&mut world.commands))
        .map_err(|broken| format!("seed {seed}: {broken}\n{}", world.script()))
}

impl Run {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = Rng::new(seed);
        let policy = random_policy(&mut rng);
        let mut scheduler = Scheduler::new(policy.clone(), seed).expect("a valid policy");
        scheduler.state.mutation = mutation;
        let mut world = Self {
            now: Moment::START,
            scheduler,
            watch: Watch::new(policy.clone()),
            policy,
            seed,
            log: Vec::new(),
            commands: Vec::new(),
            behaviours: BTreeMap::new(),
            pools: 1 + roll(&mut rng, 3),
            poison: BTreeMap::new(),
            coming: BTreeMap::new(),
            workers: 0,
            has_owners: roll(&mut rng, 4) == 0,
            owned: BTreeMap::new(),
            accounts: Vec::new(),
            calm: false,
            rng,
        };
        world.plan_events();
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        roll(&mut self.rng, sides)
    }

    fn plan(&mut self, after_ms: u64, event: Event) {
        let at = self.now + Duration::from_millis(after_ms);
        self.coming
            .insert((at, self.coming.len() + self.log.len() * 1000), event);
    }

    fn run(&mut self) -> Result<(), String> {
        while self.log.len() < EVENTS_MAX {
            let coming = self.coming.keys().next().copied();
            let wakeup = self.scheduler.next_wakeup();
            match (coming, wakeup) {
                (Some((at, _)), wakeup) if wakeup.is_none_or(|wakeup| at < wakeup) => {
                    self.now = self.now.max(at);
                    let event = self.coming.pop_first().map_or(Event::Tick, |(_, event)| event);
                    self.advance(event)?;
                }
                // Sometimes the driver is late and the next note comes before the tick.
                (Some((at, _)), Some(_)) if self.roll(8) == 0 => {
                    self.now = self.now.max(at);
                    let event = self.coming.pop_first().map_or(Event::Tick, |(_, event)| event);
                    self.advance(event)?;
                }
                (_, Some(at)) => {
                    self.now = self.now.max(at);
                    self.advance(Event::Tick)?;
                }
                (Some(_), None) => {}
                (None, None) if self.calm || self.scheduler.state.draining => return self.rest(),
                (None, None) => self.reinforce()?,
            }
        }
        Err("this never comes to rest".to_owned())
    }

    /// From now on all goes well, and every pool has a worker that succeeds.
    fn reinforce(&mut self) -> Result<(), String> {
        self.calm = true;
        for pool in 0..self.pools {
            self.workers += 1;
            let worker = WorkerId(self.workers);
            self.behaviours.insert(worker, Behaviour::Good);
            let pool = PoolId(pool as u32);
            self.advance(Event::WorkerJoined {
                worker,
                pool,
                slots: 1,
                buckets: Vec::new(),
                owner: None,
            })?;
        }
        Ok(())
    }

    fn rest(&self) -> Result<(), String> {
        let left = self.watch.unsettled();
        if !left.is_empty() && !self.scheduler.state.draining {
            return Err(format!("{left:?} were not reported"));
        }
        if self.scheduler.in_flight() > 0 {
            return Err("attempts are left with workers that have ended everything".to_owned());
        }
        Ok(())
    }

    fn advance(&mut self, event: Event) -> Result<(), String> {
        let mut reports = Vec::new();
        for (id, account) in (0..).map(BucketId).zip(&mut self.accounts) {
            account.count_until(self.now)?;
            match &event {
                Event::AttemptEnded { attempt, worker, .. } => {
                    if let Some(report) = account.ended(self.now, *attempt)? {
                        reports.push(Event::QuotaReported {
                            worker: *worker,
                            attempt: *attempt,
                            bucket: id,
                            report,
                        });
                    }
                }
                Event::WorkerLeft { worker } => account.left(self.now, *worker)?,
                Event::WorkerJoined { worker, buckets, .. } if buckets.contains(&id) => {
                    account.workers.insert(*worker);
                }
                _ => {}
            }
        }
        // Some say what remains, some do not.
        if matches!(event, Event::AttemptEnded { .. }) && self.roll(2) == 0 {
            for report in reports {
                self.apply(report)?;
            }
        }
        self.apply(event)
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        let mut out = Vec::new();
        self.log.push((self.now, event.clone()));
        self.scheduler.handle(self.now, event.clone(), &mut out);
        self.commands.extend(&out);
        self.watch.see(self.now, &event, &out, &self.scheduler)?;
        integrity::check(&self.scheduler)?;
        for command in out {
            match command {
                Command::Assign { attempt, worker } => self.work(attempt, worker),
                Command::Stop { attempt, worker } => self.stop(attempt, worker),
                _ => {}
            }
        }
        Ok(())
    }

    /// Decides how and when an attempt ends.
    fn work(&mut self, attempt: AttemptId, worker: WorkerId) {
        let behaviour = self.behaviours.get(&worker).copied().unwrap_or(Behaviour::Good);
        let mut after = 1 + self.roll(20);
        let chance = self.roll(100);
        let mut end = match behaviour {
            _ if self.calm => End::Ok,
            Behaviour::Flaky(often) if chance < often / 2 => End::Transient,
            Behaviour::Flaky(often) if chance < often => End::Trap { fingerprint: chance },
            Behaviour::BlackHole => {
                after = 0;
                End::Transient
            }
            Behaviour::Busy if chance < 33 => End::Busy {
                wait: Duration::from_millis(chance / 2 * 3),
            },
            Behaviour::Starved if chance < 66 => End::Host { begun: chance < 33 },
            Behaviour::Broken if chance == 50 => End::Unstartable,
            Behaviour::Broken if chance < 50 => End::Faulty,
            Behaviour::Silent if chance < 50 => End::Lost,
            Behaviour::Weary if chance < 10 => End::Unfit,
            _ => End::Ok,
        };
        let poison = self.poison.get(&attempt.action);
        let poison = poison.filter(|poison| attempt.number <= 12 || !matches!(poison, End::Busy { .. }));
        if let (End::Ok, Some(poison)) = (end, poison) {
            end = *poison;
        }
        if end == End::Ok {
            // Liars agree by chance. Others are asked to vote as well, or not.
            end = match self.owned.get(&worker) {
                Some(true) if chance < 80 => End::Vote {
                    ballot: 1 + chance as u32 % 3,
                },
                Some(_) => End::Vote { ballot: 0 },
                None if self.has_owners && chance < 50 => End::Vote { ballot: 0 },
                None => End::Ok,
            };
        }
        if !matches!(end, End::Faulty | End::Unstartable | End::Host { begun: false }) {
            self.ask_services(attempt, worker, after);
        }
        self.end(attempt, worker, end, after);
        if end == End::Lost && chance < 25 {
            // It was not lost after all, only late.
            let late = after + self.roll(50);
            let end = if chance < 15 { End::Ok } else { End::Transient };
            self.end(attempt, worker, end, late);
        }
        if chance == 99 {
            self.end(attempt, worker, end, after + 1);
        }
    }

    /// The services get to see an attempt at some moment before its end.
    fn ask_services(&mut self, attempt: AttemptId, worker: WorkerId, after: u64) {
        let Some(kind) = self.scheduler.action(attempt.action).map(|action| action.kind) else {
            return;
        };
        let at = self.now + Duration::from_micros(roll(&mut self.rng, after * 1000 + 1));
        for account in &mut self.accounts {
            account.ask(at, attempt, worker, kind);
        }
    }

    fn stop(&mut self, attempt: AttemptId, worker: WorkerId) {
        if self.roll(3) > 0 {
            let after = self.roll(3);
            self.end(attempt, worker, End::Stopped, after);
        }
    }

    fn end(&mut self, attempt: AttemptId, worker: WorkerId, end: End, after: u64) {
        let took = Duration::from_millis(after);
        let event = Event::AttemptEnded {
            attempt,
            worker,
            end,
            took,
        };
        self.plan(after, event);
    }

    /// The same events to another scheduler of the same seed must give the same commands.
    fn again(&self) -> Result<(), String> {
        let mut scheduler = Scheduler::new(self.policy.clone(), self.seed).expect("a valid policy");
        scheduler.state.mutation = self.scheduler.state.mutation;
        let mut commands = Vec::new();
        for (at, event) in &self.log {
            scheduler.handle(*at, event.clone(), &mut commands);
        }
        (commands == self.commands)
            .then_some(())
            .ok_or_else(|| "not the same the second time".to_owned())
    }

    /// What leads here, to be pasted into a test.
    fn script(&self) -> String {
        let mut script = format!("{}\nseed {}\n", words::policy_line(&self.policy), self.seed);
        for (at, event) in &self.log {
            script += &format!("{at} {event}\n");
        }
        script
    }
}

/// What has to come out of all histories taken together, or they test less than it seems.
const RICH: [&str; 23] = [
    "hedge a#",
    "settle a refused poison",
    "judged a# w guilty",
    "judged a# w cleared",
    "judged a# w annulled",
    "systemic p on",
    "assign a# w",
    "stop a# w",
    "settle a done #",
    "settle a refused permanent",
    "settle a refused exhausted",
    "settle a refused unroutable",
    "settle a refused cancelled",
    "settle a refused deadline",
    "settle a refused oversize",
    "health w healthy",
    "health w suspect",
    "health w probation round=",
    "health w draining",
    "health w gone",
    "health w evicted unfit",
    "health w evicted unreliable quarantines=",
    "health w quarantined until=ms round=",
];

#[test]
fn every_rule_holds_in_every_history() {
    let mut seen = BTreeSet::new();
    for seed in 0..HISTORIES {
        let commands = play(seed, None).unwrap_or_else(|broken| panic!("{broken}"));
        if seed < 5_000 {
            let plain = |command: &Command| command.to_string().replace(|letter: char| letter.is_ascii_digit(), "");
            seen.extend(commands.iter().map(|command| plain(command).replace("=.", "=")));
        }
    }
    for words in RICH {
        assert!(
            seen.contains(words),
            "no history leads to {words:?} any more, only to {seen:?}"
        );
    }
}

#[test]
fn a_printed_history_is_a_script_that_leads_to_the_same_commands() {
    for seed in 0..50 {
        let mut world = Run::new(seed, None);
        world.run().expect("a history in which every rule holds");
        for (_, event) in &world.log {
            let text = event.to_string();
            let words: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(words::event(&words), *event);
        }
        let log = super::script::play(&world.script()).log;
        let commands: Vec<String> = world.commands.iter().map(Command::to_string).collect();
        let log: Vec<&str> = log
            .iter()
            .map(|line| line.split_once(' ').map_or("", |(_, command)| command))
            .collect();
        assert_eq!(log, commands);
    }
}
