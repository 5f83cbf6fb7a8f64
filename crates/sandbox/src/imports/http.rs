//! `http` and `http-async`: converts between the guest's requests and those of the module `http`.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use wasmtime::{
    Result, StoreContextMut,
    component::{FutureReader, LinkerInstance, WasmStr},
};

use super::{
    abi::{Header, HttpProblem, HttpRequest, HttpResponse, WasmHeader},
    calls::Calls,
    charge::{charge, pay},
    state::State,
};
use disperse_egress::http::{Access, Cause, Held, Problem, Request, Response};

/// The least that a request costs, in list elements. Enough to make the guest yield: so a request that it drops is gone
/// before its next one begins.
const REQUEST: usize = 64;

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
                if let Ok(answer) = &answer {
                    charge(&mut store, answer.body.len(), answer.headers.len()).await?;
                }
                // The answer stays charged until the guest has it.
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
                // A separate task, so that the request begins before the guest first waits for it.
                let call = Call::new(&mut store, request)
                    .await?
                    .map(|call| Task(tokio::spawn(call.make())));
                let answer = async move {
                    let answer = match call {
                        Ok(mut task) => (&mut task.0).await.unwrap_or_else(|error| {
                            Err(Problem::Unreachable(
                                Cause::Other,
                                format!("the request was cancelled: {error}"),
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

/// A request in flight. Dropping it cancels the request.
struct Task(JoinHandle<Result<Response, Problem>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A checked request, with its timeout.
struct Call {
    access: Arc<Access>,
    request: Request,
    time: Duration,
    held: Held,
}

impl Call {
    /// Copies a request out of the guest, and charges for it.
    ///
    /// # Errors
    /// The guest is not a worker, or the request is not UTF-8; traps it. Inner error: the request is too large.
    async fn new(store: &mut StoreContextMut<'_, State>, request: HttpRequest) -> Result<Result<Self, Problem>> {
        Calls::attribute(store)?;
        let worker = store.data_mut().worker()?;
        let (access, time) = (worker.http.clone(), worker.time(request.timeout));
        if let Err(problem) = access.check(request.headers.len(), request.body.len()) {
            return Ok(Err(problem));
        }
        charge(store, request.body.len(), REQUEST + request.headers.len()).await?;
        let request = match read(store, &request, access.texts_max())? {
            Ok(request) => request,
            Err(_) => return Ok(Err(access.too_long())),
        };
        pay(store, request.head(), 0)?;
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

/// The text of a request is longer than allowed.
struct TooLong;

/// Copies a request out of the guest, if its text has at most `texts_max` bytes.
///
/// # Errors
/// It is not UTF-8; traps the guest. Inner error: it is too long.
fn read(
    store: &mut StoreContextMut<'_, State>,
    request: &HttpRequest,
    texts_max: usize,
) -> Result<Result<Request, TooLong>> {
    let lines: Vec<WasmHeader> = request.headers.iter(&mut *store)?.collect::<Result<_>>()?;
    let mut left = texts_max;
    let mut text = |text: &WasmStr| -> Result<Result<String, TooLong>> {
        let text = text.to_str(&*store)?;
        Ok(match left.checked_sub(text.len()) {
            Some(rest) => {
                left = rest;
                Ok(text.into_owned())
            }
            None => Err(TooLong),
        })
    };
    let (Ok(verb), Ok(url)) = (text(&request.verb)?, text(&request.url)?) else {
        return Ok(Err(TooLong));
    };
    let mut headers = Vec::with_capacity(lines.len());
    for line in &lines {
        let (Ok(name), Ok(value)) = (text(&line.name)?, text(&line.value)?) else {
            return Ok(Err(TooLong));
        };
        headers.push((name, value));
    }
    Ok(Ok(Request {
        verb,
        url,
        headers,
        body: request.body.as_le_slice(&*store).to_vec().into(),
        ..Request::default()
    }))
}

/// An answer as the guest gets it, and the charge that is held until the guest has it.
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
