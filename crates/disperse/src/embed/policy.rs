//! When a worker is taken out, and how often an action is retried.

use std::time::Duration;

use disperse_scheduler as scheduler;

use super::StartError;
use crate::settings::Health;
use disperse_protocol::units::Time;

/// When a worker is taken out for failing, and how often a failed action is retried. A setting that is not set keeps
/// its default.
///
/// Whether the worker or the action caused a failure shows when the action succeeds on another worker or on none. A
/// worker that fails more than chance explains is quarantined, longer each time, then put on probation, and in the end
/// evicted.
///
/// ```
/// use std::time::Duration;
///
/// let strict = disperse::Policy::default().quarantine(Duration::from_secs(2)).evict_after(1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy(Health);

impl Policy {
    /// The most failed attempts of an action, from 1. Default: 4 to 8, computed from the failure rate of its kind so
    /// that chance alone loses one action in 10,000.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = Some(attempts);
        self
    }

    /// The longest wait of an action after the first round in which every worker failed it; doubles each round, up to a
    /// minute. Default 1 s.
    #[must_use]
    pub fn backoff(mut self, longest: Duration) -> Self {
        self.0.backoff = Some(Time::from(longest));
        self
    }

    /// The number of failures in a row, of different actions and with no verdict yet, that make a worker suspect, from
    /// 1: it gets work slowly until there are verdicts. Default 3.
    #[must_use]
    pub fn suspect_after(mut self, failures: u32) -> Self {
        self.0.suspect_after = Some(failures);
        self
    }

    /// The score from which a worker is quarantined, above 0: the natural logarithm of how much likelier the worker is
    /// faulty than of average reliability. Default 7.6, which is a factor of 2,000.
    #[must_use]
    pub fn quarantine_score(mut self, score: f64) -> Self {
        self.0.quarantine_score = Some(score);
        self
    }

    /// The length of the first quarantine; doubles each time, up to 15 minutes. Default 30 s.
    #[must_use]
    pub fn quarantine(mut self, first: Duration) -> Self {
        self.0.quarantine = Some(Time::from(first));
        self
    }

    /// The number of successes in a row that end a probation, from 1. Default 3.
    #[must_use]
    pub fn probation(mut self, successes: u32) -> Self {
        self.0.probation = Some(successes);
        self
    }

    /// The number of quarantines without a passed probation that lead to eviction, from 1. Default 5.
    #[must_use]
    pub fn evict_after(mut self, quarantines: u32) -> Self {
        self.0.evict_after = Some(quarantines);
        self
    }

    /// The largest share of hedges among the attempts of a kind, 0 to 1: second attempts in parallel to slow ones. Only
    /// actions that are [idempotent](crate::Action::idempotent) get any, and only while nothing waits. Default 0.05.
    #[must_use]
    pub fn hedge(mut self, share: f64) -> Self {
        self.0.hedge = Some(share);
        self
    }

    /// The policy as the scheduler takes it.
    ///
    /// # Errors
    /// A setting is invalid.
    pub(super) fn checked(&self) -> Result<scheduler::Policy, StartError> {
        if self.0.attempts == Some(0) {
            return Err(StartError::Setting("an action needs at least one attempt".into()));
        }
        let policy = self.0.over(scheduler::Policy::default());
        Health::check(policy).map_err(StartError::Setting)
    }
}
