//! Reads and writes a file as a stream.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, pwritev2};
use wasmtime::format_err;
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
    runtime::{AbortOnDropJoinHandle, spawn},
};

use super::access::{Buffered, Calls, Files, OpenPermit, Unread};
use disperse_protocol::{limits::UNREAD_MAX, units::Size};

/// The most bytes that are read or written at once.
pub(crate) const PIECE: usize = 64 << 10;

/// The bytes that are read ahead for a guest that only polls for readiness.
const AHEAD: usize = 4 << 10;

/// The common part of readers and writers.
struct Access {
    file: Arc<File>,
    calls: Calls,
    unread: Unread,
    /// Keeps the file open as long as this stream.
    _permit: Option<Arc<OpenPermit>>,
}

impl Access {
    fn new(file: &Arc<File>, permit: Option<Arc<OpenPermit>>, files: &Files) -> Self {
        Self {
            file: file.clone(),
            calls: files.calls().clone(),
            unread: files.unread.clone(),
            _permit: permit,
        }
    }

    /// Counts `bytes` as buffered.
    ///
    /// # Errors
    /// The instance has too many unread or unwritten bytes; traps the guest.
    fn keep(&self, bytes: usize) -> StreamResult<Buffered> {
        let over = || {
            format_err!(
                "has more than {} of files read ahead or not written yet",
                Size(UNREAD_MAX as u64)
            )
        };
        self.unread.keep(bytes).ok_or_else(|| StreamError::Trap(over()))
    }
}

type Task<T> = AbortOnDropJoinHandle<wasmtime::Result<io::Result<T>>>;

/// The result of a task.
///
/// # Errors
/// An error of the system, or the run is over.
fn flat<T>(done: wasmtime::Result<io::Result<T>>) -> Result<T, wasmtime::Error> {
    done.and_then(|done| done.map_err(Into::into))
}

/// Reads a file from a position.
pub(crate) struct Reader {
    access: Access,
    position: u64,
    state: Reading,
}

enum Reading {
    Idle,
    Busy(Task<Bytes>, Buffered),
    /// Never empty.
    Ahead {
        bytes: Bytes,
        _kept: Buffered,
    },
    Failed(wasmtime::Error),
    Closed,
}

impl Reader {
    pub(crate) fn new(file: &Arc<File>, permit: Option<Arc<OpenPermit>>, files: &Files, position: u64) -> Self {
        Self {
            access: Access::new(file, permit, files),
            position,
            state: Reading::Idle,
        }
    }

    /// Starts to read ahead.
    fn begin(&mut self, size: usize) -> StreamResult<()> {
        let size = size.min(PIECE);
        let kept = self.access.keep(size)?;
        let (file, calls, position) = (self.access.file.clone(), self.access.calls.clone(), self.position);
        let task = spawn(async move { calls.run(move || read(&file, position, size)).await });
        self.state = Reading::Busy(task, kept);
        Ok(())
    }

    async fn settle(&mut self) {
        if let Reading::Busy(task, _) = &mut self.state {
            let done = flat(task.await);
            let Reading::Busy(_, kept) = std::mem::replace(&mut self.state, Reading::Closed) else {
                return;
            };
            self.state = match done {
                Ok(bytes) if bytes.is_empty() => Reading::Closed,
                Ok(bytes) => Reading::Ahead { bytes, _kept: kept },
                Err(error) => Reading::Failed(error),
            };
        }
    }
}

