//! A whole crowd of workers in virtual time, for measuring how fast the scheduler is.
//!
//! Nothing here knows what time it really is: the caller looks at its own clock before and after.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::opening;
use crate::{
    ActionId, AttemptId, Command, End, Event, KindId, Moment, Policy, PolicyError, Scheduler, Spec, TaskId, WorkerId,
    rng::Rng,
};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many workers there are, from 1, all in one pool.
    pub workers: u32,
    /// How many attempts each makes at once, from 1.
    pub slots: u32,
    /// How many actions are asked for in all.
    pub actions: u64,
    /// How many actions are open at most; the next is asked for when one is settled. From 1.
    pub open_max: u64,
    /// How many actions belong to one task, from 1.
    pub per_task: u64,
    /// The shortest attempt. The longest takes three times as long; each length between is as likely.
    pub shortest: Duration,
    /// How many attempts in 1,000 fail.
    pub failing: u64,
    /// Decides everything.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that the scheduler was told.
    pub events: u64,
    /// Commands that came out.
    pub commands: u64,
    /// Actions that were settled with a result.
    pub done: u64,
    /// Actions that were settled without.
    pub refused: u64,
    /// Virtual time from the first event to the last.
    pub took: Duration,
}

/// The ends to come, soonest first; equal ones in the order of planning.
type Coming = BinaryHeap<Reverse<(Moment, u64, AttemptId, WorkerId)>>;

struct Crowd<'a> {
    load: &'a Load,
    scheduler: Scheduler,
    rng: Rng,
    now: Moment,
    coming: Coming,
    asked: u64,
    planned: u64,
    tally: Tally,
    out: Vec<Command>,
}

/// Runs a load to its end. `filled` is called once, when as many actions are open as ever will be.
///
/// # Errors
/// The policy is invalid.
pub fn run(load: &Load, policy: Policy, filled: impl FnOnce(&Scheduler)) -> Result<Tally, PolicyError> {
    let mut crowd = Crowd {
        load,
        scheduler: Scheduler::new(policy, load.seed)?,
        rng: Rng::new(load.seed),
        now: Moment::START,
        coming: Coming::new(),
        asked: 0,
        planned: 0,
        tally: Tally::default(),
        out: Vec::new(),
    };
    for event in opening(1, load.workers, load.slots, |_| Vec::new()) {
        crowd.tell(event);
    }
    for _ in 0..load.open_max.min(load.actions) {
        crowd.ask();
    }
    filled(&crowd.scheduler);
    while crowd.step() {}
    crowd.tally.took = crowd.now.since(Moment::START);
    Ok(crowd.tally)
}

impl Crowd<'_> {
    /// The next thing that happens. False: nothing.
    fn step(&mut self) -> bool {
        let end = self.coming.peek().map(|Reverse((at, ..))| *at);
        let Some(at) = end.into_iter().chain(self.scheduler.next_wakeup()).min() else {
            return false;
        };
        self.now = at;
        if end == Some(at)
            && let Some(Reverse((_, _, attempt, worker))) = self.coming.pop()
        {
            let end = match self.rng.next_u64() % 1000 < self.load.failing {
                true => End::Transient,
                false => End::Ok,
            };
            let took = self.load.shortest;
            self.tell(Event::AttemptEnded {
                attempt,
                worker,
                end,
                took,
            });
        } else {
            self.tell(Event::Tick);
        }
        true
    }

    fn ask(&mut self) {
        let action = ActionId(self.asked);
        let spec = Spec::usual(TaskId(self.asked / self.load.per_task.max(1)), KindId(0));
        self.asked += 1;
        self.tell(Event::Submitted { action, spec });
    }

    fn tell(&mut self, event: Event) {
        self.tally.events += 1;
        let mut out = std::mem::take(&mut self.out);
        self.scheduler.handle(self.now, event, &mut out);
        self.tally.commands += out.len() as u64;
        let mut settled = 0;
        for command in out.drain(..) {
            match command {
                Command::Assign { attempt, worker } => {
                    let length = self.load.shortest + self.rng.up_to(self.load.shortest.saturating_mul(2));
                    self.planned += 1;
                    let end = (self.now + length, self.planned, attempt, worker);
                    self.coming.push(Reverse(end));
                }
                Command::Settle { outcome, .. } => {
                    settled += 1;
                    match outcome {
                        crate::Outcome::Done { .. } => self.tally.done += 1,
                        crate::Outcome::Failed(_) => self.tally.refused += 1,
                    }
                }
                _ => {}
            }
        }
        self.out = out;
        for _ in 0..settled {
            if self.asked < self.load.actions {
                self.ask();
            }
        }
    }
}
