//! HTTP for workers. Only what the operator grants is reachable. The host replaces the placeholders of secrets in a
//! request.
//!
//! ```no_run
//! use disperse_guest::{Failure, http};
//!
//! # fn handle() -> Result<(), Failure> {
//! let token = std::env::var("TOKEN").unwrap_or_default();
//! let user = http::get("https://api.github.com/user").header("Authorization", format!("Bearer {token}")).fetch()?;
//! let name: serde_json::Value = user.json()?;
//! # Ok(()) }
//! ```

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::action::to_ms;
use crate::bindings::imports::{self, http_types};
use crate::codec::{CodecError, Decode, Encode};

/// Returns a GET request for this absolute URL.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// Returns a POST request for this absolute URL.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

/// A request: a builder.
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is fetched"]
pub struct Request(http_types::Request);

impl Request {
    /// Returns a request with this verb, such as "PUT", for this absolute URL.
    pub fn new(verb: impl Into<String>, url: impl Into<String>) -> Self {
        Self(http_types::Request {
            verb: verb.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: 0,
        })
    }

    /// Adds a header line. The same name may be added more than once.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push(http_types::Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Sets the body: at most 8 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets the body to this value as JSON, and the header `content-type`.
    ///
    /// # Errors
    /// When JSON has no form for the value.
    pub fn json(self, value: &impl Serialize) -> Result<Self, CodecError> {
        Ok(self.header("Content-Type", "application/json").body(value.encode()?))
    }

    /// Sets how long it may take, rounded up to whole ms. As long as the attempt unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = to_ms(timeout);
        self
    }

    /// Sends it and waits for the whole response; any status is a response. For [`Worker`](crate::Worker).
    ///
    /// # Errors
    /// A [`Problem`] when there is no response.
    pub fn fetch(self) -> Result<Response, Problem> {
        Ok(imports::http::fetch(&self.0)?.into())
    }

    /// Sends it, and returns a future of the whole response. Dropping the future cancels the request. For
    /// [`AsyncWorker`](crate::AsyncWorker).
    ///
    /// # Errors
    /// A [`Problem`] when there is no response.
    pub async fn fetch_async(self) -> Result<Response, Problem> {
        Ok(imports::http_async::fetch(&self.0).await?.into())
    }
}

/// The response of a server, with any status, also 4xx and 5xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// Names and values, in the order of the response.
    pub headers: Vec<(String, String)>,
    /// At most 8 MiB.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of this header; the case of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body decoded as JSON.
    ///
    /// # Errors
    /// When it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, CodecError> {
        T::decode(self.body)
    }
}

impl From<http_types::Response> for Response {
    fn from(response: http_types::Response) -> Self {
        Self {
            status: response.status,
            headers: response
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            body: response.body,
        }
    }
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The operator has not granted this. The text names the flag that would.
    Denied(String),
    /// The request is not well-formed.
    Invalid(String),
    /// It took too long.
    Timeout(String),
    /// The server was not reached, or closed the connection early.
    Unreachable(String),
    /// The response was larger than allowed.
    Oversize(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::Invalid(why) => write!(f, "invalid request: {why}"),
            Self::Timeout(why) => write!(f, "timeout: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Oversize(why) => write!(f, "oversize: {why}"),
        }
    }
}

impl std::error::Error for Problem {}

impl From<http_types::Problem> for Problem {
    fn from(problem: http_types::Problem) -> Self {
        match problem {
            http_types::Problem::Denied(why) => Self::Denied(why),
            http_types::Problem::Invalid(why) => Self::Invalid(why),
            http_types::Problem::Timeout(why) => Self::Timeout(why),
            http_types::Problem::Unreachable(why) => Self::Unreachable(why),
            http_types::Problem::Oversize(why) => Self::Oversize(why),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_case_insensitive() {
        let response = Response {
            status: 204,
            headers: vec![("X-Left".to_owned(), "7".to_owned())],
            body: b"{\"a\":1}".to_vec(),
        };
        assert_eq!(response.header("x-LEFT"), Some("7"));
        assert_eq!(response.header("x"), None);
        assert!(response.is_success());
        assert_eq!(
            response
                .json::<std::collections::BTreeMap<String, u8>>()
                .unwrap()
                .get("a"),
            Some(&1)
        );
    }

    #[test]
    fn builder_sets_every_part_of_the_request() {
        let request = post("https://a.b/c")
            .json(&[1, 2])
            .unwrap()
            .timeout(Duration::from_micros(1))
            .0;
        assert_eq!(
            (request.verb.as_str(), request.timeout, request.body.as_slice()),
            ("POST", 1, &b"[1,2]"[..])
        );
        assert_eq!(request.headers.len(), 1);
    }
}
