//! The status of an action.

use disperse_scheduler::{ActionId, ActionState as Now, ActionView, Moment, Outcome};

use super::{
    counts::Survey,
    counts::{WaitsFor, waits_for},
};
use crate::driver::{
    Driver,
    actions::Parked,
    evidence::{ActionHistory, FailedAttempt},
};
use disperse_protocol::control::{ActionState, ActionStatus, AttemptStatus, Fate, Problem, WaitCause, forgotten};

impl Driver<'_> {
    pub(super) fn explain_action(&self, id: ActionId, survey: &Survey) -> Result<ActionStatus, Problem> {
        let history = self.evidence.history(id);
        let attempts = history.into_iter().flat_map(|history| self.evidence.attempts(history));
        let attempts = attempts.map(|one| self.explain_attempt(one)).collect();
        if let (Some(parked), Some(view)) = (self.actions.get(id), self.scheduler.action(id)) {
            return Ok(ActionStatus {
                id: id.0,
                task: parked.task.0,
                kind: parked.name.to_string(),
                state: self.state(parked, &view, survey),
                attempts,
            });
        }
        let Some(history) = history else {
            return forgotten(id.0, self.actions.last());
        };
        Ok(ActionStatus {
            id: id.0,
            task: history.task.0,
            kind: history.kind.to_string(),
            state: ActionState::Settled(self.fate(history)),
            attempts,
        })
    }

    /// The state of an open action.
    fn state(&self, parked: &Parked, view: &ActionView, survey: &Survey) -> ActionState {
        match view.state {
            Now::Running { worker, second } => ActionState::Running {
                worker: self.name(worker),
                second: second.map(|second| self.name(second)),
                attempt: view.attempts,
                since_ms: parked.given.as_millis(),
            },
            Now::BackingOff { until, busy } => ActionState::Resting {
                until_ms: until.as_millis(),
                busy,
            },
            Now::Waiting { patience } => {
                let serving = self.serving(parked.kind, survey);
                let cause = match waits_for(&serving, patience) {
                    _ if self.draining => WaitCause::Stopping,
                    WaitsFor::Free => WaitCause::FreeWorker,
                    WaitsFor::Limit => WaitCause::Limit,
                    WaitsFor::Quota(refills, bucket) => WaitCause::Quota {
                        quota: self.quotas.label(bucket).to_owned(),
                        refills_ms: (refills != Moment::NEVER).then(|| refills.as_millis()),
                    },
                    WaitsFor::Any => WaitCause::AnyWorker,
                    WaitsFor::Another => WaitCause::AnotherWorker {
                        until_ms: patience.as_millis(),
                    },
                };
                ActionState::Waiting {
                    cause,
                    serving: serving.counts(),
                    asked_ms: parked.asked.as_millis(),
                }
            }
        }
    }

    pub(super) fn explain_attempt(&self, one: &FailedAttempt) -> AttemptStatus {
        AttemptStatus {
            attempt: one.attempt.into(),
            worker: self.name(one.worker),
            class: one.class,
            cause: one.cause.clone(),
            at_ms: one.at.as_millis(),
            took: one.took,
            verdict: one.verdict.map(Into::into),
        }
    }

    /// How an action ended.
    pub(super) fn fate(&self, history: &ActionHistory) -> Fate {
        match history.outcome {
            None => Fate::Open,
            Some(Outcome::Done { .. }) => {
                Fate::Passed(history.passed.map(|(worker, number)| (self.name(worker), number)))
            }
            Some(Outcome::Failed(reason)) => Fate::Failed(reason.into()),
        }
    }
}
