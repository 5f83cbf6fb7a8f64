//! The events of a run.

use std::{fmt, time::Duration};

use super::Reason;
use crate::{library::Heard, words};
use bytes::Bytes;
use disperse_protocol::{
    inbox::{self, HealthKind, RunEvent},
    logger,
};

/// An event of a run. Ids are those of the run: tasks and actions count from 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The run has begun: its first event.
    #[non_exhaustive]
    Started {
        /// The run's name, with which the [keys](crate::Attempt::key) of its actions begin. Sorts by time.
        run: String,
    },
    /// The operation wrote to the run's output.
    #[non_exhaustive]
    Output {
        /// The task that was being completed, or for a native operation the task itself. None if the operation wrote at
        /// another time.
        task: Option<u64>,
        /// The bytes, at most as many at once as the operation may return. Never cut or joined.
        bytes: Bytes,
    },
    /// A task ended. Its output, if any, may come before or after.
    #[non_exhaustive]
    TaskEnded {
        /// The task.
        task: u64,
        /// Why it failed. None: it succeeded.
        error: Option<String>,
    },
    /// An attempt failed. Its action may still succeed on another one.
    #[non_exhaustive]
    AttemptFailed {
        /// The action.
        action: u64,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// Its worker, as `pool/worker`.
        worker: String,
        /// The action's kind.
        kind: String,
        /// The class of the failure.
        class: FailureClass,
        /// The reason, for people.
        message: String,
        /// The end of what a guest wrote to its stderr in it, at most 4 KiB. Empty for native workers.
        stderr: String,
    },
    /// An attempt is much slower than others of its kind, and a worker is free: the action gets a second attempt in
    /// parallel.
    #[non_exhaustive]
    Hedged {
        /// The action.
        action: u64,
        /// The number of the slow attempt.
        attempt: u32,
        /// The action's kind.
        kind: String,
    },
    /// The result of an untrusted worker differed from the one that other workers agreed on.
    #[non_exhaustive]
    Outvoted {
        /// The action.
        action: u64,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// Its worker, as `pool/worker`.
        worker: String,
        /// How the result differed, for people.
        message: String,
    },
    /// An action ended without a result, which its task also learns.
    #[non_exhaustive]
    ActionDied {
        /// The action.
        action: u64,
        /// The task that sent it.
        task: u64,
        /// The action's kind.
        kind: String,
        /// Why there is no result.
        reason: Reason,
        /// The details, for people; a line for each failed attempt.
        message: String,
    },
    /// The health of a worker changed.
    #[non_exhaustive]
    HealthChanged {
        /// The worker, as `pool/worker`.
        worker: String,
        /// Its health now.
        health: Health,
    },
    /// A worker fails actions of one kind and succeeds at others: it gets none of that kind for a while, or gets them
    /// again.
    #[non_exhaustive]
    WorkerBarred {
        /// The worker, as `pool/worker`.
        worker: String,
        /// The kind of actions.
        kind: String,
        /// For how long. None: it gets them again.
        lasts: Option<Duration>,
    },
    /// All attempts of a pool fail, on every worker: the pool is only probed now, and no worker is blamed. Or this
    /// state ended.
    #[non_exhaustive]
    PoolFailing {
        /// The pool.
        pool: String,
        /// Whether the state begins; false: it ended.
        failing: bool,
    },
    /// A worker asked for something that is not granted. Sent once for each such thing, at most five times for each
    /// worker.
    #[non_exhaustive]
    Denied {
        /// The worker, as `pool/worker`.
        worker: String,
        /// The thing it asked for.
        message: String,
    },
    /// A log line of a guest or of the host.
    #[non_exhaustive]
    Log {
        /// Its source: `planner`, `task 3`, or `pool/worker`. None: the host.
        speaker: Option<String>,
        /// Its severity.
        level: Level,
        /// The text, one line.
        text: String,
    },
    /// A worker joined a pool after the start: see [`Control::add_workers`](crate::Control::add_workers).
    #[non_exhaustive]
    WorkerJoined {
        /// The worker, as `pool/worker`.
        worker: String,
        /// Its pool.
        pool: String,
    },
    /// A worker left, and its attempts are lost.
    #[non_exhaustive]
    WorkerLeft {
        /// The worker, as `pool/worker`.
        worker: String,
    },
    /// Events were left out because too many were unread: see [`Run`](crate::Run). Never outputs or ends of tasks.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

