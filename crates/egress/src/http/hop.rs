//! One request of a chain of redirects, as the guest may see it: with placeholders and never with secrets.

use bytes::Bytes;
use http::{
    Method, StatusCode, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue, USER_AGENT},
};
use http_body_util::Full;
use url::Url;

use super::{
    address::Origin,
    message::{HEADER, Request},
    problem::{Cause, Problem},
    secrets::Secrets,
};
use crate::grants::Secret;
use disperse_protocol::units::Size;

/// Headers for framing and routing, which only the host writes.
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

/// Whether only the host writes a header of this name. Lowercase.
pub fn is_hosts_own(name: &str) -> bool {
    HOSTS_OWN.contains(&name)
}

/// The `User-Agent`, unless the guest sets one.
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
    /// The first request, from the guest. Its URL and its headers each have at most `headers_max` bytes.
    ///
    /// # Errors
    /// `Invalid`: it is not well-formed, or sets a header that only the host writes.
    pub(super) fn new(request: Request, headers_max: u64) -> Result<Self, Problem> {
        let invalid = |why: String| Err(Problem::Invalid(why));
        let verb = if request.verb.is_empty() { "GET" } else { &request.verb };
        let method = match Method::from_bytes(verb.as_bytes()) {
            Ok(method) if ![Method::CONNECT, Method::TRACE].contains(&method) => method,
            _ => return invalid(format!("invalid method `{}`", short(verb))),
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
            Err(error) => return invalid(format!("`{}` is not an absolute URL: {error}", short(&request.url))),
        };
        check(&url)?;
        url.set_fragment(None);
        let mut headers = Vec::with_capacity(request.headers.len());
        let mut size = 0;
        for (name, value) in request.headers {
            size += name.len() as u64 + value.len() as u64 + HEADER;
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                return invalid(format!("invalid header name `{}`", short(&name)));
            };
            if is_hosts_own(name.as_str()) {
                return invalid(format!("only the host writes the header `{name}`"));
            }
            if HeaderValue::from_bytes(value.as_bytes()).is_err() {
                return invalid(format!("the header `{name}` has an invalid value"));
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

    /// The request to send, with secrets in the place of their placeholders.
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
            // The error's source may contain a secret.
            Problem::Invalid(format!("the URL cannot be sent: {error}"))
        })?;
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        for (name, text) in &self.headers {
            let filled = secrets.fill(text, at, Secret::header)?;
            let text = filled.as_ref().unwrap_or(text);
            let mut value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| Problem::Invalid(format!("the header `{name}` has an invalid value")))?;
            value.set_sensitive(filled.is_some());
            has_secret |= filled.is_some();
            request.headers_mut().try_append(name, value).map_err(too_many)?;
        }
        if has_secret {
            // Secrets could not be found in a compressed answer.
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        // Some servers reject a request without these.
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

    /// The next request, if the answer's status and `Location` redirect; its URL has at most `headers_max` bytes.
    ///
    /// # Errors
    /// `Unreachable`: the location is not a valid URL.
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
        let mut url = self.url.join(location).map_err(|_| lost("an invalid URL"))?;
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
            // Headers for one server are not for the next, except secrets that the operator has bound to it too.
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
    Problem::Invalid("it has too many headers".to_owned())
}

/// # Errors
/// `Invalid`: it is not an HTTP URL, or has a user in it, which would become a header.
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

/// The length of the host in a URL, or of what could be one in a relative URL, before the URL is parsed: parsing an
/// internationalized name takes time quadratic in its length.
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

/// The beginning of a guest's text.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_length_measures_unparsed_urls() {
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
    fn slow_to_parse_request_is_invalid() {
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
