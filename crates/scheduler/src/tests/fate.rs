//! What a history draws from its seed: behaviours of workers and policies.

use std::time::Duration;

use crate::{Blame, Policy, rng::Rng};

/// What sort of worker this is.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    Good,
    /// Fails this often in 100 attempts, one way or the other.
    Flaky(u64),
    /// Fails at once, always.
    BlackHole,
    /// Says that it is busy every third time.
    Busy,
    /// Cannot be started every other time.
    Broken,
    /// Falls silent; its ends come late or not at all.
    Silent,
    /// The host has not enough of something for it, two times in three.
    Starved,
    /// Finds out at some point that it is unfit.
    Weary,
}

/// A number from 0 to one less than `sides`.
pub(super) fn roll(rng: &mut Rng, sides: u64) -> u64 {
    rng.next_u64() % sides
}

/// Any policy, with times that fit into a short history.
pub(super) fn random_policy(rng: &mut Rng) -> Policy {
    let ms = |rng: &mut Rng, most| Duration::from_millis(1 + roll(rng, most));
    let mut policy = Policy {
        attempts: roll(rng, 6) as u32,
        losses: roll(rng, 4) as u32,
        backoff_min: ms(rng, 20),
        patience: ms(rng, 100),
        suspect_after: 1 + roll(rng, 4) as u32,
        attempts_min: 1 + roll(rng, 5) as u32,
        retries: roll(rng, 30) as u32,
        retries_earned: roll(rng, 101) as f64 / 100.0,
        blame: match roll(rng, 6) {
            0 => Blame::NoWorker,
            1 => Blame::InARow {
                failures: 1 + roll(rng, 5) as u32,
            },
            _ => Blame::Deferred,
        },
        quarantine_score: 0.5 + roll(rng, 50) as f64 / 10.0,
        systemic_after: ms(rng, 100),
        probe_every: ms(rng, 50),
        quarantine_min: ms(rng, 100),
        probation: 1 + roll(rng, 4) as u32,
        forgive_after: 1 + roll(rng, 10) as u32,
        evict_after: 1 + roll(rng, 4) as u32,
        quarantine_share: roll(rng, 101) as f64 / 100.0,
        damping_min: ms(rng, 10),
        host_min: ms(rng, 10),
        busy_min: ms(rng, 50),
        busy_row: 1 + roll(rng, 20) as u32,
        narrow_within: ms(rng, 100),
        widen_after: 1 + roll(rng, 5) as u32,
        hedge_min: ms(rng, 20),
        hedge: [0.0, 0.05, 1.0][roll(rng, 3) as usize],
        votes_max: 2 + roll(rng, 4) as u32,
        trusted_after: roll(rng, 6) as u32,
        check_min: roll(rng, 101) as f64 / 100.0,
        prefetch: roll(rng, 3) as u32,
        prefetch_below: ms(rng, 10),
        ..Policy::default()
    };
    policy.backoff_max = policy.backoff_min * 8;
    policy.quarantine_max = policy.quarantine_min * 8;
    policy.damping_max = policy.damping_min * 8;
    policy.host_max = policy.host_min * 8;
    policy.busy_open = policy.busy_min / 4;
    policy.busy_max = policy.busy_min * 8;
    policy
}
