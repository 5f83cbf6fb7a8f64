//! What a run tells while it goes on.

use std::{fmt, time::Duration};

use super::Reason;
use crate::{
    inbox::{self, HealthKind, RunEvent},
    logger,
    report::{Heard, dissent_words, notice_words},
};
use bytes::Bytes;

/// One thing that happened in a run. Ids are those of the run: tasks and actions count from 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The run has begun: its first event.
    #[non_exhaustive]
    Started {
        /// Its name, which the [keys](crate::Attempt::key) of its actions begin with. Sorts by time.
        run: String,
    },
    /// The operation wrote to the run's output.
    #[non_exhaustive]
    Output {
        /// The task whose end was being taken, or for a native operation the task itself. None if the operation wrote on
        /// another occasion.
        task: Option<u64>,
        /// What it wrote, at most as much at once as it may return. Never cut or joined.
        bytes: Bytes,
    },
    /// A task ended. Its output, if it has any, may come before or after.
    #[non_exhaustive]
    TaskEnded {
        /// Which.
        task: u64,
        /// Why it has no result, if it has none.
        error: Option<String>,
    },
    /// An attempt failed. Its action may still succeed elsewhere.
    #[non_exhaustive]
    AttemptFailed {
        /// The action.
        action: u64,
        /// Which attempt of it, from 1.
        attempt: u32,
        /// Who made it, as `pool/worker`.
        worker: String,
        /// The action's kind.
        kind: String,
        /// Which sort of failure it was.
        class: FailureClass,
        /// What went wrong, for people.
        message: String,
        /// The last that a guest wrote to its stderr in it, at most 4 KiB. Empty for native workers.
        stderr: String,
    },
    /// An attempt takes much longer than such attempts do, and a worker is free: its action gets a second attempt beside it.
    #[non_exhaustive]
    Hedged {
        /// The action.
        action: u64,
        /// The slow attempt of it.
        attempt: u32,
        /// The action's kind.
        kind: String,
    },
    /// The result of an untrusted worker was not the one that others had, and theirs was accepted.
    #[non_exhaustive]
    Outvoted {
        /// The action.
        action: u64,
        /// Which attempt of it, from 1.
        attempt: u32,
        /// Which worker, as `pool/worker`.
        worker: String,
        /// How its result differed, for people.
        message: String,
    },
    /// An action ended without a result. Its task was told so too.
    #[non_exhaustive]
    ActionDied {
        /// The action.
        action: u64,
        /// Who asked for it.
        task: u64,
        /// Its kind.
        kind: String,
        /// Which sort of end it was.
        reason: Reason,
        /// What happened, for people; where attempts failed, one line for each.
        message: String,
    },
    /// A worker is thought of differently now.
    #[non_exhaustive]
    HealthChanged {
        /// Which, as `pool/worker`.
        worker: String,
        /// What is thought of it.
        health: Health,
    },
    /// A worker fails actions of one kind and does others well: it is given none of that kind for a while, or is given them again.
    #[non_exhaustive]
    WorkerBarred {
        /// Which, as `pool/worker`.
        worker: String,
        /// The kind of actions.
        kind: String,
        /// For how long. None: it is given them again.
        lasts: Option<Duration>,
    },
    /// Everything that a pool is given fails, whoever tries it: it is only probed now, and no worker is blamed. Or that is
    /// over.
    #[non_exhaustive]
    PoolFailing {
        /// Which.
        pool: String,
        /// Whether it begins or is over.
        failing: bool,
    },
    /// A worker asked for what is not granted. Said once for each thing, and at most five times for each worker.
    #[non_exhaustive]
    Denied {
        /// Which, as `pool/worker`.
        worker: String,
        /// What it asked for.
        message: String,
    },
    /// A guest said something, or the host did.
    #[non_exhaustive]
    Log {
        /// Who: `planner`, `task 3`, or `pool/worker`. None: the host.
        speaker: Option<String>,
        /// How much it matters.
        level: Level,
        /// One line.
        text: String,
    },
    /// A worker joined a pool after the start: see [`Control::add_workers`](crate::Control::add_workers).
    #[non_exhaustive]
    WorkerJoined {
        /// Which, as `pool/worker`.
        worker: String,
        /// Its pool.
        pool: String,
    },
    /// A worker left, and its attempts are lost.
    #[non_exhaustive]
    WorkerLeft {
        /// Which, as `pool/worker`.
        worker: String,
    },
    /// So many things were not told because too much was unread: see [`Run`](crate::Run). Never outputs or ends of tasks.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

impl Event {
    /// None: the program asks for it elsewhere.
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
                message: dissent_words(&dissent),
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
                let (level, text) = notice_words(&notice);
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

/// Which sort of failure an attempt was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// It may work another time: the worker said so, or the time was up.
    Transient,
    /// The guest trapped or ran out of something; or the native worker panicked.
    Trap,
    /// It can never work.
    Permanent,
    /// The worker could not be started, or said that it can do no more work.
    WorkerFault,
    /// The worker went away with it.
    Lost,
}

impl FailureClass {
    fn of(class: inbox::FailureClass) -> Self {
        match class {
            inbox::FailureClass::Trap => Self::Trap,
            inbox::FailureClass::Permanent => Self::Permanent,
            inbox::FailureClass::WorkerFault => Self::WorkerFault,
            inbox::FailureClass::Lost => Self::Lost,
            // An attempt with a result is told as outvoted, and never as failed.
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

/// What is thought of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It is given work.
    #[default]
    Healthy,
    /// It failed several times in a row and is given work more slowly.
    Suspect,
    /// It failed what others could do, and is given nothing for a while.
    Quarantined,
    /// After a quarantine: it is given one action at a time until it has proved itself.
    Probation,
    /// It said that it is at its limit, and is given nothing for a while.
    Busy,
    /// It is being taken out.
    Draining,
    /// It is given nothing any more.
    Evicted,
    /// It is gone.
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

/// How much a line matters. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// For whoever looks for a fault. Not told to programs so far.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
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
    use crate::report::samples::{output, samples};

    #[test]
    fn every_event_is_a_value() {
        let told: Vec<String> = samples()
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
        assert_eq!(told, expected);
    }
}
