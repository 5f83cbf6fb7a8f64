//! What to think of a worker.
//!
//! Two sorts of evidence. An explicit fault (it could not be started) is believed at once and of anybody; what a worker says of
//! itself is checked (see `unfit.rs`). Failures are circumstantial: who fails several actions in a row is only given work slowly until it
//! is known whose fault it was (see `blame.rs`), and what follows then is capped.

use std::time::Duration;

use crate::{
    command::Command,
    flake::row_below,
    ids::{ActionId, Kx, Px, WorkerId, Wx},
    luck::doubled,
    outcome::{Class, End, Evicted},
    policy::Blame,
    scheduler::{Kind, Plant, Scheduler},
    systemic::PRESSED_JITTER,
    worker::{Held, Record, Rest, Standing, Trust},
};

/// A row of failures that is less likely than this is no chance. One worker in a thousand is slowed down by it for a moment.
const BY_CHANCE: f64 = 1e-3;

/// How often a suspect's pause is doubled at most. Arbitrary: a worker that fails everything then costs an eighth of a good one.
const DOUBLINGS: u32 = 3;

/// The shortest such pause. Arbitrary: less is no pause on a real clock.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// What an attempt that ended was an attempt of.
pub(crate) struct Of {
    pub(crate) action: ActionId,
    /// Its kind, if the action is open.
    pub(crate) kx: Option<Kx>,
    /// Whether the action still wanted it.
    pub(crate) current: bool,
}

impl Scheduler {
    /// Draws the conclusions of an attempt's end about the worker that made it. A failure that came too
    /// late to matter accuses nobody.
    pub(crate) fn judge(&mut self, wx: Wx, of: Of, end: End, took: Duration, out: &mut Vec<Command>) {
        let Of { action, kx, current } = of;
        let Some(worker) = self.workers.get_mut(wx) else { return };
        match end.class() {
            Class::Ok => {
                worker.tally.ok += 1;
                worker.took.add(took);
                let px = worker.px;
                self.retries = (self.retries + self.policy.retries_earned).min(f64::from(self.policy.retries));
                if let Some(kx) = kx {
                    self.timed(kx, took);
                    if let Some(kind) = self.kinds.get_mut(kx) {
                        kind.took.add(took);
                    }
                }
                self.one_works(px, wx, took, out);
                self.widen(wx);
                // A vote counts for its worker when others have said the same: see `quorum.rs`.
                if !self.is_unconfirmed(wx, end) {
                    if let Some(kx) = kx {
                        self.relieve(wx, kx);
                    }
                    self.succeeded(wx, out);
                }
            }
            Class::Busy => {
                worker.tally.busy += 1;
                let wait = match end {
                    End::Busy { wait } => wait,
                    _ => Duration::ZERO,
                };
                self.busied(wx, action, wait, out);
            }
            Class::Transient | Class::Trap if current => {
                worker.tally.failed += 1;
                let px = worker.px;
                self.one_fails(px, wx, action);
                if let Some(kx) = kx {
                    self.skill_missed(wx, kx, action);
                }
                self.failed(wx, action, kx, out);
                match end {
                    End::Transient => self.all_fail(px, wx, action, out),
                    _ => self.probe_again(px),
                }
            }
            Class::WorkerFault => {
                worker.tally.faults += 1;
                match (end, worker.standing) {
                    (End::Unfit, _) => self.unfit(wx, &of, took, out),
                    (End::Unstartable, Standing::Evicted(_) | Standing::Gone) => {}
                    (End::Unstartable, _) => {
                        self.stand(wx, Standing::Evicted(Evicted::Unfit), out);
                        self.annul(wx, out);
                    }
                    (_, Standing::Usable { .. }) => self.condemn(wx, false, out),
                    _ => {}
                }
            }
            Class::Lost => worker.tally.lost += 1,
            Class::Host => self.starved(wx, out),
            Class::Permanent | Class::Transient | Class::Trap | Class::Neutral => {}
        }
    }

