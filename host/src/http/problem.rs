//! Why there is no answer.

use std::{error::Error, io};

use super::{
    address::{NotPublic, Origin},
    client::{Slow, Unknown},
    hop::Hop,
};
use crate::limits::Shortage;

/// `http-types.problem`, with what wasi:http tells apart beyond it. Each has words for people.
#[derive(Debug)]
pub(crate) enum Problem {
    Denied(String),
    Invalid(String),
    Timeout(String),
    Unreachable(Cause, String),
    Oversize(Part, String),
}

/// What keeps a server from being reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its name stands for no address.
    Name,
    /// It takes no connections.
    Refused,
    /// It is not who it should be.
    Certificate,
    /// Anything else.
    Other,
}

/// What is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The request's body.
    Request,
    /// The answer's header lines.
    Headers,
    /// The answer's body.
    Answer,
}

impl Problem {
    /// With other words.
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

/// Why nothing came. The words name the server and no more of the URL, which may hold a secret.
pub(super) fn failed(hop: &Hop, error: &(dyn Error + 'static)) -> Problem {
    let mut is_timeout = false;
    let mut text = Origin(&hop.url).to_string();
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

/// What the machine had none left of to open a connection, by an error and what it came of.
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

/// What one error of a chain tells, if anything.
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
    // An error within one of input and output is not among its sources.
    sort(error.get_ref()?)
}
