//! The stdout and stderr of guests. Their output never reaches the host's stdout.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use disperse_protocol::{
    inbox::LogSource,
    logger::{Level, Logger},
    units::Size,
};

/// The bytes of the end that are kept for the report of a failed attempt.
const TAIL: usize = 4 << 10;

/// The most bytes of one write: copying more would take longer than a turn should.
const CHUNK: usize = 4 << 10;

/// The bytes that a shorter line counts as: it costs the host as much as one of this length.
const LINE_MIN: u64 = 64;

/// Keeps the end of a guest's output, and forwards complete lines to the logger if that is enabled.
#[derive(Clone)]
pub struct Tail(Arc<Mutex<Inner>>);

struct Inner {
    kept: VecDeque<u8>,
    /// The line without an end of line yet.
    line: Vec<u8>,
    forward: Option<(LogSource, Logger)>,
    meter: Meter,
}

/// Counts the bytes that a guest logs, on stderr and with `log` together, and those that are dropped.
struct Meter {
    /// Bytes that may be logged in a second, and at once.
    rate: u64,
    /// Bytes that may be logged in one attempt.
    most: u64,
    /// Bytes that may be logged now.
    available: u64,
    /// The last refill; none before the first line.
    at: Option<Instant>,
    logged: u64,
    dropped: u64,
}

/// The log of one attempt.
pub struct AttemptLog {
    /// The end of the guest's output.
    pub stderr_tail: String,
    /// The message about dropped bytes, if any were dropped.
    pub dropped: Option<String>,
}

impl Meter {
    /// Adds the bytes for the time since the last refill.
    fn refill(&mut self) {
        let now = Instant::now();
        let since = self.at.map_or(0, |at| now.saturating_duration_since(at).as_millis());
        let more = self.rate.saturating_mul(u64::try_from(since).unwrap_or(u64::MAX)) / 1000;
        // `at` moves only if bytes are added. Otherwise many short intervals would add up to nothing.
        if more > 0 || self.at.is_none() {
            self.available = self.available.saturating_add(more).min(self.rate);
            self.at = Some(now);
        }
    }

    /// Whether a line of this many bytes may be logged. Counts it as logged or dropped.
    fn admits(&mut self, line: usize) -> bool {
        self.refill();
        let bytes = (line as u64).max(LINE_MIN);
        if bytes > self.available || self.logged.saturating_add(bytes) > self.most {
            self.drop_bytes(line);
            return false;
        }
        self.available -= bytes;
        self.logged += bytes;
        true
    }

    fn drop_bytes(&mut self, bytes: usize) {
        self.dropped = self.dropped.saturating_add(bytes as u64);
    }

    fn take_dropped(&mut self) -> Option<String> {
        match std::mem::take(&mut self.dropped) {
            0 => None,
            dropped => Some(format!(
                "{} of its log output was dropped: the limit is {} in a second{}",
                Size(dropped),
                Size(self.rate),
                match self.most {
                    u64::MAX => "; raise it with --log-rate".to_owned(),
                    most => format!(
                        " and {} in an attempt; raise them with --log-rate and --log-size",
                        Size(most)
                    ),
                }
            )),
        }
    }
}

