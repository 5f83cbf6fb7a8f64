//! Services whose clocks are as far off as a bucket has to bear.

use super::fate::roll;
use crate::{
    quota::Quota,
    rng::Rng,
    sim::service::{Clock, Service, micros},
};

/// The greatest difference between two clocks that a bucket has to bear.
fn margin(per: u64) -> u64 {
    (per / 100).clamp(50_000, 1_000_000)
}

/// A service that allows what this quota says. `is_fixed`: its windows are.
pub(super) fn service(quota: Quota, is_fixed: bool, rng: &mut Rng) -> Service {
    let per = match quota {
        Quota::Sliding { per, .. } | Quota::Fixed { per, .. } | Quota::Rate { per, .. } => micros(per),
        Quota::Concurrent { .. } => 1,
    };
    let most = margin(per).min(per).saturating_sub(2);
    // Its clock is as far off as it may be, or not at all, or anything between.
    let span = match roll(rng, 4) {
        0 => per + most,
        1 => per - most,
        2 => per,
        _ => per - most + roll(rng, 2 * most + 1),
    };
    let clock = Clock {
        span,
        ends: is_fixed.then(|| roll(rng, span)),
        pace: match quota {
            Quota::Rate { .. } => 99 + roll(rng, 3),
            _ => 100,
        },
    };
    Service::new(quota, clock)
}
