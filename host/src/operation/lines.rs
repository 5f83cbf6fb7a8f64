//! `map`: an operation without a component. Every line of the input is a task that asks for one action. With `--files` a line is
//! the path of a file, which is read as it comes: one that cannot be read is a task that fails without an action.

use std::{
    ffi::OsStr,
    io::{BufRead, ErrorKind},
    num::NonZeroU32,
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use bytes::{BufMut, Bytes, BytesMut};
use disperse_scheduler::TaskId;
use tokio::{
    runtime::Handle,
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
};

use super::{Operation, output_room, take};
use crate::{
    files,
    inbox::{
        Action, Answers, Notice, Options, PlannerCall, PlannerNotice, PlannerPort, TaskEnd, TaskPort, TaskRoom, Used,
        answers, panic_message, reap,
    },
    limits::OUTPUT_ROOM,
    units::Size,
};

/// How many lines, or batches of lines, are read ahead.
const AHEAD: usize = 1024;

/// How many bytes of them are kept, and how many are handed out before the driver has a say again.
const AHEAD_BYTES: usize = 16 << 20;

/// From how many bytes on they count for that. What is shorter makes a megabyte at most.
const COUNTED_MIN: usize = 1 << 10;

/// How `map` reads and asks.
#[derive(Clone, Debug)]
pub(crate) struct LinesOptions {
    /// The kind of the actions.
    pub(crate) kind: Arc<str>,
    /// How many lines make one action, from 1.
    pub(crate) batch: usize,
    /// The byte that lines of the input end with, and results too.
    pub(crate) end: u8,
    /// Whether each line is the path of a file whose content is the payload. Then `batch` is 1.
    pub(crate) files: bool,
    /// Whether a second run of one does no harm.
    pub(crate) idempotent: bool,
    /// The longest line or batch in bytes.
    pub(crate) payload_max: usize,
}

/// The lines of an input as an operation.
pub(crate) struct Lines {
    options: LinesOptions,
    to_driver: UnboundedSender<Notice>,
    planner: UnboundedSender<PlannerCall>,
    running: JoinSet<()>,
}

impl Lines {
    /// Starts to read.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(
        input: impl BufRead + Send + 'static,
        options: LinesOptions,
        to_driver: UnboundedSender<Notice>,
    ) -> std::io::Result<Self> {
        let (lines, read) = mpsc::channel(AHEAD);
        let (room, runtime) = (Arc::new(Semaphore::new(AHEAD_BYTES)), Handle::current());
        let port = PlannerPort::new(to_driver.clone());
        std::thread::Builder::new().name("input".into()).spawn({
            let (options, port) = (options.clone(), port.clone());
            move || {
                let read = AssertUnwindSafe(|| {
                    read_lines(input, &options, |piece| {
                        let size = piece.as_ref().map_or(0, Bytes::len);
                        let wait = || runtime.block_on(take(&room, size, AHEAD_BYTES));
                        let room = (size >= COUNTED_MIN).then(wait).flatten();
                        lines.blocking_send((piece, room)).is_ok()
                    })
                });
                // The reader may be a program's own. What is not told would be taken for the end of the input.
                match catch_unwind(read) {
                    Ok(Some(total)) => port.say(PlannerNotice::Total(total)),
                    Ok(None) => {}
                    Err(panic) => {
                        let message = format!("the input panicked: {}", panic_message(&*panic));
                        // Nobody wants it if the run is over.
                        let _ = lines.blocking_send((Err(message), None));
                    }
                }
            }
        })?;
        let (planner, calls) = unbounded_channel();
        let mut running = JoinSet::new();
        running.spawn(plan(calls, read, port, options.end));
        Ok(Self {
            options,
            to_driver,
            planner,
            running,
        })
    }
}

impl Operation for Lines {
    fn call(&mut self, call: PlannerCall, _: u64) {
        let _ = self.planner.send(call);
    }

    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Answers {
        reap(&mut self.running);
        let (answers, from_driver) = answers(false);
        let mut port = TaskPort::new(task, now_ms, NonZeroU32::MIN, self.to_driver.clone(), from_driver);
        let input = match self.options.files {
            false => input,
            true => match content_of(input) {
                Ok(content) => content,
                Err(message) => {
                    let _ = self.to_driver.send(ended(task, Err(message), TaskRoom::default()));
                    return answers;
                }
            },
        };
        let (kind, to_driver) = (self.options.kind.clone(), self.to_driver.clone());
        // Asked for here and not in the tokio task: those run in any order, and lines are asked for in their own.
        let asked = Options {
            idempotent: self.options.idempotent,
            ..Options::default()
        };
        let number = port.submit(Action { kind, payload: input }, asked, false);
        self.running.spawn(async move {
            let answer = loop {
                if let Some(answer) = port.take(number) {
                    break answer;
                }
                if !port.next_batch().await {
                    return;
                }
            };
            let outcome = answer.value.map_err(|refusal| refusal.message);
            let room = TaskRoom {
                result: answer.room,
                ..TaskRoom::default()
            };
            let _ = to_driver.send(ended(task, outcome, room));
        });
        answers
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

fn ended(task: TaskId, outcome: Result<Bytes, String>, room: TaskRoom) -> Notice {
    let used = Used::default();
    Notice::TaskEnded {
        task,
        end: TaskEnd { outcome, used, room },
    }
}

/// What follows the content of a file, or the reason why there is none, on its way to the task.
const CONTENT: u8 = 1;
const NO_CONTENT: u8 = 0;

/// Reads the file whose path is a line.
fn read_file(path: &[u8], most: usize) -> Bytes {
    let name = Path::new(OsStr::from_bytes(path));
    let (mut bytes, tag) = match files::read(name, most as u64) {
        Ok(bytes) => (bytes, CONTENT),
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::FileTooLarge => "; raise it with --result-size",
                _ => "",
            };
            let message = format!("cannot read `{}`: {error}{hint}", name.display());
            (message.into_bytes(), NO_CONTENT)
        }
    };
    bytes.push(tag);
    bytes.into()
}

