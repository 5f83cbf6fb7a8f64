//! Splits a stream between words: after white space.

use std::io::{self, Read};

use crate::counting::is_space;

/// The size of a chunk, in bytes. The host calls `next` when this much input has arrived, so that a planner that
/// reads no more than this in one call never waits.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The longest chunk, in bytes: a word may not fit into [`CHUNK_BYTES`], but a payload may have 8 MiB at most.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 << 20;

/// One piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Ends with white space or with the stream.
    Chunk(Vec<u8>),
    /// Part of a word of more than [`CHUNK_BYTES_MAX`], without white space: the next pieces continue it, and the
    /// first [`Piece::Chunk`] begins with its end or with the white space after it.
    Fragment(Vec<u8>),
}

pub(crate) struct Chunks<R> {
    stream: R,
    /// Bytes that were read and not returned yet.
    buffer: Vec<u8>,
    ended: bool,
    chunk_bytes: usize,
    chunk_bytes_max: usize,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self::with_sizes(stream, CHUNK_BYTES, CHUNK_BYTES_MAX)
    }

    fn with_sizes(stream: R, chunk_bytes: usize, chunk_bytes_max: usize) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            ended: false,
            chunk_bytes,
            chunk_bytes_max,
        }
    }

    /// Returns the next piece, never empty; none at the end of the stream.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut wanted = self.chunk_bytes;
        let mut searched = 0;
        loop {
            self.fill(wanted)?;
            if self.ended {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then_some(Piece::Chunk(rest)));
            }
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(place) = fresh.iter().rposition(|byte| is_space(*byte)) {
                let rest = self.buffer.split_off(searched + place + 1);
                return Ok(Some(Piece::Chunk(std::mem::replace(&mut self.buffer, rest))));
            }
            if self.buffer.len() >= self.chunk_bytes_max {
                return Ok(Some(Piece::Fragment(std::mem::take(&mut self.buffer))));
            }
            searched = self.buffer.len();
            wanted = searched + self.chunk_bytes;
        }
    }

    /// Reads until the buffer holds this much or the stream ends.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let missing = wanted.saturating_sub(self.buffer.len());
        let read = self
            .stream
            .by_ref()
            .take(missing as u64)
            .read_to_end(&mut self.buffer)?;
        self.ended = read < missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        let mut chunks = Chunks::with_sizes(text.as_bytes(), 4, 8);
        std::iter::from_fn(|| chunks.next().unwrap())
            .map(|piece| match piece {
                Piece::Chunk(bytes) => String::from_utf8(bytes).unwrap(),
                Piece::Fragment(bytes) => format!("[{}]", String::from_utf8(bytes).unwrap()),
            })
            .collect()
    }

    #[test]
    fn chunks_end_after_white_space() {
        assert_eq!(pieces(""), [""; 0]);
        assert_eq!(pieces("a"), ["a"]);
        assert_eq!(pieces("ab\ncd ef"), ["ab\n", "cd ", "ef"]);
        assert_eq!(pieces("abcdef gh"), ["abcdef ", "gh"]);
        assert_eq!(pieces("    \n\n\n\n"), ["    ", "\n\n\n\n"]);
    }

    #[test]
    fn word_over_the_limit_is_split_into_fragments() {
        assert_eq!(
            pieces("abcdefghijklmnopqr st"),
            ["[abcdefgh]", "[ijklmnop]", "qr ", "st"]
        );
        assert_eq!(pieces("abcdefgh"), ["[abcdefgh]"]);
        assert_eq!(pieces("abcdefgh i"), ["[abcdefgh]", " i"]);
    }
}
