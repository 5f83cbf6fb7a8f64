//! Tells a write-ahead log that is damaged from one whose end was not written.
//!
//! SQLite takes the commits of a log up to the first frame whose checksum is wrong, and ignores the rest. After a crash that is
//! right: the last commit was being written. But each commit is synced before the next is written, so if whole commits follow
//! the wrong frame, records that were durable are damaged, and would be missing without a word. The format of the log is that of
//! sqlite.org/fileformat2.html, section 4.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// SQLite's default, with which journals are created.
pub(crate) const PAGE: usize = 4096;
/// With the lowest bit set, checksums are of big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// The checksum of the log up to some frame.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    /// Goes on over these bytes, whose length is a multiple of 8.
    fn over(mut self, bytes: &[u8], is_big: bool) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let (pairs, _) = words.as_chunks::<2>();
        let word = |bytes| {
            if is_big {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        for &[first, second] in pairs {
            self.0 = self.0.wrapping_add(word(first)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(second)).wrapping_add(self.0);
        }
        self
    }
}

/// The big-endian number at this offset; 0 beyond the end.
fn number(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.copied().map_or(0, u32::from_be_bytes)
}

/// One frame as it is in the file.
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; FRAME_HEADER + PAGE];
        match from.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(Self { bytes })),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number that all frames have that were written since the log began anew.
    fn salt(&self) -> u64 {
        u64::from(number(&self.bytes, 8)) << 32 | u64::from(number(&self.bytes, 12))
    }

    /// Whether it is the last of a commit.
    fn is_commit(&self) -> bool {
        number(&self.bytes, 4) != 0
    }

    fn stored_sum(&self) -> Sum {
        Sum(number(&self.bytes, 16), number(&self.bytes, 20))
    }

    fn sum_after(&self, before: Sum, is_big: bool) -> Sum {
        let (head, page) = (self.bytes.get(..8), self.bytes.get(FRAME_HEADER..));
        before
            .over(head.unwrap_or_default(), is_big)
            .over(page.unwrap_or_default(), is_big)
    }
}

/// How the log of a journal is damaged. None: it is not, or it is one whose end was not written.
///
/// # Errors
/// It cannot be read.
pub(crate) fn damage(log: &Path) -> io::Result<Option<&'static str>> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        // Nothing was committed.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let is_big = number(&header, 0) == MAGIC | 1;
    let salt = u64::from(number(&header, 16)) << 32 | u64::from(number(&header, 20));
    let stored = Sum(number(&header, 24), number(&header, 28));
    let computed = Sum(0, 0).over(header.get(..24).unwrap_or_default(), is_big);
    let is_known = number(&header, 0) | 1 == MAGIC | 1 && number(&header, 8) == PAGE as u32;
    if stored != computed || !is_known {
        let first = Frame::read(&mut file)?;
        return Ok(first
            .filter(|frame| follows(frame, &header, stored))
            .map(|_| "the header of its log"));
    }
    let mut sum = stored;
    // Whether the log is wrong from here on, and whether a whole commit follows that.
    let (mut is_wrong, mut is_commit_behind) = (false, false);
    while let Some(frame) = Frame::read(&mut file)? {
        if !is_wrong {
            sum = frame.sum_after(sum, is_big);
            is_wrong = frame.salt() != salt || sum != frame.stored_sum();
            if !is_wrong {
                continue;
            }
        }
        if !is_same(frame.salt(), salt) {
            continue;
        }
        if is_commit_behind {
            return Ok(Some("its log"));
        }
        is_commit_behind = frame.is_commit();
    }
    Ok(None)
}

/// Whether two salts are the same but for a bit. Those of another time differ in half of the lower bits.
fn is_same(one: u64, other: u64) -> bool {
    (one ^ other).count_ones() <= 1
}

/// Whether a frame was written after a header that is wrong now, by its checksum, which goes on from that of the header.
fn follows(frame: &Frame, header: &[u8; HEADER], stored: Sum) -> bool {
    let native = cfg!(target_endian = "big");
    let computed = Sum(0, 0).over(header.get(..24).unwrap_or_default(), native);
    [stored, computed]
        .into_iter()
        .any(|before| frame.sum_after(before, native) == frame.stored_sum())
}
