//! What a worker says about its quota.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use rustc_hash::FxHashMap;

/// How many buckets one attempt may speak of. What it says of more is forgotten.
const BUCKETS_MAX: usize = 16;

/// What one worker has said about its quotas in attempts that are not over, for when they are: until then nobody can do
/// anything with it. The last word on each bucket counts.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<FxHashMap<AttemptId, Vec<Reported>>>);

/// What a service said about a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The bucket's name; empty: the worker's only one.
    pub(crate) bucket: Arc<str>,
    /// Units.
    pub(crate) remaining: u32,
    /// In how long it starts afresh, counted from `told`. Zero: unknown.
    pub(crate) resets: Duration,
    /// None, where time is virtual: when the attempt ended.
    pub(crate) told: Option<Instant>,
}

impl Reports {
    pub(crate) fn note(&self, attempt: AttemptId, reported: Reported) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(attempt).or_default();
        own.retain(|earlier| earlier.bucket != reported.bucket);
        if own.len() < BUCKETS_MAX {
            own.push(reported);
        }
    }

    /// What was said in an attempt; none if nothing was. The lock is held by nobody else but guests of the same worker.
    pub(crate) fn take(&self, attempt: AttemptId) -> Option<Box<[Reported]>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&attempt).map(Vec::into_boxed_slice)
    }
}

#[cfg(test)]
mod tests {
    use disperse_scheduler::ActionId;

    use super::*;

    #[test]
    fn the_last_word_of_each_attempt_on_each_bucket_counts() {
        let attempt = |number| AttemptId {
            action: ActionId(1),
            number,
        };
        let said = |bucket: &str, remaining| Reported {
            bucket: bucket.into(),
            remaining,
            resets: Duration::ZERO,
            told: Some(Instant::now()),
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
}
