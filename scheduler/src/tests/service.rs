//! Services that count what they are asked, each in its own way and by its own clock.

use std::{collections::VecDeque, time::Duration};

use super::fate::roll;
use crate::{
    Moment,
    bucket::{Quota, Report},
    luck::Luck,
};

/// Fractions of a microsecond, in bits.
const FINE: u32 = 20;

enum Meter {
    /// What it counted in the last `span`.
    Sliding { counted: VecDeque<(u64, u64)>, span: u64 },
    /// Windows of `span` that end at `ends` and so on.
    Fixed { spent: u64, span: u64, ends: u64 },
    /// A bucket of `burst` tokens, a new one each `unit`: when it will be full again.
    Tokens { unit: u128, full: u128, burst: u64 },
    /// What it works on.
    Held { units: u64 },
}

pub(super) struct Service {
    limit: u64,
    /// As it is called, while its clock says `span`.
    per: u64,
    meter: Meter,
}

pub(super) fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// The greatest difference between two clocks that a bucket has to bear.
fn margin(per: u64) -> u64 {
    (per / 100).clamp(50_000, 1_000_000)
}

impl Service {
    /// A service that allows what this quota says. `is_fixed`: its windows are.
    pub(super) fn new(quota: Quota, is_fixed: bool, luck: &mut Luck) -> Self {
        let (limit, per) = match quota {
            Quota::Sliding { limit, per } | Quota::Fixed { limit, per } | Quota::Rate { limit, per, .. } => {
                (u64::from(limit), micros(per))
            }
            Quota::Concurrent { limit } => (u64::from(limit), 1),
        };
        let most = margin(per).min(per) - 2;
        // Its clock is as far off as it may be, or not at all, or anything between.
        let span = match roll(luck, 4) {
            0 => per + most,
            1 => per - most,
            2 => per,
            _ => per - most + roll(luck, 2 * most + 1),
        };
        let meter = match quota {
            Quota::Rate { burst, .. } => Meter::Tokens {
                unit: (u128::from(per) << FINE) * u128::from(99 + roll(luck, 3)) / (100 * u128::from(limit)),
                full: 0,
                burst: u64::from(burst),
            },
            Quota::Concurrent { .. } => Meter::Held { units: 0 },
            _ if is_fixed => Meter::Fixed {
                spent: 0,
                span,
                ends: roll(luck, span),
            },
            _ => Meter::Sliding {
                counted: VecDeque::new(),
                span,
            },
        };
        Self { limit, per, meter }
    }

    /// Counts an attempt at this moment, if that is allowed, and says what remains.
    pub(super) fn count(&mut self, now: Moment, units: u64) -> Result<Report, String> {
        let (at, limit) = (now.as_micros(), self.limit);
        let refused = |had: u64| Err(format!("{now}: {units} units on top of {had}, of {limit}, are refused"));
        match &mut self.meter {
            Meter::Sliding { counted, span } => {
                counted.retain(|(when, _)| when + *span > at);
                let had: u64 = counted.iter().map(|(_, units)| units).sum();
                if had + units > limit {
                    return refused(had);
                }
                counted.push_back((at, units));
                let oldest = counted.front().map_or(at, |(when, _)| *when);
                Ok(report(limit - had - units, oldest + *span - at))
            }
            Meter::Fixed { spent, span, ends } => {
                while at >= *ends {
                    *ends += *span;
                    *spent = 0;
                }
                if *spent + units > limit {
                    return refused(*spent);
                }
                *spent += units;
                let left = u128::from(*ends - at) * u128::from(self.per) / u128::from(*span);
                Ok(report(limit - *spent, left as u64))
            }
            Meter::Tokens { unit, full, burst } => {
                let fine = u128::from(at) << FINE;
                let after = fine.max(*full) + u128::from(units) * *unit;
                let most = fine + u128::from(*burst) * *unit;
                if after > most {
                    return Err(format!("{now}: {units} units are refused by a bucket of tokens"));
                }
                *full = after;
                Ok(report(((most - after) / *unit) as u64, 0))
            }
            Meter::Held { units: held } => {
                if *held + units > limit {
                    return refused(*held);
                }
                *held += units;
                Ok(report(limit - *held, 0))
            }
        }
    }

    /// It is done with an attempt.
    pub(super) fn answer(&mut self, units: u64) {
        if let Meter::Held { units: held } = &mut self.meter {
            *held -= units;
        }
    }

    /// When the window ends in which that moment is, if it has such windows.
    pub(super) fn window_ends(&self, now: Moment) -> Option<u64> {
        let Meter::Fixed { span, ends, .. } = &self.meter else {
            return None;
        };
        let more = now.as_micros().checked_sub(*ends).map_or(0, |past| 1 + past / span);
        Some(*ends + more * *span)
    }
}

fn report(remaining: u64, resets_in: u64) -> Report {
    Report {
        remaining: remaining as u32,
        resets_in: Duration::from_micros(resets_in),
    }
}
