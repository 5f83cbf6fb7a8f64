//! A queue of pieces and the thread that writes them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::Notify;

use super::BEHIND_MAX;
use crate::limits::PIECE;

/// How many bytes are handed over at once at the latest: waking a thread costs more than most pieces.
const BATCH_MAX: usize = 32 << 10;

/// How often it is looked whether there is an end to the patience with what does not write. Arbitrary: little beside the patience.
const LOOK: Duration = Duration::from_millis(200);

/// Hands pieces to its thread, many at a time.
pub(super) struct Lane<P, T> {
    pieces: Sender<Vec<P>>,
    /// What was not handed over yet, and its bytes.
    batch: Vec<P>,
    batch_size: usize,
    pending: Arc<Pending>,
    thread: JoinHandle<T>,
    /// Disconnected when the thread has written everything.
    ended: Mutex<Receiver<()>>,
}

/// What a lane's thread has left to do.
#[derive(Default)]
pub(super) struct Pending {
    /// Set when what this lane writes to is gone or cannot be written.
    pub(super) lost: AtomicBool,
    /// Bytes of the output that have reached their target, in all.
    pub(super) written: AtomicU64,
    /// Bytes that wait to be written.
    waiting: AtomicU64,
    /// Told when they are no longer too many.
    caught_up: Notify,
}

/// Tells how many bytes of a run's output have reached their target.
#[derive(Clone)]
pub(crate) struct Written(Arc<Pending>);

impl Written {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}

impl Pending {
    /// Counts a piece of so many bytes as written.
    pub(super) fn wrote(&self, size: usize) {
        let size = (size + PIECE) as u64;
        let before = self.waiting.fetch_sub(size, Ordering::Relaxed);
        if before > BEHIND_MAX && before - size <= BEHIND_MAX {
            self.caught_up.notify_one();
        }
    }
}

impl<P: Send + 'static, T: Send + 'static> Lane<P, T> {
    /// Starts the thread, which does this until the pieces end.
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(Receiver<Vec<P>>, &Pending) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (pieces, inbox) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let pending = Arc::<Pending>::default();
        let shared = pending.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _end: Sender<()> = end;
            work(inbox, &shared)
        })?;
        Ok(Self {
            pieces,
            batch: Vec::new(),
            batch_size: 0,
            pending,
            thread,
            ended: Mutex::new(ended),
        })
    }

    /// Bytes that wait to be written, of what was handed over.
    pub(super) fn waiting(&self) -> u64 {
        self.pending.waiting.load(Ordering::Relaxed)
    }

    /// Whether so many wait that nothing more should be added.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting() > BEHIND_MAX
    }

    /// Notified when [`Lane::is_behind`] is over.
    pub(super) fn caught_up(&self) -> &Notify {
        &self.pending.caught_up
    }

    /// Tells how many bytes of the output have reached their target.
    pub(super) fn written(&self) -> Written {
        Written(self.pending.clone())
    }

    pub(super) fn is_lost(&self) -> bool {
        self.pending.lost.load(Ordering::Relaxed)
    }

    /// Adds a piece of so many bytes.
    pub(super) fn send(&mut self, size: usize, piece: P) {
        self.batch.push(piece);
        self.batch_size += size;
        if self.batch_size >= BATCH_MAX {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let size = std::mem::take(&mut self.batch_size) + PIECE * self.batch.len();
        self.pending.waiting.fetch_add(size as u64, Ordering::Relaxed);
        // The thread ends only with the channel.
        let _ = self.pieces.send(std::mem::take(&mut self.batch));
    }

    /// Waits until everything is written. With a `patience`, which it may come to while it waits, not longer than until nothing was
    /// written for that long: then there is no result, and the thread is left to itself.
    ///
    /// # Errors
    /// The thread panicked.
    pub(super) fn finish(mut self, patience: impl Fn() -> Option<Duration>) -> io::Result<Option<T>> {
        self.flush();
        drop(self.pieces);
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.pending.waiting.load(Ordering::Relaxed);
        loop {
            let patience = patience();
            match ended.recv_timeout(patience.unwrap_or(LOOK)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if patience.is_none() => {}
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.pending.waiting.load(Ordering::Relaxed);
                    if now == left {
                        return Ok(None);
                    }
                    left = now;
                }
            }
        }
        let joined = self.thread.join();
        joined
            .map(Some)
            .map_err(|_| io::Error::other("the writing thread died"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_waits_for_a_slow_writer_and_gives_up_on_a_stuck_one() {
        let (release, gate) = mpsc::channel::<()>();
        let lane = |gate: Option<Receiver<()>>| {
            let mut lane = Lane::start("test", move |inbox: Receiver<Vec<u8>>, pending| {
                let mut written = 0;
                for piece in inbox.into_iter().flatten() {
                    if let Some(gate) = &gate {
                        let _ = gate.recv();
                    }
                    pending.wrote(1);
                    written += usize::from(piece);
                }
                written
            })
            .unwrap();
            lane.send(1, 7);
            lane.send(1, 8);
            lane
        };
        assert_eq!(lane(None).finish(|| None).unwrap(), Some(15));
        assert_eq!(lane(None).finish(|| Some(Duration::from_secs(60))).unwrap(), Some(15));
        assert_eq!(
            lane(Some(gate)).finish(|| Some(Duration::from_millis(1))).unwrap(),
            None
        );
        drop(release);
    }
}
