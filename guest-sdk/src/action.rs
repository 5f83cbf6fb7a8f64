//! Requests for single actions from `run`, in the blocking form. [`many`](crate::many) has those for several at once,
//! [`concurrent`](crate::concurrent) the async form.

use std::error::Error;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::imports::{host, types};
use crate::codec::{Decode, Encode};

pub use crate::bindings::imports::types::Reason;

/// One piece of work, which a task requests and a worker performs.
///
/// A task also sets the options on it; a worker sees none of them.
///
/// ```no_run
/// use std::time::Duration;
/// use disperse_guest::Action;
///
/// # fn run() -> Result<(), disperse_guest::Error> {
/// let square: u64 = Action::new("square", 12).timeout(Duration::from_secs(2)).attempts(3).perform()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Action<I> {
    /// The kind of work. It selects the pool. At most 256 bytes; may be empty.
    pub kind: String,
    /// The input of the worker: encoded, at most 8 MiB unless the operator sets another limit.
    pub input: I,
    pub(crate) options: Options,
}

/// The options of the contract; zero always means "the default".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    priority: i32,
    timeout_ms: u32,
    deadline_ms: u32,
    fuel_millions: u32,
    attempts: u32,
    idempotent: bool,
}

impl Options {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn to_wit(self) -> types::Options {
        types::Options {
            priority: self.priority,
            timeout: self.timeout_ms,
            deadline: self.deadline_ms,
            fuel: self.fuel_millions,
            attempts: self.attempts,
            idempotent: self.idempotent,
        }
    }
}

impl<I> Action<I> {
    /// An action of this kind with this input and every option at its default.
    pub fn new(kind: impl Into<String>, input: I) -> Self {
        Self {
            kind: kind.into(),
            input,
            options: Options::default(),
        }
    }

    /// Sets the priority: higher goes first. 0 unless set; negative values go last.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Sets how long one attempt may take; only lowers the pool's timeout, 30 s unless set. Rounded up to whole ms;
    /// zero means the default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout_ms = to_ms(timeout);
        self
    }

    /// Sets how long the action may take from its request until it is settled, retries and quota waits included.
    /// Unlimited unless set. Rounded up to whole ms; zero means the default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline_ms = to_ms(deadline);
        self
    }

    /// Sets the fuel of one attempt, in millions of units; only lowers the pool's fuel, 100,000 (100G) unless set. 0
    /// means the default.
    #[must_use]
    pub fn fuel_millions(mut self, fuel: u32) -> Self {
        self.options.fuel_millions = fuel;
        self
    }

    /// Sets how many attempts may fail before the action fails. 0 means the pool's number.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    /// Declares that performing the action twice does no harm, so that the host may run ahead of its journal and hedge.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }
}

impl<I: Encode> Action<I> {
    /// Requests the action and waits for its result.
    ///
    /// # Errors
    /// When the action ended without a result; see [`Reason`]. Also, as [`Reason::Permanent`], when the input cannot be
    /// encoded or the result is not an `O`.
    pub fn perform<O: Decode>(self) -> Result<O, Refusal> {
        let (action, options) = self.into_wit()?;
        let kind = action.kind.clone();
        let outcome = if options.is_default() {
            host::perform(&action)
        } else {
            host::perform_with(&action, options.to_wit())
        };
        settle(&kind, outcome)
    }

    /// Requests the action and returns at once, unless 1,024 actions of this task are in flight already.
    pub fn submit<O: Decode>(self) -> Pending<O> {
        let kind = self.kind.clone();
        let inner = self.into_wit().map(|(action, options)| {
            if options.is_default() {
                host::submit(&action)
            } else {
                host::submit_with(&action, options.to_wit())
            }
        });
        Pending {
            kind,
            inner,
            output: PhantomData,
        }
    }

    pub(crate) fn into_wit(self) -> Result<(types::Action, Options), Refusal> {
        match self.input.encode() {
            Ok(payload) => Ok((
                types::Action {
                    kind: self.kind,
                    payload,
                },
                self.options,
            )),
            Err(error) => Err(Refusal {
                reason: Reason::Permanent,
                message: format!("the input of `{}` cannot be encoded: {error}", self.kind),
            }),
        }
    }
}

/// Requests one action and waits for its result. `Action::new(kind, input)` also takes options.
///
/// # Errors
/// As [`Action::perform`].
pub fn perform<O: Decode>(kind: &str, input: impl Encode) -> Result<O, Refusal> {
    Action::new(kind, input).perform()
}

/// The host's answer to one action.
pub(crate) type WitOutcome = Result<Vec<u8>, types::Refusal>;

/// Requests an action and returns at once. `Action::new(kind, input)` also takes options.
pub fn submit<O: Decode>(kind: &str, input: impl Encode) -> Pending<O> {
    Action::new(kind, input).submit()
}

