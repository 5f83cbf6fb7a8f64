//! The thread that writes: it takes all that is queued, commits it at once, and tells which turn is durable. While it commits,
//! records gather for the next commit, so that none waits for a timer and each shares its sync with those that came meanwhile.
//!
//! A commit that fails is made again each second: SQLite has undone it, and nothing is lost or comes in another order.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use disperse_engine::driver::TurnNumber;
use disperse_protocol::wall_clock::unix_ms;
use rusqlite::{Connection, Statement};

use crate::{
    error::{Fault, JournalError},
    info::RunInfo,
    lock::{Lock, Spare},
    log::Log,
    message::{End, Message, Pace, Turn},
    progress::Progress,
    rows::Rows,
    shared::Shared,
};

/// The records of at most about so many bytes are committed at once, so that what the first of them waits for is limited.
const COMMIT_BYTES: u64 = 4 << 20;

/// What the thread is started with.
pub(crate) struct Work {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    pub(crate) lock: Lock,
    pub(crate) spare: Spare,
    pub(crate) info: RunInfo,
    pub(crate) progress: Progress,
    pub(crate) receiver: Receiver<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pace: Pace,
    #[cfg(test)]
    pub(crate) test: crate::tests::Hooks,
}

/// Tells of a thread that panicked.
struct OnPanic(Arc<Shared>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .fail("the thread that writes the journal has panicked".to_owned());
        }
    }
}

/// What the thread does.
pub(crate) fn run(work: Work) {
    let Work {
        path,
        connection,
        lock,
        mut spare,
        info,
        progress,
        receiver,
        shared,
        pace,
        #[cfg(test)]
        test,
    } = work;
    let _told = OnPanic(Arc::clone(&shared));
    match Statements::prepare(&connection) {
        Ok(statements) => {
            let writer = Writer {
                path,
                connection: &connection,
                statements,
                spare: &mut spare,
                info,
                base: progress.turns,
                progress,
                receiver: &receiver,
                shared,
                pace,
                queue: VecDeque::new(),
                end: None,
                written: None,
                closed: false,
                trouble: None,
                #[cfg(test)]
                test,
            };
            writer.run();
        }
        Err(error) => shared.fail(JournalError::sqlite(&path, error).to_string()),
    }
    drop(connection);
    drop(spare);
    drop(lock);
}

/// All statements of the thread.
struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    progress: Statement<'c>,
    rows: Rows<'c>,
    log: Log<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            progress: Progress::statement(connection)?,
            rows: Rows::prepare(connection)?,
            log: Log::of(connection)?,
        })
    }
}

struct Writer<'c> {
    path: PathBuf,
    connection: &'c Connection,
    statements: Statements<'c>,
    spare: &'c mut Spare,
    info: RunInfo,
    /// Turns of processes before this one.
    base: TurnNumber,
    progress: Progress,
    receiver: &'c Receiver<Message>,
    shared: Arc<Shared>,
    pace: Pace,
    /// What is not durable, in order.
    queue: VecDeque<Turn>,
    end: Option<End>,
    /// Bytes of the output that were at their target when the run ended, if that is known.
    written: Option<u64>,
    /// Whether no more can come.
    closed: bool,
    /// Since when commits fail, or the spare space is gone.
    trouble: Option<Instant>,
    #[cfg(test)]
    test: crate::tests::Hooks,
}

