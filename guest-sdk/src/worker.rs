//! The role of a worker, which performs actions.

use std::fmt::{self, Display};
use std::future::Future;
use std::time::Duration;

use crate::action::{Action, to_ms};
use crate::bindings::imports;
use crate::codec::{Decode, Encode};
use crate::http::Problem;

/// Performs actions, one at a time. Export it with [`export_worker!`](crate::export_worker).
///
/// `self` is the state of the instance, initially `Default`: a cache or a connection may be kept for the next action,
/// and may be lost at any moment. Settings are environment variables.
pub trait Worker: Default + 'static {
    /// The input of an action. Plain serde types are encoded as JSON; see [`codec`](crate::codec).
    type Input: Decode;
    /// The result of an action.
    type Output: Encode;

    /// Performs one action. An input that cannot be decoded does not get here: it is a permanent failure.
    ///
    /// # Errors
    /// A [`Failure`] tells whether the action or this worker is at fault, which decides what happens next. A panic
    /// counts as a retryable failure and costs the instance.
    fn handle(&mut self, action: Action<Self::Input>) -> Result<Self::Output, Failure>;
}

/// As [`Worker`], with several actions at once where the pool allows it, for work that waits. Export it with
/// [`export_async_worker!`](crate::export_async_worker).
///
/// `&self` is shared by the actions in flight, so state that changes goes into a `Cell` or `RefCell`; do not
/// hold a borrow over an `await`.
pub trait AsyncWorker: Default + 'static {
    /// As in [`Worker`].
    type Input: Decode;
    /// As in [`Worker`].
    type Output: Encode;

    /// As in [`Worker`]; write it as `async fn handle(&self, action: Action<Self::Input>) -> Result<..>`.
    fn handle(&self, action: Action<Self::Input>) -> impl Future<Output = Result<Self::Output, Failure>>;
}

/// Why a worker did not perform an action.
///
/// `?` converts many errors to a failure: what was wrong with the *input* (JSON, numbers, UTF-8) becomes permanent; what
/// was wrong with the *world* (`std::io::Error`) and bare texts become retryable; an
/// [`http::Problem`](crate::http::Problem) becomes the sort that fits it. For all others, and to override this, use
/// [`OrFail`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed later or elsewhere. The action goes to a different worker.
    Retryable(String),
    /// It can never work: the action itself is at fault. It is not tried again.
    Permanent(String),
    /// This worker is at its limit (a quota, a rate limit) for this long; zero: unknown. Costs no attempt.
    Busy(Duration),
    /// This worker can do no more work, for instance because its credential was revoked. The action goes to
    /// another one at no cost; if that can do it, this worker is evicted.
    Unfit(String),
}

impl Failure {
    /// It may succeed later or elsewhere.
    pub fn retryable(why: impl Display) -> Self {
        Self::Retryable(format!("{why:#}"))
    }

    /// It can never work: the action itself is at fault.
    pub fn permanent(why: impl Display) -> Self {
        Self::Permanent(format!("{why:#}"))
    }

    /// This worker is at its limit: not before this long, rounded up to whole ms. Zero: unknown.
    #[must_use]
    pub fn busy(wait: Duration) -> Self {
        Self::Busy(wait)
    }

    /// This worker can do no more work. The action goes to another one at no cost; if that can do it, this worker is
    /// evicted.
    pub fn unfit(why: impl Display) -> Self {
        Self::Unfit(format!("{why:#}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(why) => write!(f, "retryable: {why}"),
            Self::Permanent(why) => write!(f, "permanent: {why}"),
            Self::Busy(wait) if wait.is_zero() => write!(f, "busy"),
            Self::Busy(wait) => write!(f, "busy for {} ms", to_ms(*wait)),
            Self::Unfit(why) => write!(f, "unfit: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for imports::types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retryable(why) => Self::Retryable(why),
            Failure::Permanent(why) => Self::Permanent(why),
            Failure::Busy(wait) => Self::Busy(to_ms(wait)),
            Failure::Unfit(why) => Self::Unfit(why),
        }
    }
}

/// Converts the errors that `?` accepts, each to one sort of failure.
macro_rules! becomes {
    ($sort:ident: $($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$sort(error.to_string())
            }
        })*
    };
}

becomes!(Permanent:
    crate::codec::CodecError,
    serde_json::Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
);
becomes!(Retryable: std::io::Error, String, &str);

impl From<Problem> for Failure {
    /// A fault of the request is permanent, a fault of the network retryable. A request that was not granted is
    /// retryable too: another worker of the pool may have the grant.
    fn from(problem: Problem) -> Self {
        match &problem {
            Problem::Invalid(_) | Problem::Oversize(_) => Self::permanent(problem),
            Problem::Denied(_) | Problem::Timeout(_) | Problem::Unreachable(_) => Self::retryable(problem),
        }
    }
}

impl From<crate::exec::Problem> for Failure {
    /// A program that writes too much does so on every worker. All other problems may not occur on another one.
    fn from(problem: crate::exec::Problem) -> Self {
        match &problem {
            crate::exec::Problem::Oversize(_) => Self::permanent(problem),
            _ => Self::retryable(problem),
        }
    }
}

