//! What an observer has seen of workers and actions.

use std::collections::BTreeSet;

use crate::{AttemptId, End, Health, Moment, OwnerId, PoolId, Spec, WorkerId};

pub(super) struct Worker {
    pub(super) pool: PoolId,
    pub(super) slots: usize,
    pub(super) health: Health,
    pub(super) holds: BTreeSet<AttemptId>,
    /// In quarantine for its failures, not for a fault.
    pub(super) judged: bool,
    /// It was found guilty since it was last taken out.
    pub(super) guilty: bool,
    /// Others have contradicted it: then it may be taken out whatever part of the pool that is.
    pub(super) outvoted: bool,
    /// The owner, if its results count only when they are confirmed.
    pub(super) owner: Option<OwnerId>,
    /// Its results in a row that others have confirmed.
    pub(super) valid: u32,
    /// Whether it may be given something now depends on what cannot be seen from outside.
    pub(super) has_quota: bool,
    /// It was busy once, and may be given less at once than it has slots.
    pub(super) may_be_narrow: bool,
    /// How often it was busy since its last success or since that counted as a failure.
    pub(super) busies: u32,
    /// How often it failed, as it is said.
    pub(super) failed: u64,
    /// It reported that it is unfit, and had no success since.
    pub(super) unfit: bool,
    /// It failed since its last success.
    pub(super) failing: bool,
    /// Times in a row that the host had not enough of something for it, and until when it rests for that.
    pub(super) starved: u32,
    pub(super) rests_until: Moment,
}

impl Worker {
    pub(super) fn is_usable(&self) -> bool {
        matches!(
            self.health,
            Health::Healthy | Health::Suspect | Health::Probation { .. } | Health::Busy { .. }
        )
    }

    /// Whether it certainly has a free slot. A suspect is left out: it may be damped, which cannot be seen from
    /// outside.
    pub(super) fn is_free(&self) -> bool {
        match self.health {
            _ if self.has_quota => false,
            Health::Healthy if self.may_be_narrow => self.holds.is_empty(),
            Health::Healthy => self.holds.len() < self.slots,
            Health::Probation { .. } => self.holds.is_empty(),
            _ => false,
        }
    }
}

pub(super) struct Action {
    pub(super) spec: Spec,
    pub(super) number: u32,
    /// What is going on, the first first.
    pub(super) runs: Vec<(WorkerId, u32)>,
    /// It was said that it gets a second attempt.
    pub(super) hedged: bool,
    pub(super) failed_on: Vec<WorkerId>,
    /// Those without a verdict.
    pub(super) accused: Vec<(WorkerId, u32)>,
    /// One of its failures was a trap, or a report that the worker is unfit.
    pub(super) has_trapped: bool,
    /// It got lost, and every attempt after this one has its worker for itself.
    pub(super) solo: Option<u32>,
    /// When it was first seen to wait since it last did something else.
    pub(super) waits_since: Option<Moment>,
    pub(super) settled: bool,
    /// What was said of it by workers with owners.
    pub(super) votes: Vec<Said>,
    /// The last result, and whether it needs no confirmation.
    pub(super) last: Option<(Said, bool)>,
}

/// A vote.
#[derive(Clone, Copy)]
pub(super) struct Said {
    pub(super) owner: Option<OwnerId>,
    pub(super) worker: WorkerId,
    pub(super) number: u32,
    pub(super) ballot: Option<End>,
}

impl Action {
    /// Whether it is open and has no verdict on this worker.
    pub(super) fn accuses(&self, worker: WorkerId) -> bool {
        !self.settled && self.accused.iter().any(|(id, _)| *id == worker)
    }

    /// Takes one of its runs off. False: it is none.
    pub(super) fn take(&mut self, worker: WorkerId, number: u32) -> bool {
        let before = self.runs.len();
        self.runs.retain(|run| *run != (worker, number));
        self.runs.len() < before
    }
}
