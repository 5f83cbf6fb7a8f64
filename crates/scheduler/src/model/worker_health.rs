//! What a worker has shown so far, beside its standing. A readmission wipes it.

use std::time::Duration;

use crate::{
    ids::{ActionId, Kx},
    model::{failure_log::FailureLog, unfit_reports::UnfitReports},
    moment::Moment,
    policy::Policy,
    rng::doubled,
};

/// The record of one worker, by which it is judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerHealth {
    /// The distinct actions of its failures without a verdict since its last success, at most as many as make it
    /// suspect.
    undecided_failures: Vec<ActionId>,
    /// Failures in a row, with a verdict or without.
    consecutive_failures: u32,
    /// When the first of these was, or when the service was back for all if that is later.
    failing_since: Moment,
    /// The evidence against it.
    pub(crate) log: FailureLog,
    /// The round of its last quarantine, less what was forgiven.
    round: u32,
    /// Quarantines since it last passed a probation.
    unproved_quarantines: u32,
    /// Successes since a quarantine was last forgiven.
    successes_since_forgiven: u32,
    /// Times in a row that the host was short of something for it.
    host_shortages: u32,
    /// Results in a row that others have confirmed.
    confirmed: u32,
    /// Results in a row that others have contradicted.
    outvoted: u32,
    /// Its reports that it is unfit.
    pub(crate) unfit: UnfitReports,
}

impl WorkerHealth {
    /// How many of its failures have no verdict.
    #[inline]
    pub(crate) fn undecided(&self) -> usize {
        self.undecided_failures.len()
    }

    /// Adds a failure without a verdict, as long as there are fewer than `limit`.
    pub(crate) fn add_undecided(&mut self, action: ActionId, limit: usize) {
        if self.undecided_failures.len() < limit && !self.undecided_failures.contains(&action) {
            self.undecided_failures.push(action);
        }
    }

    /// The failures of an action have a verdict.
    pub(crate) fn decide(&mut self, action: ActionId) {
        self.undecided_failures.retain(|other| *other != action);
    }

    /// All failures have a verdict, or need none any more.
    pub(crate) fn decide_all(&mut self) {
        self.undecided_failures.clear();
    }

    #[inline]
    pub(crate) fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// Whether it has failed since its last success.
    #[inline]
    pub(crate) fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }

    /// Sets the number of failures in a row. Whether it was failing before.
    #[inline]
    pub(crate) fn set_consecutive_failures(&mut self, failures: u32, now: Moment) -> bool {
        let before = std::mem::replace(&mut self.consecutive_failures, failures);
        if before == 0 {
            self.failing_since = now;
        }
        before > 0
    }

    /// Whether it fails since this moment, or later.
    pub(crate) fn is_failing_since(&self, moment: Moment) -> bool {
        self.failing_since >= moment
    }

    /// The service is back for all: what failed before was not the worker's.
    pub(crate) fn restart_failing(&mut self, now: Moment) {
        self.failing_since = now;
    }

    pub(crate) fn note_failure(&mut self, action: ActionId, kx: Option<Kx>, at: Moment) {
        self.log.note_failure(action, kx, at);
    }

    /// A success counts: what was counted since the last one begins anew.
    #[inline]
    pub(crate) fn end_streaks(&mut self) {
        self.undecided_failures.clear();
        self.host_shortages = 0;
        self.unfit.clear();
    }

    /// A success of a healthy worker. One quarantine is forgiven for each so many.
    pub(crate) fn note_healthy_success(&mut self, forgive_after: u32) {
        self.successes_since_forgiven += 1;
        if self.successes_since_forgiven >= forgive_after {
            self.successes_since_forgiven = 0;
            self.round = self.round.saturating_sub(1);
        }
    }

    /// It has passed its probation.
    pub(crate) fn pass_probation(&mut self) {
        self.successes_since_forgiven = 0;
        self.unproved_quarantines = 0;
    }

    /// The round of its last quarantine, less what was forgiven.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Quarantines since it last passed a probation.
    pub(crate) fn unproved_quarantines(&self) -> u32 {
        self.unproved_quarantines
    }

    /// A quarantine begins, and with it a clean record. Its round, from 1.
    pub(crate) fn begin_quarantine(&mut self) -> u32 {
        self.round = self.round.saturating_add(1);
        self.unproved_quarantines = self.unproved_quarantines.saturating_add(1);
        self.undecided_failures.clear();
        self.unfit.forget();
        self.log.clear();
        self.round
    }

    /// Goes on from before the run was resumed.
    pub(crate) fn restore(&mut self, round: u32, unproved_quarantines: u32, score: f64) {
        self.round = round;
        self.unproved_quarantines = unproved_quarantines;
        self.log.restore(score);
    }

    /// The host was short of something for it: how long it rests.
    pub(crate) fn note_shortage(&mut self, policy: &Policy) -> Duration {
        let wait = doubled(policy.host_min, self.host_shortages, policy.host_max);
        self.host_shortages = self.host_shortages.saturating_add(1);
        wait
    }

    /// How many of its results in a row others have confirmed.
    pub(crate) fn confirmed(&self) -> u32 {
        self.confirmed
    }

    /// Others have confirmed a result.
    pub(crate) fn confirm(&mut self) {
        self.confirmed = self.confirmed.saturating_add(1);
        self.outvoted = 0;
    }

    /// Others have contradicted a result. How many in a row.
    pub(crate) fn outvote(&mut self) -> u32 {
        self.confirmed = 0;
        self.outvoted = self.outvoted.saturating_add(1);
        self.outvoted
    }
}
