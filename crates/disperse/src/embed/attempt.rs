//! The interface of a native worker: its attempt and its failures.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::End;

use crate::worker::{NativeAttempt, NativeCall};

/// One attempt of an action on one native worker: see [`Pool::native`](crate::Pool::native).
///
/// An action may have several attempts, on different workers, and two at once if it is
/// [idempotent](crate::Action::idempotent).
#[derive(Debug)]
pub struct Attempt(NativeAttempt);

impl Attempt {
    /// The payload of the action, as the task sent it. May be empty. Shared, not copied.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The kind of the action. Any text, also an empty one.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The name of the worker, as `pool/worker`.
    pub fn worker(&self) -> &str {
        &self.0.worker
    }

    /// The key of the action: the same text on every attempt, different in every run, as in `20261124-162024-kqztb-3-1`
    /// for the first request of task 3. It serves as an idempotency key.
    pub fn key(&self) -> String {
        self.0.action.in_run(&self.0.run)
    }

    /// The number of the action within its run, from 1, which events use: the same on every attempt.
    pub fn action(&self) -> u64 {
        self.0.id.action.0
    }

    /// The number of this attempt of the action, from 1.
    pub fn number(&self) -> u32 {
        self.0.id.number
    }

    /// Reports a quota of this worker as a service states it: the units left in the window, and the time until the
    /// window restarts; zero: unknown. `bucket` is the quota's [name](crate::Quota::name). Reports take effect when the
    /// attempt ends: the last one of each bucket, of at most 16 buckets.
    pub fn report_quota(&self, bucket: &str, remaining: u32, resets: Duration) {
        self.0.report(bucket, remaining, resets);
    }

    /// The time that the attempt has left. At zero its future is dropped.
    pub fn remaining(&self) -> Duration {
        self.0.cut.saturating_duration_since(Instant::now())
    }
}

/// Why an attempt of a native worker has no result. It is a hint, as the `failure` of a component's worker is: the host
/// decides what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The action may succeed later or on another worker: it goes to a different worker. Holds the reason.
    #[error("{0}")]
    Retryable(String),
    /// The action can never succeed: it is itself at fault and is not retried. Holds the reason.
    #[error("{0}")]
    Permanent(String),
    /// This worker is at its limit and gets no work for this long; zero: unknown. Costs no attempt.
    #[error("busy")]
    Busy(Duration),
    /// This worker can do no more work. The action goes to another worker at no cost; if one can do it, this worker is
    /// evicted. Holds the reason.
    #[error("{0}")]
    Unfit(String),
}

impl Failure {
    /// [`Failure::Retryable`], for `map_err`. At most 4 KiB of the text are kept; the same holds for the other
    /// variants.
    pub fn retryable(why: impl fmt::Display) -> Self {
        Self::Retryable(why.to_string())
    }

    /// [`Failure::Permanent`], for `map_err`.
    pub fn permanent(why: impl fmt::Display) -> Self {
        Self::Permanent(why.to_string())
    }

    /// [`Failure::Busy`]. Zero: unknown for how long.
    pub fn busy(wait: Duration) -> Self {
        Self::Busy(wait)
    }

    /// [`Failure::Unfit`], for `map_err`.
    pub fn unfit(why: impl fmt::Display) -> Self {
        Self::Unfit(why.to_string())
    }
}

/// Wraps a user's function as the call that workers make.
pub(super) fn native<F, A, R>(work: F) -> NativeCall
where
    F: Fn(Attempt) -> A + Send + Sync + 'static,
    A: Future<Output = Result<R, Failure>> + Send + 'static,
    R: Into<Bytes>,
{
    Arc::new(move |attempt| {
        let made = work(Attempt(attempt));
        Box::pin(async move { made.await.map(Into::into).map_err(end) })
    })
}

/// What the scheduler gets of a failure, and its text.
fn end(failure: Failure) -> (End, String) {
    let text = failure.to_string();
    let end = match failure {
        Failure::Retryable(_) => End::Transient,
        Failure::Permanent(_) => End::Permanent,
        Failure::Busy(wait) => End::Busy { wait },
        Failure::Unfit(_) => End::Unfit,
    };
    (end, text)
}
