//! Lets a world happen.

use std::{collections::BTreeMap, time::Duration};

use super::worker::{PendingEnd, SimWorker, Stage};
use super::{
    accounts::Accounts,
    opening,
    outcome::{Outcome, Series},
    scenario::{Nature, Scenario},
};
use crate::{
    ActionId, AttemptId, Command, End, Event, Health, KindId, Moment, Policy, PolicyError, Quota, Scheduler, Spec,
    TaskId, WorkerId,
};

/// Lets a world happen under a policy, until every action is settled.
///
/// # Errors
/// The scenario or the policy is invalid.
pub fn play(world: &Scenario, policy: &Policy) -> Result<Outcome, PolicyError> {
    play_told(world, policy, &world.quotas)
}

/// The same with a scheduler that is told of other quotas than the service has, as many of them.
pub(crate) fn play_told<'a>(world: &'a Scenario, policy: &Policy, quotas: &'a [Quota]) -> Result<Outcome, PolicyError> {
    world.check()?;
    let mut play = Play {
        world,
        scheduler: Scheduler::new(policy.clone(), world.seed)?,
        now: Moment::START,
        coming: BTreeMap::new(),
        planned: 0,
        asked: 0,
        settled: 0,
        crew: world.natures().map(SimWorker::new).collect(),
        accounts: Accounts::new(world),
        quotas,
        restart: world.restarts.map(|after| Moment::START + after),
        outcome: Outcome::default(),
        out: Vec::new(),
    };
    play.begin(quotas);
    while play.step() {}
    Ok(play.finish())
}

/// The same with so many seeds: the world's own, the next one and so on.
///
/// # Errors
/// The scenario or the policy is invalid.
pub fn play_seeds(world: &Scenario, policy: &Policy, seeds: u64) -> Result<Series, PolicyError> {
    let outcomes = (0..seeds).map(|more| {
        let seed = world.seed.wrapping_add(more);
        play(&Scenario { seed, ..world.clone() }, policy)
    });
    Ok(Series {
        outcomes: outcomes.collect::<Result<_, _>>()?,
    })
}

struct Play<'a> {
    world: &'a Scenario,
    scheduler: Scheduler,
    now: Moment,
    /// By when it comes; what comes at the same moment in the order of planning.
    coming: BTreeMap<(Moment, u64), PendingEnd>,
    planned: u64,
    asked: u64,
    settled: u64,
    crew: Vec<SimWorker>,
    accounts: Accounts,
    /// What the scheduler is told of.
    quotas: &'a [Quota],
    /// When another one takes over.
    restart: Option<Moment>,
    outcome: Outcome,
    out: Vec<Command>,
}

