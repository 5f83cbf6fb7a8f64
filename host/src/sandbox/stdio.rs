//! What guests write to stdout and stderr. None of it ever reaches the host's stdout.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use crate::{
    inbox::Speaker,
    logger::{Level, Logger},
};

/// How much of the end is kept for the report of a failed attempt.
const TAIL: usize = 4 << 10;

/// How much a guest is told that it can write at once.
const CHUNK: usize = 64 << 10;

/// How much one instance may say aloud between two resets; what is beyond is kept in the tail only. A chatty planner is
/// cut off, not a talkative one.
const ALOUD_MAX: u64 = 1 << 20;

/// The end of what a guest wrote, and a line at a time to the logger if it is to be heard at once.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    kept: VecDeque<u8>,
    /// The line that has no end yet.
    line: Vec<u8>,
    aloud: Option<(Speaker, Logger)>,
    said: u64,
}

impl Tail {
    /// What was kept since the last time this was asked, as text.
    pub(super) fn take(&self) -> String {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.said = 0;
        let kept: Vec<u8> = std::mem::take(&mut inner.kept).into();
        String::from_utf8_lossy(&kept).trim_end().to_owned()
    }

    /// From now on every line goes to the logger as well.
    pub(super) fn aloud(&self, speaker: Speaker, logger: Logger) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).aloud = Some((speaker, logger));
    }

    /// Says what has no end of line yet.
    pub(super) fn end_line(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end_line();
    }

    fn write(&self, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = bytes.len().min(TAIL);
        let spare = (inner.kept.len() + fresh).saturating_sub(TAIL);
        inner.kept.drain(..spare);
        inner.kept.extend(bytes.iter().skip(bytes.len() - fresh));
        if inner.aloud.is_none() {
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
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let Some((speaker, logger)) = &self.aloud else { return };
        if line.is_empty() || self.said > ALOUD_MAX {
            return;
        }
        self.said += line.len() as u64;
        logger.guest(speaker, Level::Info, &String::from_utf8_lossy(&line));
        if self.said > ALOUD_MAX {
            logger.guest(speaker, Level::Warning, "wrote more than 1 MiB; the rest is not shown");
        }
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for Tail {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > CHUNK {
            return Err(StreamError::trap("wrote more than was permitted"));
        }
        Self::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}
