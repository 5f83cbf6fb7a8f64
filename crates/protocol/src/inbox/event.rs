//! What a run tells: facts, numbered in the order in which the driver saw them.
//!
//! Everything here is plain data that serde carries: ids as numbers, names as text, moments in ms of the run's time. There
//! are no sentences but those of guests and of the parts that refused them something; sinks make the others
//! (`report/`). Payloads do not travel in an event: an [`OutputPiece`](super::OutputPiece) goes beside its
//! [`RunEvent::Output`].

use std::{sync::Arc, time::Duration};

use disperse_scheduler::{AttemptId, Class, Health, Moment, Reason, TaskId, Verdict};
use serde::{Deserialize, Serialize};

use super::{
    OutputPiece,
    health::HealthState,
    shared_text,
    summary::{Progress, RunSummary},
    task_end::TaskEnd,
};
use crate::{
    logger::{Level, Line},
    text::bounded,
};

/// An event and its place among all events of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// From 1, without gaps.
    pub seq: u64,
    /// The run's time, in ms. Never falls.
    pub at_ms: u64,
    pub event: RunEvent,
}

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEvent {
    /// The first event.
    Started {
        /// The run's name.
        run: String,
    },
    /// The operation wrote to the run's output. The bytes themselves go beside the event.
    Output {
        /// The task whose end was being taken, if there was one.
        task: Option<u64>,
        /// The action of that task, if it had a single one, with a result.
        action: Option<ActionDone>,
        /// How many bytes.
        bytes: u64,
    },
    TaskEnded {
        /// From 1 in the order of being handed out.
        task: u64,
        /// Why it has no result, if it has none; at most 4 KiB.
        error: Option<String>,
        /// Units.
        fuel: u64,
        /// From start to end, waits included.
        wall: Duration,
    },
    /// The action may still succeed elsewhere.
    AttemptFailed(Box<AttemptFailed>),
    /// An attempt is slow, and its action gets a second one beside it.
    Hedged {
        attempt: AttemptNumber,
        kind: String,
    },
    /// The result of an untrusted worker was not the one that was accepted.
    Outvoted {
        attempt: AttemptNumber,
        worker: String,
        dissent: Dissent,
    },
    /// An action ended without a result.
    ActionFailed(Box<ActionFailed>),
    HealthChanged {
        worker: String,
        health: HealthState,
    },
    /// A worker gets no actions of a kind until then. None: it gets them again.
    Barred {
        worker: String,
        kind: String,
        until_ms: Option<u64>,
    },
    /// Every attempt in a pool fails (`on`), or that is over.
    Systemic {
        pool: String,
        on: bool,
    },
    /// A worker asked for something that is not granted.
    Denied {
        worker: String,
        /// What it was and the flag that would grant it, as the part says that refused it.
        message: String,
    },
    /// A line of a guest, or of the host where there is no source.
    Log {
        /// `planner`, `task 3`, `pool/worker` or `pool/worker#5.1`: in attempt 1 of action 5.
        source: Option<String>,
        level: Level,
        text: String,
    },
    /// Something that the host says by itself.
    Notice(HostNotice),
    /// A worker joined after the start.
    WorkerJoined {
        worker: String,
        pool: String,
    },
    /// A worker left, and its attempts are lost.
    WorkerLeft {
        worker: String,
    },
    /// How far the run is; only for a sink that asks for it.
    Progress(Box<Progress>),
    /// The last event.
    Finished(Box<RunSummary>),
}

/// An attempt, by the number of its action and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNumber {
    pub action: u64,
    /// From 1.
    pub number: u32,
}

impl From<AttemptId> for AttemptNumber {
    fn from(attempt: AttemptId) -> Self {
        Self {
            action: attempt.action.0,
            number: attempt.number,
        }
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptFailed {
    pub attempt: AttemptNumber,
    pub worker: String,
    pub kind: String,
    pub class: FailureClass,
    pub message: String,
    /// The last that the guest wrote to stderr, at most 4 KiB.
    pub stderr: String,
    /// Whether the message only says how the guest ended, as after a panic.
    pub is_symptom: bool,
    /// Units.
    pub fuel: u64,
    pub wall: Duration,
}

/// An action that ended with a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionDone {
    pub action: u64,
    /// The worker whose result it is.
    #[serde(with = "shared_text")]
    pub worker: Arc<str>,
    /// The number of the attempt with the result, from 1.
    pub attempts: u32,
    /// From when it was first given to a worker until it was settled.
    pub wall: Duration,
}

/// An action that ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionFailed {
    pub action: u64,
    pub task: u64,
    pub kind: String,
    pub reason: FailureReason,
    /// As the task is told; where attempts failed, one line for each.
    pub message: String,
}

