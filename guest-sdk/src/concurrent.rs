//! Requests for actions from the async `run` of an [`AsyncOperation`](crate::AsyncOperation): many may be open at once,
//! and each answer is a future. The rules are those of the blocking functions at the top of the crate.
//!
//! The futures work with every combinator, such as those of the `futures` crate, but only with the executor of the
//! component that this crate brings.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::action::{Action, Refusal, settle, to_ms};
use crate::bindings::imports::host_async;
use crate::codec::{Decode, Encode};
use crate::many::OPEN_MAX;

impl<I: Encode> Action<I> {
    /// Requests the action at once, and returns a future of its result. For [`AsyncOperation`](crate::AsyncOperation).
    pub fn start<O: Decode + 'static>(self) -> Answer<O> {
        let kind = self.kind.clone();
        let (action, options) = match self.into_wit() {
            Ok(asked) => asked,
            Err(refusal) => return Answer(Box::pin(std::future::ready(Err(refusal)))),
        };
        let outcome = if options.is_default() {
            host_async::submit(&action)
        } else {
            host_async::submit_with(&action, options.to_wit())
        };
        Answer(Box::pin(async move { settle(&kind, outcome.await) }))
    }
}

/// Requests an action at once, and returns a future of its result. `Action::new(kind, input).start()` also takes
/// options.
pub fn submit<O: Decode + 'static>(kind: &str, input: impl Encode) -> Answer<O> {
    Action::new(kind, input).start()
}

/// Requests one action and waits for its result.
///
/// # Errors
/// As [`Action::perform`].
pub async fn perform<O: Decode + 'static>(kind: &str, input: impl Encode) -> Result<O, Refusal> {
    submit(kind, input).await
}

/// Requests one action of this kind for each input, up to 1,024 at once, and waits for all of them. The outcomes are in
/// the order of the inputs. Any number of inputs; without any it returns at once.
pub async fn perform_all<O: Decode + 'static>(
    kind: &str,
    inputs: impl IntoIterator<Item = impl Encode>,
) -> Vec<Result<O, Refusal>> {
    // Each is requested before an earlier one is awaited, so that awaiting them one by one delays none of them.
    let mut open: VecDeque<Answer<O>> = VecDeque::new();
    let mut outcomes = Vec::new();
    for input in inputs {
        if open.len() == OPEN_MAX
            && let Some(oldest) = open.pop_front()
        {
            outcomes.push(oldest.await);
        }
        open.push_back(submit(kind, input));
    }
    for answer in open {
        outcomes.push(answer.await);
    }
    outcomes
}

/// Waits for this long of the run's time, rounded up to whole ms. Returns the run's time since its start.
pub async fn sleep(duration: Duration) -> Duration {
    Duration::from_millis(host_async::sleep(to_ms(duration)).await.into())
}

/// The result of a requested action, as a future.
///
/// Dropping it cancels the action. The action is performed whether the future is polled or not.
#[must_use = "dropping it cancels the action"]
pub struct Answer<O>(Pin<Box<dyn Future<Output = Result<O, Refusal>>>>);

impl<O> Future for Answer<O> {
    type Output = Result<O, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<O> fmt::Debug for Answer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").finish()
    }
}
