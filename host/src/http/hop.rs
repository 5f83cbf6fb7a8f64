//! One request of a chain of redirects, as the guest may know it: with placeholders and never with secrets.

use bytes::Bytes;
use http::{
    Method, StatusCode, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue, USER_AGENT},
};
use http_body_util::Full;
use url::Url;

use super::{Cause, HEADER, Problem, Request, address::Origin, secrets::Secrets};
use crate::{grants::Secret, units::Size};

/// Header lines that say how a message is framed and where it goes; they are the host's to write.
const HOSTS_OWN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header line of this name is the host's to write. Lowercase.
pub(crate) fn is_hosts_own(name: &str) -> bool {
    HOSTS_OWN.contains(&name)
}

/// What a request says of who sends it, unless the guest says something.
const NAME: &str = concat!("disperse-host/", env!("CARGO_PKG_VERSION"));

/// The longest host of a URL in bytes, with its port. A name has at most 253; encoded it has more.
const HOST_MAX: usize = 1 << 10;

pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Hop {
    /// The first, as the guest wants it. Its URL and its headers each have at most `headers_max` bytes.
    ///
    /// # Errors
    /// `Invalid`: it is not well-formed, or would write what is the host's to write.
    pub(super) fn new(request: Request, headers_max: u64) -> Result<Self, Problem> {
        let invalid = |why: String| Err(Problem::Invalid(why));
        let verb = if request.verb.is_empty() { "GET" } else { &request.verb };
        let method = match Method::from_bytes(verb.as_bytes()) {
            Ok(method) if ![Method::CONNECT, Method::TRACE].contains(&method) => method,
            _ => return invalid(format!("`{}` is no method for it", short(verb))),
        };
        let most = Size(headers_max);
        if request.url.len() as u64 > headers_max {
            return invalid(format!("the URL is longer than {most}; raise it with --header-size"));
        }
        if host_length(&request.url) > HOST_MAX {
            return invalid(format!("the URL's host is longer than {}", Size(HOST_MAX as u64)));
        }
        let mut url = match Url::parse(&request.url) {
            Ok(url) => url,
            Err(error) => return invalid(format!("`{}` is no absolute URL: {error}", short(&request.url))),
        };
        check(&url)?;
        url.set_fragment(None);
        let mut headers = Vec::with_capacity(request.headers.len());
        let mut size = 0;
        for (name, value) in request.headers {
            size += name.len() as u64 + value.len() as u64 + HEADER;
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                return invalid(format!("`{}` is no name of a header", short(&name)));
            };
            if is_hosts_own(name.as_str()) {
                return invalid(format!("the header `{name}` is the host's to write"));
            }
            if HeaderValue::from_bytes(value.as_bytes()).is_err() {
                return invalid(format!("the header `{name}` has a value that no header can have"));
            }
            headers.push((name, value));
        }
        if size > headers_max {
            return invalid(format!(
                "the headers, each with {HEADER} bytes more, are more than {most}; raise it with --header-size"
            ));
        }
        Ok(Self {
            method,
            url,
            headers,
            body: request.body,
        })
    }

    /// With secrets in their places: what is sent.
    ///
    /// # Errors
    /// `Denied`: a secret may not go there.
    pub(super) fn filled(&self, secrets: &Secrets) -> Result<http::Request<Full<Bytes>>, Problem> {
        let at = (self.method.as_str(), &self.url);
        let mut url = self.url.clone();
        let mut has_secret = false;
        if let Some(query) = secrets.fill(self.url.query().unwrap_or_default(), at, Secret::query)? {
            has_secret = true;
            url.set_query(Some(&query));
        }
        let uri: Uri = url.as_str().parse().map_err(|error| {
            // What it is has a secret in it, perhaps.
            Problem::Invalid(format!("the URL cannot be sent: {error}"))
        })?;
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        for (name, text) in &self.headers {
            let filled = secrets.fill(text, at, Secret::header)?;
            let text = filled.as_ref().unwrap_or(text);
            let mut value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| Problem::Invalid(format!("the header `{name}` has a value that no header can have")))?;
            value.set_sensitive(filled.is_some());
            has_secret |= filled.is_some();
            request.headers_mut().try_append(name, value).map_err(too_many)?;
        }
        if has_secret {
            // What comes back compressed cannot be looked through.
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        // Some servers refuse a request without these.
        for (name, value) in [(ACCEPT, "*/*"), (USER_AGENT, NAME)] {
            let headers = request.headers_mut();
            if !headers.contains_key(&name) {
                headers
                    .try_append(name, HeaderValue::from_static(value))
                    .map_err(too_many)?;
            }
        }
        Ok(request)
    }

    /// Where an answer of this status with this `Location` leads; its URL has at most `headers_max` bytes.
    ///
    /// # Errors
    /// `Unreachable`: it leads to what is no URL.
    pub(super) fn next(
        mut self,
        status: StatusCode,
        location: &str,
        secrets: &Secrets,
        headers_max: u64,
    ) -> Result<Self, Problem> {
        let lost = |why: &str| {
            let why = format!("{} redirects to {why}", Origin(&self.url));
            Problem::Unreachable(Cause::Other, why)
        };
        if location.len() as u64 > headers_max || host_length(location) > HOST_MAX {
            return Err(lost("a URL that is too long"));
        }
        let mut url = self.url.join(location).map_err(|_| lost("what is no URL"))?;
        check(&url).map_err(|_| lost("a URL that cannot be followed"))?;
        url.set_fragment(None);
        let is_post = self.method == Method::POST;
        let forgets = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => is_post,
            _ => false,
        };
        if forgets {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.retain(|(name, _)| !name.as_str().starts_with("content-"));
        }
        if url.origin() != self.url.origin() {
            // What is for one server is not for the next, but for secrets that the operator has bound to it too.
            let method = &self.method;
            self.headers.retain(|(name, value)| {
                let mut named = secrets.named(value).peekable();
                if named.peek().is_some() {
                    return named.all(|secret| secret.may_go(method.as_str(), &url));
                }
                !["authorization", "cookie"].contains(&name.as_str())
            });
        }
        self.url = url;
        Ok(self)
    }
}

