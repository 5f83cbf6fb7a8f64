//! Converts the facts of a response to their public form.

use super::{
    model::{
        ActionExplained, ActionState, AttemptExplained, Explained, Explanation, FailureExplained, HealthTurn,
        RunExplained, Waiting, WorkerBrief, WorkerExplained,
    },
    sentences::{cause, fate_words, held_line, quota_line, state_words, verdict},
};
use crate::{
    cli::{commands::runs::RunLine, recording::RecordedStatus},
    control::{
        self, ActionState as State, ActionStatus, AttemptStatus, ControlResponse, FailureStatus, Fate, RunStatus,
        Status, WorkerStatus,
    },
    inbox::HealthState,
    report::{change_words, class_word, health_with_reason, health_word, remark_words},
    units::Time,
};

impl Explanation {
    pub(super) fn of(response: ControlResponse) -> Self {
        let now_ms = response.at_ms;
        Self {
            run: response.run,
            ended: response.ended,
            at_ms: now_ms,
            explained: match response.status {
                Status::Run(run) => Explained::Run(Box::new(RunExplained::of(*run, now_ms))),
                Status::Action(action) => Explained::Action(Box::new(ActionExplained::of(*action, now_ms))),
                Status::Worker(worker) => Explained::Worker(Box::new(WorkerExplained::of(*worker, now_ms))),
                Status::Changed(change) => Explained::Done {
                    message: change_words(&change, now_ms),
                },
            },
        }
    }

    /// What the journal of a run has of it.
    pub(super) fn recorded(run: RunLine) -> Self {
        Self {
            run: run.id.clone(),
            ended: run.status != RecordedStatus::Running,
            at_ms: run.details.as_ref().map_or(0, |details| details.run_ms),
            explained: Explained::Recorded(Box::new(run)),
        }
    }
}

impl RunExplained {
    fn of(run: RunStatus, now_ms: u64) -> Self {
        let notable = |(id, health): &(String, HealthState)| WorkerBrief {
            id: id.clone(),
            words: health_with_reason(health, now_ms),
        };
        let workers = run.workers.into_iter();
        Self {
            id: run.id,
            stopping: run.stopping,
            tasks_done: run.tasks.done,
            tasks_failed: run.tasks.failed,
            tasks_in_flight: run.tasks.in_flight,
            tasks_total: run.tasks_total,
            left_ms: run.left_ms,
            actions_done: run.actions_done,
            actions_refused: run.actions_failed,
            actions_running: run.actions_running,
            waiting: Waiting::of(run.waiting),
            retries: run.retries,
            workers: workers
                .map(|(health, count)| (health_word(health).to_owned(), count))
                .collect(),
            notable: run.notable.iter().map(notable).collect(),
            notable_more: run.notable_more,
            names: run.names,
            quotas: run.quotas.iter().map(|quota| quota_line(quota, now_ms)).collect(),
            remarks: run.remarks.iter().map(remark_words).collect(),
        }
    }
}

impl Waiting {
    fn of(waiting: control::Waiting) -> Self {
        let control::Waiting {
            all,
            looked_at,
            for_a_free_worker,
            for_a_limit,
            for_another_worker,
            for_any_worker,
            resting,
        } = waiting;
        Self {
            all,
            looked_at,
            for_a_free_worker,
            for_a_limit,
            for_another_worker,
            for_any_worker,
            resting,
        }
    }
}

impl WorkerExplained {
    fn of(worker: WorkerStatus, now_ms: u64) -> Self {
        let barred = |(kind, until_ms): &(String, u64)| {
            let rest = Time(until_ms.saturating_sub(now_ms));
            format!("no actions of kind {kind} for another {rest}: it fails them and performs others")
        };
        let change = |(at_ms, health): &(u64, HealthState)| HealthTurn {
            at_ms: *at_ms,
            health: health_word(health.kind()).to_owned(),
            words: health_with_reason(health, *at_ms),
        };
        Self {
            id: worker.id,
            health: health_word(worker.health.kind()).to_owned(),
            words: health_with_reason(&worker.health, now_ms),
            since_ms: worker.since_ms,
            ok: worker.ok,
            failed: worker.failed,
            lost: worker.lost,
            busy: worker.busy,
            faults: worker.faults,
            quarantines: worker.quarantines,
            score: worker.score,
            score_max: worker.score_max,
            outvoted: worker.outvoted,
            slots: worker.slots,
            width: worker.width,
            has: worker.has.iter().map(|held| held_line(held, now_ms)).collect(),
            holds: worker.holds,
            barred: worker.barred.iter().map(barred).collect(),
            quotas: worker.quotas.iter().map(|quota| quota_line(quota, now_ms)).collect(),
            failures: worker.failures.into_iter().map(FailureExplained::of).collect(),
            failures_forgotten: worker.failures_forgotten,
            history: worker.history.iter().map(change).collect(),
        }
    }
}

impl FailureExplained {
    fn of(failure: FailureStatus) -> Self {
        let FailureStatus { attempt, kind, fate } = failure;
        Self {
            action: attempt.attempt.action,
            attempt: attempt.attempt.number,
            kind,
            class: class_word(attempt.class).to_owned(),
            verdict: verdict(&attempt),
            message: cause(attempt.cause),
            at_ms: attempt.at_ms,
            passed: match fate {
                Fate::Forgotten | Fate::Open => None,
                Fate::Passed(_) => Some(true),
                Fate::Failed(_) => Some(false),
            },
            fate: fate_words(&fate),
        }
    }
}

impl ActionExplained {
    fn of(action: ActionStatus, now_ms: u64) -> Self {
        Self {
            id: action.id,
            task: action.task,
            kind: action.kind,
            state: ActionState::of(&action.state),
            words: state_words(&action.state, now_ms),
            attempts: action.attempts.into_iter().map(AttemptExplained::of).collect(),
        }
    }
}

impl ActionState {
    fn of(state: &State) -> Self {
        match state {
            State::Waiting { .. } => Self::Waiting,
            State::Running { .. } => Self::Running,
            State::Resting { .. } => Self::Resting,
            State::Settled(Fate::Passed(_)) => Self::Done,
            State::Settled(Fate::Failed(_) | Fate::Open | Fate::Forgotten) => Self::Refused,
            State::Forgotten => Self::Forgotten,
        }
    }
}

impl AttemptExplained {
    fn of(attempt: AttemptStatus) -> Self {
        Self {
            attempt: attempt.attempt.number,
            class: class_word(attempt.class).to_owned(),
            verdict: verdict(&attempt),
            message: cause(attempt.cause),
            worker: attempt.worker,
            at_ms: attempt.at_ms,
            run_ms: attempt.took.as_secs_f64() * 1e3,
        }
    }
}
