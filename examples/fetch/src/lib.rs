//! A worker that fetches: each line has URLs, which it requests all at once, and the result has the status of each.
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use disperse_guest::{Action, AsyncWorker, Failure, Text, export_async_worker, http};

#[derive(Default)]
struct Fetch;

impl AsyncWorker for Fetch {
    type Input = Text<String>;
    type Output = Text<String>;

    async fn handle(&self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        let lines = all(action.input.0.split_whitespace().map(fetch)).await;
        Ok(Text(lines.into_iter().collect::<Result<Vec<_>, _>>()?.join("\n")))
    }
}

/// Returns status, size and URL. The variable TOKEN, if set, is sent as a header: it holds a placeholder, which the host
/// replaces by the secret.
async fn fetch(url: &str) -> Result<String, Failure> {
    let mut request = http::get(url);
    if let Ok(token) = std::env::var("TOKEN") {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    match request.fetch_async().await {
        // It may succeed later, or on another worker.
        Ok(response) if response.status >= 500 => Err(Failure::retryable(format!("{} {url}", response.status))),
        Ok(response) => Ok(format!("{} {:>7} {url}", response.status, response.body.len())),
        // The other workers of the pool have the same grants.
        Err(denied @ http::Problem::Denied(_)) => Err(Failure::permanent(denied.to_string())),
        Err(problem) => Err(Failure::retryable(problem.to_string())),
    }
}

/// A future, and its output once it is ready.
struct Open<F: Future>(Pin<Box<F>>, Option<F::Output>);

/// Polls all of them until the last is ready; the outputs are in their order.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<Open<F>> = futures.map(|future| Open(Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for Open(future, output) in open.iter_mut().filter(|one| one.1.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        if open.iter().all(|one| one.1.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    open.into_iter().filter_map(|one| one.1).collect()
}

export_async_worker!(Fetch);
