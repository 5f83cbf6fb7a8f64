//! The status of a worker.

use disperse_scheduler::{AttemptId, BucketId, KindId, Moment, WorkerView};

use super::{LISTED_MAX, Survey};
use crate::driver::{Driver, evidence::HealthChange};
use disperse_protocol::control::{FailureStatus, Fate, HeldAttempt, WorkerStatus};

impl Driver<'_> {
    pub(super) fn explain_worker(&self, view: &WorkerView, survey: &Survey) -> WorkerStatus {
        let worker = view.worker;
        let failures = self.evidence.failures_of(worker).map(|(one, history)| FailureStatus {
            attempt: self.explain_attempt(one),
            kind: history.map_or_else(String::new, |history| history.kind.to_string()),
            fate: history.map_or(Fate::Forgotten, |history| self.fate(history)),
        });
        let failures: Vec<_> = failures.collect();
        let mut attempts = self.scheduler.attempts(worker);
        attempts.sort_unstable();
        let change = |change: &HealthChange| (change.at.as_millis(), change.health.into());
        let failed = self.evidence.failures(worker);
        let quota = |bucket: &BucketId| survey.quotas.get(bucket.0 as usize);
        let barred = |(kind, until): (KindId, Moment)| (self.tally.kind_name(kind).to_string(), until.as_millis());
        WorkerStatus {
            id: self.name(worker),
            health: view.health.into(),
            since_ms: self.evidence.since(worker).as_millis(),
            ok: view.ok,
            failed,
            lost: view.lost,
            busy: view.busy,
            faults: view.faults,
            quarantines: view.quarantines,
            score: view.score,
            score_max: self.scheduler.quarantine_score(),
            outvoted: view.outvoted,
            slots: view.slots,
            width: view.width,
            has: attempts
                .iter()
                .take(LISTED_MAX)
                .map(|attempt| self.held_attempt(*attempt))
                .collect(),
            holds: view.in_flight,
            barred: self.scheduler.barred_from(worker).map(barred).collect(),
            quotas: self.quota_status(self.registry.buckets(worker).iter().filter_map(quota)),
            failures_forgotten: failed.saturating_sub(failures.len() as u64),
            failures,
            history: self.evidence.changes(worker).map(change).collect(),
        }
    }

    fn held_attempt(&self, attempt: AttemptId) -> HeldAttempt {
        let parked = self.actions.get(attempt.action);
        HeldAttempt {
            attempt: attempt.into(),
            action: parked.map(|parked| (parked.name.to_string(), parked.given.as_millis())),
        }
    }
}
