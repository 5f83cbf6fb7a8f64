//! Text of unknown origin, made safe for a terminal.

use std::borrow::Cow;

/// Whether a terminal shows a character as itself: not a control character, and none that reorders, hides or joins its
/// neighbours. Ends of lines and tabs are control characters.
pub fn is_printable(c: char) -> bool {
    // ASCII first: most text is.
    matches!(c, ' '..='~')
        || !(c.is_control()
            || matches!(c,
                // Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width characters and directional
                // marks.
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                // Line and paragraph separators, directional embeddings and overrides, invisible operators, isolates.
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                // Byte order mark, interlinear annotations, tags.
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
                // Letters without a shape: the grapheme joiner, fillers of Hangul, inherent vowels of Khmer; musical
                // formatting.
                | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}'
                | '\u{1d173}'..='\u{1d17a}'))
}

/// A text of several lines with everything unprintable but ends of lines and tabs escaped, as in `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_printable(c) || matches!(c, '\n' | '\t'))
}

/// The same in one line: ends of lines and tabs are escaped too.
pub fn plain_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_printable)
}

/// JSON with everything unprintable in strings escaped as `\u001b`. The value stays the same: serializers leave only
/// non-ASCII characters unescaped, and those occur nowhere but in strings.
pub fn plain_json(json: &str) -> Cow<'_, str> {
    // Bytes first: most JSON is ASCII, and each line of a run passes here.
    let is_plain = json.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    if is_plain || json.chars().all(|c| is_printable(c) || c == '\n') {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) || c == '\n' {
            plain.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                plain.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(plain)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&stays) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_default());
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}\u{3164}\u{34f}z";

    #[test]
    fn unprintable_characters_are_written_out() {
        assert_eq!(
            plain(HOSTILE),
            r"a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}\u{3164}\u{34f}z"
        );
        assert_eq!(plain("a\tb\nc"), "a\tb\nc");
        assert_eq!(plain_line("a\tb\nc"), r"a\tb\nc");
        for text in ["", "Grüße, 世界 🌍", "a\\u{1b}"] {
            assert!(
                matches!(plain_line(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let json = serde_json::to_string(&[HOSTILE, "\n\"\\ü"]).unwrap();
        let plain = plain_json(&json);
        assert!(plain.chars().all(is_printable), "{plain}");
        assert!(plain.contains("ü") && plain.contains(r"\udb40\udc41"), "{plain}");
        assert_eq!(
            serde_json::from_str::<[String; 2]>(&plain).unwrap(),
            [HOSTILE, "\n\"\\ü"]
        );
    }
}
