//! `http` and `http-async`: from the guest's words to those of the room that knows HTTP.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use wasmtime::{
    Result, StoreContextMut,
    component::{FutureReader, LinkerInstance},
};

use super::others_first;
use crate::{
    http::{Access, Cause, Held, Problem, Request, Response},
    sandbox::{
        abi::{Header, HttpProblem, HttpRequest, HttpResponse},
        calls::Calls,
        state::State,
    },
};

type Answer = Result<HttpResponse, HttpProblem>;

pub(super) fn link(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "fetch",
        |mut store: StoreContextMut<'_, State>, (request,): (HttpRequest,)| {
            Box::new(async move {
                let answer = match Call::new(&mut store, request).await? {
                    Ok(call) => call.make().await,
                    Err(problem) => Err(problem),
                };
                // What is counted is counted until it is the guest's.
                let (answer, _held) = split(answer);
                Ok((answer,))
            })
        },
    )
}

pub(super) fn link_async(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "fetch",
        |mut store: StoreContextMut<'_, State>, (request,): (HttpRequest,)| {
            Box::new(async move {
                // A task of its own: it is on its way before the guest first waits for it.
                let call = Call::new(&mut store, request)
                    .await?
                    .map(|call| Task(tokio::spawn(call.make())));
                let answer = async move {
                    let answer = match call {
                        Ok(mut task) => (&mut task.0).await.unwrap_or_else(|error| {
                            Err(Problem::Unreachable(
                                Cause::Other,
                                format!("the request was given up: {error}"),
                            ))
                        }),
                        Err(problem) => Err(problem),
                    };
                    let (answer, _held) = split(answer);
                    Ok::<_, wasmtime::Error>(answer)
                };
                let reader: FutureReader<Answer> = FutureReader::new(store, answer)?;
                Ok((reader,))
            })
        },
    )
}

/// How many bytes it has.
fn size(request: &HttpRequest) -> usize {
    let headers = request
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.len());
    request.verb.len() + request.url.len() + request.body.len() + headers.sum::<usize>()
}

/// A request on its way. Dropping it abandons the request.
struct Task(JoinHandle<Result<Response, Problem>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that may begin, with the time that it has.
struct Call {
    access: Arc<Access>,
    request: Request,
    time: Duration,
    held: Held,
}

impl Call {
    /// # Errors
    /// The guest is no worker; traps it. Within: it sends too much.
    async fn new(store: &mut StoreContextMut<'_, State>, request: HttpRequest) -> Result<Result<Self, Problem>> {
        Calls::attribute(store)?;
        others_first(size(&request)).await;
        let worker = store.data_mut().worker()?;
        let (access, time) = (worker.http.clone(), worker.time(request.timeout));
        let request = Request::from(request);
        Ok(access.hold(&request).map(|held| Self {
            access,
            request,
            time,
            held,
        }))
    }

    async fn make(self) -> Result<Response, Problem> {
        let answer = self.access.fetch(self.request, self.time).await;
        drop(self.held);
        answer
    }
}

impl From<HttpRequest> for Request {
    fn from(request: HttpRequest) -> Self {
        Self {
            verb: request.verb,
            url: request.url,
            headers: request
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            body: request.body.into(),
            ..Self::default()
        }
    }
}

/// An answer as the guest gets it, and what counts until it has it.
fn split(answer: Result<Response, Problem>) -> (Answer, Option<Held>) {
    match answer {
        Ok(response) => {
            let headers = response.headers.into_iter();
            let answer = HttpResponse {
                status: response.status,
                headers: headers.map(|(name, value)| Header { name, value }).collect(),
                body: response.body,
            };
            (Ok(answer), Some(response.held))
        }
        Err(problem) => (Err(problem.into()), None),
    }
}

impl From<Problem> for HttpProblem {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Denied(why) => Self::Denied(why),
            Problem::Invalid(why) => Self::Invalid(why),
            Problem::Timeout(why) => Self::Timeout(why),
            Problem::Unreachable(_, why) => Self::Unreachable(why),
            Problem::Oversize(_, why) => Self::Oversize(why),
        }
    }
}
