//! A run's input, as the planner's stdin.
//!
//! How a pipe cuts its data into pieces is chance, and chance must not reach a planner. So a read gives as many bytes as
//! were asked for (at most [`READ_MAX`]) or all that is left before the end; it waits for them if need be. And the planner
//! is asked for a task only when [`Input::ready`] says that a read would not wait.

use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::{io::AsyncRead, sync::Notify};
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdinStream},
    p2::{InputStream, Pollable, StreamError, StreamResult},
};

/// The most that one read gives, and how much is there before a planner is asked for a task.
const READ_MAX: usize = 64 << 10;

/// How much is read ahead.
const AHEAD_MAX: usize = 1 << 20;

/// Input being read by a thread of its own, because files and terminals block. Clones share it.
#[derive(Clone)]
pub(crate) struct Input(Arc<Shared>);

struct Shared {
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
    /// Nobody will read any more.
    closed: bool,
    /// Why the input broke off, if it did.
    error: Option<String>,
}

impl Input {
    /// Starts reading.
    pub(crate) fn new(source: impl Read + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            inner: Mutex::default(),
            taken: Condvar::new(),
            came: Notify::new(),
        });
        std::thread::Builder::new().name("input".into()).spawn({
            let shared = shared.clone();
            move || shared.fill(source)
        })?;
        Ok(Self(shared))
    }

    /// Waits until a read would not wait: enough is there, or the input has ended.
    ///
    /// # Errors
    /// The input broke off; says why. Asked again it says so again.
    ///
    /// Cancel safe.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.wait(READ_MAX).await;
        match &self.0.lock().error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// No more is wanted; the reading thread ends when its source lets it.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.taken.notify_all();
    }

    async fn wait(&self, size: usize) {
        loop {
            let came = self.0.came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            if self.0.lock().has(size) {
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
            let read = source.read(&mut piece);
            let mut inner = self.lock();
            match read {
                Ok(0) => inner.ended = true,
                Ok(count) => inner.ahead.extend(piece.iter().take(count)),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    inner.ended = true;
                    inner.error = Some(error.to_string());
                }
            }
            self.came.notify_waiters();
            while inner.ahead.len() >= AHEAD_MAX && !inner.closed {
                inner = self.taken.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            if inner.ended || inner.closed {
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
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
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
        let mut inner = self.0.lock();
        if size == 0 || !inner.has(size) {
            return Ok(Bytes::new());
        }
        let bytes = inner.take(size);
        if let (true, Some(error)) = (bytes.is_empty(), &inner.error) {
            let error = std::io::Error::other(error.clone());
            return Err(StreamError::LastOperationFailed(error.into()));
        }
        self.0.taken.notify_all();
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
    use super::*;

    /// Gives one byte at a time.
    struct Drip(std::io::Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let buf = buf.get_mut(..1).unwrap_or_default();
            self.0.read(buf)
        }
    }

    #[tokio::test]
    async fn reads_are_full_however_the_bytes_come() {
        let text: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        let mut input = Input::new(Drip(std::io::Cursor::new(text.clone()))).unwrap();
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
}
