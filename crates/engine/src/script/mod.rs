//! Simulated workers and the log of a rehearsal.
//!
//! A *rule* defines which attempts it applies to and how they end. Rules are tried in order; the first one that matches
//! and is not used up answers. The *log* has a line for each event of a run, and is the same every time.

mod log;
mod rules;

pub use self::{
    log::Log,
    rules::{Attempt, Ending, Payload, Rule, Rules, ScriptedEnd, When},
};
use disperse_protocol::digest::Digest;

/// The most bytes of a payload that are shown.
const SHOWN_MAX: usize = 120;

/// Bytes on one line, without invisible characters: text with escapes, else hexadecimal. A shortened one ends with its
/// digest, so that every difference shows.
pub fn shown(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok();
    let (mut shown, cut) =
        match text.filter(|text| !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace())) {
            Some("") => return "(nothing)".to_owned(),
            Some(text) => {
                let cut = text.floor_char_boundary(SHOWN_MAX);
                (escaped(text.get(..cut).unwrap_or_default()), cut)
            }
            None => {
                let cut = bytes.len().min(SHOWN_MAX / 4);
                (format!("0x{}", hex::encode(bytes.get(..cut).unwrap_or_default())), cut)
            }
        };
    if cut < bytes.len() {
        let digest = Digest::of(bytes).to_string();
        let digest = digest.get(..12).unwrap_or_default();
        shown.push_str(&format!("… ({} bytes, sha256 {digest}…)", bytes.len()));
    }
    shown
}

/// A text without control characters, and with spaces at its ends escaped, where they would be invisible.
pub fn escaped(text: &str) -> String {
    let inner = text.trim_matches(' ');
    let before = text.len() - text.trim_start_matches(' ').len();
    let mut escaped = "\\u{20}".repeat(before);
    for c in inner.chars() {
        if c.is_control() || c == '\\' {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped.push_str(&"\\u{20}".repeat(text.len() - inner.len() - before));
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_bytes_fit_on_one_line_and_stay_distinct() {
        assert_eq!(shown(b"a \"b\"\n"), "a \"b\"\\n");
        assert_eq!(shown(b" a\\ "), "\\u{20}a\\\\\\u{20}");
        assert_eq!(
            (shown(b"  "), shown(b"")),
            ("\\u{20}\\u{20}".to_owned(), "(nothing)".to_owned())
        );
        assert_eq!(shown(&[0, 255]), "0x00ff");
        let (one, mut other) = ([b'x'; 500], [b'x'; 500]);
        other[499] = b'y';
        assert!(
            shown(&one).ends_with("…)") && shown(&one).len() < 200,
            "{}",
            shown(&one)
        );
        assert_ne!(shown(&one), shown(&other));
    }
}