impl Play<'_> {
    fn begin(&mut self, quotas: &[Quota]) {
        let world = self.world;
        for account in 0..world.account_count() {
            for (bucket, quota) in self.accounts.buckets(account).into_iter().zip(quotas.iter().copied()) {
                let costs = Vec::new();
                self.tell(Event::BucketDefined { bucket, quota, costs });
            }
        }
        let accounts = &self.accounts;
        let buckets = |worker: WorkerId| accounts.buckets(world.account(worker.0));
        let opening: Vec<Event> = opening(world.kinds, world.workers, world.slots, buckets).collect();
        for event in opening {
            self.tell(event);
        }
    }

    /// Asks for what may be open, and lets the next thing happen. False: nothing is left to happen.
    fn step(&mut self) -> bool {
        while self.asked < self.world.actions && self.asked - self.settled < self.world.open_max {
            self.ask();
        }
        if self.settled >= self.world.actions {
            return false;
        }
        let end = self.coming.first_key_value().map(|((at, _), _)| *at);
        let next = end.into_iter().chain(self.scheduler.next_wakeup()).min();
        if let Some(restart) = self.restart.filter(|restart| next.is_none_or(|next| next >= *restart)) {
            self.now = restart;
            self.restart = None;
            self.begin_anew();
            return true;
        }
        let Some(at) = next else { return false };
        self.now = at;
        if end == Some(at)
            && let Some((_, coming)) = self.coming.pop_first()
        {
            match coming.stage {
                Stage::Asks(rest) => self.asked_for(coming, rest),
                Stage::Ends(_) => self.ended(coming),
            }
        } else {
            self.tell(Event::Tick);
        }
        true
    }

    fn finish(mut self) -> Outcome {
        let makespan = self.now.since(Moment::START);
        let whole = makespan.as_secs_f64() * f64::from(self.world.slots);
        let used = |member: &SimWorker| {
            if whole > 0.0 {
                member.useful.as_secs_f64() / whole
            } else {
                0.0
            }
        };
        self.outcome.makespan = makespan;
        self.outcome.unsettled = self.world.actions - self.settled;
        self.outcome.utilisation = self.crew.iter().map(used).collect();
        self.outcome.spendings = self.accounts.finish(self.now);
        self.outcome
    }

    fn ask(&mut self) {
        let number = self.asked;
        self.asked += 1;
        self.submit(number);
    }

    fn submit(&mut self, number: u64) {
        let action = ActionId(number);
        let spec = Spec {
            attempts: self.world.attempts,
            ..Spec::usual(TaskId(number), KindId(self.world.kind(number)))
        };
        self.tell(Event::Submitted { action, spec });
    }

    /// Another scheduler, which knows nothing, goes on with what is not settled. What was in flight is lost; the
    /// services have counted of it what they have counted.
    fn begin_anew(&mut self) {
        let Ok(scheduler) = Scheduler::new(self.scheduler.policy().clone(), self.world.seed) else {
            return;
        };
        let before = std::mem::replace(&mut self.scheduler, scheduler);
        for coming in std::mem::take(&mut self.coming).into_values() {
            if let Stage::Ends(Some(_)) = coming.stage {
                self.accounts.answer(self.world.account(coming.worker.0));
            }
        }
        for member in &mut self.crew {
            member.busy = 0;
            member.ready.clear();
        }
        self.begin(self.quotas);
        for number in (0..self.asked).filter(|number| before.action(ActionId(*number)).is_some()) {
            self.submit(number);
        }
    }

    /// Tells the scheduler and carries out what it says.
    fn tell(&mut self, event: Event) {
        self.outcome.events += 1;
        let mut out = std::mem::take(&mut self.out);
        self.scheduler.handle(self.now, event, &mut out);
        for command in out.drain(..) {
            match command {
                Command::Assign { attempt, worker } => self.assigned(attempt, worker),
                Command::Stop { attempt, worker } => self.stop(attempt, worker),
                Command::Settle { action, outcome } => self.settle(action, outcome),
                Command::Retry { .. } => self.outcome.retries += 1,
                Command::HealthChanged { worker, health } => self.judged(worker, health),
                Command::Barred { worker, until, .. } if until.is_some() => self.barred(worker),
                // What else comes is only for reports.
                _ => {}
            }
        }
        self.out = out;
    }

    fn member(&mut self, worker: WorkerId) -> Option<&mut SimWorker> {
        self.crew.get_mut(worker.0 as usize)
    }

    fn assigned(&mut self, attempt: AttemptId, worker: WorkerId) {
        self.outcome.attempts += 1;
        let slots = self.world.slots;
        let Some(member) = self.member(worker) else { return };
        if member.busy < slots {
            self.start(attempt, worker);
        } else {
            member.ready.push_back(attempt);
        }
    }

    fn start(&mut self, attempt: AttemptId, worker: WorkerId) {
        let (world, now) = (self.world, self.now);
        let Some(member) = self.member(worker) else { return };
        member.busy += 1;
        let (took, end) = world.fate(now, attempt.action.0, attempt.number, worker.0, member.nature);
        let (first, stage) = match world.quotas.is_empty() {
            true => (took, Stage::Ends(None)),
            false => {
                let counted = world.counted_after(attempt.action.0, attempt.number, took);
                (counted, Stage::Asks(took - counted))
            }
        };
        self.plan(
            now + first,
            PendingEnd {
                attempt,
                worker,
                end,
                begun: now,
                stage,
                has_slot: true,
            },
        );
    }

    /// The service counts an attempt, which goes on for `rest`, or sends it away.
    fn asked_for(&mut self, mut coming: PendingEnd, rest: Duration) {
        let now = self.now;
        match self.accounts.count(now, self.world.account(coming.worker.0)) {
            Ok(said) => {
                coming.stage = Stage::Ends(Some(said));
                self.plan(now + rest, coming);
            }
            Err(wait) => {
                coming.stage = Stage::Ends(None);
                coming.end = End::Busy { wait };
                self.ended(coming);
            }
        }
    }

    fn plan(&mut self, at: Moment, coming: PendingEnd) {
        self.planned += 1;
        self.coming.insert((at, self.planned), coming);
    }

    fn ended(&mut self, coming: PendingEnd) {
        let PendingEnd {
            attempt, worker, end, ..
        } = coming;
        let took = self.now.since(coming.begun);
        let Some(member) = self.member(worker) else { return };
        if end == End::Ok {
            member.useful += took;
        }
        if coming.has_slot {
            member.busy -= 1;
            // What lies ready begins before the scheduler is told, as it does in a worker.
            if let Some(next) = member.ready.pop_front() {
                self.start(next, worker);
            }
        }
        if let Stage::Ends(Some(said)) = coming.stage {
            self.accounts.answer(self.world.account(worker.0));
            let reports = said.into_iter().filter(|_| self.world.reports && end != End::Stopped);
            for (bucket, report) in reports.collect::<Vec<_>>() {
                self.tell(Event::QuotaReported {
                    worker,
                    attempt,
                    bucket,
                    report,
                });
            }
        }
        self.tell(Event::AttemptEnded {
            attempt,
            worker,
            end,
            took,
        });
    }

    /// An attempt that is not needed any more ends at once.
    fn stop(&mut self, attempt: AttemptId, worker: WorkerId) {
        let now = self.now;
        let mine = |coming: &PendingEnd| coming.attempt == attempt && coming.worker == worker;
        let running = self.coming.iter().find(|(_, coming)| mine(coming)).map(|(key, _)| *key);
        if let Some(coming) = running.and_then(|key| self.coming.remove(&key)) {
            let end = End::Stopped;
            // Before it was counted the service has not seen it, and will not.
            let stage = match coming.stage {
                Stage::Asks(_) => Stage::Ends(None),
                stage @ Stage::Ends(_) => stage,
            };
            return self.plan(now, PendingEnd { end, stage, ..coming });
        }
        let Some(member) = self.member(worker) else { return };
        let before = member.ready.len();
        member.ready.retain(|ready| *ready != attempt);
        if member.ready.len() < before {
            self.plan(
                now,
                PendingEnd {
                    attempt,
                    worker,
                    end: End::Stopped,
                    begun: now,
                    stage: Stage::Ends(None),
                    has_slot: false,
                },
            );
        }
    }

    fn settle(&mut self, action: ActionId, outcome: crate::Outcome) {
        self.settled += 1;
        match outcome {
            crate::Outcome::Done { .. } => self.outcome.done += 1,
            crate::Outcome::Failed(_) if self.world.is_poison(action.0) => self.outcome.poison_settled += 1,
            crate::Outcome::Failed(_) => self.outcome.lost += 1,
        }
    }

    fn barred(&mut self, worker: WorkerId) {
        let now = self.now.since(Moment::START);
        let Some(member) = self.member(worker) else { return };
        let first = !std::mem::replace(&mut member.was_taken_out, true);
        if member.nature == Nature::Innocent {
            self.outcome.innocents += u64::from(first);
        } else {
            self.outcome.found += u64::from(first);
            self.outcome.first_found.get_or_insert(now);
        }
    }

    fn judged(&mut self, worker: WorkerId, health: Health) {
        let quarantined = matches!(health, Health::Quarantined { .. });
        if !quarantined && !matches!(health, Health::Evicted(_)) {
            return;
        }
        let now = self.now.since(Moment::START);
        let Some(member) = self.member(worker) else { return };
        let first = !std::mem::replace(&mut member.was_taken_out, true);
        // One that is bad at a kind is innocent of the others.
        if matches!(member.nature, Nature::Innocent | Nature::BadAtOne) {
            self.outcome.innocents += u64::from(first);
            self.outcome.innocent_quarantines += u64::from(quarantined);
        } else {
            self.outcome.found += u64::from(first);
            self.outcome.first_found.get_or_insert(now);
        }
    }
}
