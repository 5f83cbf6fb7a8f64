//! HTTP for workers, within their grants: every hop of a redirect is checked like the first, a name reaches only public
//! addresses, and secrets are inserted into requests and removed from answers.

mod address;
mod client;
mod hop;
mod message;
mod paced;
mod problem;
mod secrets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;

pub use client::Client;
pub use hop::is_hosts_own;
pub use message::Request;
pub use problem::{Cause, Part, Problem};
pub use secrets::Placed;

use self::{
    address::Origin,
    hop::Hop,
    message::HEADER,
    problem::{failed, shortage},
    secrets::Secrets,
};
use crate::grants::{Denials, Grants};
use disperse_protocol::{
    limits::{Account, Deadline, Limits, Reservation},
    units::{Size, Time},
};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;

/// The most requests of one instance in flight, or one for each attempt in it if that is more; others wait. Arbitrary:
/// a server sees as many connections.
const AT_ONCE_MAX: usize = 64;

/// How long a request waits to connect when the machine has no file, port or memory for it. Arbitrary: enough for
/// others to be closed, and short for an attempt that is better retried later.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The pause between two tries.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);

/// The most bytes of requests and answers of one instance, as a multiple of the largest result, or one for each attempt
/// in it if that is more: bodies being sent, and unread ones.
const OPEN_MAX: u64 = 8;

/// The longest text of a problem with secrets hidden, in bytes.
const WORDS_MAX: usize = 64 << 10;

/// `http-types.response`, with its charge.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Counts the body until the guest has it.
    pub held: Held,
}

/// What one worker may reach.
pub struct Access {
    client: Arc<Client>,
    grants: Arc<Grants>,
    secrets: Secrets,
    room: Semaphore,
    /// The bytes of its requests and answers.
    open: Arc<AtomicU64>,
    /// Their limit.
    open_max: u64,
    /// The largest body.
    body_max: u64,
    /// The longest URL, and the largest headers.
    headers_max: u64,
    /// The memory of its pool.
    memory: Arc<Account>,
    denials: Arc<Denials>,
}

