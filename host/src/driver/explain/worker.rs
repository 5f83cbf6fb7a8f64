//! A worker, in words.

use disperse_scheduler::{AttemptId, BucketId, KindId, Moment, Outcome, WorkerView};

use super::{
    LISTED_MAX, Survey,
    action::{class, verdict},
};
use crate::{
    control::{FailureExplained, HealthTurn, WorkerExplained},
    driver::{Driver, evidence::Turn},
    report::{health_with_reason, health_word},
    units::Time,
};

impl Driver<'_> {
    pub(super) fn explain_worker(&self, view: &WorkerView, survey: &Survey) -> WorkerExplained {
        let worker = view.worker;
        let failures: Vec<_> = self
            .evidence
            .of_worker(worker)
            .map(|(one, case)| FailureExplained {
                action: one.attempt.action.0,
                attempt: one.attempt.number,
                kind: case.map_or_else(String::new, |case| case.kind.to_string()),
                class: class(one.class),
                message: one.message.to_string(),
                at_ms: one.at.as_millis(),
                passed: case
                    .and_then(|case| case.outcome)
                    .map(|outcome| matches!(outcome, Outcome::Done { .. })),
                fate: case.map_or_else(|| "not known any more".to_owned(), |case| self.fate(case)),
                verdict: verdict(one),
            })
            .collect();
        let mut attempts = self.scheduler.attempts(worker);
        attempts.sort_unstable();
        let turn = |turn: &Turn| HealthTurn {
            at_ms: turn.at.as_millis(),
            health: health_word(turn.health),
            words: health_with_reason(turn.health, turn.at),
        };
        let failed = self.evidence.failures(worker);
        let quota = |bucket: &BucketId| survey.quotas.get(bucket.0 as usize);
        let barred = |(kind, until): (KindId, Moment)| {
            let (kind, rest) = (self.tally.kind_name(kind), Time::from(until.since(self.now)));
            format!("no actions of kind {kind} for another {rest}: it fails them and does others")
        };
        WorkerExplained {
            id: self.name(worker),
            health: health_word(view.health),
            words: health_with_reason(view.health, self.now),
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
                .map(|attempt| self.has(*attempt))
                .collect(),
            holds: view.in_flight,
            barred: self.scheduler.barred_from(worker).map(barred).collect(),
            quotas: self.quota_lines(self.quotas.of(worker).iter().filter_map(quota)),
            failures_forgotten: failed.saturating_sub(failures.len() as u64),
            failures,
            history: self.evidence.turns(worker).map(turn).collect(),
        }
    }

    /// What a worker is doing, in words.
    fn has(&self, attempt: AttemptId) -> String {
        let (id, number) = (attempt.action.0, attempt.number);
        match self.actions.get(attempt.action) {
            Some(parked) => {
                let for_time = Time::from(self.now.since(parked.given));
                format!("action {id} ({}), attempt {number}, for {for_time}", parked.name)
            }
            None => format!("action {id}, attempt {number}, which nobody needs any more"),
        }
    }
}