impl Event {
    /// The event for a program. None: the library reports it in another way.
    pub(super) fn of(heard: Heard) -> Option<Self> {
        let (numbered, output) = match heard {
            Heard::Event(numbered, output) => (numbered, output),
            Heard::Missed(events) => return Some(Self::Missed { events }),
        };
        let at_ms = numbered.at_ms;
        let event = match numbered.event {
            RunEvent::Started { run } => Self::Started { run },
            RunEvent::Output { task, .. } => Self::Output {
                task,
                bytes: output.map(|piece| piece.bytes).unwrap_or_default(),
            },
            RunEvent::TaskEnded { task, error, .. } => Self::TaskEnded { task, error },
            RunEvent::AttemptFailed(failed) => Self::AttemptFailed {
                action: failed.attempt.action,
                attempt: failed.attempt.number,
                worker: failed.worker,
                kind: failed.kind,
                class: FailureClass::of(failed.class),
                message: failed.message,
                stderr: failed.stderr,
            },
            RunEvent::Hedged { attempt, kind } => Self::Hedged {
                action: attempt.action,
                attempt: attempt.number,
                kind,
            },
            RunEvent::Outvoted {
                attempt,
                worker,
                dissent,
            } => Self::Outvoted {
                action: attempt.action,
                attempt: attempt.number,
                worker,
                message: words::dissent(&dissent),
            },
            RunEvent::ActionFailed(failed) => Self::ActionDied {
                action: failed.action,
                task: failed.task,
                kind: failed.kind,
                reason: Reason::of(failed.reason),
                message: failed.message,
            },
            RunEvent::HealthChanged { worker, health } => Self::HealthChanged {
                worker,
                health: Health::of(health.kind()),
            },
            RunEvent::Barred { worker, kind, until_ms } => Self::WorkerBarred {
                worker,
                kind,
                lasts: until_ms.map(|until_ms| Duration::from_millis(until_ms.saturating_sub(at_ms))),
            },
            RunEvent::Systemic { pool, on } => Self::PoolFailing { pool, failing: on },
            RunEvent::Denied { worker, message } => Self::Denied { worker, message },
            RunEvent::Log { source, level, text } => Self::Log {
                speaker: source,
                level: Level::of(level),
                text,
            },
            RunEvent::Notice(notice) => {
                let (level, text) = words::notice(&notice);
                Self::Log {
                    speaker: None,
                    level: Level::of(level),
                    text,
                }
            }
            RunEvent::WorkerJoined { worker, pool } => Self::WorkerJoined { worker, pool },
            RunEvent::WorkerLeft { worker } => Self::WorkerLeft { worker },
            RunEvent::Progress(_) | RunEvent::Finished(_) => return None,
        };
        Some(event)
    }
}

/// The class of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// The action may succeed later or on another worker: the worker reported so, or the attempt timed out.
    Transient,
    /// The guest trapped or exceeded a limit; or the native worker panicked.
    Trap,
    /// The action can never succeed.
    Permanent,
    /// The worker could not be started, or reported that it can do no more work.
    WorkerFault,
    /// The worker left during the attempt.
    Lost,
}

