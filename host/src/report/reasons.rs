//! Why tasks failed, counted by reason, so that fifty thousand failures are a table of a few lines.
//!
//! Two failures have one reason if their messages differ only in words with digits and in what stands in quotes: the line, the
//! value, the place in it. What stands in quotes and is not the same for all of them is left out of the reason.

use std::fmt::Write as _;

use rustc_hash::FxHashMap;

use crate::text::shown;

/// How many reasons are told apart; failures for more of them are counted together. Arbitrary: more than anybody reads.
const REASONS_MAX: usize = 256;

/// How many reasons the table has. Arbitrary: half a screen.
const ROWS_MAX: usize = 10;

/// A reason, in the words of its first failure, but for quoted parts that are others in other failures.
struct Reason {
    words: String,
    /// The first task that failed for it, as people call it.
    first: String,
    count: u64,
}

/// All reasons of a run.
#[derive(Default)]
pub(super) struct Reasons {
    by_sign: FxHashMap<String, usize>,
    reasons: Vec<Reason>,
    /// Failures for reasons that are too many.
    others: u64,
    failures: u64,
}

impl Reasons {
    /// Counts the failure of a task. Says how many had its reason so far, this one included; none if there are too many reasons.
    pub(super) fn count(&mut self, task: &str, error: &str) -> Option<u64> {
        self.failures += 1;
        let words = words(error);
        let sign = sign(words);
        let at = match self.by_sign.get(&sign) {
            Some(at) => {
                if let Some(reason) = self.reasons.get_mut(*at) {
                    leave_out(&mut reason.words, words);
                }
                *at
            }
            None if self.reasons.len() < REASONS_MAX => {
                self.reasons.push(Reason {
                    words: shown(words),
                    first: task.to_owned(),
                    count: 0,
                });
                self.by_sign.insert(sign, self.reasons.len() - 1);
                self.reasons.len() - 1
            }
            None => {
                self.others += 1;
                return None;
            }
        };
        let reason = self.reasons.get_mut(at)?;
        reason.count += 1;
        Some(reason.count)
    }

    /// The table, a line each, the most frequent reason first. Nothing if a table would say no more than the failures did. `done`:
    /// how many tasks did not fail.
    pub(super) fn table(&self, done: u64) -> String {
        let mut text = String::new();
        if self.failures < 2 {
            return text;
        }
        if let ([one], 0) = (&*self.reasons, self.others) {
            let all = if done == 0 { "everything failed: " } else { "" };
            let _ = writeln!(
                text,
                "{all}all {} failures have one reason: {} (first: {})",
                one.count, one.words, one.first
            );
            return text;
        }
        let mut reasons: Vec<&Reason> = self.reasons.iter().collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let _ = writeln!(text, "{} failures, by reason:", self.failures);
        let (shown, rest) = reasons.split_at(reasons.len().min(ROWS_MAX));
        let width = shown.first().map_or(0, |reason| reason.count.to_string().len());
        for reason in shown {
            let _ = writeln!(
                text,
                "  {:>width$}  {} (first: {})",
                reason.count, reason.words, reason.first
            );
        }
        let others = self.others + rest.iter().map(|reason| reason.count).sum::<u64>();
        if others > 0 {
            let _ = writeln!(text, "  {others:>width$}  for other reasons");
        }
        text
    }
}

/// Of an error, the line that says why: how the first attempt failed, or the first line.
fn words(error: &str) -> &str {
    let mut lines = error.lines();
    let first = lines.next().unwrap_or_default();
    let attempt = lines.find_map(|line| {
        let (attempt, how) = line.split_once(": ")?;
        attempt.trim_start().starts_with("attempt ").then_some(how)
    });
    attempt.unwrap_or(first)
}

/// Leaves out of a reason's words the quoted parts that are not the same in another failure for that reason.
fn leave_out(reason: &mut String, words: &str) {
    let other = shown(words);
    if *reason == other {
        return;
    }
    let mut others = tokens(&other).filter_map(Token::quoted);
    let mut kept = String::with_capacity(reason.len());
    for token in tokens(reason) {
        match token {
            Token::Quoted { quote, inside } => {
                let is_same = others.next() == Some(inside);
                kept.push(quote);
                kept.push_str(if is_same { inside } else { "…" });
                kept.push(quote);
            }
            Token::Word(text) | Token::Other(text) => kept.push_str(text),
        }
    }
    *reason = kept;
}

