//! How values are stored in columns: bytes as text where they are text, lists of numbers, checksums of rows.

use disperse_protocol::inbox::RequestNumber;
use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};

/// The most bytes that a number takes: 7 bits in each.
const NUMBER_MAX: u32 = 5;

/// Bytes, stored as text if they are text that every tool shows whole, else as a blob. Read as bytes either way.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl ToSql for Bytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // C programs end a text at its first zero.
        let is_text = !self.0.contains(&0) && std::str::from_utf8(self.0).is_ok();
        Ok(ToSqlOutput::Borrowed(if is_text {
            ValueRef::Text(self.0)
        } else {
            ValueRef::Blob(self.0)
        }))
    }
}

/// Encodes numbers of requests: what each adds to the one before, 7 bits a byte, the lowest first.
pub(crate) fn encode(numbers: &[RequestNumber], into: &mut Vec<u8>) {
    into.clear();
    let mut last = 0;
    for number in numbers {
        let mut rest = number.wrapping_sub(last);
        last = *number;
        while rest >= 0x80 {
            into.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        into.push(rest as u8);
    }
}

/// Decodes what [`encode`] wrote. None: it is not that.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<RequestNumber>> {
    let mut numbers = Vec::new();
    let (mut last, mut added, mut read) = (0_u32, 0_u64, 0);
    for byte in bytes {
        added |= u64::from(byte & 0x7f) << (7 * read);
        read += 1;
        if byte & 0x80 == 0 {
            last = last.wrapping_add(u32::try_from(added).ok()?);
            numbers.push(last);
            (added, read) = (0, 0);
        } else if read == NUMBER_MAX {
            return None;
        }
    }
    (read == 0).then_some(numbers)
}

/// The checksum of a row: CRC-32 of all its values, because SQLite has none of its own.
pub(crate) struct Checksum(crc32fast::Hasher);

impl Checksum {
    /// `table`: another number for each, so that a row of one never passes as one of another.
    pub(crate) fn of(table: u8) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[table]);
        Self(hasher)
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut longer = self.number(bytes.len() as u64);
        longer.0.update(bytes);
        longer
    }

    /// A value that may be missing.
    pub(crate) fn maybe(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.number(1).bytes(bytes),
            None => self.number(0),
        }
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bolero::check;

    use super::*;

    #[test]
    fn numbers_round_trip() {
        check!()
            .with_type::<Vec<u32>>()
            .with_test_time(Duration::from_millis(500))
            .with_iterations(usize::MAX)
            .for_each(|numbers: &Vec<u32>| {
                let mut bytes = vec![1];
                encode(numbers, &mut bytes);
                assert_eq!(decode(&bytes).as_ref(), Some(numbers));
            });
        let mut bytes = Vec::new();
        encode(&(1..=100).collect::<Vec<_>>(), &mut bytes);
        assert_eq!(bytes, [1; 100]);
    }

    #[test]
    fn bytes_that_are_no_numbers_are_refused() {
        for wrong in [
            &[0x80][..],
            &[1, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0x10],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
        ] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
        check!()
            .with_type::<Vec<u8>>()
            .with_test_time(Duration::from_millis(500))
            .with_iterations(usize::MAX)
            .for_each(|bytes: &Vec<u8>| drop(decode(bytes)));
    }

    #[test]
    fn checksum_differs_with_any_value() {
        let of =
            |table, number, text: &[u8], maybe| Checksum::of(table).number(number).bytes(text).maybe(maybe).finish();
        let base = of(1, 2, b"ab", None);
        for other in [
            of(2, 2, b"ab", None),
            of(1, 3, b"ab", None),
            of(1, 2, b"abc", None),
            of(1, 2, b"ab", Some(b"")),
        ] {
            assert_ne!(base, other);
        }
    }
}
