//! A worker, and where its pool lists it.

use std::collections::BTreeSet;

use crate::{
    ids::{AttemptId, Ax, Bx, Ox, Px, Rx, WorkerId, Wx},
    mean::Mean,
    model::{
        busy::BusyRecord,
        concurrency::Concurrency,
        health::{Rest, Standing, Trust, WorkerCheckpoint},
        skill::Skill,
        worker_health::WorkerHealth,
    },
    moment::Moment,
    outcome::Health,
    policy::Policy,
};

/// How many durations a mean needs before it is believed. Arbitrary: "a few".
const SAMPLES_MIN: u32 = 4;

/// How often what was seen of a worker. For reports; decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerCounts {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) busy: u64,
    pub(crate) faults: u64,
    pub(crate) outvoted: u64,
    pub(crate) quarantines: u32,
}

/// Whether a worker can be given one more attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    None,
    /// It would begin at once.
    Slot,
    /// It would lie ready for when a slot is free.
    Prefetch,
}

/// A worker's entry in its pool's list. Less is given work first: the quota that expires the soonest, then the
/// fewest attempts, then the longest time without an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) expires: Moment,
    pub(crate) load: u32,
    pub(crate) last_assigned: u64,
    pub(crate) wx: Wx,
}

impl Entry {
    /// Of a worker that is not listed yet.
    const NONE: Self = Self {
        expires: Moment::NEVER,
        load: 0,
        last_assigned: 0,
        wx: Wx::FIRST,
    };
}

/// An attempt that a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) attempt: AttemptId,
    /// Its number among all dispatches.
    pub(crate) seq: u64,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) px: Px,
    pub(crate) concurrency: Concurrency,
    pub(crate) standing: Standing,
    pub(crate) health: WorkerHealth,
    pub(crate) busy: BusyRecord,
    pub(crate) tally: WorkerCounts,
    /// What it is making or has lying ready, also what it was told to stop. In no order; as short as its slots.
    pub(crate) attempts: Vec<InFlight>,
    /// The owner, if its results count only when they are confirmed.
    pub(crate) ox: Option<Ox>,
    /// What it draws from: rising, each once.
    pub(crate) buckets: Box<[Bx]>,
    /// It is given nothing until it can pay for an action that costs more than usual.
    pub(crate) saving: bool,
    /// In the lines of which buckets it waits, and its places there: as few as it has buckets.
    pub(crate) waits: Vec<(Bx, u64)>,
    /// Actions that it failed and that are open: they accuse it.
    pub(crate) accusers: BTreeSet<Ax>,
    /// The open actions that avoid it because it failed lately.
    pub(crate) shunned_by: BTreeSet<Ax>,
    /// It makes an attempt that must be the only one.
    pub(crate) solo: bool,
    /// It is given nothing more until it is free for such an attempt of this route.
    pub(crate) reserved_for: Option<Rx>,
    /// Counts assignments over all workers: the number of its last one.
    pub(crate) last_assigned: u64,
    /// What it is like at each kind that it was given: rising, each once. Empty while there is only one kind.
    pub(crate) skills: Vec<Skill>,
    /// Where its pool lists it.
    pub(crate) listed: (Capacity, Entry),
    /// Of its attempts with a result.
    pub(crate) took: Mean,
}

impl Worker {
    pub(crate) fn new(id: WorkerId, px: Px, slots: u32) -> Self {
        Self {
            id,
            px,
            concurrency: Concurrency::new(slots),
            standing: Standing::FRESH,
            health: WorkerHealth::default(),
            busy: BusyRecord::default(),
            tally: WorkerCounts::default(),
            attempts: Vec::new(),
            ox: None,
            buckets: Box::default(),
            saving: false,
            waits: Vec::new(),
            accusers: BTreeSet::new(),
            shunned_by: BTreeSet::new(),
            solo: false,
            reserved_for: None,
            last_assigned: 0,
            skills: Vec::new(),
            listed: (Capacity::None, Entry::NONE),
            took: Mean::default(),
        }
    }

    /// Wipes what it has shown.
    pub(crate) fn reset(&mut self) {
        self.health = WorkerHealth::default();
        self.busy = BusyRecord::default();
        self.concurrency = Concurrency::new(self.concurrency.slots());
    }

    /// What has to survive a crash.
    pub(crate) fn checkpoint(&self) -> WorkerCheckpoint {
        let (health, busy_until) = match self.standing {
            Standing::Usable { trust, rest } => {
                let busy_until = match rest {
                    Rest::Busy { until } => until,
                    Rest::None | Rest::Damped { .. } => Moment::START,
                };
                let health = match trust {
                    Trust::Probation { round, .. } => Health::Probation { round },
                    Trust::Healthy | Trust::Suspect { .. } => Health::Healthy,
                };
                (health, busy_until)
            }
            other => (other.health(), Moment::START),
        };
        WorkerCheckpoint {
            health,
            judged: self.standing.is_judged(),
            busy_until,
            quarantines: self.tally.quarantines,
            round: self.health.round(),
            unproved_quarantines: self.health.unproved_quarantines(),
            score: self.health.log.score(),
        }
    }

    /// Whether it rests because it was busy.
    pub(crate) fn is_busy(&self, now: Moment) -> bool {
        matches!(self.standing, Standing::Usable { rest: Rest::Busy { until }, .. } if until > now)
    }

    pub(crate) fn load(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Whether it can be given one more attempt.
    pub(crate) fn capacity(&self, policy: &Policy) -> Capacity {
        let Standing::Usable {
            trust,
            rest: Rest::None,
        } = self.standing
        else {
            return Capacity::None;
        };
        let load = self.load();
        if self.saving || (load > 0 && (self.solo || self.reserved_for.is_some())) {
            return Capacity::None;
        }
        match trust {
            _ if self.busy.trial().is_some() && load > 0 => Capacity::None,
            Trust::Probation { .. } if load == 0 => Capacity::Slot,
            Trust::Probation { .. } => Capacity::None,
            Trust::Healthy | Trust::Suspect { .. } if load < self.concurrency.width() => Capacity::Slot,
            // What lies ready would count as spent: no worker is to wait for a quota in vain.
            Trust::Healthy
                if self.buckets.is_empty()
                    && load < self.concurrency.width().saturating_add(policy.prefetch)
                    && self.is_quick(policy) =>
            {
                Capacity::Prefetch
            }
            _ => Capacity::None,
        }
    }

    fn is_quick(&self, policy: &Policy) -> bool {
        self.health.undecided() == 0 && self.took.samples() >= SAMPLES_MIN && self.took.get() < policy.prefetch_below
    }
}
