//! Everything that the scheduler can ask for. The whole list is here and nowhere else.

use std::fmt;

use crate::{
    ids::{ActionId, AttemptId, WorkerId},
    moment::Moment,
    outcome::{Health, Outcome},
};

/// What is to be done now, in the order in which it was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Give this attempt to this worker. Exactly one [`Event::AttemptEnded`](crate::Event::AttemptEnded) is expected
    /// for it, unless the worker leaves.
    Assign {
        /// The new attempt.
        attempt: AttemptId,
        /// Who makes it.
        worker: WorkerId,
    },
    /// Stop an attempt that nobody needs any more. Its end is still expected; the worker's slot is free only then.
    Stop {
        /// Which.
        attempt: AttemptId,
        /// Who makes it.
        worker: WorkerId,
    },
    /// Tell the asker. Exactly once for each action; the payload can be forgotten.
    Settle {
        /// Which action.
        action: ActionId,
        /// How it ended.
        outcome: Outcome,
    },
    /// An action failed and will be tried again. For reports only.
    Retry {
        /// The attempt that failed.
        attempt: AttemptId,
        /// Who made it.
        worker: WorkerId,
        /// When the next may start: now, unless every worker was tried.
        at: Moment,
    },
    /// A worker is thought of differently now. For reports and the journal.
    HealthChanged {
        /// Who.
        worker: WorkerId,
        /// What is thought of it now.
        health: Health,
    },
}

impl fmt::Display for Command {
    /// One line, as scripts of the tests and a recorded schedule have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assign { attempt, worker } => write!(f, "assign {attempt} {worker}"),
            Self::Stop { attempt, worker } => write!(f, "stop {attempt} {worker}"),
            Self::Settle { action, outcome } => write!(f, "settle {action} {outcome}"),
            Self::Retry { attempt, worker, at } => write!(f, "retry {attempt} {worker} at={at}"),
            Self::HealthChanged { worker, health } => write!(f, "health {worker} {health}"),
        }
    }
}
