//! An observer that knows the rules and nothing of how they are kept: it sees events and commands only.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ActionId, ActionState, AttemptId, Blame, Class, Command, End, Event, Evicted, Health, KindId, Moment, Outcome,
    OwnerId, Policy, PoolId, Reason, Scheduler, Spec, Verdict, WorkerId, model::failure_rate::TRAPS_MIN, rng::doubled,
};

struct Worker {
    pool: PoolId,
    slots: usize,
    health: Health,
    holds: BTreeSet<AttemptId>,
    /// In quarantine for its failures, not for a fault.
    judged: bool,
    /// It was found guilty since it was last taken out.
    guilty: bool,
    /// Others have contradicted it: then it may be taken out whatever part of the pool that is.
    outvoted: bool,
    /// The owner, if its results count only when they are confirmed.
    owner: Option<OwnerId>,
    /// Its results in a row that others have confirmed.
    valid: u32,
    /// Whether it may be given something now depends on what cannot be seen from outside.
    has_quota: bool,
    /// It was busy once, and may be given less at once than it has slots.
    may_be_narrow: bool,
    /// How often it was busy since its last success or since that counted as a failure.
    busies: u32,
    /// How often it failed, as it is said.
    failed: u64,
    /// It reported that it is unfit, and had no success since.
    unfit: bool,
    /// It failed since its last success.
    failing: bool,
    /// Times in a row that the host had not enough of something for it, and until when it rests for that.
    starved: u32,
    rests_until: Moment,
}

impl Worker {
    fn is_usable(&self) -> bool {
        matches!(
            self.health,
            Health::Healthy | Health::Suspect | Health::Probation { .. } | Health::Busy { .. }
        )
    }

    /// Whether it certainly has a free slot. A suspect is left out: it may be damped, which cannot be seen from outside.
    fn is_free(&self) -> bool {
        match self.health {
            _ if self.has_quota => false,
            Health::Healthy if self.may_be_narrow => self.holds.is_empty(),
            Health::Healthy => self.holds.len() < self.slots,
            Health::Probation { .. } => self.holds.is_empty(),
            _ => false,
        }
    }
}

struct Action {
    spec: Spec,
    number: u32,
    /// What is going on, the first first.
    runs: Vec<(WorkerId, u32)>,
    /// It was said that it gets a second attempt.
    hedged: bool,
    failed_on: Vec<WorkerId>,
    /// Those of whom nobody said yet whose fault it was.
    accused: Vec<(WorkerId, u32)>,
    /// One of its failures was a trap, or a report that the worker is unfit.
    has_trapped: bool,
    /// It got lost, and every attempt after this one has its worker for itself.
    solo: Option<u32>,
    /// When it was first seen to wait since it last did something else.
    waits_since: Option<Moment>,
    settled: bool,
    /// What was said of it by workers with owners.
    votes: Vec<Said>,
    /// The last result that was said, and whether nobody has to confirm it.
    last: Option<(Said, bool)>,
}

/// A vote.
#[derive(Clone, Copy)]
struct Said {
    owner: Option<OwnerId>,
    worker: WorkerId,
    number: u32,
    ballot: Option<End>,
}

impl Action {
    /// Whether it is open and nobody said yet that this worker was not at fault.
    fn accuses(&self, worker: WorkerId) -> bool {
        !self.settled && self.accused.iter().any(|(id, _)| *id == worker)
    }

    /// Takes one of its runs off. False: it is none.
    fn take(&mut self, worker: WorkerId, number: u32) -> bool {
        let before = self.runs.len();
        self.runs.retain(|run| *run != (worker, number));
        self.runs.len() < before
    }
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Watch {
    policy: Policy,
    kinds: BTreeMap<KindId, Vec<PoolId>>,
    workers: BTreeMap<WorkerId, Worker>,
    actions: BTreeMap<ActionId, Action>,
    draining: bool,
    /// Workers that are given nothing of a kind.
    barred: BTreeSet<(WorkerId, KindId)>,
    /// Pools in which everything fails.
    systemic: BTreeSet<PoolId>,
}

impl Watch {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Takes note of an event and what came of it. The first rule that was broken.
    pub(super) fn see(
        &mut self,
        now: Moment,
        event: &Event,
        commands: &[Command],
        scheduler: &Scheduler,
    ) -> Result<(), String> {
        let faulty = self.event(now, event, scheduler);
        // One that waited may rest since this very event, and be placed before the commands that follow.
        for (id, action) in &mut self.actions {
            let view = scheduler.action(*id);
            if view.is_some_and(|view| matches!(view.state, ActionState::BackingOff { .. })) {
                action.waits_since = None;
            }
        }
        for command in commands {
            self.command(command, faulty)
                .map_err(|broken| format!("{command}: {broken}"))?;
        }
        if scheduler.next_wakeup().is_some_and(|at| at <= now) {
            return Err("the next wake-up is in the past".to_owned());
        }
        self.compare(scheduler)?;
        self.wait(now, scheduler)
    }

