//! When a worker is taken out, and what an action may cost.

use std::time::Duration;

use disperse_scheduler as scheduler;

use super::StartError;
use crate::{settings::Health, units::Time};

/// When a worker is taken out for failing, and how often a failed action is tried again. What is not said here stays as it is.
///
/// Whose fault a failure is shows when its action succeeds elsewhere or nowhere; a worker whose guilt is more than chance
/// explains is quarantined, for longer each time, then on probation, and in the end evicted.
///
/// ```
/// use std::time::Duration;
///
/// let strict = disperse_host::Policy::default().quarantine(Duration::from_secs(2)).evict_after(1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy(Health);

impl Policy {
    /// How many attempts of an action may fail before it is given up, from 1. Default: 4 to 8, as many as it takes that chance
    /// alone loses one action in 10,000, by how flaky its kind has been.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = Some(attempts);
        self
    }

    /// The longest wait of an action after the first time that every worker failed it; doubles each time, up to a minute.
    /// Default 1 s.
    #[must_use]
    pub fn backoff(mut self, longest: Duration) -> Self {
        self.0.backoff = Some(Time::from(longest));
        self
    }

    /// How many failures in a row, from as many actions and with no verdict yet, make a worker suspect, from 1: it is given
    /// work slowly until there are verdicts. Default 3.
    #[must_use]
    pub fn suspect_after(mut self, failures: u32) -> Self {
        self.0.suspect_after = Some(failures);
        self
    }

    /// From which score on a worker is quarantined, above 0: how much likelier it is a bad one than one as flaky as everybody,
    /// as a natural logarithm. Default 7.6, which is 2,000 times.
    #[must_use]
    pub fn quarantine_score(mut self, score: f64) -> Self {
        self.0.quarantine_score = Some(score);
        self
    }

    /// How long the first quarantine takes; doubles each time, up to 15 minutes. Default 30 s.
    #[must_use]
    pub fn quarantine(mut self, first: Duration) -> Self {
        self.0.quarantine = Some(Time::from(first));
        self
    }

    /// How many successes in a row end a probation, from 1. Default 3.
    #[must_use]
    pub fn probation(mut self, successes: u32) -> Self {
        self.0.probation = Some(successes);
        self
    }

    /// How many quarantines without passing probation lead to eviction, from 1. Default 5.
    #[must_use]
    pub fn evict_after(mut self, quarantines: u32) -> Self {
        self.0.evict_after = Some(quarantines);
        self
    }

    /// Which part of the attempts of a kind may be second ones beside slow ones, 0 to 1; only actions that are
    /// [idempotent](crate::Action::idempotent) get any, and only while nothing waits. Default 0.05.
    #[must_use]
    pub fn hedge(mut self, share: f64) -> Self {
        self.0.hedge = Some(share);
        self
    }

    /// What it means.
    ///
    /// # Errors
    /// It cannot be meant.
    pub(super) fn checked(&self) -> Result<scheduler::Policy, StartError> {
        if self.0.attempts == Some(0) {
            return Err(StartError::Setting("an action is given at least one attempt".into()));
        }
        let policy = self.0.over(scheduler::Policy::default());
        Health::check(policy).map_err(StartError::Setting)
    }
}
