//! Busy answers: how long a worker rests for them, and when the limit is the action's and not the worker's.
//!
//! A busy answer costs no attempt and accuses no worker: the worker rests. But it is a hint and not an excuse. If a worker
//! whose own buckets have room is busy time after time, it either meets a limit that was not declared, so it is given less at
//! once (as TCP does: halved, then one more for so many successes, up to the width that failed before), or it does not work at
//! all, so one of many busy answers in a row counts as a failure.
//!
//! The limit may also be the action's: a resource that one action needs, and no other. Such an action would stop one worker
//! after the other. So an action that made a worker busy goes behind the others for a while; one that did so twice rests
//! itself until the first of these workers wakes. Then one of them is *tried with other work* before its time is up: a
//! success says that the limit is the action's. Workers that rest because of it alone are woken, and from then on no worker
//! rests for this action; it rests itself. If the tried worker is busy again, the limit was the worker's, and actions of
//! this kind have to get twice as many busy answers before that is tried again.

use std::time::Duration;

use crate::{
    command::Command,
    ids::{ActionId, Ax, Wx},
    luck::doubled,
    moment::Moment,
    outcome::{Class, End, Reason},
    queue::Turn,
    scheduler::Scheduler,
    worker::{Rest, Standing},
};

/// How much longer than asked for a busy worker is left alone, at most, as a part: so that workers which share a limit do
/// not all come back at once. Never shorter: it named the time itself. scheduler-policy: "the hint plus 0-10 %".
const BUSY_JITTER: f64 = 0.1;

/// From how many busy answers on an action rests itself, and a worker is tried with other work. Two is the least that says
/// more of the action than of a worker.
const SEVERAL: u32 = 2;

/// How many times what is needed to try a worker with other work can double. Arbitrary: at most 16 answers of one action.
const REFUTED_MAX: u32 = 3;

/// How many times the successes that are needed to try a width which failed before can double. Arbitrary: at 10
/// successes for one more that is one try in 1,280.
const WIDTH_TRIES_MAX: u32 = 6;

/// Busy answers of one action, from workers whose own buckets had room.
#[derive(Debug, Default)]
pub(crate) struct Busies {
    /// The workers that gave them, each once.
    workers: Vec<Wx>,
    /// How many since a worker was last tried with other work.
    answers: u32,
    /// The limit is the action's.
    own_limit: bool,
    /// Answers in a row since that is known, or since they last counted as a failure.
    row: u32,
    /// It stands behind fresh work for a while.
    pub(crate) deferred: bool,
}

impl Busies {
    /// Whether an action that rests does so for them.
    pub(crate) fn rests(&self) -> bool {
        self.deferred || self.own_limit
    }
}

/// A worker that rested for one action is tried with other work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BusyTrial {
    /// What made it busy.
    action: ActionId,
    /// The number of the last dispatch before: what was in flight then says nothing.
    after: u64,
}

impl Scheduler {
    /// What the end of an attempt is taken for: a worker that was busy too many times in a row has failed.
    pub(crate) fn taken_for(&mut self, wx: Wx, action: ActionId, end: End) -> End {
        if !matches!(end, End::Busy { .. }) || self.has_own_limit(action) {
            return end;
        }
        let (now, row, within) = (self.now, self.policy.busy_row, self.policy.narrow_within);
        // What it may spend is spent: that it is busy was to be expected.
        let is_open = !self.is_dry(wx);
        let Some(worker) = self.workers.get_mut(wx) else {
            return end;
        };
        // It said so already: its other slots met the same limit.
        if worker.is_busy(now) || !is_open {
            return end;
        }
        // Alone, it says nothing of how many at once are too many.
        let failed_at = worker.load().saturating_add(1);
        let record = &mut worker.record;
        let again = record
            .pressed
            .replace(now)
            .is_some_and(|before| now.since(before) <= within);
        record.busies += 1;
        let failed = record.busies >= row;
        if failed {
            record.busies = 0;
        }
        if again && failed_at > 1 {
            worker.narrow(failed_at);
        }
        if failed { End::Transient } else { end }
    }

    /// A worker succeeded: some of what it was given less at once comes back.
    pub(crate) fn widen(&mut self, wx: Wx) {
        let after = self.policy.widen_after;
        let Some(worker) = self.workers.get_mut(wx) else { return };
        worker.record.busies = 0;
        worker.record.worked = true;
        if worker.width < worker.slots {
            worker.widen(after);
        }
    }

