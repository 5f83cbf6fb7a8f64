//! Counts of bytes, words and lines. The text may be in any encoding or none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// White space of the C locale: space, tab, newline, vertical tab, form feed, carriage return.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Whether `LC_ALL=C wc -w` counts this run of bytes without white space. GNU wc 9.1 skips bytes that do not
/// print, so a run of only those is not a word.
fn is_word(run: &[u8]) -> bool {
    run.iter().any(u8::is_ascii_graphic)
}

/// The counts of `LC_ALL=C wc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    /// Counts bytes that begin and end between words.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            lines: bytes.iter().filter(|byte| **byte == b'\n').count() as u64,
            words: runs(bytes).filter(|run| is_word(run)).count() as u64,
            bytes: bytes.len() as u64,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

/// How often each run of bytes without white space occurs, as `tr -s '[:space:]' '\n' | sort | uniq -c` counts it.
pub(crate) type Tally = Vec<(Vec<u8>, u64)>;

/// In the order of the words, so that the same bytes always make the same tally.
pub(crate) fn tally(bytes: &[u8]) -> Tally {
    let mut seen: HashMap<&[u8], u64> = HashMap::new();
    for run in runs(bytes) {
        *seen.entry(run).or_default() += 1;
    }
    let mut tally: Tally = seen.into_iter().map(|(word, count)| (word.to_vec(), count)).collect();
    tally.sort_unstable();
    tally
}

/// Returns the most frequent first, and equally frequent ones in the order of their bytes.
pub(crate) fn most_frequent(seen: HashMap<Vec<u8>, u64>, top: usize) -> Tally {
    let mut tally: Tally = seen.into_iter().collect();
    tally.sort_unstable_by(|(word, count), (other_word, other_count)| {
        other_count.cmp(count).then_with(|| word.cmp(other_word))
    });
    tally.truncate(top);
    tally
}

fn runs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| is_space(*byte)).filter(|run| !run.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are the output of GNU wc 9.1 with LC_ALL=C.
    #[test]
    fn counts_are_those_of_wc() {
        for (bytes, lines, words) in [
            (&b""[..], 0, 0),
            (b"\n", 1, 0),
            (b"one two\nthree", 1, 3),
            (b"  a  \n\n b ", 2, 2),
            (b"a\x0bb\x0cc\rd\te\x85f\xa0g", 0, 5),
            (b"\x01 \x02", 0, 0),
            (b"a\x01b", 0, 1),
            (b"a \x80 b", 0, 2),
            (b"caf\xe9 \xe9", 0, 1),
            (b"\x00", 0, 0),
            (b"\x7f a", 0, 1),
        ] {
            assert_eq!(
                Counts::of(bytes),
                Counts {
                    lines,
                    words,
                    bytes: bytes.len() as u64
                },
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn top_words_are_sorted_by_frequency_then_bytes() {
        let seen = tally(b"b a c\xff b\na d").into_iter().collect();
        let expected = [(&b"a"[..], 2), (b"b", 2), (b"c\xff", 1)].map(|(word, count)| (word.to_vec(), count));
        assert_eq!(most_frequent(seen, 3), expected);
    }
}
