//! What a run tells while it goes on.

use std::{fmt, time::Duration};

use bytes::Bytes;
use disperse_scheduler as scheduler;

use super::Reason;
use crate::{logger, report::Told};

/// One thing that happened in a run. Ids are those of the run: tasks and actions count from 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
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
    /// So many things were not told because too much was unread: see [`Run`](crate::Run). Never outputs or ends of tasks.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

impl Event {
    pub(super) fn of(told: Told) -> Self {
        match told {
            Told::Output(piece) => Self::Output {
                task: piece.task.map(|task| task.0),
                bytes: piece.bytes,
            },
            Told::TaskEnded { task, error } => Self::TaskEnded { task: task.0, error },
            Told::AttemptFailed(failed) => Self::AttemptFailed {
                action: failed.attempt.action.0,
                attempt: failed.attempt.number,
                worker: failed.worker.to_string(),
                kind: failed.kind.to_string(),
                class: FailureClass::of(failed.class),
                message: failed.message,
                stderr: failed.stderr,
            },
            Told::Dead(dead) => Self::ActionDied {
                action: dead.action.0,
                task: dead.task.0,
                kind: dead.kind.to_string(),
                reason: Reason::of(dead.reason),
                message: dead.message,
            },
            Told::Health { worker, health } => Self::HealthChanged {
                worker: worker.to_string(),
                health: Health::of(health),
            },
            Told::Barred { worker, kind, lasts } => Self::WorkerBarred {
                worker: worker.to_string(),
                kind: kind.to_string(),
                lasts,
            },
            Told::Systemic { pool, on } => Self::PoolFailing {
                pool: pool.to_string(),
                failing: on,
            },
            Told::Denied { worker, message } => Self::Denied {
                worker: worker.to_string(),
                message,
            },
            Told::Line(line) => Self::Log {
                speaker: line.speaker.map(|speaker| speaker.to_string()),
                level: Level::of(line.level),
                text: line.text,
            },
            Told::Missed(events) => Self::Missed { events },
        }
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
    fn of(class: scheduler::Class) -> Self {
        use scheduler::Class;
        match class {
            Class::Trap => Self::Trap,
            Class::Permanent => Self::Permanent,
            Class::WorkerFault => Self::WorkerFault,
            Class::Lost => Self::Lost,
            // The others are no failures and are not told.
            Class::Transient | Class::Ok | Class::Busy | Class::Host | Class::Neutral => Self::Transient,
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
    pub(super) fn of(health: scheduler::Health) -> Self {
        use scheduler::Health as From;
        match health {
            From::Healthy => Self::Healthy,
            From::Suspect => Self::Suspect,
            From::Quarantined { .. } => Self::Quarantined,
            From::Probation { .. } => Self::Probation,
            From::Busy { .. } => Self::Busy,
            From::Draining => Self::Draining,
            From::Evicted(_) => Self::Evicted,
            From::Gone => Self::Gone,
        }
    }

    const ALL: [Self; 8] = [
        Self::Healthy,
        Self::Suspect,
        Self::Quarantined,
        Self::Probation,
        Self::Busy,
        Self::Draining,
        Self::Evicted,
        Self::Gone,
    ];

    /// From the report's word for it. There is no other word.
    pub(super) fn of_word(word: &str) -> Self {
        let found = Self::ALL.into_iter().find(|health| health.to_string() == word);
        found.unwrap_or_default()
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
    use scheduler::{Evicted, Moment};

    use super::*;
    use crate::report::health_word;

    #[test]
    fn health_has_the_words_of_the_report() {
        use scheduler::Health as From;
        let (until, round) = (Moment::START, 1);
        for health in [
            From::Healthy,
            From::Suspect,
            From::Quarantined { until, round },
            From::Probation { round },
            From::Busy { until },
            From::Draining,
            From::Evicted(Evicted::Unfit),
            From::Gone,
        ] {
            assert_eq!(Health::of_word(&health_word(health)), Health::of(health));
        }
    }
}