    /// A worker was busy with an action: it rests as long as it says; zero: it does not say.
    pub(crate) fn busied(&mut self, wx: Wx, action: ActionId, wait: Duration, out: &mut Vec<Command>) {
        if self.has_own_limit(action) {
            return;
        }
        let (now, dry) = (self.now, self.is_dry(wx));
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        let known = match rest {
            Rest::Busy { until } => until,
            Rest::None | Rest::Damped { .. } => Moment::START,
        };
        let record = &mut worker.record;
        record.busy_by = match record.busy_by {
            _ if known <= now => (!dry).then_some(action),
            by => by.filter(|by| *by == action),
        };
        let until = if wait > Duration::ZERO {
            now + self.luck.stretched(wait, BUSY_JITTER)
        } else if known > now {
            // It said so already: its other slots met the same limit, which is no reason to double the wait.
            known
        } else {
            if record.busy_row == 0 {
                // One that has no quota has none that could be spent.
                record.busy_first = match dry && !record.worked {
                    true => self.policy.busy_min,
                    false => self.policy.busy_open,
                };
            }
            let wait = doubled(record.busy_first, record.busy_row, self.policy.busy_max);
            record.busy_row = record.busy_row.saturating_add(1);
            now + wait
        };
        record.worked = false;
        if known <= now && !dry {
            self.contradicted(wx);
        }
        let until = until.max(known);
        let rest = Rest::Busy { until };
        self.close_shared(wx, until);
        self.stand(wx, Standing::Usable { trust, rest }, out);
    }

    /// Finds the next state of an action after a busy answer.
    pub(crate) fn place_busied(&mut self, ax: Ax, wx: Wx, wait: Duration, out: &mut Vec<Command>) {
        let Some(action) = self.actions.get(ax) else { return };
        let (id, kx, rx) = (action.id, action.kx, action.rx);
        if self.is_unroutable(rx) || self.is_out_of_voters(ax, rx) {
            return self.give_up(ax, Reason::Unroutable, out);
        }
        if self.has_own_limit(id) {
            return self.rest_itself(ax, wait, out);
        }
        if self
            .workers
            .get(wx)
            .is_none_or(|worker| worker.record.busy_by != Some(id))
        {
            // The worker's quota was spent, or something else had made it busy already.
            return self.place(ax, None, out);
        }
        let refuted = self.kinds.get(kx).map_or(0, |kind| kind.refuted);
        let Some(action) = self.actions.get_mut(ax) else { return };
        action.turn = Turn::Late;
        let trials = action.trials.get_or_insert_default();
        let avoids_none = trials.avoids_none();
        let busies = &mut trials.busies;
        busies.deferred = true;
        if !busies.workers.contains(&wx) {
            busies.workers.push(wx);
        }
        busies.answers = busies.answers.saturating_add(1);
        let rests = busies.answers >= SEVERAL;
        let is_tried = busies.answers >= SEVERAL << refuted.min(REFUTED_MAX);
        let wakes = self.wakes(ax);
        if is_tried {
            self.try_other_work(ax, out);
        }
        // While it avoids a worker, it must not do so for longer than other actions do.
        let from = if avoids_none { wakes } else { self.now };
        match rests {
            true => self.rest(ax, wakes),
            false => self.place_until(ax, from + self.policy.patience, out),
        }
    }

    /// The limit is the action's: it rests, and its many busy answers in a row count as a failure of its own.
    fn rest_itself(&mut self, ax: Ax, wait: Duration, out: &mut Vec<Command>) {
        let Some(action) = self.actions.get_mut(ax) else { return };
        let busies = &mut action.trials.get_or_insert_default().busies;
        let wait = match wait {
            Duration::ZERO => doubled(self.policy.busy_open, busies.row, self.policy.busy_max),
            wait => self.luck.stretched(wait, BUSY_JITTER),
        };
        busies.row = busies.row.saturating_add(1);
        if busies.row >= self.policy.busy_row {
            busies.row = 0;
            action.failed = action.failed.saturating_add(1);
            if self.is_spent(ax) {
                return self.give_up(ax, Reason::Exhausted, out);
            }
        }
        self.rest(ax, self.later(wait));
    }

    /// When the first of the workers that rest because of this action wakes; now if none does.
    fn wakes(&self, ax: Ax) -> Moment {
        let until = self.resting_for(ax).map(|(_, until)| until);
        until.min().unwrap_or(self.now).max(self.now)
    }

