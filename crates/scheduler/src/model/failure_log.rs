//! The evidence against a worker: its last failures, and the score that follows from them.

use std::collections::VecDeque;

use crate::{
    ids::{ActionId, Kx},
    model::outage::Bursts,
    moment::Moment,
};

/// How many of a worker's last failures are weighed that no bad action explains. Arbitrary: twice what `map` has in
/// flight for each worker, so that failures without a verdict leave room for those with one; less than eight kilobytes.
const FAILURES_MAX: usize = 128;

/// A failure of a worker, and what came before it.
#[derive(Clone, Copy, Debug)]
struct Failure {
    /// Successes since the failure before.
    successes_before: u32,
    action: ActionId,
    /// The kind of the action, if it is known.
    kx: Option<Kx>,
    at: Moment,
    /// What it adds to the score. Zero without a verdict, and if the verdict cleared the worker.
    guilt: f64,
}

/// The last failures of a worker, at everything or at one kind, and their score.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureLog {
    /// The oldest first.
    failures: VecDeque<Failure>,
    /// Successes since the last of them.
    successes_since: u32,
    /// How much likelier a bad worker is than one that is as flaky as the others, as a logarithm.
    score: f64,
}

impl FailureLog {
    pub(crate) fn score(&self) -> f64 {
        self.score
    }

    /// Records a failure without a verdict.
    pub(crate) fn note_failure(&mut self, action: ActionId, kx: Option<Kx>, at: Moment) {
        if self.failures.len() >= FAILURES_MAX {
            self.failures.pop_front();
        }
        self.failures.push_back(Failure {
            successes_before: std::mem::take(&mut self.successes_since),
            action,
            kx,
            at,
            guilt: 0.0,
        });
    }

    /// Records a success. `relief`: what it adds to the score; negative.
    pub(crate) fn note_success(&mut self, relief: f64) {
        if !self.failures.is_empty() {
            self.successes_since = self.successes_since.saturating_add(1);
            self.score = (self.score + relief).max(0.0);
        }
    }

    /// Records the verdict that the last failure of an action was the worker's fault, and computes the score again.
    /// Successes are weighed where they came, however late the verdict is: a hundred of them after a failure mean the
    /// same whether they came before its verdict or after it.
    pub(crate) fn convict(&mut self, action: ActionId, guilt: f64, relief: f64) {
        if let Some(failure) = self.last_of_mut(action) {
            failure.guilt = guilt;
        }
        self.compute_score(relief);
    }

    /// Forgets the failures of an action that was at fault, so that they take the place of no others.
    pub(crate) fn acquit(&mut self, action: ActionId, relief: f64) {
        let mut successes = 0;
        let before = self.failures.len();
        self.failures.retain_mut(|failure| {
            let is_kept = failure.action != action;
            if is_kept {
                failure.successes_before = failure.successes_before.saturating_add(std::mem::take(&mut successes));
            } else {
                successes = successes.saturating_add(failure.successes_before);
            }
            is_kept
        });
        self.successes_since = self.successes_since.saturating_add(successes);
        if self.failures.len() < before {
            self.compute_score(relief);
        }
    }

    /// Computes the score.
    fn compute_score(&mut self, relief: f64) {
        let after = |score: f64, successes: u32| (score + f64::from(successes) * relief).max(0.0);
        let sum = |score: f64, failure: &Failure| after(score, failure.successes_before) + failure.guilt;
        self.score = after(self.failures.iter().fold(0.0, sum), self.successes_since);
    }

    fn last_of_mut(&mut self, action: ActionId) -> Option<&mut Failure> {
        self.failures.iter_mut().rev().find(|failure| failure.action == action)
    }

    /// Whether the failure of this action belongs to a burst in which another failure of the worker counts already.
    pub(crate) fn is_counted_in_burst(&self, action: ActionId, bursts: &Bursts) -> bool {
        let last = self.failures.iter().rev().find(|failure| failure.action == action);
        last.and_then(|failure| bursts.at(failure.at)).is_some_and(|burst| {
            let counts = |failure: &Failure| {
                failure.action != action && failure.guilt > 0.0 && (burst.since..=burst.until).contains(&failure.at)
            };
            self.failures.iter().any(counts)
        })
    }

    /// Takes the guilt of one kind's failures away, and the score with it: the worker pays for these otherwise.
    pub(crate) fn forgive_kind(&mut self, kx: Kx) {
        let of_kind = self.failures.iter_mut().filter(|failure| failure.kx == Some(kx));
        of_kind.for_each(|failure| failure.guilt = 0.0);
        self.score = 0.0;
    }

    /// Goes on with a score of before the run was resumed, as that of one failure.
    pub(crate) fn restore(&mut self, score: f64) {
        if score > 0.0 {
            self.note_failure(ActionId(0), None, Moment::START);
            self.convict(ActionId(0), score, 0.0);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
