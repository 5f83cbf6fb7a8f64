//! What a native worker sees.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::End;

use crate::worker::{NativeAttempt, NativeCall};

/// One try of an action on one worker, as a native worker is given it: see [`Pool::native`](crate::Pool::native).
///
/// The same action may be tried several times, on different workers and, for an action that is
/// [idempotent](crate::Action::idempotent), on two at once.
#[derive(Debug)]
pub struct Attempt(NativeAttempt);

impl Attempt {
    /// What is to be worked on, as its asker wrote it. May be empty. Shared and not copied.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Which sort of action it is. Any text, also an empty one.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Who makes the attempt, as `pool/worker`.
    pub fn worker(&self) -> &str {
        &self.0.worker
    }

    /// Names the action: the same text on every attempt, and another one in every run, as in `20261124-162024-kqztb-3-1` for the
    /// first request of task 3. So it is an idempotency key.
    pub fn key(&self) -> String {
        self.0.action.in_run(&self.0.run)
    }

    /// The number of the action among all of its run, from 1, by which events name it: the same on every attempt.
    pub fn action(&self) -> u64 {
        self.0.id.action.0
    }

    /// Which attempt of the action this is, from 1.
    pub fn number(&self) -> u32 {
        self.0.id.number
    }

    /// Tells what a service said about a quota of this worker: how many units are left in the window, and in how long it starts
    /// afresh; zero: unknown. `bucket` is the quota's [name](crate::Quota::name). It is taken note of when the attempt ends; the
    /// last word on each bucket counts, and of no more than 16.
    pub fn report_quota(&self, bucket: &str, remaining: u32, resets: Duration) {
        self.0.report(bucket, remaining, resets);
    }

    /// How long the attempt may still take. When that is zero its future is dropped.
    pub fn remaining(&self) -> Duration {
        self.0.cut.saturating_duration_since(Instant::now())
    }
}

/// Why a native worker has no result. What it says is a hint, as for the `failure` of a component's worker: the host decides
/// what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It may work another time or elsewhere: the action goes to a different worker. Says why.
    #[error("{0}")]
    Retryable(String),
    /// It can never work: the action itself is at fault and is not tried again. Says why.
    #[error("{0}")]
    Permanent(String),
    /// This worker is at its limit and gets nothing for so long; zero: it does not know how long. Costs no attempt.
    #[error("busy")]
    Busy(Duration),
    /// This worker can do no more work. The action goes elsewhere at no cost; if another worker can do it, this one is evicted.
    /// Says why.
    #[error("{0}")]
    Unfit(String),
}

impl Failure {
    /// [`Failure::Retryable`], for `map_err`. At most 4 KiB of the text are kept, as of all such texts.
    pub fn retryable(why: impl fmt::Display) -> Self {
        Self::Retryable(why.to_string())
    }

    /// [`Failure::Permanent`], for `map_err`.
    pub fn permanent(why: impl fmt::Display) -> Self {
        Self::Permanent(why.to_string())
    }

    /// [`Failure::Busy`]. Zero: it is not known for how long.
    pub fn busy(wait: Duration) -> Self {
        Self::Busy(wait)
    }

    /// [`Failure::Unfit`], for `map_err`.
    pub fn unfit(why: impl fmt::Display) -> Self {
        Self::Unfit(why.to_string())
    }
}

/// A user's function as the one that workers call.
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

/// What the scheduler is told, and the words.
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
