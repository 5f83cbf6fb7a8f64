//! What a native operation's tasks see.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    inbox::{self, FailureReason, Options},
    operation::NativePort,
};

/// Why a task has no result. Anything that is an error, or text: `"no such user".into()`.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// One piece of work to ask for.
#[derive(Clone, Debug)]
pub struct Action {
    kind: Arc<str>,
    payload: Bytes,
    options: Options,
}

impl Action {
    /// An action of this kind, which chooses the pool. The payload is any bytes, also none; what they mean is between the
    /// task and the worker. Components get at most as much as the [limits](crate::Limits::result_size) of their pool say.
    pub fn new(kind: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self {
            kind: kind.into(),
            payload: payload.into(),
            options: Options::default(),
        }
    }

    /// Higher goes first. Default 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// How long one attempt may take, if that is less than the pool allows. Zero: what the pool allows, which is the default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long it may take in all, from being asked for, with retries and waits for quotas. Zero: for ever, the default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// Units of fuel for one attempt, if that is less than the pool allows; 1 to 20 billion are a second of computation. Zero:
    /// what the pool allows, which is the default. Native workers use none.
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.options.fuel = fuel;
        self
    }

    /// How many attempts may fail before it is given up. Zero: as many as the run says, which is the default.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// Whether a second run of it does no harm. Then a slow attempt may get another one beside it. Default false.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = idempotent;
        self
    }
}

/// One task of a native operation: its input, and its way to workers and to the output. See
/// [`Operation::native`](crate::Operation::native).
///
/// Clones are the same task, and may be moved to other threads and tokio tasks, and waited for there, also by blocking. Once the
/// task's own future has ended, what is still asked for is cancelled.
#[derive(Clone)]
pub struct Task(NativePort);

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.id()).finish()
    }
}

impl Task {
    pub(super) fn new(port: NativePort) -> Self {
        Self(port)
    }

    /// Its number within the run, from 1 in the order of the inputs.
    pub fn id(&self) -> u64 {
        self.0.task().0
    }

    /// The input that it was made for.
    pub fn input(&self) -> &Bytes {
        self.0.input()
    }

    /// Has an action done and waits for its result. Many may be waited for at once, with `join_all` or the like; those beyond
    /// what may be [in flight](crate::Limits::actions_in_flight) wait for a place, and all wait while the host is short of
    /// memory.
    ///
    /// # Errors
    /// The action has ended without a result: the [`Refusal`] says why. Nothing of the run is broken by that.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the action; an attempt that runs is stopped.
    pub async fn perform(&self, action: Action) -> Result<Bytes, Refusal> {
        let Action { kind, payload, options } = action;
        let done = self.0.perform(inbox::Action { kind, payload }, options).await;
        done.map_err(Refusal::of)
    }

    /// Writes to the run's output at once, exactly these bytes, as one [`Event::Output`](crate::Event::Output). Waits while
    /// 16 MiB of output are unread. Not needed for the task's own result, which is written when the task ends.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing is written.
    pub async fn output(&self, bytes: impl Into<Bytes>) {
        self.0.output(bytes.into()).await;
    }
}

/// What a task sees when an action is over and has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
#[non_exhaustive]
pub struct Refusal {
    /// Which sort of end it was.
    pub reason: Reason,
    /// What happened, for people; where attempts failed, one line for each.
    pub message: String,
}

impl Refusal {
    fn of(refusal: inbox::Refusal) -> Self {
        Self {
            reason: Reason::of(refusal.reason.into()),
            message: refusal.message,
        }
    }
}

/// Why an action ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A worker said that it can never work.
    Permanent,
    /// Every attempt that it was given failed.
    Exhausted,
    /// It broke distinct healthy workers in the same way.
    Poison,
    /// No pool serves its kind, or no worker that could do it is left.
    Unroutable,
    /// It was cancelled by its asker or because the run was stopped.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// Its payload or its result was larger than allowed.
    Oversize,
}

impl Reason {
    pub(super) fn of(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Permanent => Self::Permanent,
            FailureReason::Exhausted => Self::Exhausted,
            FailureReason::Poison => Self::Poison,
            FailureReason::Unroutable => Self::Unroutable,
            FailureReason::Cancelled => Self::Cancelled,
            FailureReason::Deadline => Self::Deadline,
            FailureReason::Oversize => Self::Oversize,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Poison => "poison",
            Self::Unroutable => "unroutable",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Oversize => "oversize",
        })
    }
}
