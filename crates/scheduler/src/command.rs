//! Everything that the scheduler can ask for. The whole list is here and nowhere else.

use std::fmt;

use crate::{
    ids::{ActionId, AttemptId, KindId, PoolId, WorkerId},
    moment::Moment,
    outcome::{Health, Outcome, Verdict},
};

/// What is to be done now, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Give this attempt to this worker. Exactly one [`Event::AttemptEnded`](crate::Event::AttemptEnded) is expected
    /// for it, unless the worker leaves.
    Assign {
        /// The new attempt.
        attempt: AttemptId,
        /// The worker that makes it.
        worker: WorkerId,
    },
    /// This attempt takes much longer than such attempts do. Its action gets a second one beside it: the
    /// [`Assign`](Command::Assign) that follows. For reports only.
    Hedge {
        /// The slow one.
        attempt: AttemptId,
    },
    /// Stop an attempt that is not needed any more. Its end is still expected; the worker's slot is free only then.
    Stop {
        /// Which.
        attempt: AttemptId,
        /// The worker that makes it.
        worker: WorkerId,
    },
    /// Tell the task. Exactly once for each action; the payload can be forgotten.
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
        /// The worker that made it.
        worker: WorkerId,
        /// When the next may start: now, unless every worker was tried.
        at: Moment,
    },
    /// A failure has a verdict. For reports.
    Judged {
        /// The last attempt of the action that failed there.
        attempt: AttemptId,
        /// The worker that failed it.
        worker: WorkerId,
        /// What came of it.
        verdict: Verdict,
    },
    /// Everything fails on every worker: from now on a pool is only probed, and no worker is judged. Or
    /// that is over. For reports.
    Systemic {
        /// Which pool.
        pool: PoolId,
        /// Whether it begins or is over.
        on: bool,
    },
    /// A worker is bad at a kind and good at others: it is given nothing of that kind until then, or again. For
    /// reports.
    Barred {
        /// The worker.
        worker: WorkerId,
        /// Which kind.
        kind: KindId,
        /// Until when. None: it is given such actions again.
        until: Option<Moment>,
    },
    /// The health of a worker changed. For reports and the journal.
    HealthChanged {
        /// The worker.
        worker: WorkerId,
        /// Its health now.
        health: Health,
    },
}

impl fmt::Display for Command {
    /// One line, as scripts of the tests and a recorded schedule have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assign { attempt, worker } => write!(f, "assign {attempt} {worker}"),
            Self::Hedge { attempt } => write!(f, "hedge {attempt}"),
            Self::Stop { attempt, worker } => write!(f, "stop {attempt} {worker}"),
            Self::Settle { action, outcome } => write!(f, "settle {action} {outcome}"),
            Self::Retry { attempt, worker, at } => write!(f, "retry {attempt} {worker} at={at}"),
            Self::Judged {
                attempt,
                worker,
                verdict,
            } => write!(f, "judged {attempt} {worker} {verdict}"),
            Self::Systemic { pool, on } => write!(f, "systemic {pool} {}", if *on { "on" } else { "off" }),
            Self::Barred { worker, kind, until } => match until {
                Some(until) => write!(f, "barred {worker} {kind} until={until}"),
                None => write!(f, "barred {worker} {kind} no more"),
            },
            Self::HealthChanged { worker, health } => write!(f, "health {worker} {health}"),
        }
    }
}
