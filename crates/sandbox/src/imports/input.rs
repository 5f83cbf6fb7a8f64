//! The input of a run, as the planner's stdin.
//!
//! A pipe delivers its data in arbitrary pieces, and a planner must not depend on them. So a read waits until it can
//! return the bytes that were asked for (at most [`READ_MAX`]) or all that is left before the end. And the planner is
//! asked for a task only when [`Input::ready`] returns, after which a read does not wait.

use std::{
    collections::VecDeque,
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::Notify,
};
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdinStream},
    p2::{InputStream, Pollable, StreamError, StreamResult},
};

use disperse_protocol::inbox::panic_message;

/// The most bytes of one read, and the bytes that must be there before a planner is asked for a task.
const READ_MAX: usize = 64 << 10;

/// The most bytes that are read ahead.
const AHEAD_MAX: usize = 1 << 20;

/// Input that is read by a separate thread, because files and pipes block. Clones share it. Nothing is read before a
/// guest reads: an operation that does not use its input must not wait for a pipe that never ends. When the last clone
/// is dropped the thread ends, after the read that it waits for, if any.
#[derive(Clone)]
pub struct Input(Arc<Wanted>);

/// The readers of the input, without the thread that reads the source.
struct Wanted(Arc<Shared>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.taken.notify_all();
    }
}

struct Shared {
    /// None once the thread has taken it.
    source: Mutex<Option<Box<dyn Read + Send>>>,
    inner: Mutex<Inner>,
    /// Notified when bytes were taken out, for the reading thread.
    taken: Condvar,
    /// Notified when bytes came in or the input ended.
    came: Notify,
}

#[derive(Default)]
struct Inner {
    ahead: VecDeque<u8>,
    ended: bool,
    /// The error that ended the input, if any.
    error: Option<String>,
    /// Whether all readers are dropped.
    abandoned: bool,
}

impl Input {
    pub fn new(source: impl Read + Send + 'static) -> Self {
        Self(Arc::new(Wanted(Arc::new(Shared {
            source: Mutex::new(Some(Box::new(source))),
            inner: Mutex::default(),
            taken: Condvar::new(),
            came: Notify::new(),
        }))))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// Starts the thread at the first read.
    fn begin(&self) {
        let Some(source) = self
            .shared()
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        let shared = self.shared().clone();
        let started = std::thread::Builder::new()
            .name("input".into())
            .spawn(move || shared.fill(source));
        if let Err(error) = started {
            let mut inner = self.shared().lock();
            inner.ended = true;
            inner.error = Some(error.to_string());
        }
    }

    fn has_begun(&self) -> bool {
        self.shared()
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// Waits until a read would not wait: enough bytes are there, or the input has ended. Returns at once if no guest
    /// has read yet.
    ///
    /// # Errors
    /// The input failed, with this message. Every later call returns the same.
    ///
    /// Cancel safe.
    pub async fn ready(&self) -> Result<(), String> {
        if !self.has_begun() {
            return Ok(());
        }
        self.wait(READ_MAX).await;
        match &self.shared().lock().error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn wait(&self, size: usize) {
        self.begin();
        loop {
            let came = self.shared().came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            if self.shared().lock().has(size) {
                return;
            }
            came.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, mut source: impl Read) {
        let mut piece = vec![0; READ_MAX];
        loop {
            // The source may be an embedding program's. If it panics, waiting readers must see the end of the input.
            let read = catch_unwind(AssertUnwindSafe(|| source.read(&mut piece))).unwrap_or_else(|panic| {
                Err(io::Error::other(format!(
                    "its reader panicked: {}",
                    panic_message(&*panic)
                )))
            });
            let mut inner = self.lock();
            match read {
                Ok(0) => inner.ended = true,
                Ok(count) => inner.ahead.extend(piece.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    inner.ended = true;
                    inner.error = Some(error.to_string());
                }
            }
            self.came.notify_waiters();
            while inner.ahead.len() >= AHEAD_MAX && !inner.abandoned {
                inner = self.taken.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            if inner.ended || inner.abandoned {
                return;
            }
        }
    }
}

impl Inner {
    fn has(&self, size: usize) -> bool {
        self.ended || self.ahead.len() >= size.min(READ_MAX)
    }

    /// Takes `size` bytes or all that are left; empty at the end. To be called only if [`Inner::has`] returned true for
    /// `size`.
    fn take(&mut self, size: usize) -> Vec<u8> {
        let count = size.min(READ_MAX).min(self.ahead.len());
        self.ahead.drain(..count).collect()
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // For WASI 0.3: `next` is not async, so a planner could not wait for such a stream.
        Box::new(NotAsync)
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

/// Fails at the first read.
struct NotAsync;

impl AsyncRead for NotAsync {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("a planner reads its input by WASI 0.2")))
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.wait(READ_MAX).await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.begin();
        let mut inner = self.shared().lock();
        if size == 0 || !inner.has(size) {
            return Ok(Bytes::new());
        }
        let bytes = inner.take(size);
        if let (true, Some(error)) = (bytes.is_empty(), &inner.error) {
            let error = io::Error::other(error.clone());
            return Err(StreamError::LastOperationFailed(error.into()));
        }
        self.shared().taken.notify_all();
        if bytes.is_empty() {
            Err(StreamError::Closed)
        } else {
            Ok(bytes.into())
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size > 0 {
            self.wait(size).await;
        }
        self.read(size)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Returns one byte at a time.
    struct Drip(io::Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let buf = buf.get_mut(..1).unwrap_or_default();
            self.0.read(buf)
        }
    }

    #[tokio::test]
    async fn reads_return_full_pieces_from_a_source_of_single_bytes() {
        let text: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        let mut input = Input::new(Drip(io::Cursor::new(text.clone())));
        let mut seen = Vec::new();
        for expect in [300, 300, 300, 100] {
            let bytes = input.blocking_read(300).await.unwrap();
            assert_eq!(bytes.len(), expect);
            seen.extend_from_slice(&bytes);
        }
        assert_eq!(seen, text);
        assert!(matches!(input.blocking_read(300).await, Err(StreamError::Closed)));
        assert_eq!(input.ready().await, Ok(()));
    }

    /// Has no end; its drop closes the channel.
    struct Endless(#[allow(dead_code, reason = "its drop is what the receiver waits for")] mpsc::Sender<()>);

    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(buf.len())
        }
    }

    #[tokio::test]
    async fn source_is_dropped_after_the_last_reader() {
        let (dropped, wait) = mpsc::channel();
        let mut input = Input::new(Endless(dropped));
        let other = input.clone();
        input.blocking_read(1).await.unwrap();
        drop(other);
        drop(input);
        let received = wait.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(received, Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[tokio::test]
    async fn panic_of_the_source_ends_the_input_with_an_error() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("no more")
            }
        }
        let mut input = Input::new(Panics);
        assert!(input.blocking_read(1).await.is_err());
        assert_eq!(input.ready().await, Err("its reader panicked: no more".to_owned()));
    }
}