/// The charge of a request or an answer, in bytes, until this is dropped.
pub struct Held {
    open: Arc<AtomicU64>,
    bytes: u64,
    memory: Reservation,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Access {
    /// For an instance that makes this many attempts at once.
    pub fn new(
        client: Arc<Client>,
        grants: Arc<Grants>,
        secrets: Arc<[Placed]>,
        limits: &Limits,
        memory: Arc<Account>,
        denials: Arc<Denials>,
        slots: u32,
    ) -> Self {
        Self {
            client,
            grants,
            secrets: Secrets::new(secrets),
            room: Semaphore::new(AT_ONCE_MAX.max(slots as usize)),
            open: Arc::default(),
            open_max: OPEN_MAX.max(slots.into()).saturating_mul(limits.result),
            body_max: limits.result,
            headers_max: limits.headers,
            memory,
            denials,
        }
    }

    /// Checks a request before it is copied: the number of its header lines and the size of its body.
    ///
    /// # Errors
    /// `Invalid` or `Oversize`: a limit is exceeded.
    pub fn check(&self, headers: usize, body: usize) -> Result<(), Problem> {
        if (headers as u64).saturating_mul(HEADER) > self.headers_max {
            return Err(self.too_long());
        }
        if body as u64 > self.body_max {
            return Err(self.too_large(Part::Request));
        }
        Ok(())
    }

    /// The most bytes of a request's texts: URL, headers and method, each within its own limit.
    pub fn texts_max(&self) -> usize {
        usize::try_from(self.headers_max.saturating_mul(3)).unwrap_or(usize::MAX)
    }

    /// The problem of a request with more text, or more header lines.
    pub fn too_long(&self) -> Problem {
        Problem::Invalid(format!(
            "the URL or the headers, each with {HEADER} bytes more, are more than {}; raise it with --header-size",
            Size(self.headers_max)
        ))
    }

    /// Charges a request.
    ///
    /// # Errors
    /// `Oversize`: its body, or the sum of all open ones, is over the limit.
    pub fn hold(&self, request: &Request) -> Result<Held, Problem> {
        let body = request.body.len() as u64;
        if body > self.body_max {
            return Err(self.too_large(Part::Request));
        }
        let mut held = self.hold_nothing();
        self.grow(&mut held, body + request.head() as u64, Part::Request)?;
        Ok(held)
    }

    /// An empty charge for a body that arrives in pieces.
    pub fn hold_nothing(&self) -> Held {
        Held {
            open: self.open.clone(),
            bytes: 0,
            memory: self.memory.empty(),
        }
    }

    /// Adds a piece to a body, and charges it as it arrives: many partial bodies count as much as whole ones.
    ///
    /// # Errors
    /// `Oversize`: the body, or the sum of all open ones, is over the limit.
    pub fn take(&self, part: Part, body: &mut Vec<u8>, held: &mut Held, piece: &[u8]) -> Result<(), Problem> {
        if (body.len() + piece.len()) as u64 > self.body_max {
            return Err(self.too_large(part));
        }
        self.grow(held, piece.len() as u64, part)?;
        body.extend_from_slice(piece);
        Ok(())
    }

    fn grow(&self, held: &mut Held, bytes: u64, part: Part) -> Result<(), Problem> {
        let before = self.open.fetch_add(bytes, Ordering::Relaxed);
        held.bytes += bytes;
        if before + bytes > self.open_max {
            let why = format!(
                "the requests and answers that are open at once hold more than {}; read those that have come",
                Size(self.open_max)
            );
            return Err(Problem::Oversize(part, why));
        }
        if !held.memory.try_grow(bytes) {
            let why = format!(
                "the host has no memory for it: guests hold what there is of {}; raise it with --host-memory",
                Size(self.memory.limit())
            );
            return Err(Problem::Oversize(part, why));
        }
        Ok(())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The request failed, or its answer may not be passed to the guest.
    ///
    /// Cancel safe: dropped, the request is abandoned.
    pub async fn fetch(&self, request: Request, time: Duration) -> Result<Response, Problem> {
        let answer = async {
            // Never closed.
            let _permit = self.room.acquire().await;
            self.follow(request).await
        };
        let late = |_| Err(Problem::Timeout(format!("no whole answer within {}", Time::from(time))));
        let deadline = Deadline::after(Instant::now(), time);
        let answer = deadline.bound(answer).await.unwrap_or_else(late);
        answer.map_err(|problem| {
            let hidden = |text| self.secrets.hide_text(text, WORDS_MAX);
            let problem = problem.map(|text| hidden(text).unwrap_or_else(|| "it is too long to show".to_owned()));
            if let Problem::Denied(what) = &problem {
                self.denials.note(what);
            }
            problem
        })
    }

    async fn follow(&self, request: Request) -> Result<Response, Problem> {
        let (as_is, head_wait, piece_wait) = (request.as_is, request.head_wait, request.piece_wait);
        let mut hop = Hop::new(request, self.headers_max)?;
        for _ in 0..=REDIRECTS_MAX {
            self.may(&hop)?;
            let filled = hop.filled(&self.secrets)?;
            let unusable = |why: &String| Problem::Unreachable(Cause::Other, why.clone());
            let client = self.client.get().map_err(unusable)?;
            let mut sent = within(head_wait, &hop, client.request(filled)).await?;
            let again_until = Instant::now() + CONNECT_PATIENCE;
            while let Err(error) = &sent
                && let Some((shortage, error)) = error.is_connect().then(|| shortage(error)).flatten()
            {
                if Instant::now() >= again_until {
                    self.denials.note_shortage(shortage, error);
                    break;
                }
                tokio::time::sleep(CONNECT_AGAIN).await;
                // Nothing was sent.
                sent = within(head_wait, &hop, client.request(hop.filled(&self.secrets)?)).await?;
            }
            let response = sent.map_err(|error| failed(&hop.url, &error))?;
            match self.location(&response).filter(|_| !as_is) {
                Some(location) => hop = hop.next(response.status(), &location, &self.secrets, self.headers_max)?,
                None => return self.read(&hop, response, piece_wait).await,
            }
        }
        let why = format!("more than {REDIRECTS_MAX} redirects, the last to {}", Origin(&hop.url));
        Err(Problem::Unreachable(Cause::Other, why))
    }

    /// # Errors
    /// `Denied`: no rule grants it.
    fn may(&self, hop: &Hop) -> Result<(), Problem> {
        let rules = &self.grants.http;
        let method = hop.method.as_str();
        if rules.iter().any(|rule| rule.allows(method, &hop.url)) {
            return Ok(());
        }
        let what = format!("{method} {}", Origin(&hop.url));
        Err(Problem::Denied(if rules.is_empty() {
            format!("no grant for HTTP, so not {what}; the operator's flag is --http")
        } else {
            format!("no grant for {what} with this path; the operator's flag is --http")
        }))
    }

    /// The `Location` of an answer, with secrets hidden: they are inserted again only where they may go.
    fn location(&self, response: &http::Response<Incoming>) -> Option<String> {
        let redirects = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = response.headers().get(http::header::LOCATION).filter(|_| redirects)?;
        let location = std::str::from_utf8(location.as_bytes()).ok()?;
        self.secrets.hide_text(location.to_owned(), self.headers_most())
    }

    async fn read(
        &self,
        hop: &Hop,
        mut response: http::Response<Incoming>,
        piece_wait: Option<Duration>,
    ) -> Result<Response, Problem> {
        let status = response.status().as_u16();
        let mut headers = Vec::with_capacity(response.headers().len());
        let mut size = 0;
        let too_large = || {
            let why = format!(
                "{} answers with headers of more than {}; raise it with --header-size",
                Origin(&hop.url),
                Size(self.headers_max)
            );
            Problem::Oversize(Part::Headers, why)
        };
        for (name, value) in response.headers() {
            // A header need not be UTF-8, but guests get only UTF-8.
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            // Placeholders can be much longer than their secrets.
            let hidden = |text| self.secrets.hide_text(text, self.headers_most()).ok_or_else(too_large);
            let (name, text) = (hidden(name.to_string())?, hidden(text)?);
            size += name.len() + text.len();
            if size > self.headers_most() {
                return Err(too_large());
            }
            headers.push((name, text));
        }
        let length = response.body().size_hint().exact();
        if length.is_some_and(|length| length > self.body_max) && hop.method != "HEAD" {
            return Err(self.too_large(Part::Answer));
        }
        let mut body = Vec::new();
        let mut held = self.hold_nothing();
        self.grow(&mut held, size as u64, Part::Headers)?;
        while let Some(frame) = within(piece_wait, hop, response.frame()).await? {
            let frame = frame.map_err(|error| failed(&hop.url, &error))?;
            // Guests get no trailers.
            if let Ok(piece) = frame.into_data() {
                self.take(Part::Answer, &mut body, &mut held, &piece)?;
            }
        }
        let most = usize::try_from(self.body_max).unwrap_or(usize::MAX);
        let hidden = self.secrets.hide(body, most);
        let body = hidden.ok_or_else(|| self.too_large(Part::Answer))?;
        Ok(Response {
            status,
            headers,
            body,
            held,
        })
    }

    /// [`Access::headers_max`], as a length.
    fn headers_most(&self) -> usize {
        usize::try_from(self.headers_max).unwrap_or(usize::MAX)
    }

    fn too_large(&self, part: Part) -> Problem {
        let what = match part {
            Part::Request => "the request's body",
            Part::Answer | Part::Headers => "the answer's body",
        };
        let most = Size(self.body_max);
        Problem::Oversize(
            part,
            format!("{what} is larger than {most}; raise it with --result-size"),
        )
    }
}

/// Waits for one step of an exchange, within the guest's timeout.
async fn within<T>(wait: Option<Duration>, hop: &Hop, step: impl Future<Output = T>) -> Result<T, Problem> {
    let Some(wait) = wait else { return Ok(step.await) };
    tokio::time::timeout(wait, step).await.map_err(|_| {
        let why = format!("nothing came from {} within {}", Origin(&hop.url), Time::from(wait));
        Problem::Timeout(why)
    })
}

#[cfg(test)]
mod tests;
