//! Replaces placeholders by secrets, and secrets by placeholders.

use std::sync::Arc;

use memchr::memmem::Finder;
use url::Url;

use super::{Problem, address::Origin};
use crate::grants::Secret;

/// A secret with the placeholder of one worker.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The value of the worker's variable.
    pub placeholder: String,
    pub secret: Secret,
}

impl Placed {
    /// With a new placeholder.
    ///
    /// # Errors
    /// The system returns no random bytes.
    pub fn new(secret: Secret) -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let placeholder = format!("disperse-secret-{}", hex::encode(bytes));
        Ok(Self { placeholder, secret })
    }
}

/// All secrets of one worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Arc<[Placed]>);

impl Secrets {
    pub(super) fn new(placed: Arc<[Placed]>) -> Self {
        Self(placed)
    }

    /// The secrets whose placeholders are in a text.
    pub(super) fn named(&self, text: &str) -> impl Iterator<Item = &Secret> {
        let found = self.0.iter().filter(move |placed| text.contains(&placed.placeholder));
        found.map(|placed| &placed.secret)
    }

    /// Replaces placeholders in a text by secrets, each in the `form` for that place. None if there are no
    /// placeholders.
    ///
    /// # Errors
    /// A secret may not go into this request.
    pub(super) fn fill(
        &self,
        text: &str,
        (method, url): (&str, &Url),
        form: fn(&Secret) -> &str,
    ) -> Result<Option<String>, Problem> {
        if let Some(secret) = self.named(text).find(|secret| !secret.may_go(method, url)) {
            return Err(Problem::Denied(format!(
                "the secret {} is not for {method} {}; the operator's setting is its `hosts`",
                secret.name,
                Origin(url)
            )));
        }
        let mut filled = None;
        for placed in self.0.iter() {
            let text = filled.as_deref().unwrap_or(text);
            if text.contains(&placed.placeholder) {
                filled = Some(text.replace(&placed.placeholder, form(&placed.secret)));
            }
        }
        Ok(filled)
    }

    /// Replaces secrets in bytes by placeholders; none if the bytes are then more than `most`.
    pub(super) fn hide(&self, mut bytes: Vec<u8>, most: usize) -> Option<Vec<u8>> {
        for placed in self.0.iter() {
            for form in placed.secret.forms() {
                bytes = hide(bytes, form.as_bytes(), placed.placeholder.as_bytes(), most)?;
            }
        }
        (bytes.len() <= most).then_some(bytes)
    }

    /// The same for a text.
    pub(super) fn hide_text(&self, text: String, most: usize) -> Option<String> {
        if self.0.is_empty() {
            return (text.len() <= most).then_some(text);
        }
        let hidden = self.hide(text.into_bytes(), most)?;
        // Secrets and placeholders are whole characters.
        Some(String::from_utf8_lossy(&hidden).into_owned())
    }
}

fn hide(bytes: Vec<u8>, form: &[u8], placeholder: &[u8], most: usize) -> Option<Vec<u8>> {
    let finder = Finder::new(form);
    let mut places = finder.find_iter(&bytes).peekable();
    if places.peek().is_none() {
        return Some(bytes);
    }
    let mut hidden = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in places {
        hidden.extend_from_slice(bytes.get(from..at)?);
        hidden.extend_from_slice(placeholder);
        from = at + form.len();
        // A short secret that is echoed often must not grow without limit.
        if hidden.len() > most {
            return None;
        }
    }
    hidden.extend_from_slice(bytes.get(from..)?);
    Some(hidden)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn secrets(value: &str, basic: bool) -> (Secrets, String) {
        let granted = ["https://a.com/v1".parse().unwrap()];
        let secret = Secret::new("TOKEN".to_owned(), Zeroizing::new(value.to_owned()), None, basic).unwrap();
        let placed = Placed::new(secret.bound(&granted)).unwrap();
        let placeholder = placed.placeholder.clone();
        (Secrets::new([placed].into()), placeholder)
    }

    #[test]
    fn placeholder_is_replaced_only_in_granted_requests() {
        let (secrets, placeholder) = secrets("a b", false);
        let fill = |text: &str, url: &str| secrets.fill(text, ("GET", &Url::parse(url).unwrap()), Secret::query);
        let text = format!("x={placeholder}&y={placeholder}");
        assert_eq!(fill(&text, "https://a.com/v1/").unwrap().unwrap(), "x=a%20b&y=a%20b");
        assert_eq!(fill("x", "https://b.com/").unwrap(), None);
        for url in [
            "https://b.com/v1",
            "http://a.com/v1",
            "https://a.com/v2",
            "https://a.com:1/v1",
        ] {
            assert!(
                matches!(fill(&text, url), Err(Problem::Denied(why)) if why.contains("TOKEN")),
                "{url}"
            );
        }
    }

    #[test]
    fn secret_is_hidden_in_all_forms() {
        let (secrets, placeholder) = secrets("user:pass word/", true);
        for form in [
            "user:pass word/",
            "dXNlcjpwYXNzIHdvcmQv",
            "pass%20word%2F",
            "pass%20word%2f",
            "pass+word%2F",
            "pass word/",
        ] {
            let hidden = secrets.hide(format!("<{form}>").into_bytes(), 1000).unwrap();
            assert!(
                String::from_utf8(hidden).unwrap().ends_with(&format!("{placeholder}>")),
                "{form}"
            );
        }
    }

    #[test]
    fn hiding_secrets_has_a_size_limit() {
        let (secrets, _) = secrets("a", false);
        assert_eq!(secrets.hide(vec![b'a'; 1000], 10_000), None);
        assert_eq!(secrets.hide(vec![b'b'; 1000], 999), None);
        assert!(secrets.hide(vec![b'b'; 1000], 1000).is_some());
        assert_eq!(secrets.hide_text("a".repeat(1000), 10_000), None);
        assert_eq!(secrets.hide_text("bü".to_owned(), 3).as_deref(), Some("bü"));
    }
}
