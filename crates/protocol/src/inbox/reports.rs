//! Reports of workers on their quotas.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use disperse_scheduler::{AttemptId, Quota};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// How many buckets one attempt may report on. Reports on more are dropped.
const BUCKETS_MAX: usize = 16;

/// The reports of one worker on its quotas, by attempt, until the attempt is over. The last report on each bucket counts.
#[derive(Debug, Default)]
pub struct Reports(Mutex<FxHashMap<AttemptId, Vec<(Reported, Instant)>>>);

/// What a service reported about a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The bucket's name; empty: the worker's only one.
    #[serde(with = "super::shared_text")]
    pub bucket: Arc<str>,
    /// Units.
    pub remaining: u32,
    /// In how long it starts afresh, counted from the end of the attempt. Zero: unknown.
    pub resets: Duration,
}

impl Reports {
    /// Keeps a report of an attempt, whose `resets` counts from now.
    pub fn note(&self, attempt: AttemptId, reported: Reported) {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(attempt).or_default();
        own.retain(|(earlier, _)| earlier.bucket != reported.bucket);
        if own.len() < BUCKETS_MAX {
            own.push((reported, now));
        }
    }

    /// The reports of an attempt that ends now; none if it has none. Only guests of the same worker hold the lock as well.
    pub fn take(&self, attempt: AttemptId) -> Option<Box<[Reported]>> {
        let own = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&attempt)?
        };
        let now = Instant::now();
        let ended = |(reported, noted): (Reported, Instant)| Reported {
            // Zero only if it is unknown.
            resets: match reported.resets {
                Duration::ZERO => Duration::ZERO,
                resets => resets
                    .saturating_sub(now.saturating_duration_since(noted))
                    .max(Duration::from_micros(1)),
            },
            ..reported
        };
        Some(own.into_iter().map(ended).collect())
    }
}

/// Whether workers can report on this quota. One that limits attempts at once is never reported on, so that it needs no name,
/// and a report without a name is about another one.
pub fn is_reported(name: &str, quota: Quota) -> bool {
    !(name.is_empty() && matches!(quota, Quota::Concurrent { .. }))
}

#[cfg(test)]
mod tests {
    use disperse_scheduler::ActionId;

    use super::*;

    #[test]
    fn last_report_of_each_attempt_on_each_bucket_counts() {
        let attempt = |number| AttemptId {
            action: ActionId(1),
            number,
        };
        let said = |bucket: &str, remaining| Reported {
            bucket: bucket.into(),
            remaining,
            resets: Duration::ZERO,
        };
        let reports = Reports::default();
        assert_eq!(reports.take(attempt(1)), None);
        reports.note(attempt(1), said("a", 9));
        reports.note(attempt(2), said("a", 8));
        reports.note(attempt(1), said("a", 7));
        for bucket in 0..100 {
            reports.note(attempt(2), said(&bucket.to_string(), 1));
        }
        let first = reports.take(attempt(1)).unwrap();
        assert_eq!(first.iter().map(|said| said.remaining).collect::<Vec<_>>(), [7]);
        assert_eq!(reports.take(attempt(1)), None);
        assert_eq!(reports.take(attempt(2)).unwrap().len(), BUCKETS_MAX);
    }

    #[test]
    fn time_until_a_reset_counts_from_the_end_of_the_attempt() {
        let attempt = AttemptId {
            action: ActionId(1),
            number: 1,
        };
        let reports = Reports::default();
        for (bucket, resets) in [("long", 3600), ("unknown", 0)] {
            let reported = Reported {
                bucket: bucket.into(),
                remaining: 1,
                resets: Duration::from_secs(resets),
            };
            reports.note(attempt, reported);
        }
        let noted = Instant::now();
        while noted.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let taken = reports.take(attempt).unwrap();
        assert!(taken[0].resets <= Duration::from_secs(3600) - Duration::from_millis(2));
        assert_eq!(taken[1].resets, Duration::ZERO);
    }
}
