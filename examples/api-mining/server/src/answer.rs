//! Answers to requests.

use std::{
    fmt::Display,
    io::{Result, Write},
    time::Duration,
};

/// A whole answer, and how long it is delayed.
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    headers: String,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

impl Answer {
    /// `body` is JSON.
    pub(crate) fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::new("200 OK", body)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Returns the value of one of its headers.
    #[cfg(test)]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> Result<()> {
        let (status, headers, body, length) = (self.status, &self.headers, &self.body, self.body.len());
        // In one write, so that it does not wait for the client in between.
        let whole = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        to.write_all(whole.as_bytes())
    }
}
