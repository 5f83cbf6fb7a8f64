//! The text of lines that are written again: as it was read, byte for byte.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::OnceLock};

use bytes::{Bytes, BytesMut};

/// The text of the lines of a task, without the end of the last one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LineText {
    Memory(Bytes),
    /// Its place in [`LongLines`].
    File(Range<u64>),
}

impl LineText {
    /// That of a task whose text is not needed.
    pub(super) const NONE: Self = Self::Memory(Bytes::new());
}

/// An unnamed file with the texts that are longer than a payload may be. One thread adds, another one reads.
#[derive(Default)]
pub(super) struct LongLines(OnceLock<File>);

impl LongLines {
    /// Reads a part of a text. Reads the disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self, place: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.end - place.start).map_err(io::Error::other)?];
        let file = self.0.get().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(&mut bytes, place.start)?;
        Ok(bytes)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let file = match self.0.get() {
            Some(file) => file,
            None => {
                let file = tempfile::tempfile()?;
                self.0.get_or_init(|| file)
            }
        };
        file.write_all_at(bytes, at)
    }
}

/// The text of the task that is being read.
pub(super) struct TextReader<'a> {
    /// The longest text that stays in memory, in bytes.
    most: usize,
    /// Where longer ones go. None: they are not needed.
    long: Option<&'a LongLines>,
    memory: BytesMut,
    /// The bytes of `long` that are in use by earlier texts, and by this one too.
    before: u64,
    end: u64,
    is_too_long: bool,
}

impl<'a> TextReader<'a> {
    pub(super) fn new(most: usize, long: Option<&'a LongLines>) -> Self {
        Self {
            most,
            long,
            memory: BytesMut::new(),
            before: 0,
            end: 0,
            is_too_long: false,
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_too_long {
            if self.memory.len() + bytes.len() <= self.most {
                self.memory.extend_from_slice(bytes);
                return Ok(());
            }
            self.is_too_long = true;
            let begun = std::mem::take(&mut self.memory);
            self.move_out(&begun)?;
        }
        self.move_out(bytes)
    }

    fn move_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(long) = self.long {
            long.write(bytes, self.end).map_err(|error| {
                let folder = std::env::temp_dir();
                io::Error::other(format!("a long line cannot be kept in `{}`: {error}", folder.display()))
            })?;
            self.end += bytes.len() as u64;
        }
        Ok(())
    }

    /// Takes the text, after which the next one begins. An error is that of a text that is too long for a payload.
    pub(super) fn take(&mut self) -> Result<Bytes, LineText> {
        let place = self.before..self.end;
        self.before = self.end;
        match std::mem::take(&mut self.is_too_long) {
            false => Ok(std::mem::take(&mut self.memory).freeze()),
            true if self.long.is_some() => Err(LineText::File(place)),
            true => Err(LineText::NONE),
        }
    }
}
