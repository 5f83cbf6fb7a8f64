//! The JSON Lines of `--format json`. Their schema is published in `docs/schema/events.json`.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    first_line,
    totals::{KindSummary, QuotaSummary, TaskCounts, Undone, WorkerSummary, ms},
    words,
};
use crate::{
    inbox::{Numbered, RunEvent, RunSummary},
    logger::Level,
};

/// One line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(super) struct Line {
    #[serde(flatten)]
    event: LineEvent,
    /// Which line it is: from 1, without gaps.
    seq: u64,
    /// The run's time.
    at_ms: u64,
}

/// The event of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum LineEvent {
    /// The first line: the run has begun.
    Run {
        /// Its name, for `explain`, `readmit` and `drain`. Sorts by time.
        id: String,
    },
    /// The run wrote bytes to its output: `text` if they are UTF-8, else `base64`; neither if they went to a file.
    Output {
        /// How many bytes.
        bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        base64: Option<String>,
        /// The action of the line or task, if it had a single one, with a result.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<u64>,
        /// For `map`: the line of the input, from 1, or the first one of the batch.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        line: Option<u64>,
        /// For `run`: the task that was being collected. Missing: none was.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        task: Option<u64>,
        /// The worker whose result the action has.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        worker: Option<String>,
        /// How many attempts of the action were made.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        attempts: Option<u32>,
        /// From when the action was first given to a worker until its result was there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ms: Option<f64>,
    },
    /// A task ended; without `error` it has a result.
    TaskEnded {
        /// From 1 in the order of being handed out.
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        error: Option<String>,
        /// Units.
        fuel: u64,
        /// From start to end, waits included.
        run_ms: f64,
    },
    /// An attempt failed; the action may still succeed elsewhere.
    AttemptFailed {
        /// The action.
        id: u64,
        /// Which attempt of it, from 1.
        attempt: u32,
        worker: String,
        kind: String,
        /// transient, trap, permanent, worker-fault or lost.
        class: String,
        message: String,
        /// The last 4 KiB of what the guest wrote.
        stderr: String,
        fuel: u64,
        run_ms: f64,
    },
    /// An attempt takes much longer than such attempts do, and another worker is idle: the action gets a second attempt beside it.
    Hedged {
        /// The action.
        id: u64,
        /// The slow attempt of it.
        attempt: u32,
        kind: String,
    },
    /// The result of an untrusted worker was not accepted: workers of other owners agreed on another one.
    Outvoted {
        /// The action.
        id: u64,
        /// Which attempt of it.
        attempt: u32,
        worker: String,
        message: String,
    },
    /// An action ended without a result.
    ActionDead {
        /// The action.
        id: u64,
        task: u64,
        kind: String,
        reason: String,
        /// One line for each attempt.
        message: String,
    },
    /// The health of a worker has changed.
    Health {
        worker: String,
        /// healthy, suspect, quarantined, probation, busy, draining, evicted or gone.
        health: String,
    },
    /// A worker fails actions of one kind and succeeds with others: it gets none of that kind until then, or gets them again.
    Barred {
        worker: String,
        kind: String,
        /// The run's time. Missing: it gets them again.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_ms: Option<u64>,
    },
    /// Every attempt in a pool fails, on all workers: it is only probed from now on, and no worker is blamed. Or that is over.
    Systemic {
        pool: String,
        /// Whether it begins or is over.
        on: bool,
    },
    /// A worker asked for what is not granted. Said once for each thing and at most five times for each worker; the report
    /// counts them all.
    Denied {
        worker: String,
        /// What it was, and the flag that would open it.
        message: String,
    },
    /// A guest or, without `speaker`, the host said something.
    Log {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        speaker: Option<String>,
        level: Level,
        text: String,
    },
    /// A worker joined a pool after the start.
    WorkerJoined { worker: String, pool: String },
    /// A worker left, and its attempts are lost.
    WorkerLeft { worker: String },
    /// The last line: how the run went.
    Report {
        /// Whether it was stopped before its end.
        interrupted: bool,
        /// If it was stopped: what it left.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        undone: Option<Undone>,
        /// Why the operation itself failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        failure: Option<String>,
        wall_ms: f64,
        tasks: TaskCounts,
        /// In the order of first use.
        kinds: Vec<KindSummary>,
        /// In the order of the manifest.
        workers: Vec<WorkerSummary>,
        /// In the order of the manifest.
        quotas: Vec<QuotaSummary>,
        /// The most that guests and their payloads took, in bytes.
        peak_host_memory: u64,
    },
}

