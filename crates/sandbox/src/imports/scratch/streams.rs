//! Reads and writes a file of a scratch folder as a stream, without waiting.

use bytes::Bytes;
use rustix::io::Errno;
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult, bindings::filesystem::types::ErrorCode},
};

use super::file::{Result, ScratchFile};
use crate::imports::files::PIECE;

impl ScratchFile {
    pub fn reader(&self, position: u64) -> Result<ScratchReader> {
        Ok(ScratchReader::new(self.again(false)?, position))
    }

    /// `position`: none for the end of the file.
    pub fn writer(&self, position: Option<u64>) -> Result<ScratchWriter> {
        Ok(ScratchWriter::new(self.again(true)?, position))
    }
}

/// Reads a file from a position.
pub struct ScratchReader {
    file: ScratchFile,
    position: u64,
}

impl ScratchReader {
    pub(super) fn new(file: ScratchFile, position: u64) -> Self {
        Self { file, position }
    }
}

#[async_trait]
impl InputStream for ScratchReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.file.read(self.position, size.min(PIECE)).map_err(failed)?;
        self.position += bytes.len() as u64;
        match bytes.is_empty() {
            true => Err(StreamError::Closed),
            false => Ok(bytes),
        }
    }
}

#[async_trait]
impl Pollable for ScratchReader {
    async fn ready(&mut self) {}
}

/// Writes a file from a position, or at its end.
pub struct ScratchWriter {
    file: ScratchFile,
    position: Option<u64>,
}

impl ScratchWriter {
    pub(super) fn new(file: ScratchFile, position: Option<u64>) -> Self {
        Self { file, position }
    }
}

#[async_trait]
impl OutputStream for ScratchWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > PIECE {
            return Err(StreamError::trap("wrote more than it was allowed to at once"));
        }
        self.file.write(self.position, &bytes).map_err(failed)?;
        if let Some(position) = &mut self.position {
            *position += bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[async_trait]
impl Pollable for ScratchWriter {
    async fn ready(&mut self) {}
}

/// Converts an error for a stream: to a system error, from which the guest can get the code.
fn failed(error: ErrorCode) -> StreamError {
    let errno = match error {
        ErrorCode::InsufficientSpace => Errno::NOSPC,
        _ => Errno::IO,
    };
    StreamError::LastOperationFailed(std::io::Error::from(errno).into())
}
