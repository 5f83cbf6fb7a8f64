//! Rng as an argument: numbers that look random and follow from the seed alone.

use std::time::Duration;

/// A stream of numbers. SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): eight
/// bytes of state, any seed is a good one, far better than jitter needs.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True as often as this part of all times.
    pub(crate) fn chance(&mut self, part: f64) -> bool {
        ((self.next_u64() >> 11) as f64) < part * (1_u64 << 53) as f64
    }

    /// A duration from zero to `longest`, both included, each microsecond as likely as the other ("full jitter").
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        let scaled = (u128::from(self.next_u64()) * (u128::from(micros) + 1)) >> 64;
        Duration::from_micros(scaled as u64)
    }

    /// A duration from `length` to `part` more, a part of it.
    pub(crate) fn lengthened(&mut self, length: Duration, part: f64) -> Duration {
        let more = length.as_micros() as f64 * part;
        length.saturating_add(self.up_to(Duration::from_micros(more as u64)))
    }

    /// A duration that is `part` shorter to `part` longer than `length`.
    pub(crate) fn jittered(&mut self, length: Duration, part: f64) -> Duration {
        let off = Duration::from_micros((length.as_micros() as f64 * part) as u64);
        length.saturating_sub(off) + self.up_to(off.saturating_mul(2))
    }
}

/// `min` doubled so many times, but never over `max`.
pub(crate) fn doubled(min: Duration, times: u32, max: Duration) -> Duration {
    min.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(max)
}
