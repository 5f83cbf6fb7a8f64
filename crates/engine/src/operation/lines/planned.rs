//! The planner of `map`: hands out lines and writes results.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use disperse_protocol::inbox::{Notice, Performed, PlannerCall, PlannerNotice, PlannerPort, TaskRoom};
use disperse_scheduler::TaskId;
use rustc_hash::FxHashMap;
use tokio::sync::{
    Notify, OwnedSemaphorePermit, Semaphore,
    mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{
    super::{
        ends::End,
        in_order::InOrder,
        line_text::{LineText, LongLines},
    },
    options::{AHEAD_BYTES, LineWriting},
    read::Piece,
};

/// The most bytes of results taken out of the file at once.
const READ_AT_ONCE: usize = 1 << 20;

/// The state that the planner shares.
#[derive(Default)]
pub(super) struct Shared {
    /// Errors of input pieces whose tasks were handed out and did not start yet.
    pub(super) rejected: Mutex<FxHashMap<u64, String>>,
    /// How many results wait for an earlier one, and the next task to write.
    pub(super) waiting: AtomicU64,
    pub(super) due: AtomicU64,
    /// How many tasks were read.
    pub(super) read: AtomicU64,
    /// The texts that are too long for a payload and are needed.
    pub(super) long_lines: LongLines,
    /// Whether the run is stopping, and the signal of it.
    pub(super) is_stopped: AtomicBool,
    pub(super) stop: Notify,
}

impl Shared {
    fn tell(&self, order: &InOrder) {
        self.due.store(order.due(), Ordering::Relaxed);
        self.waiting.store(order.waiting(), Ordering::Relaxed);
    }
}

/// A piece that was read ahead, and its permit.
pub(super) type Ahead = (Piece, Option<OwnedSemaphorePermit>);

/// The planner: hands out lines and writes results.
pub(super) struct Planned {
    pub(super) port: PlannerPort,
    pub(super) to_driver: UnboundedSender<Notice>,
    /// Permits for output that is not yet written.
    pub(super) room: Arc<Semaphore>,
    /// None: results are written as they come.
    pub(super) order: Option<InOrder>,
    pub(super) shared: Arc<Shared>,
    /// How many tasks were handed out; the driver numbers them alike.
    pub(super) handed: u64,
    /// The text of the lines of tasks that were handed out where that is needed and not the input of the task, and how many lines
    /// these are.
    pub(super) texts: FxHashMap<u64, (LineText, u32)>,
    /// How many lines make a task, from 1.
    pub(super) batch: usize,
    /// The byte that ends lines and results.
    pub(super) end: u8,
    pub(super) writing: LineWriting,
}

impl Planned {
    pub(super) async fn plan(
        mut self,
        mut calls: UnboundedReceiver<(PlannerCall, TaskRoom)>,
        mut lines: mpsc::Receiver<Ahead>,
    ) {
        let (mut wanted, mut handed) = (0, 0);
        // Why there are no more lines, if not because the input has ended. Reported when the earlier ones are done.
        let mut broken = None;
        loop {
            tokio::select! {
                biased;
                call = calls.recv() => match call {
                    None => return,
                    Some((PlannerCall::Next(count), _)) => (wanted, handed) = (count, 0),
                    Some((PlannerCall::Collect { task, input, outcome, performed }, room)) => {
                        let end = self.end_of(task, input, outcome.ok(), performed);
                        self.collect(task, end, room).await;
                        self.port.say(PlannerNotice::Collected);
                    }
                    Some((PlannerCall::Release, _)) => {
                        self.release().await;
                        self.port.say(PlannerNotice::Collected);
                    }
                    Some((PlannerCall::Finish, _)) => self.port.say(match broken.take() {
                        None => PlannerNotice::Finished(Ok(())),
                        Some(message) => PlannerNotice::Failed(message),
                    }),
                },
                () = self.shared.stop.notified() => {
                    // Nothing more is handed out, and the reader is released if it waits for a permit.
                    wanted = 0;
                    lines.close();
                    while lines.try_recv().is_ok() {}
                }
                line = lines.recv(), if wanted > 0 => match line {
                    Some((Piece::Broken(message), _)) => broken = Some(message),
                    Some((piece, _)) => {
                        let line = self.hand(piece);
                        handed += line.len();
                        wanted = if handed < AHEAD_BYTES { wanted - 1 } else { 0 };
                        self.port.hand_out(line, None);
                        if wanted == 0 {
                            self.port.say(PlannerNotice::Paused { none: false });
                        }
                    }
                    None => {
                        wanted = 0;
                        self.port.say(PlannerNotice::Paused { none: true });
                    }
                },
            }
        }
    }

    /// The input of the task of a piece: of a rejected one empty, with the reason stored for the task.
    fn hand(&mut self, piece: Piece) -> Bytes {
        self.handed += 1;
        match piece {
            Piece::Whole { payload, line } => {
                if let Some(line) = line {
                    self.texts.insert(self.handed, (LineText::Memory(line), 1));
                }
                payload
            }
            Piece::Rejected { why, text, lines } => {
                self.texts.insert(self.handed, (text, lines));
                self.reject(why)
            }
            Piece::Broken(why) => self.reject(why),
        }
    }

    fn reject(&self, why: String) -> Bytes {
        let mut rejected = self.shared.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        rejected.insert(self.handed, why);
        Bytes::new()
    }

    /// The end of a task, with the text of its lines if that is written.
    fn end_of(&mut self, task: TaskId, input: Bytes, result: Option<Bytes>, performed: Option<Performed>) -> End {
        let kept = if self.texts.is_empty() {
            None
        } else {
            self.texts.remove(&task.0)
        };
        let LineWriting { tags, gaps, failed } = self.writing;
        let is_written = match result {
            Some(_) => tags,
            None => failed || (gaps && tags),
        };
        let (text, lines) = kept.unwrap_or_else(|| {
            let is_counted = self.batch > 1 && gaps && result.is_none();
            let more = match is_counted {
                true => memchr::memchr_iter(self.end, &input).count(),
                false => 0,
            };
            let lines = 1 + more;
            (LineText::Memory(input), u32::try_from(lines).unwrap_or(u32::MAX))
        });
        End {
            result,
            performed,
            text: if is_written { text } else { LineText::NONE },
            lines,
        }
    }

    /// Takes the end of a task: writes it now, or once all earlier ones are written.
    async fn collect(&mut self, task: TaskId, end: End, room: TaskRoom) {
        let Some(order) = &mut self.order else {
            return self.write(task.0, &end).await;
        };
        if order.due() == task.0 {
            order.pass();
            self.write(task.0, &end).await;
            drop(room);
            self.write_due().await;
        } else {
            // Its input is not needed any more, or counts as the text.
            let room = TaskRoom {
                result: room.result,
                ..TaskRoom::default()
            };
            order.put(task.0, end, room);
            if order.is_full() {
                self.spill().await;
            }
        }
        if let Some(order) = &self.order {
            self.shared.tell(order);
        }
    }

    /// Writes the results whose turn it is.
    async fn write_due(&mut self) {
        loop {
            while let Some((task, end, room)) = self.order.as_mut().and_then(InOrder::take) {
                self.write(task, &end).await;
                drop(room);
            }
            if !self.order.as_ref().is_some_and(InOrder::is_due_in_file) {
                return;
            }
            let read = self.on_disk(|order| order.read(READ_AT_ONCE)).await;
            match read {
                Ok(ends) => {
                    for (task, end) in ends {
                        self.write(task, &end).await;
                    }
                }
                Err(error) => {
                    self.fail("cannot be read again", &error);
                    // The results in the file are lost, and this was reported.
                    return self.order = Some(InOrder::new(0));
                }
            }
        }
    }

    /// Moves waiting results to the file. If it cannot be written, they are written out with the gap before them, and
    /// the run ends.
    async fn spill(&mut self) {
        if let Err(error) = self.on_disk(InOrder::spill).await {
            self.fail("cannot be kept in a file", &error);
            self.release().await;
        }
    }

    /// Writes all waiting results, in order, though earlier ones are missing.
    async fn release(&mut self) {
        while self.order.as_mut().is_some_and(InOrder::skip) {
            self.write_due().await;
        }
        if let Some(order) = &self.order {
            self.shared.tell(order);
        }
    }

    /// Does something that may wait for a disk, without blocking a thread that others need.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut InOrder) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let mut order = self.order.take().unwrap_or_default();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut order);
            (order, done)
        });
        let (order, done) = done.await.map_err(io::Error::other)?;
        self.order = Some(order);
        done
    }

    /// Ends the run: the machine failed.
    fn fail(&self, what: &str, error: &io::Error) {
        let line = self.order.as_ref().map_or(0, InOrder::due);
        let folder = std::env::temp_dir();
        let message = format!(
            "results that wait for those before {what}, in `{}`: {error}; set TMPDIR to a folder with more room, or write results \
             as they come with --unordered (the first one that is missing is number {line})",
            folder.display()
        );
        self.end_run(message);
    }

    /// Ends the run for something that the machine lacks.
    pub(super) fn end_run(&self, message: String) {
        // Fails if the driver is gone.
        let _ = self.to_driver.send(Notice::Shortage(message));
    }
}
