//! An observer that knows the rules and nothing of how they are kept: it sees events and commands only.

mod commands;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use self::seen::{Action, Said, Worker};
use crate::{
    ActionId, ActionState, AttemptId, Blame, Class, Command, End, Event, Health, KindId, Moment, Policy, PoolId,
    Scheduler, WorkerId, model::failure_rate::TRAPS_MIN, rng::doubled,
};

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

    /// Actions that are not settled.
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
            Event::BucketDefined { .. } | Event::QuotaReported { .. } | Event::QuotaRestored { .. } => {}
            Event::WorkerRestored { .. } | Event::Resubmitted { .. } => unreachable!("histories resume no run"),
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

    /// What the scheduler says of itself must be what was seen of it.
    fn compare(&self, scheduler: &Scheduler) -> Result<(), String> {
        for (id, worker) in &self.workers {
            let view = scheduler.worker(*id).ok_or("it forgot a worker")?;
            if view.in_flight as usize != worker.holds.len() || view.health != worker.health {
                return Err(format!(
                    "{id} is said to be {} with {}, but was seen to be {} with {}",
                    view.health,
                    view.in_flight,
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

    /// No action waits for nothing: an untried worker is taken at once, and any worker after patience ran out twice.
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
            // For its last attempt an action waits for a worker that did not fail lately. How many there are may have
            // become more meanwhile. One more trap may be the proof that the action is poison.
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
