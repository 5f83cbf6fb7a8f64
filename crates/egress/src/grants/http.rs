//! Grants of HTTP requests.

use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

/// Requests that workers may send: `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`.
///
/// Without methods all are granted; without a port the scheme's own. A host `*.NAME` stands for all names below it. The
/// path prefix is of whole segments: `/v1` is not a prefix of `/v10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// All if empty.
    methods: Vec<String>,
    https: bool,
    host: HostRule,
    port: u16,
    segments: Vec<String>,
    /// The rule as it was written.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostRule {
    Name(String),
    /// Names that end in this, with its dot.
    Below(String),
    Address(IpAddr),
}

/// Why a rule is invalid.
#[derive(Debug, thiserror::Error)]
pub enum HttpRuleError {
    #[error("write it as [METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH]")]
    Shape,
    #[error("`{0}` is not a method in capital letters")]
    Method(String),
    #[error("invalid URL: {0}")]
    Url(#[from] url::ParseError),
    #[error("only http and https can be granted")]
    Scheme,
    #[error("a rule has no user, no query and no fragment")]
    Parts,
    #[error("`*` stands only at the beginning of a name, as in `*.example.com`")]
    Star,
    #[error("a path with an encoded dot or slash can be read in two ways")]
    Path,
}

impl FromStr for HttpRule {
    type Err = HttpRuleError;

    fn from_str(text: &str) -> Result<Self, HttpRuleError> {
        let (methods, target) = match text.split_once(' ') {
            Some((methods, target)) => (methods.split(',').map(method).collect::<Result<_, _>>()?, target),
            None => (Vec::new(), text),
        };
        let (scheme, rest) = target.split_once("://").ok_or(HttpRuleError::Shape)?;
        if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(HttpRuleError::Shape);
        }
        if rest.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\') {
            return Err(HttpRuleError::Shape);
        }
        if rest.contains(['@', '?', '#']) {
            return Err(HttpRuleError::Parts);
        }
        // Removed before the URL is parsed: a parser treats stars in its own way.
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.starts_with('/') || rest.starts_with('.') || rest.is_empty() {
            return Err(HttpRuleError::Shape);
        }
        let url = Url::parse(&format!("{scheme}://{rest}"))?;
        let https = https(&url).ok_or(HttpRuleError::Scheme)?;
        let port = url.port_or_known_default().ok_or(HttpRuleError::Scheme)?;
        let host = match (url.host().ok_or(HttpRuleError::Shape)?, below) {
            (Host::Domain(name), _) if name.contains('*') => return Err(HttpRuleError::Star),
            (Host::Domain(name), true) => HostRule::Below(format!(".{name}")),
            (Host::Domain(name), false) => HostRule::Name(name.to_owned()),
            (_, true) => return Err(HttpRuleError::Star),
            (Host::Ipv4(address), false) => HostRule::Address(address.into()),
            (Host::Ipv6(address), false) => HostRule::Address(address.into()),
        };
        let mut segments: Vec<String> = segments(&url).map(str::to_owned).collect();
        segments.pop_if(|last| last.is_empty());
        if segments.iter().any(|segment| is_two_faced(segment)) {
            return Err(HttpRuleError::Path);
        }
        Ok(Self {
            methods,
            https,
            host,
            port,
            segments,
            text: text.to_owned(),
        })
    }
}

impl HttpRule {
    /// Whether it grants this request.
    pub fn allows(&self, method: &str, url: &Url) -> bool {
        let host = match (&self.host, url.host()) {
            (HostRule::Name(name), Some(Host::Domain(asked))) => name == asked,
            // The part before the dot must not be empty.
            (HostRule::Below(end), Some(Host::Domain(asked))) => {
                asked.strip_suffix(end.as_str()).is_some_and(|rest| !rest.is_empty())
            }
            (HostRule::Address(address), Some(Host::Ipv4(asked))) => *address == IpAddr::V4(asked),
            (HostRule::Address(address), Some(Host::Ipv6(asked))) => *address == IpAddr::V6(asked),
            _ => false,
        };
        host && https(url) == Some(self.https)
            && url.port_or_known_default() == Some(self.port)
            && (self.methods.is_empty() || self.methods.iter().any(|granted| granted == method))
            && self.allows_path(url)
    }

    fn allows_path(&self, url: &Url) -> bool {
        if self.segments.is_empty() {
            return true;
        }
        let mut asked = segments(url);
        let begins = self
            .segments
            .iter()
            .all(|granted| asked.next() == Some(granted.as_str()));
        // The server may decode what this side does not, and then leave the prefix.
        begins && !segments(url).any(is_two_faced)
    }

    /// Whether its requests are encrypted.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether its host is an address and not a name.
    pub fn is_by_address(&self) -> bool {
        matches!(self.host, HostRule::Address(_))
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn method(text: &str) -> Result<String, HttpRuleError> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    fits.then(|| text.to_owned())
        .ok_or_else(|| HttpRuleError::Method(text.to_owned()))
}

fn https(url: &Url) -> Option<bool> {
    match url.scheme() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// The path's segments; plain and encoded dots between slashes are gone, since the parser resolves them.
fn segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path().strip_prefix('/').unwrap_or_default().split('/')
}

/// Whether a server could read a segment as more than one or as a step: decoding it, however often, yields a slash, or
/// dots, not counting parameters after `;`. Takes linear time.
fn is_two_faced(segment: &str) -> bool {
    let decoded = decode(segment.as_bytes());
    let name = decoded.split(|byte| *byte == b';').next().unwrap_or_default();
    decoded.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) || matches!(name, b"." | b"..")
}

