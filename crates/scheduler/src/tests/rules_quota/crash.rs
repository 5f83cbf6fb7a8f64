//! The same with a process that ends at any moment, and goes on later with what it has recorded.

use std::time::Duration;

use super::{Coming, HISTORIES, Scenario, Ways, random_per, random_ways};
use crate::{
    Moment,
    bucket::{Bucket, BucketHistory, Reservation},
    quota::Quota,
    rng::Rng,
    sim::service::micros,
    tests::fate::roll,
};

impl Scenario {
    /// Records what has to be.
    pub(super) fn record(&mut self) {
        let checkpoint = self.bucket.checkpoint();
        let block = self.reservation.as_mut().and_then(|one| one.follow(&checkpoint));
        self.recorded.extend(block.map(|block| (self.now, block)));
    }

    /// The process ends. Later the run is resumed, before which the service counts what was sent, or not.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        let down = match roll(&mut self.rng, 3) {
            0 => Duration::ZERO,
            _ => self.rng.up_to(self.quota.memory() * 2),
        };
        let resumed = self.now + down;
        for ((at, _), coming) in std::mem::take(&mut self.coming) {
            let Coming::Counts(seq) = coming else { continue };
            if roll(&mut self.rng, 3) > 0 {
                let at = at.min(resumed);
                let report = self.service.count(at, self.flying[&seq].0);
                report.map_err(|refused| format!("{at}, after a crash: {refused}"))?;
            }
        }
        for _ in std::mem::take(&mut self.flying) {
            let cost = 1 + roll(&mut self.rng, self.ways.cost);
            self.wanted.push(cost);
        }
        // What no attempt waits for may not have been recorded yet.
        while self.recorded.last().is_some_and(|(_, block)| block.units == 0) && roll(&mut self.rng, 2) == 0 {
            self.recorded.pop();
        }
        self.now = resumed;
        let mut history = BucketHistory::default();
        for (at, block) in &self.recorded {
            history.add(*at, block);
        }
        self.reservation = Reservation::of(self.quota, history.unanswered);
        if self.reservation.is_none() {
            history = BucketHistory::spent(self.quota);
        }
        self.bucket = Bucket::new(self.quota);
        self.bucket.restore(resumed, &history);
        self.record();
        Ok(())
    }
}

/// One of these quotas is never overrun by a process that crashes now and then.
fn is_never_refused_after_crashes(make: fn(u32, Duration, u32) -> Quota, is_fixed: bool) {
    for seed in 0..HISTORIES {
        let mut rng = Rng::new(seed ^ 0xC4A5);
        let (per, limit) = (random_per(&mut rng), 5 + roll(&mut rng, 900) as u32);
        let burst = 5 + roll(&mut rng, 150) as u32;
        let ways = Ways {
            crashes: 10 + roll(&mut rng, 100),
            ..random_ways(&mut rng, micros(per))
        };
        let workers = 1 + roll(&mut rng, 12) as usize;
        let quota = make(limit, per, burst);
        let fate = Scenario::new(quota, is_fixed, ways, workers, seed).play(Moment::NEVER, 600);
        fate.unwrap_or_else(|wrong| panic!("seed {seed}, {quota}, {workers} workers: {wrong}"));
    }
}

#[test]
fn quota_of_a_sliding_window_is_not_overrun_after_crashes() {
    is_never_refused_after_crashes(|limit, per, _| Quota::Sliding { limit, per }, false);
}

#[test]
fn quota_of_a_fixed_window_is_not_overrun_after_crashes() {
    is_never_refused_after_crashes(|limit, per, _| Quota::Fixed { limit, per }, true);
}

#[test]
fn quota_of_tokens_is_not_overdrawn_after_crashes() {
    is_never_refused_after_crashes(|limit, per, burst| Quota::Rate { limit, per, burst }, false);
}
