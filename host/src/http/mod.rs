//! HTTP for workers, as far as it is granted: every hop of a redirect is checked as the first one was, a name reaches only
//! public addresses, and secrets are put in on the way out and taken out on the way back.

mod address;
mod client;
mod hop;
mod secrets;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::sync::Semaphore;

pub(crate) use client::Client;
pub(crate) use secrets::Placed;

use self::{
    address::{NotPublic, Origin},
    client::HEADERS_MAX,
    hop::Hop,
    secrets::Secrets,
};
use crate::{
    grants::Grants,
    limits::{Budget, Charge},
    units::{Size, Time},
};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;

/// How many requests of one instance are on their way at once; more wait. Chosen freely: a server sees as many connections.
const AT_ONCE_MAX: usize = 64;

/// How much the bodies of one instance may hold, in largest results: what is being sent, and what was not read yet.
const OPEN_MAX: u64 = 8;

/// `http-types.request`.
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// `http-types.response`, and what it counts.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Counts the body until the guest has it.
    pub(crate) held: Held,
}

/// `http-types.problem`.
#[derive(Debug)]
pub(crate) enum Problem {
    Denied(String),
    Invalid(String),
    Timeout(String),
    Unreachable(String),
    Oversize(String),
}

/// What one worker may reach.
pub(crate) struct Access {
    client: Arc<Client>,
    grants: Arc<Grants>,
    secrets: Secrets,
    room: Semaphore,
    /// Bytes of bodies.
    open: Arc<AtomicU64>,
    /// The largest body.
    body_max: u64,
    budget: Arc<Budget>,
}

/// Bytes of bodies that count until this is dropped.
pub(crate) struct Held {
    open: Arc<AtomicU64>,
    bytes: u64,
    charge: Charge,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Access {
    pub(crate) fn new(
        client: Arc<Client>,
        grants: Arc<Grants>,
        secrets: Arc<[Placed]>,
        body_max: u64,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            client,
            grants,
            secrets: Secrets::new(secrets),
            room: Semaphore::new(AT_ONCE_MAX),
            open: Arc::default(),
            body_max,
            budget,
        }
    }

    /// Counts a body.
    ///
    /// # Errors
    /// `Oversize`: it, or all of them, are more than allowed.
    pub(crate) fn hold(&self, bytes: u64) -> Result<Held, Problem> {
        if bytes > self.body_max {
            return Err(self.oversize("a body"));
        }
        let mut held = Held {
            open: self.open.clone(),
            bytes: 0,
            charge: Charge::new(&self.budget, 0),
        };
        self.grow(&mut held, bytes)?;
        Ok(held)
    }

    fn grow(&self, held: &mut Held, bytes: u64) -> Result<(), Problem> {
        let before = self.open.fetch_add(bytes, Ordering::Relaxed);
        held.bytes += bytes;
        held.charge.grow(bytes);
        if before + bytes > OPEN_MAX * self.body_max {
            return Err(Problem::Oversize(format!(
                "the bodies that are open at once hold more than {}; read those that have come",
                Size(OPEN_MAX * self.body_max)
            )));
        }
        Ok(())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// There is no answer that may be given.
    ///
    /// Cancel safe: dropped, the request is abandoned.
    pub(crate) async fn fetch(&self, request: Request, time: Duration) -> Result<Response, Problem> {
        let answer = async {
            // Closed never.
            let _permit = self.room.acquire().await;
            self.follow(request).await
        };
        let late = |_| Err(Problem::Timeout(format!("no whole answer within {}", Time::from(time))));
        let answer = tokio::time::timeout(time, answer).await.unwrap_or_else(late);
        answer.map_err(|problem| problem.map(|text| self.secrets.hide_text(text)))
    }

    async fn follow(&self, request: Request) -> Result<Response, Problem> {
        let mut hop = Hop::new(request)?;
        for _ in 0..=REDIRECTS_MAX {
            self.may(&hop)?;
            let filled = hop.filled(&self.secrets)?;
            let client = self.client.get().map_err(|why| Problem::Unreachable(why.clone()))?;
            let sent = client.execute(filled).await;
            let response = sent.map_err(|error| failed(&hop, error))?;
            match self.location(&response) {
                Some(location) => hop = hop.next(response.status(), &location, &self.secrets)?,
                None => return self.read(&hop, response).await,
            }
        }
        let why = format!("more than {REDIRECTS_MAX} redirects, the last to {}", Origin(&hop.url));
        Err(Problem::Unreachable(why))
    }

    /// # Errors
    /// `Denied`: no rule allows it.
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

    /// Where an answer sends the asker, secrets hidden: they are put back in only where they may go.
    fn location(&self, response: &reqwest::Response) -> Option<String> {
        let redirects = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = response
            .headers()
            .get(reqwest::header::LOCATION)
            .filter(|_| redirects)?;
        let location = std::str::from_utf8(location.as_bytes()).ok()?;
        Some(self.secrets.hide_text(location.to_owned()))
    }

    async fn read(&self, hop: &Hop, mut response: reqwest::Response) -> Result<Response, Problem> {
        let status = response.status().as_u16();
        let mut headers = Vec::with_capacity(response.headers().len());
        let mut size = 0;
        for (name, value) in response.headers() {
            size += name.as_str().len() + value.len();
            // A header need not be UTF-8, but what guests get is.
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.push((self.secrets.hide_text(name.to_string()), self.secrets.hide_text(text)));
        }
        if size > HEADERS_MAX {
            let why = format!("{} answers with headers of more than 64KiB", Origin(&hop.url));
            return Err(Problem::Oversize(why));
        }
        let too_large = || self.oversize("the answer's body");
        if response.content_length().is_some_and(|length| length > self.body_max) && hop.method != "HEAD" {
            return Err(too_large());
        }
        let mut body = Vec::new();
        // Counted as it comes: many that are half read are as much as one that is whole.
        let mut held = self.hold(0)?;
        while let Some(piece) = response.chunk().await.map_err(|error| failed(hop, error))? {
            if (body.len() + piece.len()) as u64 > self.body_max {
                return Err(too_large());
            }
            self.grow(&mut held, piece.len() as u64)?;
            body.extend_from_slice(&piece);
        }
        let most = usize::try_from(self.body_max).unwrap_or(usize::MAX);
        let body = self.secrets.hide(body, most).ok_or_else(too_large)?;
        Ok(Response {
            status,
            headers,
            body,
            held,
        })
    }

    fn oversize(&self, what: &str) -> Problem {
        let most = Size(self.body_max);
        Problem::Oversize(format!("{what} is larger than {most}; raise it with --result-size"))
    }
}

impl Problem {
    fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Denied(text) => Self::Denied(change(text)),
            Self::Invalid(text) => Self::Invalid(change(text)),
            Self::Timeout(text) => Self::Timeout(change(text)),
            Self::Unreachable(text) => Self::Unreachable(change(text)),
            Self::Oversize(text) => Self::Oversize(change(text)),
        }
    }
}

/// Why nothing came. The URL, which may hold a secret, is taken out of the words.
fn failed(hop: &Hop, error: reqwest::Error) -> Problem {
    let is_timeout = error.is_timeout();
    let error = error.without_url();
    let mut text = Origin(&hop.url).to_string();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(not_public) = error.downcast_ref::<NotPublic>() {
            return Problem::Denied(format!("{not_public}; the operator's flag is --http"));
        }
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if is_timeout {
        Problem::Timeout(text)
    } else {
        Problem::Unreachable(text)
    }
}

#[cfg(test)]
mod tests;
