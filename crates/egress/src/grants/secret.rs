//! Secrets.

use std::{fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use url::Url;
use zeroize::Zeroizing;

use super::HttpRule;

/// A value that the host inserts into requests and that no guest sees.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The name of the guest's environment variable.
    pub name: String,
    value: Arc<Value>,
    /// Where it may go; the bound grants, once it is bound.
    hosts: Option<Vec<HttpRule>>,
}

/// The value in all forms in which it is sent or may come back. Zeroed when the last reference is dropped.
struct Value {
    header: Zeroizing<String>,
    query: Zeroizing<String>,
    /// The longest first, so that none is hidden only in part.
    forms: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("it is empty")]
    Empty,
    #[error("it has a line break or another control character, which is invalid in a header")]
    Control,
    #[error("`basic` needs USER:PASSWORD, and it has no colon")]
    NoColon,
}

impl Secret {
    /// Why no secret can have this name, if it cannot.
    pub fn wrong_name(name: &str) -> Option<&'static str> {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let is_name = !name.is_empty() && name.chars().all(fits);
        (!is_name).then_some("its name is that of an environment variable: letters, digits and `_`")
    }

    /// Makes a secret of its value. `hosts`: where it may go; none: where the pool's grants allow. `basic`: it is
    /// `USER:PASSWORD` and is sent in base64.
    ///
    /// # Errors
    /// It cannot be sent in a header.
    pub fn new(
        name: String,
        value: Zeroizing<String>,
        hosts: Option<Vec<HttpRule>>,
        basic: bool,
    ) -> Result<Self, SecretError> {
        if value.is_empty() {
            return Err(SecretError::Empty);
        }
        if value.contains(char::is_control) {
            return Err(SecretError::Control);
        }
        let password = value.split_once(':').map(|(_, password)| password);
        let header = match (basic, password) {
            (false, _) => value.clone(),
            (true, Some(_)) => Zeroizing::new(BASE64_STANDARD.encode(value.as_bytes())),
            (true, None) => return Err(SecretError::NoColon),
        };
        let mut plain = vec![header.as_str(), value.as_str()];
        // A user's name may be a common word; a password is not.
        plain.extend(password.filter(|password| basic && !password.is_empty()));
        let mut forms = Vec::new();
        for text in plain {
            forms.push(Zeroizing::new(text.to_owned()));
            forms.push(escaped(text, b"0123456789ABCDEF"));
            forms.push(escaped(text, b"0123456789abcdef"));
            forms.push(Zeroizing::new(
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
            ));
        }
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Ok(Self {
            name,
            value: Arc::new(Value {
                query: escaped(&header, b"0123456789ABCDEF"),
                header,
                forms,
            }),
            hosts,
        })
    }

    /// Binds it to its own hosts, else to the encrypted grants; if there are none, to those by address, which cannot be
    /// taken over by a change of a name.
    pub fn bound(&self, granted: &[HttpRule]) -> Self {
        let hosts = self.hosts.clone().unwrap_or_else(|| {
            let encrypted: Vec<_> = granted.iter().filter(|rule| rule.is_https()).cloned().collect();
            if encrypted.is_empty() {
                granted.iter().filter(|rule| rule.is_by_address()).cloned().collect()
            } else {
                encrypted
            }
        });
        Self {
            hosts: Some(hosts),
            ..self.clone()
        }
    }

    /// Whether it may be sent with this request.
    pub fn may_go(&self, method: &str, url: &Url) -> bool {
        self.hosts.iter().flatten().any(|rule| rule.allows(method, url))
    }

    /// The form for a header. **Never shown.**
    pub fn header(&self) -> &str {
        &self.value.header
    }

    /// The form for a query. **Never shown.**
    pub fn query(&self) -> &str {
        &self.value.query
    }

    /// The forms to hide, the longest first.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        self.value.forms.iter().map(|form| form.as_str())
    }
}

/// Percent-encodes all but letters, digits and `-._~`, with these hexadecimal digits.
fn escaped(text: &str, digits: &[u8; 16]) -> Zeroizing<String> {
    let digit = |at: u8| char::from(digits.get(usize::from(at)).copied().unwrap_or_default());
    // Of the largest possible capacity, so that growing leaves no copy behind.
    let mut escaped = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push(digit(byte >> 4));
            escaped.push(digit(byte & 15));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(value: &str, basic: bool) -> Result<Secret, SecretError> {
        Secret::new("TOKEN".to_owned(), Zeroizing::new(value.to_owned()), None, basic)
    }

    #[test]
    fn debug_output_hides_secrets() {
        let shown = format!("{:?}", secret("canary", false).unwrap());
        assert!(shown.contains("[secret]") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn secret_is_encoded_for_its_place() {
        let plain = secret("a/b c", false).unwrap();
        assert_eq!((plain.header(), plain.query()), ("a/b c", "a%2Fb%20c"));
        let basic = secret("u:p", true).unwrap();
        assert_eq!((basic.header(), basic.query()), ("dTpw", "dTpw"));
        assert!(basic.forms().any(|form| form == "u:p"));
        assert!(matches!(secret("", false), Err(SecretError::Empty)));
        assert!(matches!(secret("a\nb", false), Err(SecretError::Control)));
        assert!(matches!(secret("a", true), Err(SecretError::NoColon)));
    }

    #[test]
    fn secret_without_hosts_goes_to_https_or_else_to_addresses() {
        let goes = |granted: &[&str], url: &str| {
            let granted: Vec<HttpRule> = granted.iter().map(|rule| rule.parse().unwrap()).collect();
            let secret = secret("canary", false).unwrap().bound(&granted);
            secret.may_go("GET", &Url::parse(url).unwrap())
        };
        assert!(goes(&["https://a.com", "http://1.1.1.1"], "https://a.com/x"));
        assert!(!goes(&["https://a.com", "http://1.1.1.1"], "http://1.1.1.1/"));
        assert!(goes(&["http://1.1.1.1", "http://a.com"], "http://1.1.1.1/"));
        assert!(!goes(&["http://a.com"], "http://a.com/"));
    }
}
