//! The health of a worker, as events and answers tell it.

use disperse_scheduler::{Evicted, Health};
use serde::{Deserialize, Serialize};

/// The health of a worker, with its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    #[default]
    Healthy,
    Suspect,
    Quarantined {
        until_ms: u64,
        /// From 1.
        round: u32,
    },
    Probation {
        /// How many quarantines led here; 0: it reported that it is unfit.
        round: u32,
    },
    Busy {
        until_ms: u64,
    },
    Draining,
    /// It reported that it can do no more work.
    EvictedUnfit,
    EvictedUnreliable {
        quarantines: u32,
    },
    Gone,
}

impl From<Health> for HealthState {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Healthy,
            Health::Suspect => Self::Suspect,
            Health::Quarantined { until, round } => Self::Quarantined {
                until_ms: until.as_millis(),
                round,
            },
            Health::Probation { round } => Self::Probation { round },
            Health::Busy { until } => Self::Busy {
                until_ms: until.as_millis(),
            },
            Health::Draining => Self::Draining,
            Health::Evicted(Evicted::Unfit) => Self::EvictedUnfit,
            Health::Evicted(Evicted::Unreliable { quarantines }) => Self::EvictedUnreliable { quarantines },
            Health::Gone => Self::Gone,
        }
    }
}

/// The health of a worker, without its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthKind {
    Healthy,
    Suspect,
    Quarantined,
    Probation,
    Busy,
    Draining,
    Evicted,
    Gone,
}

impl HealthState {
    pub fn kind(self) -> HealthKind {
        match self {
            Self::Healthy => HealthKind::Healthy,
            Self::Suspect => HealthKind::Suspect,
            Self::Quarantined { .. } => HealthKind::Quarantined,
            Self::Probation { .. } => HealthKind::Probation,
            Self::Busy { .. } => HealthKind::Busy,
            Self::Draining => HealthKind::Draining,
            Self::EvictedUnfit | Self::EvictedUnreliable { .. } => HealthKind::Evicted,
            Self::Gone => HealthKind::Gone,
        }
    }
}