/// What is the same for all failures of one reason.
fn sign(words: &str) -> String {
    let words = shown(words);
    let mut sign = String::with_capacity(words.len());
    for token in tokens(&words) {
        sign.push_str(match token {
            Token::Quoted { .. } => "\"",
            Token::Word(word) if word.contains(|c: char| c.is_ascii_digit()) => "#",
            Token::Word(text) | Token::Other(text) => text,
        });
    }
    // Numbers alone, as the status of a response, are the reason.
    if sign.contains(char::is_alphabetic) {
        sign
    } else {
        words
    }
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A text between two equal quotes.
    Quoted { quote: char, inside: &'a str },
    /// Letters, digits and `_`; and apostrophes behind the first of them, which are no quotes.
    Word(&'a str),
    /// Any other letter, or a quote without its partner.
    Other(&'a str),
}

impl<'a> Token<'a> {
    fn quoted(self) -> Option<&'a str> {
        match self {
            Self::Quoted { inside, .. } => Some(inside),
            Self::Word(_) | Self::Other(_) => None,
        }
    }
}

/// The parts of a text, in order and without gaps.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        if matches!(first, '`' | '"' | '\'')
            && let Some((inside, after)) = rest.get(1..)?.split_once(first)
        {
            rest = after;
            return Some(Token::Quoted { quote: first, inside });
        }
        let (end, is_word) = match is_word(first) {
            true => (rest.find(|c| !is_word(c) && c != '\'').unwrap_or(rest.len()), true),
            false => (first.len_utf8(), false),
        };
        let (token, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(if is_word {
            Token::Word(token)
        } else {
            Token::Other(token)
        })
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_reason() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.table(0), "");
        for line in 1..=5 {
            let error = format!("it can never work\nattempt 1 on w/{line}: `{line}x` is no number: at column {line}");
            assert_eq!(reasons.count(&format!("line {line}"), &error), Some(line));
        }
        assert_eq!(
            reasons.table(9),
            "all 5 failures have one reason: `…` is no number: at column 1 (first: line 1)\n"
        );
        assert!(reasons.table(0).starts_with("everything failed: all 5"));
        reasons.count(
            "line 9",
            "2 attempts failed\nattempt 1 on w/1: it can't\nattempt 2 on w/2: the same",
        );
        assert_eq!(
            reasons.table(0),
            "6 failures, by reason:\n  5  `…` is no number: at column 1 (first: line 1)\n  1  it can't (first: line 9)\n"
        );
    }

    #[test]
    fn quoted_parts_that_differ_are_left_out_of_a_reason() {
        let mut reason = "it's `a` in 'b', not \"c\"".to_owned();
        leave_out(&mut reason, "it's `a` in 'x', not \"c\"");
        assert_eq!(reason, "it's `a` in '…', not \"c\"");
        leave_out(&mut reason, "it's `ä` in 'b', not \"c\"");
        assert_eq!(reason, "it's `…` in '…', not \"c\"");
        leave_out(&mut reason, "it's `");
        assert_eq!(reason, "it's `…` in '…', not \"…\"");
    }

    #[test]
    fn text_is_cut_into_words_quotes_and_the_rest() {
        let quoted = |quote, inside| Token::Quoted { quote, inside };
        let cut: Vec<_> = tokens("it's `a b`, ä7 'c'\"").collect();
        assert_eq!(
            cut,
            [
                Token::Word("it's"),
                Token::Other(" "),
                quoted('`', "a b"),
                Token::Other(","),
                Token::Other(" "),
                Token::Word("ä7"),
                Token::Other(" "),
                quoted('\'', "c"),
                Token::Other("\""),
            ]
        );
        assert_eq!(tokens("").count(), 0);
        assert_eq!(sign("no 'x' of `y`"), sign("no 'longer' of `z`"));
    }

    #[test]
    fn numbers_alone_are_reasons_of_their_own() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.count("line 1", "404"), Some(1));
        assert_eq!(reasons.count("line 2", "503"), Some(1));
        assert_eq!(reasons.count("line 3", "404"), Some(2));
    }

    #[test]
    fn too_many_reasons_are_counted_together() {
        let mut reasons = Reasons::default();
        let letters = |number: usize| "x".repeat(number % 17 + 1) + &"y".repeat(number / 17);
        for number in 0..2 * REASONS_MAX {
            let count = reasons.count("line 1", &letters(number));
            assert_eq!(count.is_some(), number < REASONS_MAX);
        }
        let table = reasons.table(0);
        assert_eq!(table.lines().count(), ROWS_MAX + 2);
        assert!(
            table.ends_with(&format!("{}  for other reasons\n", 2 * REASONS_MAX - ROWS_MAX)),
            "{table}"
        );
    }
}