/// Selects the sort of failure that an error becomes, before `?`.
///
/// ```
/// use disperse_guest::{Failure, OrFail};
///
/// fn first(words: &str) -> Result<&str, Failure> {
///     words.split(' ').next().filter(|word| !word.is_empty()).ok_or("there is no word").or_permanent()
/// }
/// assert_eq!(first(""), Err(Failure::permanent("there is no word")));
/// ```
pub trait OrFail<T> {
    /// The action is at fault: it is not retried.
    ///
    /// # Errors
    /// [`Failure::Permanent`] with the text of the error.
    fn or_permanent(self) -> Result<T, Failure>;
    /// By chance: the action is retried on another worker.
    ///
    /// # Errors
    /// [`Failure::Retryable`] with the text of the error.
    fn or_retryable(self) -> Result<T, Failure>;
    /// This worker is at fault, and can do no more work.
    ///
    /// # Errors
    /// [`Failure::Unfit`] with the text of the error.
    fn or_unfit(self) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_permanent(self) -> Result<T, Failure> {
        self.map_err(Failure::permanent)
    }

    fn or_retryable(self) -> Result<T, Failure> {
        self.map_err(Failure::retryable)
    }

    fn or_unfit(self) -> Result<T, Failure> {
        self.map_err(Failure::unfit)
    }
}

/// The current attempt, as far as a worker can know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Names this action: the same on every attempt, another one in every run. An idempotency key.
    pub action: String,
    /// Which attempt of the action this is, from 1.
    pub number: u32,
    /// How long until the attempt is ended.
    pub remaining: Duration,
    /// The name of this worker.
    pub worker: String,
}

/// Returns the current attempt. Only `handle` may call it: elsewhere it traps.
#[must_use]
pub fn attempt() -> Attempt {
    let info = imports::attempt::current();
    Attempt {
        action: info.action,
        number: info.number,
        remaining: Duration::from_millis(info.remaining.into()),
        worker: info.worker,
    }
}

/// Reports a quota window of this worker, as a server gave it: how many units are left, and in how long the window
/// starts again (zero: unknown). It corrects the host's own count; an older report changes nothing. An empty `bucket`
/// means the worker's only one. Only `handle` may call it.
pub fn report_quota(bucket: &str, remaining: u32, resets: Duration) {
    let bucket = bucket.to_owned();
    imports::quota::update(&imports::quota::Report {
        bucket,
        remaining,
        resets: to_ms(resets),
    });
}

/// Called by the export macros: decodes the bytes of the contract, and encodes the results.
#[doc(hidden)]
pub(crate) mod glue {
    use super::{Action, AsyncWorker, Decode, Encode, Failure, Worker, imports};

    type Outcome = Result<Vec<u8>, imports::types::Failure>;

    fn given<I: Decode>(action: imports::types::Action) -> Result<Action<I>, Failure> {
        match I::decode(action.payload) {
            Ok(input) => Ok(Action::new(action.kind, input)),
            Err(why) => Err(Failure::Permanent(match action.kind.as_str() {
                "" => format!("the input cannot be read: {why}"),
                kind => format!("the input of `{kind}` cannot be read: {why}"),
            })),
        }
    }

    fn came_to<O: Encode>(outcome: Result<O, Failure>) -> Outcome {
        Ok(outcome?
            .encode()
            .map_err(|why| Failure::permanent(format!("the result cannot be encoded: {why}")))?)
    }

    pub fn handle<T: Worker>(worker: &mut T, action: imports::types::Action) -> Outcome {
        came_to(worker.handle(given(action)?))
    }

    pub async fn handle_async<T: AsyncWorker>(worker: &T, action: imports::types::Action) -> Outcome {
        came_to(worker.handle(given(action)?).await)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use imports::types;

    #[derive(Default)]
    struct Sum(u32);

    impl Worker for Sum {
        type Input = u32;
        type Output = u32;

        fn handle(&mut self, action: Action<u32>) -> Result<u32, Failure> {
            self.0 = self.0.checked_add(action.input).ok_or("too much").or_permanent()?;
            Ok(self.0)
        }
    }

    fn action(payload: &str) -> types::Action {
        types::Action {
            kind: "sum".to_owned(),
            payload: payload.as_bytes().to_vec(),
        }
    }

    #[test]
    fn worker_keeps_its_state() {
        let mut sum = Sum::default();
        assert_eq!(glue::handle(&mut sum, action("3")).unwrap(), b"3");
        assert_eq!(glue::handle(&mut sum, action("4")).unwrap(), b"7");
    }

    #[test]
    fn input_that_cannot_be_decoded_is_permanent() {
        match glue::handle(&mut Sum::default(), action("-3")).unwrap_err() {
            types::Failure::Permanent(why) => assert!(why.starts_with("the input of `sum` cannot be read"), "{why}"),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn errors_convert_to_their_sort() {
        fn of(failure: impl Into<Failure>) -> Failure {
            failure.into()
        }
        assert!(matches!(of("x".parse::<u8>().unwrap_err()), Failure::Permanent(_)));
        assert!(matches!(
            of(serde_json::from_str::<u8>("x").unwrap_err()),
            Failure::Permanent(_)
        ));
        assert!(matches!(of(std::io::Error::other("x")), Failure::Retryable(_)));
        assert!(matches!(of("x"), Failure::Retryable(_)));
        assert!(matches!(of(Problem::Invalid("x".to_owned())), Failure::Permanent(_)));
        assert!(matches!(of(Problem::Timeout("x".to_owned())), Failure::Retryable(_)));
        assert_eq!(Err::<(), _>("x").or_unfit(), Err(Failure::unfit("x")));
    }

    #[test]
    fn busy_time_is_rounded_up_to_ms() {
        let busy = Failure::busy(Duration::from_micros(1500));
        assert_eq!(busy.to_string(), "busy for 2 ms");
        assert!(matches!(types::Failure::from(busy), types::Failure::Busy(2)));
    }
}
