//! A fingerprint of the place where a guest trapped: equal for two traps with the same cause, different for different
//! causes. It is the same in every process and on every machine.
//!
//! It is a hash of two things, because neither distinguishes causes in every language:
//!
//! * **The frames of the guest**, all that are kept. The innermost alone is useless: in Rust, in C and with
//!   componentize-py it is always `abort`. The place itself is a few frames further out.
//! * **The last lines on stderr.** The frames of an interpreter do not depend on the script, but its message names the
//!   error, the file and the line. Parts that may differ between attempts at the same place do not count: every word
//!   with a digit in it (an index, an address, an ID, a time) is replaced by `#`, except line and column numbers.
//!
//! If the text at one place differs in other ways, the fingerprints differ. The error is then on the safe side: the
//! action is tried again.

use wasmtime::{Trap, WasmBacktrace};

/// The number of last lines of stderr that count. A panic in Rust writes three; a traceback in Python has one or two
/// for each frame, the innermost last.
const LINES: usize = 8;

/// Fingerprints below this are reserved: 0 is no place, and the others include [`FUEL`] and [`STACK`].
const RESERVED: u64 = 4;

/// The fingerprint of every guest that used up its fuel, because the place where that happens is arbitrary.
pub(super) const FUEL: u64 = 1;

/// The fingerprint of every guest that recursed too deep.
pub(super) const STACK: u64 = 3;

/// An FNV-1a hash.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn number(&mut self, value: u64) {
        value.to_le_bytes().into_iter().for_each(|byte| self.add(byte));
    }

    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.add(byte));
    }
}

/// The fingerprint of a trap, from its frames alone.
pub(super) fn of_frames(trap: Trap, backtrace: Option<&WasmBacktrace>) -> u64 {
    of_kind(trap as u64, backtrace)
}

/// The fingerprint of an uncaught exception, from its frames alone.
pub(super) fn of_exception(backtrace: Option<&WasmBacktrace>) -> u64 {
    // No kind of trap has this number.
    of_kind(u64::MAX, backtrace)
}

fn of_kind(kind: u64, backtrace: Option<&WasmBacktrace>) -> u64 {
    let mut hash = Hash::EMPTY;
    hash.number(kind);
    for frame in backtrace.iter().flat_map(|backtrace| backtrace.frames()) {
        hash.number(frame.func_index().into());
        hash.number(frame.func_offset().unwrap_or_default() as u64);
    }
    hash.0.max(RESERVED)
}

/// The fingerprint of a trap, from the one of its frames and the guest's stderr.
pub(super) fn after_words(frames: u64, stderr: &str) -> u64 {
    let mut hash = Hash(frames);
    let lines = stderr.lines().rev().filter(|line| !line.trim().is_empty());
    for line in lines.take(LINES) {
        add_line(&mut hash, line.trim());
        hash.add(b'\n');
    }
    hash.0.max(RESERVED)
}

/// Adds a line, with `#` for each word that has a digit in it, unless that is a line or column number.
fn add_line(hash: &mut Hash, line: &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line;
    // Whether the text just before is a name or a number that counts, such a text with a colon, or the word `line`.
    let mut after_name = false;
    let mut after_colon = false;
    let mut after_line = false;
    while let Some(first) = rest.chars().next() {
        if !is_word(first) {
            after_colon = after_name && first == ':';
            // A file name can end in a bracket: `<anonymous>:3:4`.
            after_name = first == '>';
            after_line = after_line && first == ' ';
            hash.text(first.encode_utf8(&mut [0; 4]));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, left) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let counts = match is_number {
            true => after_colon || after_line,
            false => !word.bytes().any(|byte| byte.is_ascii_digit()),
        };
        hash.text(if counts { word } else { "#" });
        (after_name, after_colon, after_line) = (counts, false, word == "line");
        rest = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stderr: &str) -> u64 {
        after_words(7, stderr)
    }

    const RUST: &str = "thread 'main' (1) panicked at src/lib.rs:5:52:\nindex out of bounds: the len is 0 but the index is 57\n\
                        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
    const PYTHON: &str = "Traceback (most recent call last):\n  File \"/0/app.py\", line 12, in handle\n    return network()\n  \
                          File \"/0/app.py\", line 5, in network\nValueError: timed out after 153 ms\n";
    const JAVASCRIPT: &str =
        "Error: no answer within 153 ms\n    at network (worker.js:12:9)\n    at <anonymous>:3:4\n";

    #[test]
    fn fingerprint_does_not_depend_on_values() {
        let log = "12:34:56.789 request 8f0e-4b1c of 0x7fff3a10\n";
        let later = "13:59:01.002 request 11aa-9c0d of 0x7fff99c0\n";
        for (said, again) in [
            (RUST.to_owned(), RUST.replace("index is 57", "index is 4")),
            (RUST.to_owned(), RUST.replace("(1)", "(2)")),
            (format!("{log}{RUST}"), format!("{later}{RUST}")),
            (PYTHON.to_owned(), PYTHON.replace("153", "1044")),
            (JAVASCRIPT.to_owned(), JAVASCRIPT.replace("153", "1044")),
        ] {
            assert_eq!(place(&said), place(&again), "{said}\n{again}");
        }
        let early = "the first line of many\n".repeat(20);
        assert_eq!(place(&(early.clone() + RUST)), place(&format!("{early}{early}{RUST}")));
    }

    #[test]
    fn different_places_have_different_fingerprints() {
        for (said, other) in [
            (RUST, RUST.replace("5:52", "6:52")),
            (RUST, RUST.replace("5:52", "5:9")),
            (RUST, RUST.replace("src/lib.rs", "src/main.rs")),
            (PYTHON, PYTHON.replace("line 5, in network", "line 8, in network")),
            (PYTHON, PYTHON.replace("ValueError", "KeyError")),
            (JAVASCRIPT, JAVASCRIPT.replace("12:9", "14:9")),
            (JAVASCRIPT, JAVASCRIPT.replace("3:4", "3:5")),
        ] {
            assert_ne!(place(said), place(&other), "{other}");
        }
        assert_ne!(after_words(7, RUST), after_words(8, RUST));
        assert_ne!(place(""), place(RUST));
    }

    #[test]
    fn fingerprints_are_not_reserved_numbers() {
        assert_eq!(after_words(0, ""), RESERVED);
        assert!(of_frames(Trap::UnreachableCodeReached, None) >= RESERVED);
    }
}