/// A requested action whose result has not been taken. Dropping it cancels the action.
#[must_use = "dropping it cancels the action"]
pub struct Pending<O> {
    kind: String,
    inner: Result<host::Pending, Refusal>,
    output: PhantomData<fn() -> O>,
}

impl<O: Decode> Pending<O> {
    /// Waits until the action is settled and returns its result.
    ///
    /// # Errors
    /// As [`Action::perform`].
    pub fn take(self) -> Result<O, Refusal> {
        settle(&self.kind, self.inner?.take())
    }
}

impl<O> fmt::Debug for Pending<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Waits until at least one of these is settled, and returns the indexes of those that are: ascending, never empty. The
/// list is unchanged; [`Pending::take`] on one of them does not wait.
///
/// # Panics
/// When the list is empty, since it would wait forever.
pub fn wait_any<'a, O: 'a>(pendings: impl IntoIterator<Item = &'a Pending<O>>) -> Vec<usize> {
    let mut places = Vec::new();
    let mut waited = Vec::new();
    let mut settled = Vec::new();
    for (place, pending) in pendings.into_iter().enumerate() {
        match &pending.inner {
            Ok(inner) => {
                places.push(place);
                waited.push(inner);
            }
            // It was never requested: its input could not be encoded.
            Err(_) => settled.push(place),
        }
    }
    if settled.is_empty() {
        let ready = host::wait_any(&waited);
        settled.extend(
            ready
                .into_iter()
                .filter_map(|index| places.get(index as usize).copied()),
        );
    }
    settled
}

/// Waits for this long of the run's time, rounded up to whole ms. Returns the run's time since its start.
pub fn sleep(duration: Duration) -> Duration {
    Duration::from_millis(host::sleep(to_ms(duration)).into())
}

/// Why an action ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// How it ended.
    pub reason: Reason,
    /// What happened, for people: for [`Reason::Exhausted`] one line for each attempt.
    pub message: String,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::Permanent => "permanent",
            Reason::Exhausted => "exhausted",
            Reason::Poison => "poison",
            Reason::Unroutable => "unroutable",
            Reason::Cancelled => "cancelled",
            Reason::Deadline => "deadline",
            Reason::Oversize => "oversize",
        };
        write!(f, "{reason}: {}", self.message)
    }
}

impl Error for Refusal {}

impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        Self {
            reason: refusal.reason,
            message: refusal.message,
        }
    }
}

/// Decodes the host's answer into the type that the task requested.
pub(crate) fn settle<O: Decode>(kind: &str, outcome: WitOutcome) -> Result<O, Refusal> {
    O::decode(outcome?).map_err(|error| Refusal {
        reason: Reason::Permanent,
        message: format!("the result of `{kind}` cannot be read: {error}"),
    })
}

/// Whole ms, rounded up so that a short time does not become zero, which would mean the default; at most 49 days.
pub(crate) fn to_ms(duration: Duration) -> u32 {
    duration.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn times_below_a_millisecond_are_rounded_up() {
        assert_eq!(to_ms(Duration::ZERO), 0);
        assert_eq!(to_ms(Duration::from_nanos(1)), 1);
        assert_eq!(to_ms(Duration::from_millis(30_000)), 30_000);
        assert_eq!(to_ms(Duration::MAX), u32::MAX);
    }

    #[test]
    fn options_are_set_on_the_action() {
        let (action, options) = Action::new("k", "x")
            .priority(-2)
            .fuel_millions(5)
            .idempotent()
            .into_wit()
            .unwrap();
        assert_eq!((action.kind.as_str(), action.payload.as_slice()), ("k", &b"\"x\""[..]));
        let options = options.to_wit();
        assert_eq!(
            (options.priority, options.fuel, options.idempotent, options.timeout),
            (-2, 5, true, 0)
        );
        assert!(Action::new("k", "x").options.is_default());
    }

    #[test]
    fn input_that_cannot_be_encoded_fails_without_a_request() {
        let bad = BTreeMap::from([((1, 2), 3)]);
        let refusal = perform::<u32>("k", &bad).unwrap_err();
        assert_eq!(refusal.reason, Reason::Permanent);
        assert!(
            refusal
                .to_string()
                .starts_with("permanent: the input of `k` cannot be encoded"),
            "{refusal}"
        );
        let pending = submit::<u32>("k", &bad);
        assert_eq!(wait_any([&pending]), [0]);
        assert!(pending.take().is_err());
    }

    #[test]
    fn result_of_another_type_is_a_refusal() {
        let refusal = settle::<u32>("k", Ok(b"true".to_vec())).unwrap_err();
        assert!(
            refusal.message.contains("the result of `k` cannot be read"),
            "{refusal}"
        );
        assert_eq!(settle::<u32>("k", Ok(b"3".to_vec())).unwrap(), 3);
    }
}