impl Writer<'_> {
    fn run(mut self) {
        #[cfg(test)]
        if let Some(due) = self.test.log_due {
            self.statements.log.set_due(due);
        }
        while self.is_wanted() {
            self.gather();
            let done = self.commit().and_then(|()| self.tend_log());
            match done {
                Ok(()) => self.end_trouble(),
                Err(error) => {
                    if !self.wait_after(&error) {
                        break;
                    }
                }
            }
        }
        // After a failure: until the end, which tries once more.
        while self.end.is_none() && !self.closed {
            match self.receiver.recv() {
                Ok(message) => self.take(message),
                Err(_) => self.closed = true,
            }
        }
        let mut result = self.finish();
        if result.as_ref().is_err_and(JournalError::may_pass) && self.spare.free() {
            result = self.finish();
        }
        if let Err(error) = &result {
            self.shared.fail(error.to_string());
        }
        if let Some(end) = self.end {
            // Without a receiver nothing waits for it.
            let _ = end.done.send(result);
        }
    }

    fn is_wanted(&self) -> bool {
        !self.queue.is_empty() || (self.end.is_none() && !self.closed)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Turn(turn) => self.queue.push_back(turn),
            Message::Written(bytes) => self.written = Some(bytes),
            Message::End(end) => self.end = Some(end),
        }
    }

    /// Takes what was sent. Waits for it if there is nothing to do; not for long if the spare space is to be had back.
    fn gather(&mut self) {
        if self.queue.is_empty() {
            let again = if self.trouble.is_some() {
                self.pace.again
            } else {
                Duration::MAX
            };
            self.wait(again);
        }
        let mut bytes: u64 = self.queue.iter().map(|turn| turn.bytes).sum();
        while bytes < COMMIT_BYTES
            && let Ok(message) = self.receiver.try_recv()
        {
            if let Message::Turn(turn) = &message {
                bytes += turn.bytes;
            }
            self.take(message);
        }
    }

    /// Waits for one message. Returns whether this time has passed.
    fn wait(&mut self, most: Duration) -> bool {
        let received = if most == Duration::MAX {
            self.receiver.recv().map_err(RecvTimeoutError::from)
        } else {
            self.receiver.recv_timeout(most)
        };
        match received {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Disconnected) => self.closed = true,
            Err(RecvTimeoutError::Timeout) => return true,
        }
        false
    }

    /// Commits the first turns of the queue.
    fn commit(&mut self) -> Result<(), JournalError> {
        if self.queue.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        self.test.limit_pages(self.connection);
        let committed = self.write_turns();
        let (count, progress) = committed.map_err(|error| {
            if !self.connection.is_autocommit() {
                // What cannot be undone is undone when the file is opened again.
                let _ = self.statements.rollback.execute(());
            }
            JournalError::sqlite(&self.path, error)
        })?;
        self.progress = progress;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        let done = self.queue.drain(..count);
        let (mut bytes, mut last) = (0, None);
        // Freed only when others have been told.
        let done: Vec<Turn> = done.collect();
        for turn in &done {
            bytes += turn.bytes;
            last = Some(turn.number);
        }
        if let Some(last) = last {
            self.shared.durable.store(last, Ordering::Release);
        }
        self.shared.backlog.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Returns how many turns were committed, and how far the journal is with them.
    fn write_turns(&mut self) -> rusqlite::Result<(usize, Progress)> {
        let Statements {
            begin,
            commit,
            progress: statement,
            rows,
            ..
        } = &mut self.statements;
        begin.execute(())?;
        let mut progress = self.progress;
        let (mut count, mut bytes) = (0, 0);
        for turn in &self.queue {
            let number = self.base + turn.number;
            let now_ms = rows.write_all(&turn.records, number, &mut progress)?;
            progress.turns = number;
            if let Some(now_ms) = now_ms
                && now_ms >= progress.anchor.run_ms
            {
                progress.anchor.run_ms = now_ms;
                progress.anchor.unix_ms = turn.unix_ms;
            }
            count += 1;
            bytes += turn.bytes;
            if bytes >= COMMIT_BYTES {
                break;
            }
        }
        progress.store(statement)?;
        commit.execute(())?;
        Ok((count, progress))
    }

    fn tend_log(&mut self) -> Result<(), JournalError> {
        let bytes = self.statements.log.tend();
        let bytes = bytes.map_err(|error| JournalError::sqlite(&self.path, error))?;
        self.shared.log.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// It works again: takes back the spare space, with which the trouble ends.
    fn end_trouble(&mut self) {
        let Some(since) = self.trouble else { return };
        match self.spare.allocate() {
            Ok(()) => {
                self.trouble = None;
                self.shared.set_trouble(None);
            }
            Err(error) => {
                if since.elapsed() >= self.pace.give_up {
                    self.shared.fail(error.to_string());
                }
            }
        }
    }

    /// Waits before a commit is made again. Returns whether it should be.
    fn wait_after(&mut self, error: &JournalError) -> bool {
        let now = Instant::now();
        let since = *self.trouble.get_or_insert(now);
        self.shared.set_trouble(Some(error.to_string()));
        if error.may_pass() && self.spare.free() {
            return true;
        }
        if !error.may_pass() || now.duration_since(since) >= self.pace.give_up {
            self.shared.fail(error.to_string());
            return false;
        }
        while self.end.is_none() && !self.closed {
            let left = self.pace.again.saturating_sub(now.elapsed());
            if left.is_zero() || self.wait(left) {
                return true;
            }
        }
        // The end tries it once more.
        false
    }

    /// Writes what is left and how the run ended.
    fn finish(&mut self) -> Result<(), JournalError> {
        while !self.queue.is_empty() {
            self.commit()?;
        }
        if let Some(bytes) = self.written {
            self.progress.written_bytes = bytes;
            let stored = self.progress.store(&mut self.statements.progress);
            stored.map_err(|error| JournalError::sqlite(&self.path, error))?;
        }
        if let Some(End { status, reason, .. }) = &self.end {
            self.info.status = *status;
            self.info.reason.clone_from(reason);
            self.info.ended_unix_ms = Some(unix_ms());
            let stored = self.info.store(self.connection);
            stored.map_err(|fault: Fault| fault.at(&self.path))?;
        }
        let emptied = self.statements.log.empty();
        emptied.map_err(|error| JournalError::sqlite(&self.path, error))?;
        // With readers it stays, and the next that opens the file goes on with it.
        let _ = self.statements.log.remove();
        Ok(())
    }
}
