//! Reports of a worker that it is unfit, since its last success.

use std::time::Duration;

use crate::{ids::ActionId, moment::Moment};

/// How many actions without a verdict, or reports in a row, evict a worker; as many as failures make one suspect by
/// default.
const REPORTS: usize = 3;

/// From how many reports in a row on a worker is tried with the last action in line: the last of [`REPORTS`] is then of
/// such an action.
const PROBED_AFTER: u32 = 2;

/// How many reports in a row evict a worker whatever became of the actions: as many as the failures of a whole pool
/// that are taken for an outage.
const REPORTS_MAX: u32 = 20;

/// What a worker reported since its last success.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnfitReports {
    /// The distinct actions of the reports without a verdict.
    actions: Vec<ActionId>,
    consecutive: u32,
    last: Moment,
    /// The worker was the last usable one when it was quarantined for its reports.
    spared: bool,
}

impl UnfitReports {
    /// Records the report of an attempt that took so long. One that began before the last report is the same piece of
    /// evidence.
    pub(crate) fn note(&mut self, action: ActionId, now: Moment, took: Duration) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
        if now.since(self.last) >= took {
            self.last = now;
            self.consecutive = self.consecutive.saturating_add(1);
        }
    }

    /// Whether a report for this action has no verdict.
    pub(crate) fn contains(&self, action: ActionId) -> bool {
        self.actions.contains(&action)
    }

    /// An action is closed without evidence against the worker. True: it was the last without a verdict.
    pub(crate) fn clear_action(&mut self, action: ActionId) -> bool {
        let before = self.actions.len();
        self.actions.retain(|other| *other != action);
        before > 0 && self.actions.is_empty()
    }

    /// Whether the worker is to be tried with the last action in line, in case that bad actions stand in front.
    pub(crate) fn is_to_be_probed(&self) -> bool {
        self.consecutive >= PROBED_AFTER
    }

    /// Whether there are enough to evict the worker without a verdict. One that ever succeeded has to report it for
    /// different actions.
    pub(crate) fn is_enough(&self, ever_succeeded: bool) -> bool {
        let of_different = self.actions.len() >= REPORTS || !ever_succeeded;
        self.consecutive >= REPORTS_MAX || self.consecutive as usize >= REPORTS && of_different
    }

    /// Takes note that the worker is quarantined instead of evicted, as the last one of its pool. False: it was before.
    pub(crate) fn spare(&mut self) -> bool {
        !std::mem::replace(&mut self.spared, true)
    }

    /// Forgets the reports, as a quarantine does.
    pub(crate) fn forget(&mut self) {
        self.actions.clear();
        self.consecutive = 0;
    }

    /// Forgets the reports and that the worker was spared, as a success does.
    pub(crate) fn clear(&mut self) {
        self.forget();
        self.spared = false;
    }
}