impl Tail {
    /// For a guest that may log `rate` bytes in a second and `most` bytes in an attempt.
    pub fn new(rate: u64, most: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            kept: VecDeque::new(),
            line: Vec::new(),
            forward: None,
            meter: Meter {
                rate,
                most,
                available: rate,
                at: None,
                logged: 0,
                dropped: 0,
            },
        })))
    }

    /// Takes the kept end of the output, as text.
    pub fn take(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Forwards every further line to the logger too.
    pub fn forward(&self, source: LogSource, logger: Logger) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forward = Some((source, logger));
    }

    /// Forwards an unfinished line, and the message about dropped bytes.
    pub fn end_line(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.end_line();
        if let Some(text) = inner.meter.take_dropped()
            && let Some((source, logger)) = &inner.forward
        {
            logger.guest(source, Level::Warning, &text);
        }
    }

    /// Ends the log of an attempt and returns it. None: nothing was logged, the usual case.
    pub fn end_attempt(&self) -> Option<AttemptLog> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.kept.is_empty() && inner.meter.logged == 0 && inner.meter.dropped == 0 {
            return None;
        }
        inner.end_line();
        inner.meter.logged = 0;
        Some(AttemptLog {
            stderr_tail: inner.take(),
            dropped: inner.meter.take_dropped(),
        })
    }

    /// Ends one of several attempts that share this log, and resets the bytes per attempt. Returns the message about
    /// dropped bytes, if any.
    pub fn end_shared_attempt(&self) -> Option<String> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.meter.logged = 0;
        inner.meter.take_dropped()
    }

    /// Forwards a line of the `log` interface, if it may be logged.
    pub fn log(&self, logger: &Logger, source: &LogSource, level: Level, text: &str) {
        if !logger.is_enabled(level) {
            return;
        }
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = disperse_protocol::logger::cut(text);
        if inner.meter.admits(text.len()) {
            logger.guest(source, level, text);
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = bytes.len().min(TAIL);
        let spare = (inner.kept.len() + fresh).saturating_sub(TAIL);
        inner.kept.drain(..spare);
        inner.kept.extend(bytes.iter().skip(bytes.len() - fresh));
        if inner.forward.is_none() {
            return;
        }
        inner.meter.refill();
        if inner.meter.available < LINE_MIN {
            // Dropped without being parsed, so that a flood costs little.
            let begun = std::mem::take(&mut inner.line);
            inner.meter.drop_bytes(begun.len() + bytes.len());
            return;
        }
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            inner.line.extend_from_slice(line.unwrap_or(part));
            if line.is_some() || inner.line.len() > TAIL {
                inner.end_line();
            }
        }
    }
}

impl Inner {
    fn take(&mut self) -> String {
        let kept: Vec<u8> = std::mem::take(&mut self.kept).into();
        String::from_utf8_lossy(&kept).trim_end().to_owned()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let Some((source, logger)) = &self.forward else { return };
        if !line.is_empty() && self.meter.admits(line.len()) {
            logger.guest(source, Level::Info, &String::from_utf8_lossy(&line));
        }
    }
}

/// The end of an output, for the report of a failed attempt.
pub(crate) fn tail(output: &[u8]) -> String {
    let from = output.len().saturating_sub(TAIL);
    let end = output.get(from..).unwrap_or_default();
    String::from_utf8_lossy(end).trim_end().to_owned()
}

/// The destination of a guest's stdout or stderr.
pub(crate) trait Sink: Clone + Send + Sync + Unpin + 'static {
    /// Takes what was written.
    ///
    /// # Errors
    /// No more may be written; traps the guest.
    fn put(&self, bytes: &[u8]) -> StreamResult<()>;
}

impl Sink for Tail {
    fn put(&self, bytes: &[u8]) -> StreamResult<()> {
        self.write(bytes);
        Ok(())
    }
}

/// A sink as a stream of WASI.
#[derive(Clone)]
pub(crate) struct Out<S>(pub S);

impl<S: Sink> IsTerminal for Out<S> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<S: Sink> StdoutStream for Out<S> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// The stream of WASI 0.3.
impl<S: Sink> AsyncWrite for Out<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let part = bytes.get(..CHUNK).unwrap_or(bytes);
        let put = self.0.put(part).map_err(|error| io::Error::other(error.to_string()));
        Poll::Ready(put.map(|()| part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl<S: Sink> OutputStream for Out<S> {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > CHUNK {
            return Err(StreamError::trap("wrote more than was permitted"));
        }
        self.0.put(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait]
impl<S: Sink> Pollable for Out<S> {
    async fn ready(&mut self) {}
}

/// The whole stdout of a program, up to a size.
#[derive(Clone)]
pub struct Capture(Arc<Mutex<Captured>>);

struct Captured {
    bytes: Vec<u8>,
    most: u64,
    /// Whether more was written than allowed.
    is_over: bool,
}

impl Capture {
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Mutex::new(Captured {
            bytes: Vec::new(),
            most,
            is_over: false,
        })))
    }

    /// Takes the written bytes. None: they were more than allowed.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!inner.is_over).then(|| std::mem::take(&mut inner.bytes))
    }
}

impl Sink for Capture {
    fn put(&self, bytes: &[u8]) -> StreamResult<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_over || (inner.bytes.len() + bytes.len()) as u64 > inner.most {
            inner.is_over = true;
            inner.bytes = Vec::new();
            return Err(StreamError::trap("wrote more to stdout than the largest result"));
        }
        inner.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