/// The text with each `%` and two hexadecimal digits replaced by its byte, repeatedly until none is left. Slashes, dots
/// before a `;` and zeros that appear on the way stay in it: no further decoding removes them.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text {
        decoded.push(*byte);
        // A decoded byte may be the last digit of another one.
        while let [.., b'%', high, low] = *decoded.as_slice()
            && let Some((high, low)) = digit(high).zip(digit(low))
        {
            decoded.truncate(decoded.len() - 3);
            decoded.push(high << 4 | low);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, method: &str, url: &str) -> bool {
        let rule: HttpRule = rule.parse().unwrap();
        rule.allows(method, &Url::parse(url).unwrap())
    }

    #[test]
    fn scheme_host_port_and_method_must_be_those_of_the_rule() {
        for (rule, url, fit) in [
            ("https://a.com", "https://a.com/x?y", true),
            ("https://a.com", "https://A.COM:443/", true),
            ("https://A.com:443", "https://a.com", true),
            ("https://a.com", "http://a.com:443/", false),
            ("https://a.com", "http://a.com/", false),
            ("https://a.com", "https://a.com:444/", false),
            ("https://a.com", "https://a.com./", false),
            ("https://a.com", "https://b.a.com/", false),
            ("https://a.com", "https://a.com.b.com/", false),
            ("https://a.com", "https://b.com/https://a.com", false),
            ("https://*.a.com", "https://b.a.com/", true),
            ("https://*.a.com", "https://c.b.a.com/", true),
            ("https://*.a.com", "https://a.com/", false),
            ("https://*.a.com", "https://.a.com/", false),
            ("https://*.a.com", "https://ba.com/", false),
            ("http://127.0.0.1:80", "http://127.0.0.1/", true),
            ("http://127.0.0.1", "http://0x7f.1/", true),
            ("http://127.0.0.1", "http://[::ffff:127.0.0.1]/", false),
            ("http://127.0.0.1", "http://localhost/", false),
            ("http://[::1]:8080", "http://[0:0::1]:8080/", true),
            ("http://localhost", "http://127.0.0.1/", false),
        ] {
            assert_eq!(allows(rule, "GET", url), fit, "{rule} {url}");
        }
        assert!(allows("GET,PUT http://a.com", "PUT", "http://a.com/"));
        assert!(!allows("GET,PUT http://a.com", "POST", "http://a.com/"));
        assert!(!allows("GET http://a.com", "get", "http://a.com/"));
    }

    #[test]
    fn path_prefix_matches_whole_segments_and_cannot_be_left() {
        for (rule, path, fit) in [
            ("/v1", "/v1", true),
            ("/v1", "/v1/", true),
            ("/v1/", "/v1", true),
            ("/v1/", "/v1/a/b?/../c", true),
            ("/v1/", "/v1/%41;x=1", true),
            ("/v1", "/v10", false),
            ("/v1", "/V1", false),
            ("/v1", "//v1", false),
            ("/v1", "/v2/../v1", true),
            ("/v1", "/v1/../v2", false),
            ("/v1", "/v1/%2e%2E/v2", false),
            ("/v1", "/v1/.%2e/v2", false),
            ("/v1", "/v1/..%2fv2", false),
            ("/v1", "/v1/a%2fb", false),
            ("/v1", "/v1/..%5cv2", false),
            ("/v1", "/v1\\..\\v2", false),
            ("/v1", "/v1/..;/v2", false),
            ("/v1", "/v1/%252e%252e/v2", false),
            ("/v1", "/v1/%25252e%25252e%25252fv2", false),
            ("/v1", "/v1/%00", false),
            ("/v1", "/v1/100%", true),
            ("/v1", "/v1/%2525252525", true),
            ("/v1", "/v1/%25252525252525252e.", false),
            // A digit that is encoded itself.
            ("/v1", "/v1/a%2%66b", false),
            ("/v1", "/v1/a%%32fb", false),
            ("/v1", "/v1/..%25253bx", false),
            ("/v1", "/v1/%c3%25e4;%2e", true),
            ("", "/a%2fb", true),
        ] {
            let (rule, url) = (format!("http://a.com{rule}"), format!("http://a.com{path}"));
            assert_eq!(allows(&rule, "GET", &url), fit, "{rule} {url}");
        }
    }

    #[test]
    fn nested_encoding_is_decoded_in_linear_time() {
        // Decoding in rounds took hours.
        let rounds = "25".repeat(2_000_000);
        for (end, two_faced) in [("2f", true), ("41", false), ("zz", false)] {
            assert_eq!(is_two_faced(&format!("%{rounds}{end}")), two_faced, "{end}");
        }
    }

    #[test]
    fn invalid_rule_is_an_error() {
        for rule in [
            "",
            "a.com",
            "GET",
            "get http://a.com",
            ", http://a.com",
            "GET  http://a.com",
            "ftp://a.com",
            "http://",
            "http:///a",
            "http://u@a.com",
            "http://u:p@a.com",
            "http://a.com?x",
            "http://a.com/#x",
            "http://a.com\\b",
            "http://*",
            "http://*.",
            "http://*.*.com",
            "http://a.*.com",
            "http://*.127.0.0.1",
            "http://a.com:99999",
            "http://a.com/a%2fb",
        ] {
            assert!(rule.parse::<HttpRule>().is_err(), "{rule}");
        }
    }
}
