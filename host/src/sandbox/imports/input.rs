//! A run's input, as the planner's stdin.
//!
//! How a pipe cuts its data into pieces is chance, and chance must not reach a planner. So a read gives as many bytes as
//! were asked for (at most [`READ_MAX`]) or all that is left before the end; it waits for them if need be. And the planner
//! is asked for a task only when [`Input::ready`] says that a read would not wait.

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

use crate::inbox::panic_message;

/// The most that one read gives, and how much is there before a planner is asked for a task.
const READ_MAX: usize = 64 << 10;

/// How much is read ahead.
const AHEAD_MAX: usize = 1 << 20;

/// Input that is read by a thread of its own, because files and pipes block. Clones share it. Nothing is read before a
/// guest asks: an operation that has no use for its input must not wait for a pipe that never ends. When the last clone is
/// gone the thread ends, with the source's next answer if it waits for one.
#[derive(Clone)]
pub(crate) struct Input(Arc<Wanted>);

/// Those who want the input. The thread that reads it is none of them.
struct Wanted(Arc<Shared>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.taken.notify_all();
    }
}

struct Shared {
    /// None once the thread has it.
    source: Mutex<Option<Box<dyn Read + Send>>>,
    inner: Mutex<Inner>,
    /// Told when bytes were taken out, for the reading thread.
    taken: Condvar,
    /// Told when bytes came in or the input ended.
    came: Notify,
}

#[derive(Default)]
struct Inner {
    ahead: VecDeque<u8>,
    ended: bool,
    /// Why the input broke off, if it did.
    error: Option<String>,
    /// Nobody wants it any more.
    abandoned: bool,
}

impl Input {
    pub(crate) fn new(source: impl Read + Send + 'static) -> Self {
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

    /// Waits until a read would not wait: enough is there, or the input has ended. At once while no guest has read.
    ///
    /// # Errors
    /// The input broke off; says why. Asked again it says so again.
    ///
    /// Cancel safe.
    pub(crate) async fn ready(&self) -> Result<(), String> {
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
            // It may be a program's own, and whoever waits for it must hear of its end.
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

    /// As many bytes as wanted or all that are left; empty at the end. Only when [`Inner::has`] that many.
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
        // Of WASI 0.3: `next` is not async, so that a planner could not wait for what it reads in this way.
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

    /// Gives one byte at a time.
    struct Drip(io::Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let buf = buf.get_mut(..1).unwrap_or_default();
            self.0.read(buf)
        }
    }

    #[tokio::test]
    async fn reads_are_full_however_the_bytes_come() {
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

    /// Has no end, and tells when it is dropped.
    struct Endless(#[allow(dead_code, reason = "whoever waits at the other end is told by its drop")] mpsc::Sender<()>);

    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(buf.len())
        }
    }

    #[tokio::test]
    async fn an_input_that_nobody_wants_any_more_is_let_go() {
        let (dropped, wait) = mpsc::channel();
        let mut input = Input::new(Endless(dropped));
        let other = input.clone();
        input.blocking_read(1).await.unwrap();
        drop(other);
        drop(input);
        let told = wait.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(told, Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[tokio::test]
    async fn a_reader_that_panics_breaks_the_input_off() {
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
