//! A worker's standing: whether it is given work, how far it is trusted, and whether it rests.

use crate::{
    moment::Moment,
    outcome::{Evicted, Health},
};

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is given work, now or after a rest.
    Usable { trust: Trust, rest: Rest },
    /// It is given nothing until then. `judged`: for failing too often, not for an explicit fault; only those count
    /// for the pool's cap.
    Quarantined { until: Moment, round: u32, judged: bool },
    /// It ends what it is doing.
    Draining,
    /// It is given nothing any more.
    Evicted(Evicted),
    /// It is not there any more.
    Gone,
}

/// How far a usable worker is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Healthy,
    /// `further`: how many failures came after the one that made it suspect.
    Suspect {
        further: u32,
    },
    /// `passed`: how many successes in a row it has shown.
    Probation {
        round: u32,
        passed: u32,
    },
}

/// Whether a usable worker is left alone for a while, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    None,
    /// It is at its limit.
    Busy {
        until: Moment,
    },
    /// It is suspect and given work slowly, or the host had not enough of something for it.
    Damped {
        until: Moment,
    },
}

impl Rest {
    /// When it is over; the beginning of all time if it is not left alone.
    pub(crate) fn until(self) -> Moment {
        match self {
            Self::None => Moment::START,
            Self::Busy { until } | Self::Damped { until } => until,
        }
    }

    /// The same, but not for being suspect.
    pub(crate) fn undamped(self) -> Self {
        match self {
            Self::Damped { .. } => Self::None,
            other => other,
        }
    }
}

impl Standing {
    /// What a worker that joins or is readmitted starts as.
    pub(crate) const FRESH: Self = Self::Usable {
        trust: Trust::Healthy,
        rest: Rest::None,
    };

    pub(crate) fn is_usable(self) -> bool {
        matches!(self, Self::Usable { .. })
    }

    /// Whether it can be given work now or, after waiting, later.
    pub(crate) fn is_present(self) -> bool {
        matches!(self, Self::Usable { .. } | Self::Quarantined { .. })
    }

    /// Whether it counts for its pool's size.
    pub(crate) fn is_member(self) -> bool {
        !matches!(self, Self::Evicted(_) | Self::Gone)
    }

    pub(crate) fn is_judged(self) -> bool {
        matches!(self, Self::Quarantined { judged: true, .. })
    }

    /// When it changes by itself. [`Moment::NEVER`]: it does not.
    pub(crate) fn until(self) -> Moment {
        match self {
            Self::Quarantined { until, .. }
            | Self::Usable {
                rest: Rest::Busy { until } | Rest::Damped { until },
                ..
            } => until,
            _ => Moment::NEVER,
        }
    }

    /// The same in the words of the alphabet.
    pub(crate) fn health(self) -> Health {
        match self {
            Self::Usable {
                rest: Rest::Busy { until },
                ..
            } => Health::Busy { until },
            Self::Usable { trust, .. } => match trust {
                Trust::Healthy => Health::Healthy,
                Trust::Suspect { .. } => Health::Suspect,
                Trust::Probation { round, .. } => Health::Probation { round },
            },
            Self::Quarantined { until, round, .. } => Health::Quarantined { until, round },
            Self::Draining => Health::Draining,
            Self::Evicted(why) => Health::Evicted(why),
            Self::Gone => Health::Gone,
        }
    }
}

/// What of a worker has to survive a crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerCheckpoint {
    /// Its health, but for being busy; a suspect one is healthy.
    pub health: Health,
    /// If it is quarantined: whether for failing too often, and not for an explicit fault.
    pub judged: bool,
    /// It is given nothing until then, because it was busy; in the past if it was not.
    pub busy_until: Moment,
    /// Times that it was quarantined.
    pub quarantines: u32,
    /// The round of its last quarantine, less what was forgiven.
    pub round: u32,
    /// Quarantines since it last passed a probation.
    pub unproved_quarantines: u32,
    /// See [`WorkerView::score`](crate::WorkerView::score).
    pub score: f64,
}

impl WorkerCheckpoint {
    /// That of a worker that joins.
    pub const FRESH: Self = Self {
        health: Health::Healthy,
        judged: false,
        busy_until: Moment::START,
        quarantines: 0,
        round: 0,
        unproved_quarantines: 0,
        score: 0.0,
    };
}
