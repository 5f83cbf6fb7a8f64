//! What went wrong in an attempt, for people: the words of the host and those of the guest, in the order that helps.

use serde::{Deserialize, Serialize};
/// What went wrong. Apart from the rest of an attempt's end, because most attempts have none and every message is copied on its
/// way.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Words {
    pub message: String,
    /// The last of what the guest wrote to stderr.
    pub stderr: String,
    /// Whether the message only says how the guest ended, as after a panic: then its own words say more.
    pub is_symptom: bool,
}

/// How many lines of what a guest wrote are told with its failure, beside the one that says what is wrong. Arbitrary: a failed
/// assertion of Rust has three.
const LAST_LINES: usize = 4;
const LAST_LINE_MAX: usize = 256;

/// Lines of which every panic in Rust has one.
const NOISE: &str = "note: run with `RUST_BACKTRACE=1`";

/// What the first line of a traceback is in Python.
const TRACEBACK: &str = "Traceback (most recent call last):";

impl Words {
    /// Both as people read them: see [`told`].
    pub fn told(&self) -> String {
        told(&self.message, &self.stderr, self.is_symptom)
    }
}

/// The message and the last of what the guest wrote that is not in it. If the message is a symptom, the guest's own words come
/// first.
pub fn told(message: &str, stderr: &str, is_symptom: bool) -> String {
    let lines = stderr.lines().map(str::trim_end);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with(NOISE) && !message.contains(line))
        .collect();
    let head = if is_symptom { headline(&lines) } else { None };
    let (mut text, head) = match head {
        Some(head) => (head.text(&lines), head.first..head.first + head.count),
        None => (message.to_owned(), 0..0),
    };
    let mut rest: Vec<&str> = lines
        .iter()
        .enumerate()
        .rev()
        .filter(|(at, _)| !head.contains(at))
        .map(|(_, line)| *line)
        .collect();
    rest.truncate(LAST_LINES);
    for line in rest.into_iter().rev() {
        text.push_str("\n  said: ");
        text.push_str(short(line));
    }
    if !head.is_empty() {
        text.push_str("\n  ");
        text.push_str(&message.replace('\n', "\n  "));
    }
    text
}

fn short(line: &str) -> &str {
    line.get(..line.floor_char_boundary(LAST_LINE_MAX)).unwrap_or(line)
}

/// The lines that say what is wrong.
struct Headline {
    first: usize,
    count: usize,
}

impl Headline {
    fn text(&self, lines: &[&str]) -> String {
        let mut lines = lines.iter().skip(self.first).take(self.count);
        let first = lines.next().copied().unwrap_or_default();
        // In Rust: `thread 'main' (1) panicked at src/lib.rs:5:52:`, and its message in the next line.
        let first = match first.find(" panicked at ") {
            Some(at) if first.starts_with("thread '") => first.get(at + 1..).unwrap_or(first),
            _ => first,
        };
        lines.fold(short(first).to_owned(), |text, line| text + " " + short(line))
    }
}

/// Finds the lines in which a guest says what is wrong, by the forms in which languages do. None: it said nothing.
fn headline(lines: &[&str]) -> Option<Headline> {
    let last = lines.len().checked_sub(1)?;
    let find = |form: &dyn Fn(&str) -> bool| lines.iter().rposition(|line| form(line));
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let one = |first| Headline { first, count: 1 };
    if let Some(first) = find(&|line| line.contains(" panicked at ") && line.ends_with(':')) {
        let count = 2.min(lines.len() - first);
        return Some(Headline { first, count });
    }
    // Go, and AssemblyScript.
    if let Some(first) =
        find(&|line| line.starts_with("panic: ") || line.starts_with("fatal error: ") || line.starts_with("abort: "))
    {
        return Some(one(first));
    }
    // Python ends with the line that counts, JavaScript begins with it and goes on with places.
    if lines.contains(&TRACEBACK) {
        return Some(one(
            find(&|line| !is_indented(line) && line != TRACEBACK).unwrap_or(last)
        ));
    }
    let is_place = |line: &str| is_indented(line) && line.trim_start().starts_with("at ");
    if find(&is_place).is_some() {
        return Some(one(find(&|line| !is_indented(line)).unwrap_or(last)));
    }
    Some(one(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stderr: &str) -> String {
        let words = Words {
            message: "trapped: wasm `unreachable` instruction executed\n  at p::inner".into(),
            stderr: stderr.into(),
            is_symptom: true,
        };
        words.told()
    }

    const SYMPTOM: &str = "\n  trapped: wasm `unreachable` instruction executed\n    at p::inner";

    #[test]
    fn own_words_come_before_the_symptom() {
        let note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        for (stderr, first) in [
            (
                format!("\nthread 'main' (1) panicked at p.rs:2:40:\nindex out of bounds: the len is 3\n{note}"),
                "panicked at p.rs:2:40: index out of bounds: the len is 3",
            ),
            (
                "Traceback (most recent call last):\n  File \"/0/app.py\", line 5, in network\nValueError: no\n".into(),
                "ValueError: no\n  said: Traceback (most recent call last):\n  said:   File \"/0/app.py\", line 5, in network",
            ),
            (
                "TypeError: x is undefined\n    at handle (worker.js:12:9)\n".into(),
                "TypeError: x is undefined\n  said:     at handle (worker.js:12:9)",
            ),
            (
                "panic: runtime error: index out of range [7]\n\ngoroutine 1 [running]:\n".into(),
                "panic: runtime error: index out of range [7]\n  said: goroutine 1 [running]:",
            ),
            (
                "Assertion failed: x > 0 (a.c: main: 4)\n".into(),
                "Assertion failed: x > 0 (a.c: main: 4)",
            ),
        ] {
            assert_eq!(told(&stderr), format!("{first}{SYMPTOM}"));
        }
        let assertion = "thread 'main' panicked at a.rs:1:1:\nassertion `left == right` failed\n  left: 1\n right: 2\n";
        assert_eq!(
            told(assertion),
            format!(
                "panicked at a.rs:1:1: assertion `left == right` failed\n  said:   left: 1\n  said:  right: 2{SYMPTOM}"
            )
        );
    }

    #[test]
    fn what_says_enough_itself_comes_first() {
        assert_eq!(told(""), SYMPTOM.trim_start().replace("\n  ", "\n"));
        let words = Words {
            message: "was not done within 30s".into(),
            stderr: "starting\nat line 5\n".into(),
            is_symptom: false,
        };
        assert_eq!(
            words.told(),
            "was not done within 30s\n  said: starting\n  said: at line 5"
        );
    }
}
