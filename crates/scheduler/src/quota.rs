//! What a service allows, and what it reports.

use std::{fmt, time::Duration};

use crate::moment::Moment;

/// What a service allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// So many units in any stretch of time of this length.
    Sliding {
        /// Units, at least 1.
        limit: u32,
        /// The stretch, longer than zero.
        per: Duration,
    },
    /// So many units in each window. When windows begin is known from reports alone; until one tells, as sliding.
    Fixed {
        /// Units, at least 1.
        limit: u32,
        /// The window, longer than zero.
        per: Duration,
    },
    /// So many units in this time, steadily; some more at once after a pause.
    Rate {
        /// Units, at least 1.
        limit: u32,
        /// The time in which so many are earned, longer than zero.
        per: Duration,
        /// Units at once after a long pause, at least 1.
        burst: u32,
    },
    /// So many units in flight at once.
    Concurrent {
        /// Units, at least 1.
        limit: u32,
    },
}

/// An invalid quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaError {
    field: &'static str,
    wanted: &'static str,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.wanted)
    }
}

impl std::error::Error for QuotaError {}

impl Quota {
    /// Whether every number is valid.
    ///
    /// # Errors
    /// The first number that is not.
    pub fn check(&self) -> Result<(), QuotaError> {
        let fail = |field, wanted| Err(QuotaError { field, wanted });
        let (limit, per, burst) = match *self {
            Self::Sliding { limit, per } | Self::Fixed { limit, per } => (limit, Some(per), 1),
            Self::Rate { limit, per, burst } => (limit, Some(per), burst),
            Self::Concurrent { limit } => (limit, None, 1),
        };
        if limit == 0 {
            return fail("limit", "at least 1");
        }
        if per.is_some_and(|per| per.as_micros() == 0) {
            return fail("per", "a microsecond or longer");
        }
        if burst == 0 {
            return fail("burst", "at least 1");
        }
        Ok(())
    }

    /// How long it takes until nothing that was spent counts any more; zero if that is so as soon as nothing is in flight.
    pub fn memory(&self) -> Duration {
        match *self {
            Self::Sliding { per, .. } | Self::Fixed { per, .. } => per,
            Self::Rate { limit, per, burst } => per.saturating_mul(burst) / limit.max(1),
            Self::Concurrent { .. } => Duration::ZERO,
        }
    }

    /// The most that can be spent at once: what no attempt should cost more than. One that does is treated as if it
    /// cost this.
    pub const fn most(&self) -> u32 {
        match *self {
            Self::Sliding { limit, .. } | Self::Fixed { limit, .. } | Self::Concurrent { limit } => limit,
            Self::Rate { burst, .. } => burst,
        }
    }
}

impl fmt::Display for Quota {
    /// One word: `sliding=100/10000ms`, `fixed=100/10000ms`, `rate=10/1000ms/20` (the last is the burst),
    /// `concurrent=4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Sliding { limit, per } => write!(f, "sliding={limit}/{}", Moment::START + per),
            Self::Fixed { limit, per } => write!(f, "fixed={limit}/{}", Moment::START + per),
            Self::Rate { limit, per, burst } => write!(f, "rate={limit}/{}/{burst}", Moment::START + per),
            Self::Concurrent { limit } => write!(f, "concurrent={limit}"),
        }
    }
}

/// What a service reports about a quota, in the answer to an attempt that it has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Units that remain, this attempt taken off.
    pub remaining: u32,
    /// Until the window is over and all remain again. Zero: unknown.
    pub resets_in: Duration,
}
