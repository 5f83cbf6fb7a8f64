//! What is known of quotas and workers from before a run was resumed, and what may have to be recorded of them.

use std::sync::Arc;

use disperse_scheduler::{BucketHistory, Moment, WorkerCheckpoint, WorkerId};
use rustc_hash::FxHashMap;

/// By how much the score of a worker moves before that is recorded. Arbitrary: a tenth of what quarantines it at least
/// ([`Policy::quarantine_score`](disperse_scheduler::Policy::quarantine_score)).
const SCORE_STEP: f64 = 0.5;

/// What is known of quotas and workers from before the run was resumed, and what may have to be recorded of them.
#[derive(Default)]
pub(super) struct Checkpoints {
    pub(super) is_resumed: bool,
    /// By the keys of buckets that are not defined yet.
    pub(super) buckets: FxHashMap<Arc<str>, BucketHistory>,
    /// By the names of workers that have not joined yet.
    pub(super) workers: FxHashMap<Arc<str>, WorkerCheckpoint>,
    /// Workers that may have changed.
    pub(super) changed: Vec<WorkerId>,
}

impl Checkpoints {
    /// The health of a worker or the evidence against it may have changed.
    pub(super) fn note_change(&mut self, worker: WorkerId) {
        self.changed.push(worker);
    }
}

/// Whether a worker differs from what was recorded of it.
pub(super) fn is_news(before: &WorkerCheckpoint, now: &WorkerCheckpoint, at: Moment) -> bool {
    let rest = |one: &WorkerCheckpoint| WorkerCheckpoint {
        busy_until: Some(one.busy_until)
            .filter(|until| *until > at)
            .unwrap_or(Moment::START),
        score: 0.0,
        ..*one
    };
    let is_moved = (before.score - now.score).abs() >= SCORE_STEP || (before.score > 0.0) != (now.score > 0.0);
    is_moved || rest(before) != rest(now)
}
