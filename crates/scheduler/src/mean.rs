//! The running mean of durations.

use std::time::Duration;

/// How much a new duration weighs: one part of this many. Arbitrary: the mean follows a change of the work within about
/// ten attempts.
const WEIGHT: i64 = 8;

/// A running mean of durations, in whole microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    samples: u32,
    micros: i64,
}

impl Mean {
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        self.samples = self.samples.saturating_add(1);
        let off = micros - self.micros;
        // Nearly always a constant, which is a shift.
        self.micros += match i64::from(self.samples) {
            few @ 1..WEIGHT => off / few,
            _ => off / WEIGHT,
        };
    }

    /// How many durations it is of.
    pub(crate) fn samples(self) -> u32 {
        self.samples
    }

    /// Zero if it is of none.
    pub(crate) fn get(self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros).unwrap_or(0))
    }
}