fn read(file: &File, position: u64, size: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; size];
    loop {
        match file.read_at(&mut bytes, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(count) => {
                bytes.truncate(count);
                // The allocation is what was counted.
                bytes.shrink_to_fit();
                return Ok(bytes.into());
            }
        }
    }
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match &mut self.state {
            Reading::Idle if size == 0 => Ok(Bytes::new()),
            Reading::Idle => {
                self.begin(size)?;
                Ok(Bytes::new())
            }
            Reading::Busy(..) => Ok(Bytes::new()),
            Reading::Ahead { bytes, .. } => {
                let piece = bytes.split_to(bytes.len().min(size));
                if bytes.is_empty() {
                    self.state = Reading::Idle;
                }
                self.position += piece.len() as u64;
                Ok(piece)
            }
            Reading::Failed(_) => match std::mem::replace(&mut self.state, Reading::Closed) {
                Reading::Failed(error) => Err(StreamError::LastOperationFailed(error)),
                _ => Err(StreamError::Closed),
            },
            Reading::Closed => Err(StreamError::Closed),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.settle().await;
        if !matches!(self.state, Reading::Idle) || size == 0 {
            return self.read(size);
        }
        // Returned at once, so nothing is buffered.
        let (file, position, size) = (self.access.file.clone(), self.position, size.min(PIECE));
        let done = flat(self.access.calls.run(move || read(&file, position, size)).await);
        match done {
            Ok(bytes) if bytes.is_empty() => {
                self.state = Reading::Closed;
                Err(StreamError::Closed)
            }
            Ok(bytes) => {
                self.position += bytes.len() as u64;
                Ok(bytes)
            }
            Err(error) => {
                self.state = Reading::Closed;
                Err(StreamError::LastOperationFailed(error))
            }
        }
    }
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if matches!(self.state, Reading::Idle)
            && let Err(StreamError::Trap(error)) = self.begin(AHEAD)
        {
            self.state = Reading::Failed(error);
        }
        self.settle().await;
    }
}

/// Where the next write goes.
#[derive(Clone, Copy)]
enum At {
    Position(u64),
    End,
}

/// Writes a file from a position, or at its end.
pub(crate) struct Writer {
    access: Access,
    at: At,
    state: Writing,
}

enum Writing {
    Idle,
    Busy { task: Task<usize>, _kept: Buffered },
    Failed(wasmtime::Error),
    Closed,
}

impl Writer {
    /// `position`: none for the end of the file at the time of each write.
    pub(crate) fn new(file: &Arc<File>, permit: Option<Arc<OpenPermit>>, files: &Files, position: Option<u64>) -> Self {
        Self {
            access: Access::new(file, permit, files),
            at: position.map_or(At::End, At::Position),
            state: Writing::Idle,
        }
    }

    fn wrote(&mut self, count: usize) {
        if let At::Position(position) = &mut self.at {
            *position = position.saturating_add(count as u64);
        }
    }

    async fn settle(&mut self) {
        if let Writing::Busy { task, .. } = &mut self.state {
            self.state = match flat(task.await) {
                Ok(count) => {
                    self.wrote(count);
                    Writing::Idle
                }
                Err(error) => Writing::Failed(error),
            };
        }
    }

    /// The bytes that may be written now.
    ///
    /// # Errors
    /// This or an earlier write failed.
    fn may_write(&mut self) -> StreamResult<usize> {
        match &self.state {
            Writing::Idle => Ok(PIECE),
            Writing::Busy { .. } => Ok(0),
            Writing::Failed(_) => match std::mem::replace(&mut self.state, Writing::Closed) {
                Writing::Failed(error) => Err(StreamError::LastOperationFailed(error)),
                _ => Err(StreamError::Closed),
            },
            Writing::Closed => Err(StreamError::Closed),
        }
    }
}

fn write(file: &File, mut bytes: &[u8], mut at: At) -> io::Result<usize> {
    let all = bytes.len();
    while !bytes.is_empty() {
        let written = match at {
            At::Position(position) => file.write_at(bytes, position),
            At::End => pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND).map_err(Into::into),
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                if let At::Position(position) = &mut at {
                    *position = position.saturating_add(count as u64);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.may_write()? < bytes.len() {
            return Err(StreamError::trap("wrote more than it was allowed to at once"));
        }
        let kept = self.access.keep(bytes.len())?;
        let (file, calls, at) = (self.access.file.clone(), self.access.calls.clone(), self.at);
        let task = spawn(async move { calls.run(move || write(&file, &bytes, at)).await });
        self.state = Writing::Busy { task, _kept: kept };
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.settle().await;
        self.may_write()?;
        let (file, at) = (self.access.file.clone(), self.at);
        match flat(self.access.calls.run(move || write(&file, &bytes, at)).await) {
            Ok(count) => {
                self.wrote(count);
                Ok(())
            }
            Err(error) => {
                self.state = Writing::Closed;
                Err(StreamError::LastOperationFailed(error))
            }
        }
    }

    /// Does nothing: a write that is done has reached the system.
    fn flush(&mut self) -> StreamResult<()> {
        self.may_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.may_write()
    }

    /// Completes a write that is running.
    async fn cancel(&mut self) {
        self.settle().await;
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.settle().await;
    }
}