    /// The workers that rest because of this action alone, and until when.
    fn resting_for(&self, ax: Ax) -> impl Iterator<Item = (Wx, Moment)> + '_ {
        let action = self.actions.get(ax);
        let id = action.map(|action| action.id);
        let trials = action.and_then(|action| action.trials.as_deref());
        let workers = trials.map_or(&[][..], |trials| &trials.busies.workers);
        workers.iter().filter_map(move |wx| {
            let worker = self.workers.get(*wx).filter(|worker| worker.record.busy_by == id)?;
            match worker.standing {
                Standing::Usable {
                    rest: Rest::Busy { until },
                    ..
                } => Some((*wx, until)),
                _ => None,
            }
        })
    }

    /// Wakes one of the workers that rest because of an action, to see whether it is busy with other work as well.
    fn try_other_work(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let (after, now) = (self.assigned, self.now);
        let tried = self.resting_for(ax).map(|(wx, _)| wx).next();
        let Some(wx) = tried.filter(|_| !self.draining) else {
            return;
        };
        let Some(action) = self.actions.get_mut(ax) else { return };
        let id = action.id;
        if let Some(trials) = action.trials.as_deref_mut() {
            trials.busies.answers = 0;
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.record.trial = Some(BusyTrial { action: id, after });
        }
        debug_assert!(self.workers.get(wx).is_some_and(|worker| worker.is_busy(now)));
        self.wake(wx, out);
    }

    /// A worker rests no longer, nor do the buckets that it closed for others.
    fn wake(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let Standing::Usable {
            trust,
            rest: Rest::Busy { until },
        } = worker.standing
        else {
            return;
        };
        worker.record.busy_by = None;
        self.reopen_shared(wx, until);
        let rest = Rest::None;
        self.stand(wx, Standing::Usable { trust, rest }, out);
        self.stirred.push(wx);
    }

    /// An attempt of a worker that is tried with other work is over: it says whose the limit is.
    pub(crate) fn tried(&mut self, wx: Wx, action: ActionId, seq: u64, end: End, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let Some(trial) = worker.record.trial.filter(|trial| seq > trial.after) else {
            return;
        };
        let is_other = action != trial.action;
        if is_other && !matches!(end.class(), Class::Ok | Class::Busy) {
            // Nothing that says something.
            return;
        }
        worker.record.trial = None;
        let ax = self.action_ids.get(&trial.action).copied();
        let Some(ax) = ax.filter(|_| is_other) else { return };
        let Some(open) = self.actions.get_mut(ax) else { return };
        let kx = open.kx;
        let busies = &mut open.trials.get_or_insert_default().busies;
        let own_limit = end.class() == Class::Ok;
        busies.own_limit = own_limit;
        if let Some(kind) = self.kinds.get_mut(kx) {
            kind.refuted = if own_limit { 0 } else { kind.refuted.saturating_add(1) };
        }
        if own_limit {
            let woken: Vec<Wx> = self.resting_for(ax).map(|(wx, _)| wx).collect();
            for wx in woken {
                self.wake(wx, out);
            }
        }
    }

    /// Whether the limit that this action meets is known to be its own.
    fn has_own_limit(&self, action: ActionId) -> bool {
        let ax = self.action_ids.get(&action);
        let trials = ax.and_then(|ax| self.actions.get(*ax)?.trials.as_deref());
        trials.is_some_and(|trials| trials.busies.own_limit)
    }

    /// Whether an action stands behind fresh work because it made a worker busy.
    pub(crate) fn is_deferred(&self, ax: Ax) -> bool {
        let trials = self.actions.get(ax).and_then(|action| action.trials.as_deref());
        trials.is_some_and(|trials| trials.busies.deferred)
    }

    /// An action that is in no state has stood behind fresh work for long enough.
    pub(crate) fn undefer(&mut self, ax: Ax) {
        let Some(action) = self.actions.get_mut(ax) else { return };
        if let Some(trials) = action.trials.as_deref_mut()
            && std::mem::take(&mut trials.busies.deferred)
        {
            action.turn = Turn::Fresh;
        }
    }
}

impl crate::worker::Worker {
    /// Whether it rests because it was busy.
    fn is_busy(&self, now: Moment) -> bool {
        matches!(self.standing, Standing::Usable { rest: Rest::Busy { until }, .. } if until > now)
    }

    /// It was busy again with so many at once.
    fn narrow(&mut self, failed_at: u32) {
        let record = &mut self.record;
        record.widened = 0;
        if failed_at >= record.failed_at && record.failed_at > 0 {
            // The width that failed before fails still: the one below it is the right one.
            self.width = self.width.min(record.failed_at.saturating_sub(1)).max(1);
            record.width_tries = (record.width_tries + 1).min(WIDTH_TRIES_MAX);
        } else {
            record.failed_at = failed_at;
            record.width_tries = 0;
            self.width = (self.width / 2).max(1);
        }
    }

    /// It succeeded while it is given less at once. `after`: how many successes are worth one more.
    fn widen(&mut self, after: u32) {
        let record = &mut self.record;
        let tries_failed = record.failed_at > 0 && self.width + 1 >= record.failed_at;
        let needed = match tries_failed {
            true => after.saturating_mul(2 << record.width_tries),
            false => after,
        };
        record.widened += 1;
        if record.widened >= needed {
            record.widened = 0;
            self.width += 1;
            if self.width > record.failed_at {
                // It holds what it did not hold before.
                record.failed_at = 0;
                record.width_tries = 0;
            }
        }
    }
}