impl FailureClass {
    fn of(class: inbox::FailureClass) -> Self {
        match class {
            inbox::FailureClass::Trap => Self::Trap,
            inbox::FailureClass::Permanent => Self::Permanent,
            inbox::FailureClass::WorkerFault => Self::WorkerFault,
            inbox::FailureClass::Lost => Self::Lost,
            // An attempt with a result is reported as outvoted, and never as failed.
            inbox::FailureClass::Transient | inbox::FailureClass::Outvoted => Self::Transient,
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Trap => "trap",
            Self::Permanent => "permanent",
            Self::WorkerFault => "worker-fault",
            Self::Lost => "lost",
        })
    }
}

/// The health of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It gets work.
    #[default]
    Healthy,
    /// It failed several times in a row and gets work more slowly.
    Suspect,
    /// It failed what other workers could do, and gets no work for a while.
    Quarantined,
    /// After a quarantine: it gets one action at a time until it has proved itself.
    Probation,
    /// It reported that it is at its limit, and gets no work for a while.
    Busy,
    /// It is draining: it gets no new work.
    Draining,
    /// It is evicted and gets no work any more.
    Evicted,
    /// It left.
    Gone,
}

impl Health {
    pub(super) fn of(health: HealthKind) -> Self {
        match health {
            HealthKind::Healthy => Self::Healthy,
            HealthKind::Suspect => Self::Suspect,
            HealthKind::Quarantined => Self::Quarantined,
            HealthKind::Probation => Self::Probation,
            HealthKind::Busy => Self::Busy,
            HealthKind::Draining => Self::Draining,
            HealthKind::Evicted => Self::Evicted,
            HealthKind::Gone => Self::Gone,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Quarantined => "quarantined",
            Self::Probation => "probation",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Evicted => "evicted",
            Self::Gone => "gone",
        })
    }
}

/// The severity of a log line. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// For debugging. Not sent to programs so far.
    Debug,
    /// Information.
    Info,
    /// A warning: something is not as it should be.
    Warning,
    /// An error.
    Error,
}

impl Level {
    fn of(level: logger::Level) -> Self {
        match level {
            logger::Level::Debug => Self::Debug,
            logger::Level::Info => Self::Info,
            logger::Level::Warning => Self::Warning,
            logger::Level::Error => Self::Error,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disperse_protocol::samples::{output, samples};

    #[test]
    fn every_event_is_a_value() {
        let debug: Vec<String> = samples()
            .into_iter()
            .filter_map(|numbered| {
                let output = output(&numbered.event);
                Event::of(Heard::Event(numbered, output))
            })
            .map(|event| format!("{event:?}"))
            .collect();
        let expected = [
            r#"Started { run: "r" }"#,
            r#"Output { task: Some(3), bytes: b"five\n" }"#,
            r#"TaskEnded { task: 3, error: Some("it broke") }"#,
            r#"AttemptFailed { action: 7, attempt: 2, worker: "w/1", kind: "k", class: WorkerFault, message: "it cannot", stderr: "because\n" }"#,
            r#"Hedged { action: 7, attempt: 2, kind: "k" }"#,
            r#"Outvoted { action: 7, attempt: 2, worker: "w/1", message: "its result of 10 bytes is not the one of 4200 bytes that others have" }"#,
            r#"ActionDied { action: 7, task: 3, kind: "k", reason: Exhausted, message: "2 attempts failed" }"#,
            r#"HealthChanged { worker: "w/1", health: Quarantined }"#,
            r#"WorkerBarred { worker: "w/1", kind: "k", lasts: Some(60s) }"#,
            r#"PoolFailing { pool: "w", failing: true }"#,
            r#"Denied { worker: "w/1", message: "http to example.org" }"#,
            r#"Log { speaker: Some("w/1#7.2"), level: Warning, text: "hello" }"#,
            r#"Log { speaker: None, level: Info, text: "stopping, as `drain` asks: attempts that run are let end" }"#,
            r#"WorkerJoined { worker: "w/1", pool: "w" }"#,
            r#"WorkerLeft { worker: "w/1" }"#,
        ];
        assert_eq!(debug, expected);
    }
}