impl Line {
    /// The line of an event. None: it has none. `output`: the bytes of an output that the line is to hold. `lines_a_task`: for
    /// `map`, how many lines of the input make a task.
    pub(super) fn of(numbered: &Numbered, output: Option<&Bytes>, lines_a_task: Option<u64>) -> Option<Self> {
        Some(Self {
            event: LineEvent::of(&numbered.event, output, lines_a_task)?,
            seq: numbered.seq,
            at_ms: numbered.at_ms,
        })
    }
}

impl LineEvent {
    fn of(event: &RunEvent, output: Option<&Bytes>, lines_a_task: Option<u64>) -> Option<Self> {
        let line = match event {
            RunEvent::Started { run } => Self::Run { id: run.clone() },
            RunEvent::Output { task, action, bytes } => {
                let (text, base64) = output.map_or((None, None), |bytes| text_or_base64(bytes));
                let line = task.zip(lines_a_task).map(|(task, batch)| first_line(task, batch));
                let action = action.as_ref();
                Self::Output {
                    bytes: *bytes,
                    text,
                    base64,
                    id: action.map(|action| action.action),
                    line,
                    task: task.filter(|_| line.is_none()),
                    worker: action.map(|action| action.worker.to_string()),
                    attempts: action.map(|action| action.attempts),
                    ms: action.map(|action| ms(action.wall)),
                }
            }
            RunEvent::TaskEnded {
                task,
                error,
                fuel,
                wall,
            } => Self::TaskEnded {
                id: *task,
                error: error.clone(),
                fuel: *fuel,
                run_ms: ms(*wall),
            },
            RunEvent::AttemptFailed(failed) => Self::AttemptFailed {
                id: failed.attempt.action,
                attempt: failed.attempt.number,
                worker: failed.worker.clone(),
                kind: failed.kind.clone(),
                class: words::class(failed.class).to_owned(),
                message: failed.message.clone(),
                stderr: failed.stderr.clone(),
                fuel: failed.fuel,
                run_ms: ms(failed.wall),
            },
            RunEvent::Hedged { attempt, kind } => Self::Hedged {
                id: attempt.action,
                attempt: attempt.number,
                kind: kind.clone(),
            },
            RunEvent::Outvoted {
                attempt,
                worker,
                dissent,
            } => Self::Outvoted {
                id: attempt.action,
                attempt: attempt.number,
                worker: worker.clone(),
                message: words::dissent(dissent),
            },
            RunEvent::ActionFailed(failed) => Self::ActionDead {
                id: failed.action,
                task: failed.task,
                kind: failed.kind.clone(),
                reason: words::reason(failed.reason).to_owned(),
                message: failed.message.clone(),
            },
            RunEvent::HealthChanged { worker, health } => Self::Health {
                worker: worker.clone(),
                health: words::health_word(health.kind()).to_owned(),
            },
            RunEvent::Barred { worker, kind, until_ms } => Self::Barred {
                worker: worker.clone(),
                kind: kind.clone(),
                until_ms: *until_ms,
            },
            RunEvent::Systemic { pool, on } => Self::Systemic {
                pool: pool.clone(),
                on: *on,
            },
            RunEvent::Denied { worker, message } => Self::Denied {
                worker: worker.clone(),
                message: message.clone(),
            },
            RunEvent::Log { source, level, text } => Self::Log {
                speaker: source.clone(),
                level: *level,
                text: text.clone(),
            },
            RunEvent::Notice(notice) => {
                let (level, text) = words::notice(notice);
                Self::Log {
                    speaker: None,
                    level,
                    text,
                }
            }
            RunEvent::WorkerJoined { worker, pool } => Self::WorkerJoined {
                worker: worker.clone(),
                pool: pool.clone(),
            },
            RunEvent::WorkerLeft { worker } => Self::WorkerLeft { worker: worker.clone() },
            RunEvent::Progress(_) => return None,
            RunEvent::Finished(summary) => Self::report(summary),
        };
        Some(line)
    }

    fn report(summary: &RunSummary) -> Self {
        Self::Report {
            interrupted: summary.interrupted,
            undone: summary.interrupted.then(|| Undone::of(summary.undone)),
            failure: summary.failure.clone(),
            wall_ms: ms(summary.wall),
            tasks: TaskCounts::of(summary.tasks),
            kinds: summary.kinds.iter().map(KindSummary::of).collect(),
            workers: summary.workers.iter().map(WorkerSummary::of).collect(),
            quotas: summary.quotas.iter().map(QuotaSummary::of).collect(),
            peak_host_memory: summary.peak_host_memory,
        }
    }
}

/// Bytes as text, or as base64 if they are not UTF-8.
pub(crate) fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    use base64::{Engine, engine::general_purpose::STANDARD};

    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// The schema of one line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}
