//! A request of a guest.

use std::time::Duration;

use bytes::Bytes;

/// What a header line counts beside its text, in bytes, as in HTTP/2. It also bounds their number: their map cannot
/// hold 24,577.
pub(super) const HEADER: u64 = 32;

/// `http-types.request`, with the additions of wasi:http.
#[derive(Default)]
pub struct Request {
    pub verb: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Whether the guest follows redirects itself.
    pub as_is: bool,
    /// The longest wait for the head of the answer, and for each piece of its body.
    pub head_wait: Option<Duration>,
    pub piece_wait: Option<Duration>,
}

impl Request {
    /// The bytes that all but the body takes in the host.
    pub fn head(&self) -> usize {
        let headers = self.headers.iter();
        let texts: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        self.verb.len() + self.url.len() + texts + self.headers.len() * size_of::<(String, String)>()
    }
}
