//! What must be true of each command.

use super::{Action, Said, Watch, Worker};
use crate::{
    ActionId, AttemptId, Blame, Command, Evicted, Health, KindId, Moment, Outcome, PoolId, Reason, Verdict, WorkerId,
};

impl Watch {
    /// A result, or a permanent failure, needs the votes of enough untrusted workers. A worker with another result
    /// is accused of it.
    pub(super) fn counted(&mut self, id: ActionId, outcome: Outcome) -> Result<(), String> {
        let Some(action) = self.actions.get_mut(&id) else {
            return Ok(());
        };
        let is_counted = matches!(
            outcome,
            Outcome::Done { .. } | Outcome::Failed(Reason::Permanent | Reason::Oversize)
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

    pub(super) fn command(&mut self, command: &Command, faulty: Option<WorkerId>) -> Result<(), String> {
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
                if by_failures && self.policy.blame == Blame::NoWorker {
                    return Err("taken out though no worker is to be".to_owned());
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

    pub(super) fn is_over_share(&self, pool: PoolId) -> bool {
        let mates = || self.workers.values().filter(|worker| worker.pool == pool);
        let members = mates().filter(|worker| !matches!(worker.health, Health::Evicted(_) | Health::Gone));
        let share = members.count() as f64 * self.policy.quarantine_share;
        mates().filter(|worker| worker.judged).count() as f64 > share.max(1.0)
    }

    pub(super) fn assign(&mut self, attempt: AttemptId, id: WorkerId) -> Result<(), String> {
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
                return Err("an action waits".to_owned());
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
            // Timers that are due come after the event: a worker that rests may not have been woken.
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

    pub(super) fn is_running(&self, attempt: AttemptId, worker: WorkerId) -> bool {
        let action = self.actions.get(&attempt.action);
        action.is_some_and(|action| action.runs.contains(&(worker, attempt.number)))
    }

    pub(super) fn serves(&self, pool: PoolId, kind: KindId) -> bool {
        self.kinds.get(&kind).is_some_and(|pools| pools.contains(&pool))
    }

    /// A free worker that could take the action and never failed it.
    pub(super) fn untried(&self, now: Moment, action: &Action) -> Option<WorkerId> {
        self.free(now, action, &action.failed_on)
    }

    pub(super) fn free(&self, now: Moment, action: &Action, except: &[WorkerId]) -> Option<WorkerId> {
        // The worker that is kept free for an action that got lost cannot be seen from outside.
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
}
