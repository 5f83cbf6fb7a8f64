//! Why there is no answer.

use std::{error::Error, io};

use url::Url;

use super::{
    address::{NotPublic, Origin},
    client::{Slow, Unknown},
};
use disperse_protocol::limits::Shortage;

/// `http-types.problem`, with the further cases of wasi:http. Each has a text for people.
#[derive(Debug)]
pub enum Problem {
    Denied(String),
    Invalid(String),
    Timeout(String),
    Unreachable(Cause, String),
    Oversize(Part, String),
}

/// Why a server cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its name resolves to no address.
    Name,
    /// It accepts no connections.
    Refused,
    /// Its TLS identity is not valid.
    Certificate,
    /// Any other reason.
    Other,
}

/// The part that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The request's body.
    Request,
    /// The answer's header lines.
    Headers,
    /// The answer's body.
    Answer,
}

impl Problem {
    /// Changes the text.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Denied(text) => Self::Denied(change(text)),
            Self::Invalid(text) => Self::Invalid(change(text)),
            Self::Timeout(text) => Self::Timeout(change(text)),
            Self::Unreachable(cause, text) => Self::Unreachable(cause, change(text)),
            Self::Oversize(part, text) => Self::Oversize(part, change(text)),
        }
    }
}

/// Why a request failed. The text names the server and no more of the URL, which may contain a secret.
pub(super) fn failed(url: &Url, error: &(dyn Error + 'static)) -> Problem {
    let mut is_timeout = false;
    let mut text = Origin(url).to_string();
    let mut why = Cause::Other;
    let mut cause = Some(error);
    while let Some(error) = cause {
        is_timeout |= error.is::<Slow>();
        if let Some(not_public) = error.downcast_ref::<NotPublic>() {
            return Problem::Denied(format!("{not_public}; the operator's flag is --http"));
        }
        why = sort(error).unwrap_or(why);
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if is_timeout {
        Problem::Timeout(text)
    } else {
        Problem::Unreachable(why, text)
    }
}

/// The resource that the machine lacked to open a connection, with the error.
pub(super) fn shortage<'a>(error: &'a (dyn Error + 'static)) -> Option<(Shortage, &'a io::Error)> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let of_system = match error.downcast_ref::<Unknown>() {
            Some(unknown) => Some(unknown.error()),
            None => error.downcast_ref::<io::Error>(),
        };
        if let Some(found) = of_system.and_then(|error| Some((Shortage::of_connection(error)?, error))) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The cause by one error of a chain, if known.
fn sort(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.is::<Unknown>() {
        return Some(Cause::Name);
    }
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return Some(Cause::Certificate);
    }
    let error = error.downcast_ref::<io::Error>()?;
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return Some(Cause::Refused);
    }
    // The error inside an IO error is not among its sources.
    sort(error.get_ref()?)
}
