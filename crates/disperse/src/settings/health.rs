//! When a worker is taken out of service.

use disperse_protocol::units::Time;
use disperse_scheduler::Policy;
use serde::{Deserialize, Serialize};

/// When a worker is taken out of service, and how often an action is tried.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Health {
    /// Number of consecutive failures, of as many actions and without a verdict yet, that make a worker suspect. A suspect worker
    /// receives fewer actions until verdicts arrive. Default 3.
    pub suspect_after: Option<u32>,
    /// Score from which a worker is quarantined for failing actions that passed elsewhere. The score is the natural logarithm of
    /// the likelihood ratio of a bad worker to one of average flakiness. Default 7.6, a ratio of 2,000.
    pub quarantine_score: Option<f64>,
    /// Duration of the first quarantine; each further one is twice as long. Default 30s.
    pub quarantine: Option<Time>,
    /// Number of successes that end a probation. Default 3.
    pub probation: Option<u32>,
    /// Number of quarantines without passing probation after which a worker is evicted. Default 5.
    pub evict_after: Option<u32>,
    /// Number of failed attempts after which an action fails. Default: 4 to 8, chosen by the failure rate of its kind so that
    /// random failures alone lose one action in 10,000.
    pub attempts: Option<u32>,
    /// Longest wait after every worker was tried for the first time. Default 1s.
    pub backoff: Option<Time>,
    /// Largest share of the attempts of a kind that are second attempts beside slow ones, from 0 to 1. Only idempotent actions
    /// get a second attempt, and only while no action waits. Default 0.05; 0: none.
    pub hedge: Option<f64>,
    /// The results of untrusted pools that other workers have to confirm. Default `chance`.
    pub confirm: Option<ConfirmTable>,
}

/// The results of untrusted pools that have to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ConfirmTable {
    /// At first all results of a worker; after ten consecutive confirmed ones a falling share, down to one in 50.
    Chance,
    /// Every result.
    All,
}

impl Health {
    /// `policy`, overridden by the values that are given here.
    pub fn over(&self, mut policy: Policy) -> Policy {
        let set = |to: &mut u32, value: Option<u32>| *to = value.unwrap_or(*to);
        set(&mut policy.suspect_after, self.suspect_after);
        policy.quarantine_score = self.quarantine_score.unwrap_or(policy.quarantine_score);
        policy.hedge = self.hedge.unwrap_or(policy.hedge);
        if self.confirm == Some(ConfirmTable::All) {
            policy.trusted_after = u32::MAX;
        }
        set(&mut policy.probation, self.probation);
        set(&mut policy.evict_after, self.evict_after);
        set(&mut policy.attempts, self.attempts);
        if let Some(quarantine) = self.quarantine {
            policy.quarantine_min = quarantine.duration();
            policy.quarantine_max = policy.quarantine_max.max(policy.quarantine_min);
        }
        if let Some(backoff) = self.backoff {
            policy.backoff_min = backoff.duration();
            policy.backoff_max = policy.backoff_max.max(policy.backoff_min);
        }
        policy
    }

    /// Checks a policy, and returns it.
    ///
    /// # Errors
    /// The first invalid value, by the name of its key in this table.
    pub fn check(policy: Policy) -> Result<Policy, String> {
        let known = |field| match field {
            "quarantine-min" => "quarantine",
            "backoff-min" => "backoff",
            other => other,
        };
        let checked = policy.check();
        checked.map_err(|error| format!("{} must be {}", known(error.field), error.wanted))?;
        Ok(policy)
    }
}
