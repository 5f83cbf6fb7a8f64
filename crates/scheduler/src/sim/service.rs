//! Services that count what they are asked, each in its own way and by its own clock.
//!
//! They know nothing of the scheduler's buckets and count for themselves: what one of them would refuse was dispatched
//! too soon, whatever the bucket thinks.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{
    Moment,
    quota::{Quota, Report},
};

/// Fractions of a microsecond, in bits.
const FINE: u32 = 20;

/// How a service's clock goes, in time of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Microseconds of ours in what it calls one window.
    pub(crate) span: u64,
    /// When the first of its windows ends, in microseconds; none if they slide.
    pub(crate) ends: Option<u64>,
    /// Hundredths of the time in which a unit of a rate should be earned.
    pub(crate) pace: u64,
}

impl Clock {
    /// So many hundredths slower than ours. `ends`: when the first window ends, if they do not slide.
    pub(crate) fn slower(quota: Quota, ends: Option<u64>, hundredths: i32) -> Self {
        let pace = u64::try_from(100 + i64::from(hundredths)).unwrap_or(1).max(1);
        Self {
            span: (length(quota).saturating_mul(pace) / 100).max(1),
            ends,
            pace,
        }
    }
}

/// How it counts.
#[derive(Debug)]
enum Meter {
    /// What it counted in the last `span`, and the sum of that.
    Sliding {
        counted: VecDeque<(u64, u64)>,
        total: u64,
        span: u64,
    },
    /// Windows of `span` that end at `ends` and so on.
    Fixed { spent: u64, span: u64, ends: u64 },
    /// A new unit each `unit`: when all that may be had at once is there again.
    Tokens { unit: u128, full: u128 },
    /// What it works on.
    InFlight { units: u64 },
}

/// What allows an account so much, and keeps to it.
#[derive(Debug)]
pub(crate) struct Service {
    /// The most that it counts at once.
    most: u64,
    /// A window as it is called, while its clock says `span`.
    per: u64,
    meter: Meter,
}

/// It was asked for more than it allows. Nothing of it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    had: u64,
    units: u64,
    most: u64,
    /// How long it will be so, if nothing else is counted. Zero: that depends on others.
    pub(crate) wait: Duration,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { had, units, most, .. } = self;
        write!(f, "{units} units on top of {had}, of {most}, are refused")
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The time that a quota is about, in microseconds, at least 1.
pub(super) fn length(quota: Quota) -> u64 {
    match quota {
        Quota::Sliding { per, .. } | Quota::Fixed { per, .. } | Quota::Rate { per, .. } => micros(per).max(1),
        Quota::Concurrent { .. } => 1,
    }
}

impl Service {
    /// A service that allows what this quota says, by this clock.
    pub(crate) fn new(quota: Quota, clock: Clock) -> Self {
        let per = length(quota);
        let (most, meter) = match (quota, clock.ends) {
            (Quota::Rate { limit, burst, .. }, _) => {
                let unit = (u128::from(per) << FINE) * u128::from(clock.pace) / (100 * u128::from(limit.max(1)));
                (burst, Meter::Tokens { unit, full: 0 })
            }
            (Quota::Concurrent { limit }, _) => (limit, Meter::InFlight { units: 0 }),
            (Quota::Sliding { limit, .. } | Quota::Fixed { limit, .. }, Some(ends)) => {
                let span = clock.span;
                (limit, Meter::Fixed { spent: 0, span, ends })
            }
            (Quota::Sliding { limit, .. } | Quota::Fixed { limit, .. }, None) => {
                let (counted, span) = (VecDeque::new(), clock.span);
                (
                    limit,
                    Meter::Sliding {
                        counted,
                        total: 0,
                        span,
                    },
                )
            }
        };
        Self {
            most: u64::from(most),
            per,
            meter,
        }
    }

    /// How much counts at this moment, and in how many microseconds that is over; zero if it does not say.
    fn counts(&mut self, at: u64) -> (u64, u64) {
        match &mut self.meter {
            Meter::Sliding { counted, total, span } => {
                while let Some((when, units)) = counted.front().copied()
                    && when.saturating_add(*span) <= at
                {
                    *total -= units;
                    counted.pop_front();
                }
                let oldest = counted.front().map_or(at, |(when, _)| *when);
                (*total, oldest.saturating_add(*span) - at)
            }
            Meter::Fixed { spent, span, ends } => {
                if let Some(past) = at.checked_sub(*ends) {
                    *ends = ends.saturating_add((1 + past / *span).saturating_mul(*span));
                    *spent = 0;
                }
                let left = u128::from(ends.saturating_sub(at)) * u128::from(self.per) / u128::from(*span);
                (*spent, u64::try_from(left).unwrap_or(u64::MAX))
            }
            Meter::Tokens { unit, full } => {
                let debt = full.saturating_sub(u128::from(at) << FINE);
                (u64::try_from(debt.div_ceil((*unit).max(1))).unwrap_or(u64::MAX), 0)
            }
            Meter::InFlight { units } => (*units, 0),
        }
    }

    /// Whether it would count so many units at this moment.
    ///
    /// # Errors
    /// It would not.
    pub(crate) fn check(&mut self, now: Moment, units: u64) -> Result<(), Refused> {
        let (had, resets_in) = self.counts(now.as_micros());
        let over = had.saturating_add(units).saturating_sub(self.most);
        if over == 0 {
            return Ok(());
        }
        let wait = match &self.meter {
            Meter::Tokens { unit, .. } => (unit.saturating_mul(u128::from(over)) >> FINE) as u64 + 1,
            _ => resets_in,
        };
        Err(Refused {
            had,
            units,
            most: self.most,
            wait: Duration::from_micros(wait),
        })
    }

    /// Counts an attempt at this moment, if that is allowed, and says what remains.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn count(&mut self, now: Moment, units: u64) -> Result<Report, Refused> {
        self.check(now, units)?;
        let at = now.as_micros();
        match &mut self.meter {
            Meter::Sliding { counted, total, .. } => {
                counted.push_back((at, units));
                *total += units;
            }
            Meter::Fixed { spent, .. } => *spent += units,
            Meter::Tokens { unit, full } => *full = (*full).max(u128::from(at) << FINE) + u128::from(units) * *unit,
            Meter::InFlight { units: held } => *held += units,
        }
        let (has, resets_in) = self.counts(at);
        Ok(Report {
            remaining: u32::try_from(self.most.saturating_sub(has)).unwrap_or(u32::MAX),
            resets_in: Duration::from_micros(resets_in),
        })
    }

    /// It is done with an attempt.
    pub(crate) fn answer(&mut self, units: u64) {
        if let Meter::InFlight { units: held } = &mut self.meter {
            *held = held.saturating_sub(units);
        }
    }

    /// When the window ends in which that moment is, if it has such windows.
    #[cfg(test)]
    pub(crate) fn window_ends(&self, now: Moment) -> Option<u64> {
        let Meter::Fixed { span, ends, .. } = &self.meter else {
            return None;
        };
        let more = now.as_micros().checked_sub(*ends).map_or(0, |past| 1 + past / span);
        Some(*ends + more * *span)
    }
}