    pub(crate) fn succeeded(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let (forgive_after, probation) = (self.policy.forgive_after, self.policy.probation);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        record.row.clear();
        record.busy_row = 0;
        record.starved = 0;
        record.unfit.clear();
        record.unfit_row = 0;
        record.unfit_last = false;
        self.straight(wx, 0);
        self.is_clean_again(wx, out);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        let trust = match trust {
            Trust::Healthy => {
                record.good += 1;
                if record.good >= forgive_after {
                    record.good = 0;
                    record.round = record.round.saturating_sub(1);
                }
                Trust::Healthy
            }
            Trust::Suspect { .. } => Trust::Healthy,
            Trust::Probation { passed, .. } if passed + 1 >= probation => {
                record.good = 0;
                record.unproved = 0;
                Trust::Healthy
            }
            Trust::Probation { round, passed } => Trust::Probation {
                round,
                passed: passed + 1,
            },
        };
        let rest = rest.undamped();
        self.stand(wx, Standing::Usable { trust, rest }, out);
    }

    fn failed(&mut self, wx: Wx, action: ActionId, kx: Option<Kx>, out: &mut Vec<Command>) {
        let (now, limit, is_notorious) = (self.now, self.suspect_after(wx, kx), self.is_notorious(wx, action));
        let straight = self.workers.get(wx).map_or(0, |worker| worker.record.straight);
        let straight = straight.saturating_add(1);
        self.straight(wx, straight);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        record.failed(action, kx, now);
        if record.row.len() < limit && !record.row.contains(&action) {
            record.row.push(action);
        }
        let doubtful = record.row.len() >= limit;
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        match self.policy.blame {
            Blame::Deferred => match trust {
                Trust::Healthy if !doubtful => {}
                // It is most likely the action's fault: the worker is not to be slowed down for it.
                Trust::Healthy | Trust::Suspect { .. } if is_notorious => {}
                Trust::Healthy => self.suspect(wx, kx, 0, rest, out),
                Trust::Suspect { further } => self.suspect(wx, kx, further.saturating_add(1), rest, out),
                Trust::Probation { round, .. } => {
                    // It may be the action's fault. Until that is known there is no hurry.
                    let rest = self.slowed(wx, kx, rest, u32::MAX);
                    let trust = Trust::Probation { round, passed: 0 };
                    self.stand(wx, Standing::Usable { trust, rest }, out);
                }
            },
            Blame::InARow { failures } => {
                let guilty = straight >= failures || matches!(trust, Trust::Probation { .. });
                if guilty && self.may_condemn(wx) {
                    self.condemn(wx, true, out);
                }
            }
            Blame::Nobody => {}
        }
    }

    /// Lets a worker rest for which the host had not enough of something. What is thought of it stays as it is.
    fn starved(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let (min, max) = (self.policy.host_min, self.policy.host_max);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let wait = doubled(min, worker.record.starved, max);
        worker.record.starved = worker.record.starved.saturating_add(1);
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        let until = self.later(wait).max(rest.until());
        let rest = match rest {
            Rest::Busy { .. } => rest,
            Rest::None | Rest::Damped { .. } => Rest::Damped { until },
        };
        self.stand(wx, Standing::Usable { trust, rest }, out);
    }

    /// How many failures in a row with no verdict make a worker suspect that failed an action of this kind: as many as chance alone
    /// explains less than once in a thousand times, by the rate of the other workers.
    pub(crate) fn suspect_after(&self, wx: Wx, kx: Option<Kx>) -> usize {
        let rate = kx.and_then(|kx| Some(self.kinds.get(kx)?.flake.rate_elsewhere(wx)));
        let learned = rate.map_or(0, |rate| row_below(BY_CHANCE, rate));
        learned.max(self.policy.suspect_after) as usize
    }

