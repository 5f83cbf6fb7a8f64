//! The interface of a native operation's tasks.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::operation::NativePort;
use disperse_protocol::inbox::{self, FailureReason, Options};

/// Why a task failed. Any error, or text: `"no such user".into()`.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// An action that a task sends to the workers.
#[derive(Clone, Debug)]
pub struct Action {
    kind: Arc<str>,
    payload: Bytes,
    options: Options,
}

impl Action {
    /// An action of this kind, which selects the pool. The payload is any bytes, also none; their meaning is agreed
    /// between the task and the worker. Components accept at most the [limit](crate::Limits::result_size) of their
    /// pool.
    pub fn new(kind: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self {
            kind: kind.into(),
            payload: payload.into(),
            options: Options::default(),
        }
    }

    /// The priority: higher goes first. Default 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// The most time for one attempt, if less than the pool's limit. Zero: the pool's limit, which is the default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// The most time in all, from when it is sent, with retries and waits for quotas. Zero: unlimited, which is the
    /// default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// The most fuel for one attempt, if less than the pool's limit; a second of computation burns 1 to 20 billion
    /// units. Zero: the pool's limit, which is the default. Native workers use none.
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.options.fuel = fuel;
        self
    }

    /// The most failed attempts. Zero: as the run's policy sets, which is the default.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// Whether performing it twice does no harm. Then a slow attempt may get a second one in parallel. Default false.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = idempotent;
        self
    }
}

/// One task of a native operation: its input, and its access to workers and to the output. See
/// [`Operation::native`](crate::Operation::native).
///
/// Clones are the same task. They may be moved to other threads and tokio tasks, and be waited on there, also by
/// blocking. Once the task's own future has ended, its pending actions are cancelled.
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

    /// Its input.
    pub fn input(&self) -> &Bytes {
        self.0.input()
    }

    /// Sends an action and waits for its result. Many may be awaited at once, with `join_all` or the like; those above
    /// the limit of [actions in flight](crate::Limits::actions_in_flight) wait, and all wait while the host is short of
    /// memory.
    ///
    /// # Errors
    /// The action ended without a result: the [`Refusal`] holds the reason. The run goes on.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the action; a running attempt is stopped.
    pub async fn perform(&self, action: Action) -> Result<Bytes, Refusal> {
        let Action { kind, payload, options } = action;
        let done = self.0.perform(inbox::Action { kind, payload }, options).await;
        done.map_err(Refusal::of)
    }

    /// Writes these bytes to the run's output at once, as one [`Event::Output`](crate::Event::Output). Waits while 16
    /// MiB of output are unread. Not needed for the task's own result, which is written when the task ends.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing is written.
    pub async fn output(&self, bytes: impl Into<Bytes>) {
        self.0.output(bytes.into()).await;
    }
}

/// Why an action of a task has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
#[non_exhaustive]
pub struct Refusal {
    /// The class of the reason.
    pub reason: Reason,
    /// The details, for people; a line for each failed attempt.
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
    /// A worker reported that it can never succeed.
    Permanent,
    /// All attempts that it was allowed failed.
    Exhausted,
    /// It made several healthy workers fail in the same way.
    Poison,
    /// No pool serves its kind, or no worker of the kind is left.
    Unroutable,
    /// Its task cancelled it, or the run was stopped.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// Its payload or its result exceeded the limit.
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
