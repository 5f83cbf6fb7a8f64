//! Text of guests, files and servers, made safe to keep and show: of a limited length, and without characters that a
//! terminal or an editor interprets.

mod escape;

use std::fmt::{self, Display, Write};

pub use self::escape::{is_printable, plain, plain_json, plain_line};

/// The longest message of a failure, in bytes.
pub const MESSAGE_MAX: usize = 4 << 10;

/// The longest name that is shown, in characters.
const NAME_MAX: usize = 160;

/// A name on one line: control characters are escaped, and it is cut after 160 characters.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME_MAX) {
        Some((end, _)) => plain_line(name.get(..end).unwrap_or_default()).into_owned() + "…",
        None => plain_line(name).into_owned(),
    }
}

/// On one line, with a blank in the place of each control character.
pub fn one_line(text: &str, most: usize) -> String {
    let letters = text.chars().take(most);
    letters
        .map(|letter| if is_printable(letter) { letter } else { ' ' })
        .collect()
}

/// Cuts a message to the length that is kept: 4 KiB.
pub fn cut(text: String) -> String {
    cut_to(text, MESSAGE_MAX)
}

/// At most so many bytes of a text, and `…` if it was longer. Releases the memory of the rest.
pub fn cut_to(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Formats a value, cut to the length of a message while it is written. None: the text begins with `not`.
pub fn bounded(value: &dyn Display, not: &str) -> Option<String> {
    let mut writer = BoundedWriter {
        text: String::new(),
        not,
    };
    // An error: full, or it begins with `not`.
    let _ = write!(writer, "{value}");
    (not.is_empty() || !writer.text.starts_with(not)).then(|| cut(writer.text))
}

/// Takes no more than the kept length of a message.
struct BoundedWriter<'a> {
    text: String,
    not: &'a str,
}

impl Write for BoundedWriter<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        // One byte more than is kept tells a longer text from one that just fits.
        let room = (MESSAGE_MAX + 4).saturating_sub(self.text.len());
        let taken = piece.get(..piece.floor_char_boundary(room)).unwrap_or_default();
        self.text.push_str(taken);
        let is_wanted = self.not.is_empty() || !self.text.starts_with(self.not);
        if is_wanted && taken.len() == piece.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lines_have_no_control_characters() {
        assert_eq!(shown("a\n\u{1b}b"), "a\\n\\u{1b}b");
        assert_eq!(one_line("a\nb\u{202e}c", 4), "a b ");
    }

    #[test]
    fn text_is_cut_at_a_character_boundary() {
        assert_eq!(cut_to("äöü".to_owned(), 3), "ä…");
        assert_eq!(cut_to("äöü".to_owned(), 6), "äöü");
        assert_eq!(shown(&"ä".repeat(161)), format!("{}…", "ä".repeat(160)));
        assert_eq!(cut("x".repeat(MESSAGE_MAX)).len(), MESSAGE_MAX);
        assert_eq!(cut("x".repeat(1 << 20)).len(), MESSAGE_MAX + "…".len());
    }

    #[test]
    fn message_is_cut_while_it_is_formatted() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("first: ")?;
                loop {
                    f.write_str("again ")?;
                }
            }
        }
        assert_eq!(
            bounded(&Endless, "").map(|text| text.len()),
            Some(MESSAGE_MAX + "…".len())
        );
        assert_eq!(bounded(&Endless, "first"), None);
        assert_eq!(bounded(&"all of it", "first").as_deref(), Some("all of it"));
    }
}