/// The content of a file as [`read_file`] has read it.
///
/// # Errors
/// It could not be read; says why.
fn content_of(mut file: Bytes) -> Result<Bytes, String> {
    let tag = file.split_off(file.len().saturating_sub(1));
    match *tag == [CONTENT] {
        true => Ok(file),
        false => Err(String::from_utf8_lossy(&file).into_owned()),
    }
}

/// What was read ahead, and the room that it takes in the host.
type Ahead = (Result<Bytes, String>, Option<OwnedSemaphorePermit>);

/// Reads lines until the end, an error, or until `hand` says that nobody wants them. At the end it says how many tasks
/// they make.
fn read_lines(
    mut input: impl BufRead,
    options: &LinesOptions,
    mut hand: impl FnMut(Result<Bytes, String>) -> bool,
) -> Option<u64> {
    let mut number = 0u64;
    let mut tasks = 0u64;
    loop {
        let mut piece = BytesMut::new();
        let mut count = 0;
        while count < options.batch {
            let mut line = Vec::new();
            // One byte more than allowed tells a line that is too long from one that just fits.
            let room = options.payload_max as u64 + 2;
            let read = std::io::Read::take(&mut input, room).read_until(options.end, &mut line);
            match read {
                Ok(0) => break,
                Ok(_) => {
                    number += 1;
                    if line.last() == Some(&options.end) {
                        line.pop();
                    }
                    if count > 0 {
                        piece.put_u8(options.end);
                    }
                    piece.extend_from_slice(&line);
                    if piece.len() > options.payload_max {
                        let max = Size(options.payload_max as u64);
                        hand(Err(if count == 0 {
                            format!("line {number} is longer than {max}; raise it with --result-size")
                        } else {
                            let first = number - count as u64;
                            format!(
                                "lines {first} to {number} together are longer than {max}; \
                                 lower --batch or raise it with --result-size"
                            )
                        }));
                        return None;
                    }
                    count += 1;
                }
                Err(error) => {
                    hand(Err(format!("the input broke off after line {number}: {error}")));
                    return None;
                }
            }
        }
        if count == 0 {
            return Some(tasks);
        }
        let piece = piece.freeze();
        let piece = match options.files {
            true => read_file(&piece, options.payload_max),
            false => piece,
        };
        if !hand(Ok(piece)) {
            return None;
        }
        tasks += 1;
    }
}

/// Hands out lines and puts out results.
async fn plan(mut calls: UnboundedReceiver<PlannerCall>, mut lines: mpsc::Receiver<Ahead>, port: PlannerPort, end: u8) {
    let room = Arc::new(Semaphore::new(OUTPUT_ROOM));
    let (mut wanted, mut handed) = (0, 0);
    // Why there are no more lines, if not because the input has ended. Told when those before are done.
    let mut broken = None;
    loop {
        tokio::select! {
            biased;
            call = calls.recv() => match call {
                None => return,
                Some(PlannerCall::Next(count)) => (wanted, handed) = (count, 0),
                Some(PlannerCall::Collect { task, outcome, room: taken, .. }) => {
                    if let Ok(result) = outcome {
                        port.collects(Some(task));
                        write(&port, &room, &result, end).await;
                        port.collects(None);
                    }
                    drop(taken);
                    port.say(PlannerNotice::Collected);
                }
                Some(PlannerCall::Finish) => port.say(match broken.take() {
                    None => PlannerNotice::Finished(Ok(())),
                    Some(message) => PlannerNotice::Failed(message),
                }),
            },
            line = lines.recv(), if wanted > 0 => match line {
                Some((Ok(line), _)) => {
                    handed += line.len();
                    wanted = if handed < AHEAD_BYTES { wanted - 1 } else { 0 };
                    port.say(PlannerNotice::Handed(line, None));
                    if wanted == 0 {
                        port.say(PlannerNotice::Paused { none: false });
                    }
                }
                Some((Err(message), _)) => broken = Some(message),
                None => {
                    wanted = 0;
                    port.say(PlannerNotice::Paused { none: true });
                }
            },
        }
    }
}

async fn write(port: &PlannerPort, room: &Arc<Semaphore>, result: &[u8], end: u8) {
    let mut record = BytesMut::with_capacity(result.len() + 1);
    record.extend_from_slice(result);
    record.put_u8(end);
    let room = output_room(room, record.len()).await;
    port.output(record.freeze(), room);
}