/// What a failed attempt was. The scheduler's classes that are failures, and one for results that were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    Transient,
    Trap,
    Permanent,
    WorkerFault,
    Lost,
    /// It had a result, which others contradicted.
    Outvoted,
}

impl FailureClass {
    /// Whether an attempt of this class counts as failed by itself: one with a result only fails by being outvoted.
    pub fn is_failure(class: Class) -> bool {
        class != Class::Ok && Self::of(class).is_some()
    }

    /// None: an attempt of this class is no failure. A result ([`Class::Ok`]) fails only by being outvoted.
    pub fn of(class: Class) -> Option<Self> {
        match class {
            Class::Ok => Some(Self::Outvoted),
            Class::Permanent => Some(Self::Permanent),
            Class::Transient => Some(Self::Transient),
            Class::Trap => Some(Self::Trap),
            Class::WorkerFault => Some(Self::WorkerFault),
            Class::Lost => Some(Self::Lost),
            Class::Busy | Class::Host | Class::Neutral => None,
        }
    }
}

/// Why an action ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    Permanent,
    Exhausted,
    Poison,
    Unroutable,
    Cancelled,
    Deadline,
    Oversize,
}

impl From<Reason> for FailureReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Permanent => Self::Permanent,
            Reason::Exhausted => Self::Exhausted,
            Reason::Poison => Self::Poison,
            Reason::Unroutable => Self::Unroutable,
            Reason::Cancelled => Self::Cancelled,
            Reason::Deadline => Self::Deadline,
            Reason::Oversize => Self::Oversize,
        }
    }
}

/// The fault in a failed attempt, once that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultVerdict {
    /// The worker, as one of so many.
    Guilty {
        shares: u32,
    },
    Cleared,
    Unproved,
    Annulled,
}

impl From<Verdict> for FaultVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Guilty { shares } => Self::Guilty { shares },
            Verdict::Cleared => Self::Cleared,
            Verdict::Unproved => Self::Unproved,
            Verdict::Annulled => Self::Annulled,
        }
    }
}

/// How an outvoted result differed from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dissent {
    /// The same result for another amount of fuel, in units.
    Fuel { own: u64, others: u64 },
    /// Another result. Their lengths, in bytes.
    Result { own: u64, others: u64 },
}

/// Something that the host says by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostNotice {
    /// No result of these pools can be confirmed, because all of their workers belong to one owner.
    Unconfirmed { pools: Vec<String> },
    /// The control socket could not be opened.
    Unreachable { error: String },
    /// The run is being stopped, as a control client asked.
    Stopping,
    /// So many log lines came too fast to be shown.
    LinesDropped { lines: u64 },
    /// The run is being stopped because so many tasks have failed, of those that have ended.
    Halted { failed: u64, ended: u64 },
    /// Results that are not written, because the one of an earlier line is missing.
    ResultsUnwritten { results: u64, line: u64 },
}

impl RunEvent {
    /// Of a piece of output, and the action that it was made of.
    pub fn output(piece: &OutputPiece, action: Option<ActionDone>) -> Self {
        Self::Output {
            task: piece.origin.map(|origin| origin.task.0),
            action,
            bytes: piece.bytes.len() as u64,
        }
    }

    /// Of the end of a task. An error may be as long as a result, of which an event has the beginning.
    pub fn task_ended(task: TaskId, end: &TaskEnd) -> Self {
        Self::TaskEnded {
            task: task.0,
            error: end.outcome.as_ref().err().and_then(|error| bounded(error, "")),
            fuel: end.used.fuel,
            wall: end.used.wall,
        }
    }

    /// Of a change of a worker's health.
    pub fn health(worker: &str, health: Health) -> Self {
        Self::HealthChanged {
            worker: worker.to_owned(),
            health: health.into(),
        }
    }

    /// Of a kind that a worker is not given until then, or is given again.
    pub fn barred(worker: &str, kind: &str, until: Option<Moment>) -> Self {
        Self::Barred {
            worker: worker.to_owned(),
            kind: kind.to_owned(),
            until_ms: until.map(Moment::as_millis),
        }
    }
}

impl From<&Line> for RunEvent {
    fn from(line: &Line) -> Self {
        Self::Log {
            source: line.source.as_ref().map(ToString::to_string),
            level: line.level,
            text: line.text.clone(),
        }
    }
}