fn too_many(_: http::header::MaxSizeReached) -> Problem {
    Problem::Invalid("it has more headers than a request can carry".to_owned())
}

/// # Errors
/// `Invalid`: it is not of HTTP, or has a user in it, who would become a header.
fn check(url: &Url) -> Result<(), Problem> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Problem::Invalid(format!(
            "`{}` is neither http nor https",
            short(url.scheme())
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::Invalid(
            "a URL with a user in it; give an Authorization header".to_owned(),
        ));
    }
    Ok(())
}

/// How long the host of a URL is, or could be if it is not absolute, before anything reads it: to read a name of other letters
/// takes time in proportion to the square of its length.
fn host_length(url: &str) -> usize {
    let is_slash = |letter: char| matches!(letter, '/' | '\\');
    let is_before_host = |letter: char| is_slash(letter) || letter <= ' ';
    let is_scheme = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-. \t\r\n".contains(&byte))
    };
    let rest = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        // A path, unless two slashes come first.
        _ if url
            .chars()
            .take_while(|letter| is_before_host(*letter))
            .filter(|letter| is_slash(*letter))
            .count()
            > 1 =>
        {
            url
        }
        _ => return 0,
    };
    let host = rest.trim_start_matches(is_before_host);
    host.find(|letter| is_slash(letter) || matches!(letter, '?' | '#'))
        .unwrap_or(host.len())
}

/// The beginning of a guest's words.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_measured_before_it_is_read() {
        for (url, length) in [
            ("http://a.com:80/b", 8),
            (" \thttps:\\\\a.com?b/c", 5),
            ("http:a.com#b", 5),
            ("//a.com/b", 5),
            ("/\t/a.com", 5),
            ("/a.com/b", 0),
            ("a.com/b:c", 0),
            ("?a:b//c", 0),
            ("", 0),
        ] {
            assert_eq!(host_length(url), length, "{url}");
        }
    }

    #[test]
    fn a_request_that_takes_long_to_read_is_invalid() {
        let many: Vec<_> = (0..30_000).map(|n| (format!("x{n}"), String::new())).collect();
        let hop = |url: &str, headers: &[(String, String)]| {
            let request = Request {
                url: url.to_owned(),
                headers: headers.to_vec(),
                ..Request::default()
            };
            Hop::new(request, 4 << 20)
        };
        let letters = "\u{4e00}".repeat(1000);
        assert!(matches!(
            hop(&format!("http://{letters}/"), &[]),
            Err(Problem::Invalid(_))
        ));
        let hop = hop("http://a.com/", &many).map_err(|_| ()).unwrap();
        assert!(matches!(hop.filled(&Secrets::default()), Err(Problem::Invalid(_))));
        let next = hop.next(
            StatusCode::FOUND,
            &format!("//{letters}/"),
            &Secrets::default(),
            256 << 10,
        );
        assert!(matches!(next, Err(Problem::Unreachable(..))));
    }
}