    /// Takes note of how many failures in a row a worker had, known or not.
    fn straight(&mut self, wx: Wx, failures: u32) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let before = std::mem::replace(&mut worker.record.straight, failures);
        if before == 0 {
            worker.record.failing_since = self.now;
        }
        if worker.standing.is_usable() && (before > 0) != (failures > 0) {
            let px = worker.px;
            self.blemished(px, before > 0, failures > 0);
        }
    }

    /// Slows a worker down that there is reason but no right to take out, after an action of this kind.
    pub(crate) fn suspect(&mut self, wx: Wx, kx: Option<Kx>, further: u32, rest: Rest, out: &mut Vec<Command>) {
        let rest = self.slowed(wx, kx, rest, further);
        let trust = Trust::Suspect { further };
        self.stand(wx, Standing::Usable { trust, rest }, out);
    }

    /// What a worker's rest becomes when it is to be slowed down.
    pub(crate) fn slowed(&mut self, wx: Wx, kx: Option<Kx>, rest: Rest, further: u32) -> Rest {
        match rest {
            Rest::Busy { .. } => rest,
            Rest::None | Rest::Damped { .. } => self.damp(wx, kx, further),
        }
    }

    /// How long a suspect is left alone from now: as long as an action of this kind takes, since another worker may then have done
    /// what it failed. So it never costs more than a good worker that has the same work.
    pub(crate) fn damp(&mut self, wx: Wx, kx: Option<Kx>, further: u32) -> Rest {
        if self.workers.get(wx).is_some_and(|worker| self.is_hopeless(worker.px)) {
            return Rest::None;
        }
        let wait = match self.spell(wx) {
            // That most workers fail at once says nothing against one of them, nor does it if they fail bad actions.
            Some(spell) if !spell.is_long() => return Rest::None,
            Some(spell) => {
                // Not all of them at the same moment, and never later than the longest pause.
                let longest = self.policy.damping_max.div_f64(1.0 + PRESSED_JITTER);
                self.luck.around(spell.pause().min(longest), PRESSED_JITTER)
            }
            None => {
                let usual = match kx.and_then(|kx| self.kinds.get(kx)).map(|kind| kind.took) {
                    Some(took) if took.samples() > 0 => took.get(),
                    _ => self.policy.damping_min,
                };
                doubled(usual.max(PAUSE_MIN), further.min(DOUBLINGS), self.policy.damping_max)
            }
        };
        Rest::Damped {
            until: self.later(wait),
        }
    }

    /// Whether without this one there would be a usable worker left for every kind that it serves, over all pools.
    pub(crate) fn is_spare(&self, wx: Wx) -> bool {
        let Some(worker) = self.workers.get(wx) else {
            return false;
        };
        let own = usize::from(worker.standing.is_usable());
        let usable = |px: &Px| self.pools.get(*px).map_or(0, |pool| pool.usable);
        let routes = self.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        let spare = if routes.is_empty() {
            usable(&worker.px) > own
        } else {
            routes.iter().all(|rx| {
                let pools = self.queues.routes.get(*rx).map_or(&[][..], |route| &route.pools);
                pools.iter().map(usable).sum::<usize>() > own
            })
        };
        // Those that are barred from a kind are none for it.
        let is_left = |kind: &Kind| {
            let serves = routes.contains(&kind.rx);
            let barred = kind
                .barred
                .iter()
                .filter(|other| **other != wx && self.is_usable(**other));
            kind.barred.is_empty() || !serves || self.usable(kind.rx) > own + barred.count()
        };
        self.planted(Plant::QuarantineLast) || spare && self.kinds.iter().all(is_left)
    }

    /// Whether failures alone may take this worker out.
    pub(crate) fn may_condemn(&self, wx: Wx) -> bool {
        let Some(worker) = self.workers.get(wx) else {
            return false;
        };
        if !self.is_spare(wx) || self.is_systemic(worker.px) {
            return false;
        }
        let Some(pool) = self.pools.get(worker.px) else {
            return false;
        };
        // Rounded down: a third of five is one.
        let share = (pool.members as f64 * self.policy.quarantine_share) as usize;
        self.planted(Plant::IgnoreShare)
            || worker.record.unproved >= self.policy.evict_after
            || pool.judged < share.max(1)
    }

    /// The same for a worker that was proved wrong, whatever part of its pool is taken out already.
    pub(crate) fn may_condemn_outvoted(&self, wx: Wx) -> bool {
        let px = self.workers.get(wx).map(|worker| worker.px);
        self.is_spare(wx) && px.is_some_and(|px| !self.is_systemic(px))
    }

    /// Quarantines a worker, or evicts it if that was done too often.
    pub(crate) fn condemn(&mut self, wx: Wx, judged: bool, out: &mut Vec<Command>) {
        let spare = self.is_spare(wx);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        // An explicit fault takes out the last one too: a worker that cannot be started is no worker.
        if worker.record.unproved >= self.policy.evict_after && (spare || !judged) {
            let quarantines = worker.record.unproved;
            self.stand(wx, Standing::Evicted(Evicted::Unreliable { quarantines }), out);
            return self.annul(wx, out);
        }
        let record = &mut worker.record;
        record.round = record.round.saturating_add(1);
        record.unproved = record.unproved.saturating_add(1);
        record.row.clear();
        record.unfit.clear();
        record.unfit_row = 0;
        record.score = 0.0;
        record.past.clear();
        record.since = 0;
        worker.tally.quarantines += 1;
        let round = record.round;
        let length = doubled(self.policy.quarantine_min, round - 1, self.policy.quarantine_max);
        let until = self.now + self.luck.around(length, self.policy.quarantine_jitter);
        self.stand(wx, Standing::Quarantined { until, round, judged }, out);
        self.annul(wx, out);
    }

    /// A worker's quarantine, busy time or damping is over.
    pub(crate) fn woke(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get(wx) else { return };
        let trust = match worker.standing {
            Standing::Usable { trust, .. } => trust,
            Standing::Quarantined { round, .. } => Trust::Probation { round, passed: 0 },
            Standing::Draining | Standing::Evicted(_) | Standing::Gone => return,
        };
        let rest = Rest::None;
        self.stand(wx, Standing::Usable { trust, rest }, out);
        self.pull(wx, out);
    }

    pub(crate) fn drained(&mut self, id: WorkerId, out: &mut Vec<Command>) {
        let Some(wx) = self.worker_ids.get(&id).copied() else {
            return;
        };
        if self.workers.get(wx).is_some_and(|worker| worker.standing.is_present()) {
            self.stand(wx, Standing::Draining, out);
        }
    }

    pub(crate) fn readmitted(&mut self, id: WorkerId, out: &mut Vec<Command>) {
        let Some(wx) = self.worker_ids.get(&id).copied() else {
            return;
        };
        let Some(worker) = self.workers.get_mut(wx) else { return };
        if worker.standing == Standing::Gone {
            return;
        }
        self.straight(wx, 0);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        worker.record = Record::default();
        worker.width = worker.slots;
        self.stand(wx, Standing::FRESH, out);
        self.is_clean_again(wx, out);
        self.forget_skills(wx, out);
        self.relist(wx);
        self.pull(wx, out);
    }

    /// A worker is gone, and what it was doing with it.
    pub(crate) fn left(&mut self, id: WorkerId, out: &mut Vec<Command>) {
        let Some(wx) = self.worker_ids.get(&id).copied() else {
            return;
        };
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let attempts = std::mem::take(&mut worker.attempts);
        worker.tally.lost += attempts.len() as u64;
        self.held = self.held.saturating_sub(attempts.len());
        self.stand(wx, Standing::Gone, out);
        for held in &attempts {
            self.paid(wx, held.seq, true);
        }
        for Held { attempt, .. } in attempts {
            let ax = self.action_ids.get(&attempt.action).copied();
            if let Some(ax) = ax.filter(|ax| self.is_current(*ax, attempt, wx)) {
                self.resolve(ax, wx, attempt, End::Lost, out);
            }
        }
    }
}
