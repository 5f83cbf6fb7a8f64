//! A worker that requests the first URL of a line, drops that request when the second has answered, and returns the third.
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::task::Poll;

use disperse_guest::{Action, AsyncWorker, Failure, OrFail, Text, export_async_worker, http};

#[derive(Default)]
struct Abandon;

impl AsyncWorker for Abandon {
    type Input = Text<String>;
    type Output = Text<String>;

    async fn handle(&self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        let mut urls = action.input.0.split(' ').map(|url| http::get(url).fetch_async());
        let (Some(first), Some(second), Some(third)) = (urls.next(), urls.next(), urls.next()) else {
            return Err(Failure::permanent("three URLs are wanted"));
        };
        let mut first = Box::pin(first);
        let early = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready())).await;
        second.await.map_err(|problem| problem.to_string()).or_permanent()?;
        drop(first);
        let last = third.await.map_err(|problem| problem.to_string()).or_permanent()?;
        Ok(Text(format!("{early} {}", last.text())))
    }
}

export_async_worker!(Abandon);
