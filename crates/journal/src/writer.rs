//! The driver's side of the writer: records go to its thread, and the last durable turn comes back.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
};

use disperse_engine::driver::{Journal, Record, TurnNumber};
use disperse_protocol::wall_clock::unix_ms;
use futures::future::BoxFuture;

use crate::{
    error::JournalError,
    info::Status,
    message::{End, Message, Turn},
    shared::Shared,
};

/// How many bytes of records may wait before no more tasks are begun. Arbitrary: little beside the memory of guests, and more
/// than several commits take.
const BEHIND: u64 = 64 << 20;

/// What a record takes in memory beside its bytes, about.
const RECORD: u64 = 128;

/// Writes the records of a run, by a thread of its own that commits all that is queued at once. Dropped without
/// [`JournalHandle::end`], it still writes what it was given, and the run counts as interrupted.
pub struct JournalWriter {
    handle: JournalHandle,
}

/// Looks after a [`JournalWriter`] that the driver has.
#[derive(Clone)]
pub struct JournalHandle {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    path: PathBuf,
}

impl JournalWriter {
    pub(crate) fn new(path: &Path, sender: Sender<Message>, shared: Arc<Shared>, thread: JoinHandle<()>) -> Self {
        Self {
            handle: JournalHandle {
                sender,
                shared,
                thread: Arc::new(Mutex::new(Some(thread))),
                path: path.to_owned(),
            },
        }
    }

    /// What looks after it while the driver has it.
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }
}

impl JournalHandle {
    /// Bytes of records that are queued and not yet durable. The driver is never made to wait, so what produces records has to be
    /// slowed down when this grows.
    pub fn backlog(&self) -> u64 {
        self.shared.backlog.load(Ordering::Relaxed)
    }

    /// Bytes of the write-ahead log that are in use.
    pub fn log_bytes(&self) -> u64 {
        self.shared.log.load(Ordering::Relaxed)
    }

    /// Commits that were made, each with one sync.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Why records cannot be written at the moment, if so. It is tried again until it works or [`JournalHandle::failure`] has a
    /// reason; until then no more attempts should be started.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Why no more is recorded, if so.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Has so many bytes of the output recorded as being at their target, with the end of the run.
    pub fn wrote(&self, bytes: u64) {
        // Without its thread, `end` fails.
        let _ = self.sender.send(Message::Written(bytes));
    }

    /// Waits until all that was appended is durable, stores how the run ended, and releases the lock. Blocks.
    ///
    /// # Errors
    /// Not all could be written; it is not tried again. Or the run was ended before.
    pub fn end(self, status: Status, reason: Option<String>) -> Result<(), JournalError> {
        let gone = || JournalError::io(&self.path, io::Error::other("its thread has ended"));
        let (done, result) = mpsc::channel();
        let end = End { status, reason, done };
        self.sender.send(Message::End(end)).map_err(|_| gone())?;
        let result = result.recv().map_err(|_| gone())?;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It closes the file and releases the lock.
            thread.join().map_err(|_| gone())?;
        }
        result
    }
}

/// About how many bytes a record takes.
fn size(record: &Record) -> u64 {
    let bytes = match record {
        Record::PlannerCalled(_) | Record::Written { .. } => 0,
        Record::AttemptFailed(failed) => failed.message.len(),
        Record::QuotaReserved(_) | Record::WorkerChanged(_) => 0,
        Record::TaskStarted { input, .. } => input.len(),
        Record::Delivered(delivered) => delivered.requests.len() * size_of::<u32>(),
        Record::Settled(settled) => {
            let value = match &settled.value {
                Ok(result) => result.len(),
                Err(refusal) => refusal.message.len(),
            };
            settled.payload.len() + value
        }
        Record::TaskEnded { outcome, .. } => match outcome {
            Ok(result) => result.len(),
            Err(message) => message.len(),
        },
    };
    RECORD + bytes as u64
}

impl Journal for JournalWriter {
    fn is_on(&self) -> bool {
        true
    }

    fn append(&mut self, turn: TurnNumber, records: Vec<Record>) {
        let bytes = records.iter().map(size).sum();
        let turn = Turn {
            number: turn,
            records,
            unix_ms: unix_ms(),
            bytes,
        };
        let shared = &self.handle.shared;
        shared.backlog.fetch_add(bytes, Ordering::Relaxed);
        if self.handle.sender.send(Message::Turn(turn)).is_err() {
            shared.fail("the thread that writes the journal has ended".to_owned());
        }
    }

    fn durable(&self) -> TurnNumber {
        self.handle.shared.durable.load(Ordering::Acquire)
    }

    fn advanced(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.handle.shared.changed.notified())
    }

    fn is_behind(&self) -> bool {
        self.handle.backlog() > BEHIND || self.handle.shared.is_troubled.load(Ordering::Relaxed)
    }

    fn failure(&self) -> Option<String> {
        self.handle.failure()
    }
}