    /// Actions that nobody was told about.
    pub(super) fn unsettled(&self) -> Vec<ActionId> {
        self.actions
            .iter()
            .filter(|(_, action)| !action.settled)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Says which worker admitted a fault, if one did.
    fn event(&mut self, now: Moment, event: &Event, scheduler: &Scheduler) -> Option<WorkerId> {
        match event {
            Event::KindDefined { kind, pools } => {
                self.kinds.entry(*kind).or_insert_with(|| pools.clone());
            }
            Event::WorkerJoined {
                worker,
                pool,
                slots,
                buckets,
                owner,
            } => {
                self.workers.entry(*worker).or_insert_with(|| Worker {
                    pool: *pool,
                    slots: (*slots).max(1) as usize,
                    health: Health::Healthy,
                    holds: BTreeSet::new(),
                    judged: false,
                    guilty: false,
                    outvoted: false,
                    owner: *owner,
                    valid: 0,
                    has_quota: !buckets.is_empty(),
                    may_be_narrow: false,
                    busies: 0,
                    failed: 0,
                    unfit: false,
                    failing: false,
                    starved: 0,
                    rests_until: Moment::START,
                });
            }
            Event::WorkerLeft { worker } => {
                let held = self
                    .workers
                    .get_mut(worker)
                    .map(|worker| std::mem::take(&mut worker.holds));
                for attempt in held.into_iter().flatten() {
                    self.over(attempt, *worker, Class::Lost);
                }
            }
            Event::Submitted { action, spec } => {
                self.actions.entry(*action).or_insert_with(|| Action {
                    spec: *spec,
                    number: 0,
                    runs: Vec::new(),
                    hedged: false,
                    failed_on: Vec::new(),
                    accused: Vec::new(),
                    has_trapped: false,
                    solo: None,
                    waits_since: None,
                    settled: false,
                    votes: Vec::new(),
                    last: None,
                });
            }
            Event::AttemptEnded {
                attempt, worker, end, ..
            } => {
                self.said(*attempt, *worker, *end);
                let held = self
                    .workers
                    .get_mut(worker)
                    .is_some_and(|worker| worker.holds.remove(attempt));
                if held {
                    let mut class = end.class();
                    let seen = self.workers.get_mut(worker)?;
                    let failed = scheduler.worker(*worker).map_or(0, |view| view.failed);
                    if class == Class::Busy {
                        seen.may_be_narrow = true;
                        seen.busies += 1;
                        // Too many in a row count as a failure; which one exactly, it says.
                        if failed > seen.failed && seen.busies >= self.policy.busy_row {
                            seen.busies = 0;
                            class = Class::Transient;
                        }
                    } else if class == Class::Ok {
                        seen.busies = 0;
                        // A vote is a success only once it is confirmed.
                        if *end == End::Ok {
                            seen.starved = 0;
                            seen.rests_until = Moment::START;
                        }
                    } else if class == Class::Host {
                        let wait = doubled(self.policy.host_min, seen.starved, self.policy.host_max);
                        seen.starved += 1;
                        seen.rests_until = seen.rests_until.max(now + wait);
                    }
                    seen.failed = failed;
                    seen.failing = match class {
                        Class::Ok if *end == End::Ok => false,
                        Class::Transient | Class::Trap => true,
                        _ => seen.failing,
                    };
                    seen.unfit = *end == End::Unfit || seen.unfit && *end != End::Ok;
                    // Whose fault it was that a worker is unfit is open, as after a failure.
                    if *end == End::Unfit && self.policy.blame == Blame::Deferred {
                        class = Class::Transient;
                    }
                    self.over(*attempt, *worker, class);
                    if let Some(action) = self.actions.get_mut(&attempt.action) {
                        action.has_trapped |= matches!(end, End::Trap { .. } | End::Unfit);
                    }
                    if *end == End::Faulty {
                        return Some(*worker);
                    }
                }
            }
            Event::DrainBegun => self.draining = true,
            Event::BucketDefined { .. } | Event::QuotaReported { .. } => {}
            Event::WorkerReadmitted { worker } => {
                if let Some(worker) = self
                    .workers
                    .get_mut(worker)
                    .filter(|worker| worker.health != Health::Gone)
                {
                    worker.valid = 0;
                    worker.starved = 0;
                    worker.rests_until = Moment::START;
                }
            }
            Event::WorkerDrained { .. } | Event::Cancelled { .. } | Event::Tick => {}
        }
        None
    }

    fn over(&mut self, attempt: AttemptId, worker: WorkerId, class: Class) {
        let failed = matches!(class, Class::Transient | Class::Trap | Class::Lost);
        if let Some(action) = self.actions.get_mut(&attempt.action)
            && action.take(worker, attempt.number)
            && failed
        {
            action.failed_on.retain(|other| *other != worker);
            action.failed_on.push(worker);
            if class == Class::Lost {
                action.solo.get_or_insert(action.number);
            } else {
                action.accused.push((worker, attempt.number));
            }
        }
    }

    /// Takes note of what a worker says of an action that is open.
    fn said(&mut self, attempt: AttemptId, id: WorkerId, end: End) {
        let (Some(worker), Some(action)) = (self.workers.get(&id), self.actions.get_mut(&attempt.action)) else {
            return;
        };
        let is_ok = matches!(end, End::Ok | End::Vote { .. });
        let is_current = action.runs.contains(&(id, attempt.number));
        if action.settled || !(is_current || is_ok && attempt.number <= action.number) {
            return;
        }
        let is_said = is_ok || end.class() == Class::Permanent;
        let said = Said {
            owner: worker.owner,
            worker: id,
            number: attempt.number,
            ballot: (end != End::Ok).then_some(end),
        };
        let again = worker.owner.is_some() && action.votes.iter().any(|vote| vote.owner == worker.owner);
        if !is_said || again && end != End::Ok {
            return;
        }
        let is_believed = worker.owner.is_none() || end == End::Ok;
        action.last = Some((said, is_believed));
        if !is_believed {
            action.votes.push(said);
        }
    }

    /// A result, or that there can be none, must be said by enough of those whom nobody vouches for. Whoever said something
    /// else is accused of it.
    fn counted(&mut self, id: ActionId, outcome: Outcome) -> Result<(), String> {
        let Some(action) = self.actions.get_mut(&id) else {
            return Ok(());
        };
        let is_counted = matches!(
            outcome,
            Outcome::Done { .. } | Outcome::Refused(Reason::Permanent | Reason::Oversize)
        );
        let Some((last, is_believed)) = action.last.filter(|_| is_counted) else {
            return Ok(());
        };
        if matches!(outcome, Outcome::Done { number } if number != last.number) {
            return Err("not the last result".to_owned());
        }
        let (right, wrong): (Vec<Said>, Vec<Said>) = action.votes.iter().partition(|vote| vote.ballot == last.ballot);
        let is_trusted = self
            .workers
            .get(&last.worker)
            .is_some_and(|worker| worker.valid >= self.policy.trusted_after);
        let is_single = action.votes.len() == 1 && is_trusted;
        if !is_believed && right.len() < 2 && !is_single {
            return Err(format!(
                "{} of {} agree, which is not enough",
                right.len(),
                action.votes.len()
            ));
        }
        // What is simply believed is not compared, nor is what was not checked.
        if last.ballot.is_none() || (!is_believed && right.len() < 2) {
            return Ok(());
        }
        for vote in wrong {
            action.accused.retain(|(worker, _)| *worker != vote.worker);
            action.accused.push((vote.worker, vote.number));
            if let Some(worker) = self.workers.get_mut(&vote.worker) {
                worker.valid = 0;
                worker.outvoted = true;
            }
        }
        for vote in right {
            if let Some(worker) = self.workers.get_mut(&vote.worker) {
                worker.valid += 1;
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, faulty: Option<WorkerId>) -> Result<(), String> {
        match command {
            Command::Assign { attempt, worker } => self.assign(*attempt, *worker),
            Command::Hedge { attempt } => {
                let action = self.actions.get_mut(&attempt.action).ok_or("never submitted")?;
                let lone = action.runs.len() == 1 && action.runs.iter().any(|(_, number)| *number == attempt.number);
                if !lone || !action.spec.idempotent || action.solo.is_some() {
                    return Err("it may not have a second attempt".to_owned());
                }
                action.hedged = true;
                Ok(())
            }
            Command::Stop { attempt, worker } => {
                let held = self
                    .workers
                    .get(worker)
                    .is_some_and(|worker| worker.holds.contains(attempt));
                let action = self.actions.get_mut(&attempt.action).ok_or("never submitted")?;
                action.take(*worker, attempt.number);
                held.then_some(())
                    .ok_or_else(|| "the worker does not have it".to_owned())
            }
            Command::Settle { action: id, outcome } => {
                let action = self.actions.get_mut(id).ok_or("never submitted")?;
                if action.settled {
                    return Err("settled twice".to_owned());
                }
                if !action.runs.is_empty() {
                    return Err("settled while an attempt runs that was not stopped".to_owned());
                }
                if let Outcome::Done { number } = outcome
                    && !(1..=action.number).contains(number)
                {
                    return Err("done by an attempt that was never made".to_owned());
                }
                action.settled = true;
                self.counted(*id, *outcome)
            }
            Command::Retry { attempt, .. } => {
                let action = self.actions.get(&attempt.action).ok_or("never submitted")?;
                (!action.settled)
                    .then_some(())
                    .ok_or_else(|| "retried though settled".to_owned())
            }
            Command::Judged {
                attempt,
                worker,
                verdict,
            } => {
                let action = self.actions.get_mut(&attempt.action).ok_or("never submitted")?;
                if !action.accused.contains(&(*worker, attempt.number)) {
                    return Err("it does not accuse this worker, or not any more".to_owned());
                }
                action
                    .accused
                    .retain(|(accused, number)| accused != worker || *number > attempt.number);
                let settled = action.settled;
                let accused = self.workers.get_mut(worker).ok_or("never joined")?;
                match verdict {
                    Verdict::Guilty { .. } | Verdict::Unproved => accused.guilty = true,
                    Verdict::Annulled if accused.is_usable() && !self.barred.contains(&(*worker, action.spec.kind)) => {
                        return Err("annulled though the worker was not taken out".to_owned());
                    }
                    _ => {}
                }
                match settled == !matches!(verdict, Verdict::Annulled) {
                    true => Ok(()),
                    false => Err("judged too soon or too late".to_owned()),
                }
            }
            Command::Systemic { pool, on } => {
                let changed = match on {
                    true => self.systemic.insert(*pool),
                    false => self.systemic.remove(pool),
                };
                changed.then_some(()).ok_or_else(|| "said twice".to_owned())
            }
            Command::Barred { worker, kind, until } => {
                let known = self.workers.get(worker).ok_or("never joined")?;
                if until.is_none() {
                    return match self.barred.remove(&(*worker, *kind)) {
                        true => Ok(()),
                        false => Err("it was not barred".to_owned()),
                    };
                }
                if !self.barred.insert((*worker, *kind)) {
                    return Err("barred twice".to_owned());
                }
                let pools = self.kinds.get(kind).ok_or("never defined")?;
                let can = |(id, other): (&WorkerId, &Worker)| {
                    other.is_usable() && pools.contains(&other.pool) && !self.barred.contains(&(*id, *kind))
                };
                if !self.workers.iter().any(can) {
                    return Err("the last usable worker was barred".to_owned());
                }
                match known.guilty || self.actions.values().any(|action| action.accuses(*worker)) {
                    true => Ok(()),
                    false => Err("barred though it was never found guilty".to_owned()),
                }
            }
            Command::HealthChanged { worker, health } => {
                let known = self.workers.get(worker).ok_or("never joined")?;
                let pool = known.pool;
                let admitted = faulty == Some(*worker) || known.unfit;
                let by_failures = matches!(
                    health,
                    Health::Quarantined { .. } | Health::Evicted(Evicted::Unreliable { .. }) if !admitted
                );
                let usable_in = |pools: &[PoolId]| {
                    let mut others = self.workers.iter().filter(|(id, _)| *id != worker);
                    others.any(|(_, other)| pools.contains(&other.pool) && other.is_usable())
                };
                let mut served = self.kinds.values().filter(|pools| pools.contains(&pool)).peekable();
                let others = if served.peek().is_none() {
                    usable_in(&[pool])
                } else {
                    served.all(|pools| usable_in(pools))
                };
                if by_failures && !others {
                    return Err("the last usable worker was taken out".to_owned());
                }
                if by_failures && self.systemic.contains(&pool) {
                    return Err("judged while everything fails".to_owned());
                }
                // Failures count before there is a verdict if an action that has no attempt left waits for it.
                let is_guilty = known.guilty || self.actions.values().any(|action| action.accuses(*worker));
                if by_failures && self.policy.blame == Blame::Deferred && !is_guilty {
                    return Err("taken out though it was never found guilty".to_owned());
                }
                if by_failures && self.policy.blame == Blame::Nobody {
                    return Err("taken out though nobody is to be".to_owned());
                }
                let judged = by_failures && matches!(health, Health::Quarantined { .. }) && !known.outvoted;
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.health = *health;
                    worker.judged = judged;
                    worker.guilty &= !by_failures;
                }
                match judged && self.is_over_share(pool) {
                    true => Err("too much of the pool is in quarantine for failing".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }

    fn is_over_share(&self, pool: PoolId) -> bool {
        let mates = || self.workers.values().filter(|worker| worker.pool == pool);
        let members = mates().filter(|worker| !matches!(worker.health, Health::Evicted(_) | Health::Gone));
        let share = members.count() as f64 * self.policy.quarantine_share;
        mates().filter(|worker| worker.judged).count() as f64 > share.max(1.0)
    }

    fn assign(&mut self, attempt: AttemptId, id: WorkerId) -> Result<(), String> {
        let worker = self.workers.get(&id).ok_or("never joined")?;
        let action = self.actions.get(&attempt.action).ok_or("never submitted")?;
        let load = worker.holds.len();
        let limit = match worker.health {
            Health::Healthy => worker.slots + self.policy.prefetch as usize,
            Health::Suspect => worker.slots,
            Health::Probation { .. } => 1,
            _ => return Err(format!("the worker is {}", worker.health)),
        };
        if self.barred.contains(&(id, action.spec.kind)) {
            return Err("the worker is barred from the kind".to_owned());
        }
        if load >= limit {
            return Err(format!("the worker has {load} already"));
        }
        if self.draining {
            return Err("assigned while draining".to_owned());
        }
        if !self.serves(worker.pool, action.spec.kind) {
            return Err("the worker does not serve the kind".to_owned());
        }
        let is_second = action.hedged && !action.runs.iter().any(|(other, _)| *other == id);
        if is_second {
            if worker.health != Health::Healthy || load >= worker.slots || action.failed_on.contains(&id) {
                return Err("the worker is not good enough for a second attempt".to_owned());
            }
            let route = self.kinds.get(&action.spec.kind);
            let waits = |other: &Action| {
                !other.settled
                    && other.runs.is_empty()
                    && other.waits_since.is_some()
                    && self.kinds.get(&other.spec.kind) == route
            };
            if self.actions.values().any(waits) {
                return Err("somebody waits".to_owned());
            }
        }
        if action.settled || (!action.runs.is_empty() && !is_second) {
            return Err("the action is settled or runs".to_owned());
        }
        if worker.owner.is_some() && action.votes.iter().any(|vote| vote.owner == worker.owner) {
            return Err("its owner has voted".to_owned());
        }
        if attempt.number != action.number + 1 {
            return Err(format!("the attempt before was number {}", action.number));
        }
        if action.solo.is_some() && load > 0 {
            return Err("it is to have its worker for itself".to_owned());
        }
        let with_solo = |held: &AttemptId| {
            self.actions
                .get(&held.action)
                .is_some_and(|other| other.solo.is_some_and(|before| held.number > before))
        };
        if worker.holds.iter().any(with_solo) && worker.holds.iter().all(|held| self.is_running(*held, id)) {
            return Err("another one is to have the worker for itself".to_owned());
        }
        if action.failed_on.last() == Some(&id)
            // Timers that are due come after the event: whoever is to rest may not have been woken.
            && let Some(other) = self.untried(Moment::START, action)
        {
            return Err(format!("it failed there, and {other} is free and untried"));
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.holds.insert(attempt);
        }
        if let Some(action) = self.actions.get_mut(&attempt.action) {
            action.number = attempt.number;
            action.runs.push((id, attempt.number));
            action.hedged = false;
        }
        Ok(())
    }

    fn is_running(&self, attempt: AttemptId, worker: WorkerId) -> bool {
        let action = self.actions.get(&attempt.action);
        action.is_some_and(|action| action.runs.contains(&(worker, attempt.number)))
    }

    fn serves(&self, pool: PoolId, kind: KindId) -> bool {
        self.kinds.get(&kind).is_some_and(|pools| pools.contains(&pool))
    }

    /// A free worker that could take the action and never failed it.
    fn untried(&self, now: Moment, action: &Action) -> Option<WorkerId> {
        self.free(now, action, &action.failed_on)
    }

    fn free(&self, now: Moment, action: &Action, except: &[WorkerId]) -> Option<WorkerId> {
        // Who is kept free for an action that got lost cannot be seen from outside.
        let solo = self
            .actions
            .values()
            .any(|other| other.solo.is_some() && !other.settled);
        // On probation a worker that failed is left alone for a while, until it is known whose fault it was.
        let is_left_alone = |id: &WorkerId, worker: &Worker| {
            matches!(worker.health, Health::Probation { .. })
                && self
                    .actions
                    .values()
                    .any(|other| other.accused.iter().any(|(accused, _)| accused == id))
        };
        let mut workers = self.workers.iter();
        workers
            .find(|(id, worker)| {
                worker.is_free()
                    && worker.rests_until <= now
                    && (!solo || worker.holds.is_empty())
                    && !is_left_alone(id, worker)
                    && !self.systemic.contains(&worker.pool)
                    && !action.votes.iter().any(|vote| vote.owner == worker.owner)
                    && self.serves(worker.pool, action.spec.kind)
                    && !self.barred.contains(&(**id, action.spec.kind))
                    && !except.contains(id)
            })
            .map(|(id, _)| *id)
    }

    /// What the scheduler says of itself must be what was seen of it.
    fn compare(&self, scheduler: &Scheduler) -> Result<(), String> {
        for (id, worker) in &self.workers {
            let view = scheduler.worker(*id).ok_or("it forgot a worker")?;
            if view.holds as usize != worker.holds.len() || view.health != worker.health {
                return Err(format!(
                    "{id} is said to be {} with {}, but was seen to be {} with {}",
                    view.health,
                    view.holds,
                    worker.health,
                    worker.holds.len()
                ));
            }
        }
        let mut open = 0;
        for (id, action) in self.actions.iter().filter(|(_, action)| !action.settled) {
            open += 1;
            let view = scheduler.action(*id).ok_or("it forgot an action")?;
            let said = match view.state {
                ActionState::Running { worker, second } => Some(worker).into_iter().chain(second).collect(),
                _ => Vec::new(),
            };
            let seen: Vec<WorkerId> = action.runs.iter().map(|(worker, _)| *worker).collect();
            if said != seen {
                return Err(format!("{id} is said to run on {said:?}, but was seen on {seen:?}"));
            }
        }
        if open != scheduler.open() {
            return Err(format!("{open} actions are open, not {}", scheduler.open()));
        }
        Ok(())
    }

    /// Nobody waits for nothing: an untried worker is taken at once, and after patience ran out twice anybody is.
    fn wait(&mut self, now: Moment, scheduler: &Scheduler) -> Result<(), String> {
        for (id, action) in &mut self.actions {
            let waits =
                matches!(scheduler.action(*id), Some(view) if matches!(view.state, ActionState::Waiting { .. }));
            action.waits_since = action.waits_since.filter(|_| waits).or(waits.then_some(now));
        }
        if self.draining {
            return Ok(());
        }
        for (id, action) in &self.actions {
            let Some(since) = action.waits_since else { continue };
            // For its last attempt an action waits for a worker that did not fail lately.
            // How many there are may have become more meanwhile. One more trap may be the proof that the action is poison.
            let is_own = action.spec.attempts > 0 || self.policy.attempts > 0;
            let is_last = scheduler.action(*id).is_some_and(|view| {
                let most = if is_own {
                    view.failed_max
                } else {
                    self.policy.attempts_min
                };
                let most = if action.has_trapped { most.min(TRAPS_MIN) } else { most };
                view.failed + 1 >= most
            });
            let is_failing = |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.failing);
            if let Some(worker) = self.untried(now, action).filter(|id| !is_last || !is_failing(id)) {
                return Err(format!("{id} waits though {worker} is free and untried"));
            }
            let tired = now.since(since) >= self.policy.patience * 2;
            if tired && let Some(worker) = self.free(now, action, &[]) {
                return Err(format!("{id} has waited since {since} though {worker} is free"));
            }
        }
        Ok(())
    }
}
