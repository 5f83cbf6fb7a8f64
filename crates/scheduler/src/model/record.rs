use crate::ids::{ActionId, Kx};
use crate::model::busy::BusyTrial;
use crate::model::outage::Bursts;
use crate::moment::Moment;
use std::collections::VecDeque;
use std::time::Duration;

impl Record {
    /// Takes note of a failure of which nobody knows yet whose fault it was.
    pub(crate) fn failed(&mut self, action: ActionId, kx: Option<Kx>, at: Moment) {
        if self.past_failures.len() >= PAST_MAX {
            self.past_failures.pop_front();
        }
        self.past_failures.push_back(PastFailure {
            before: std::mem::take(&mut self.successes_since_failure),
            action,
            kx,
            at,
            guilt: 0.0,
        });
    }

    /// Whether this failure belongs to a burst in which the worker failed another action, and that counts already.
    pub(crate) fn is_told(&self, action: ActionId, bursts: &Bursts) -> bool {
        let mut all = self.past_failures.iter().rev();
        let burst = all
            .find(|past| past.action == action)
            .and_then(|past| bursts.at(past.at));
        burst.is_some_and(|burst| {
            let counts = |past: &PastFailure| {
                past.action != action && past.guilt > 0.0 && (burst.since..=burst.until).contains(&past.at)
            };
            self.past_failures.iter().any(counts)
        })
    }

    /// It was the worker's fault.
    pub(crate) fn convict(&mut self, action: ActionId, guilt: f64, relief: f64) {
        self.score = scored(
            &mut self.past_failures,
            self.successes_since_failure,
            action,
            guilt,
            relief,
        );
    }
}

/// The score by these failures, with so many successes after the last, when one of them is known to be the worker's fault. What
/// it did quota before and after is weighed in its order, however late this is known: a hundred successes after a failure mean the
/// same whether they came before its verdict or behind it.
pub(crate) fn scored(past: &mut VecDeque<PastFailure>, since: u32, action: ActionId, guilt: f64, relief: f64) -> f64 {
    if let Some(past) = past.iter_mut().rev().find(|past| past.action == action) {
        past.guilt = guilt;
    }
    let after = |score: f64, successes: u32| (score + f64::from(successes) * relief).max(0.0);
    let score = past
        .iter()
        .fold(0.0, |score, past| after(score, past.before) + past.guilt);
    after(score, since)
}

/// What a worker has shown so far. A readmission wipes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The distinct actions of its failures since its last success of which nobody knows yet whose fault they were, at most as
    /// many as make it suspect.
    pub(crate) undecided_failures: Vec<ActionId>,
    /// Its failures in a row, known or not.
    pub(crate) consecutive_failures: u32,
    /// When the first of these was, or when the service was back for all if that is later.
    pub(crate) failing_since: Moment,
    /// How much likelier it is a bad one than one as flaky as everybody, as a logarithm.
    pub(crate) score: f64,
    /// Its last failures, the oldest first.
    pub(crate) past_failures: VecDeque<PastFailure>,
    /// Its successes since the last of them.
    pub(crate) successes_since_failure: u32,
    /// The round of its last quarantine, less what was forgiven.
    pub(crate) round: u32,
    /// Quarantines since it last passed a probation.
    pub(crate) unproved_quarantines: u32,
    /// Successes since a quarantine was last forgiven.
    pub(crate) successes_since_forgiven: u32,
    /// Times in a row that it was busy without saying for how long.
    pub(crate) busy_without_hint: u32,
    /// Times in a row that the host had not enough of something for it.
    pub(crate) host_shortages: u32,
    /// Times in a row that it was busy though it had something to spend.
    pub(crate) busy_with_quota: u32,
    /// When it was so, the last time.
    pub(crate) last_busy_with_quota: Option<Moment>,
    /// Results in a row that others have confirmed.
    pub(crate) confirmed_results: u32,
    /// Results in a row that others have contradicted.
    pub(crate) outvoted_results: u32,
    /// Successes since it was last given more or less at once.
    pub(crate) successes_since_resize: u32,
    /// The distinct actions since its last success for which it reported that it is unfit and that have no verdict.
    pub(crate) unfit_for: Vec<ActionId>,
    /// How often it reported that since its last success, and when it last did.
    pub(crate) unfit_reports: u32,
    pub(crate) unfit_at: Moment,
    /// It was the last usable one when it was quarantined for such reports, and has not succeeded since.
    pub(crate) unfit_last: bool,
    /// How many at once were too many, the last time that it was given less; 0: that is not known.
    pub(crate) failed_at: u32,
    /// How many times that was tried again in vain.
    pub(crate) width_tries: u32,
    /// The action that it rests for, if it is busy because of that one alone.
    pub(crate) busy_by: Option<ActionId>,
    /// It is tried with other work before its time is up.
    pub(crate) busy_trial: Option<BusyTrial>,
    /// The first of its waits in a row without a hint.
    pub(crate) first_busy_wait: Duration,
    /// It succeeded since it was last busy.
    pub(crate) succeeded_since_busy: bool,
}

/// How many of a worker's last failures are weighed. Arbitrary: more than a bad worker needs to be found, and less than
/// two kilobytes.
pub(crate) const PAST_MAX: usize = 32;

/// A failure of a worker, and what came before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastFailure {
    /// Successes since the failure before.
    pub(crate) before: u32,
    pub(crate) action: ActionId,
    /// The kind of that, if it is known.
    pub(crate) kx: Option<Kx>,
    /// When it failed.
    pub(crate) at: Moment,
    /// What it adds to the score. Zero while nobody knows whose fault it was, and if it was not the worker's.
    pub(crate) guilt: f64,
}
