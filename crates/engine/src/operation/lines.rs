//! `map`: an operation without a component. Every line of the input is a task with one action. With `--files` a line is
//! the path of a file, which is read when its turn comes: one that cannot be read is a task that fails without an
//! action.

use std::{
    ffi::OsStr,
    io::{self, BufRead, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use disperse_scheduler::TaskId;
use rustc_hash::FxHashMap;
use tokio::{
    runtime::Handle,
    sync::{
        Notify, OwnedSemaphorePermit, Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
};

use super::{Operation, in_order::InOrder, output_room, take};
use disperse_protocol::{
    files,
    inbox::{
        Action, Ask, Deliveries, Held, Notice, Options, Parcel, PlannerCall, PlannerNotice, PlannerPort, Request,
        RequestNumber, TaskEnd, TaskRoom, Used, panic_message, reap,
    },
    limits::{Charge, OUTPUT_ROOM},
    units::Size,
};

/// The number of the only request of a task.
const REQUEST: RequestNumber = 1;

/// How many lines, or batches of lines, are read ahead.
const AHEAD: usize = 1024;

/// The most bytes read ahead, and the most handed out before the driver decides again.
const AHEAD_BYTES: usize = 16 << 20;

/// The most bytes of results taken out of the file at once.
const READ_AT_ONCE: usize = 1 << 20;

/// The smallest result, in bytes, that takes a permit for it. Shorter ones make a megabyte at most.
const COUNTED_MIN: usize = 1 << 10;

/// How long the rest of the input of a stopped run is counted. Arbitrary: some 10 GB, and short for an operator who
/// pressed Ctrl-C.
pub const COUNTING: Duration = Duration::from_secs(1);

/// How files are read if lines are paths.
#[derive(Clone, Debug)]
pub struct Files {
    /// The output file, which is not read as an input: the first result truncates it.
    pub output: Option<PathBuf>,
}

/// The settings of `map`.
#[derive(Clone, Debug)]
pub struct LinesOptions {
    /// The kind of the actions.
    pub kind: Arc<str>,
    /// How many lines make one action, from 1.
    pub batch: usize,
    /// The byte that ends lines of the input, and results too.
    pub end: u8,
    /// If each line is the path of a file whose content is the payload: how these are read. Then `batch` is 1.
    pub files: Option<Files>,
    /// Whether performing one twice does no harm.
    pub idempotent: bool,
    /// The longest line or batch in bytes.
    pub payload_max: usize,
    /// Whether the input is a regular file. Only a regular file is read on to count the tasks that a stopped run leaves
    /// undone: a pipe may have no end, and its bytes would be lost to the next reader.
    pub is_file: bool,
    /// The most bytes of results that wait in memory for an earlier one. None: results are written as they come.
    pub ordered: Option<u64>,
}

/// The lines of an input as an operation.
pub struct Lines {
    options: LinesOptions,
    to_driver: UnboundedSender<Notice>,
    planner: UnboundedSender<(PlannerCall, TaskRoom)>,
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

/// The state that the planner shares.
#[derive(Default)]
struct Shared {
    /// Errors of input pieces whose tasks were handed out and did not start yet.
    rejected: Mutex<FxHashMap<u64, String>>,
    /// How many results wait for an earlier one, and the next task to write.
    waiting: AtomicU64,
    due: AtomicU64,
    /// How many tasks were read.
    read: AtomicU64,
    /// Whether the run is stopping, and the signal of it.
    is_stopped: AtomicBool,
    stop: Notify,
}

impl Shared {
    fn tell(&self, order: &InOrder) {
        self.due.store(order.due(), Ordering::Relaxed);
        self.waiting.store(order.waiting(), Ordering::Relaxed);
    }
}

impl Lines {
    /// Starts to read.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        mut input: impl BufRead + Send + 'static,
        options: LinesOptions,
        to_driver: UnboundedSender<Notice>,
    ) -> io::Result<Self> {
        let (lines, read) = mpsc::channel(AHEAD);
        let (room, runtime) = (Arc::new(Semaphore::new(AHEAD_BYTES)), Handle::current());
        let port = PlannerPort::new(to_driver.clone());
        let shared = Arc::<Shared>::default();
        std::thread::Builder::new().name("input".into()).spawn({
            let (options, port, shared) = (options.clone(), port.clone(), shared.clone());
            move || {
                let read = AssertUnwindSafe(|| {
                    let ended = read_lines(&mut input, &options, |piece| {
                        let is_task = !matches!(piece, Piece::Broken(_));
                        shared.read.fetch_add(is_task.into(), Ordering::Relaxed);
                        let size = if let Piece::Whole(bytes) = &piece {
                            bytes.len()
                        } else {
                            0
                        };
                        let wait = || runtime.block_on(take(&room, size, AHEAD_BYTES));
                        let room = (size >= COUNTED_MIN).then(wait).flatten();
                        lines.blocking_send((piece, room)).is_ok()
                    });
                    let is_counted = !ended && options.is_file && shared.is_stopped.load(Ordering::Relaxed);
                    let read = || shared.read.load(Ordering::Relaxed);
                    match is_counted {
                        true => count_rest(input, &options, &shared.read, Instant::now() + COUNTING).then(read),
                        false => ended.then(read),
                    }
                });
                // The reader may be a program's own. Without a message a panic would count as the end of the input.
                match catch_unwind(read) {
                    Ok(Some(total)) => port.say(PlannerNotice::Total(total)),
                    Ok(None) => {}
                    Err(panic) => {
                        let message = format!("the input panicked: {}", panic_message(&*panic));
                        // Fails if the run is over.
                        let _ = lines.blocking_send((Piece::Broken(message), None));
                    }
                }
            }
        })?;
        let (planner, calls) = unbounded_channel();
        let mut running = JoinSet::new();
        let planned = Planned {
            port,
            to_driver: to_driver.clone(),
            room: Arc::new(Semaphore::new(OUTPUT_ROOM)),
            order: options.ordered.map(InOrder::new),
            shared: shared.clone(),
            handed: 0,
            end: options.end,
        };
        running.spawn(planned.plan(calls, read));
        Ok(Self {
            options,
            to_driver,
            planner,
            shared,
            running,
        })
    }
}

impl Operation for Lines {
    fn call(&mut self, call: PlannerCall, room: TaskRoom, _: u64) {
        let _ = self.planner.send((call, room));
    }

    fn start(&mut self, task: TaskId, input: Bytes, _: u64) -> Deliveries {
        let rejected = self
            .shared
            .rejected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&task.0);
        let notice = match rejected {
            Some(message) => ended(task, Err(message), None),
            None => Notice::Request(Request {
                task,
                number: REQUEST,
                ask: Ask::Action(
                    Action {
                        kind: self.options.kind.clone(),
                        payload: input,
                    },
                    Options {
                        idempotent: self.options.idempotent,
                        ..Options::default()
                    },
                ),
            }),
        };
        // Fails if the driver is gone, as below.
        let _ = self.to_driver.send(notice);
        // The only delivery has the only answer, which ends the task.
        let to_driver = self.to_driver.clone();
        Deliveries::Handed(Box::new(move |Parcel { delivery, mut charges }| {
            let charge = charges.pop().map(|(_, charge)| charge);
            if let Some(answer) = delivery.answers.into_iter().next() {
                let outcome = answer.value.map_err(|refusal| refusal.message);
                let _ = to_driver.send(ended(task, outcome, charge));
            }
        }))
    }

    fn stop(&mut self) -> bool {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        self.shared.stop.notify_one();
        self.options.is_file
    }

    fn tasks_read(&self) -> u64 {
        self.shared.read.load(Ordering::Relaxed)
    }

    fn held(&self) -> Option<Held> {
        let results = self.shared.waiting.load(Ordering::Relaxed);
        let task = self.shared.due.load(Ordering::Relaxed);
        (results > 0).then(|| Held {
            results,
            line: task.saturating_sub(1) * self.options.batch as u64 + 1,
        })
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

/// The end of a task. `charge`: of its result.
fn ended(task: TaskId, outcome: Result<Bytes, String>, charge: Option<Charge>) -> Notice {
    Notice::TaskEnded {
        task,
        end: TaskEnd {
            outcome,
            is_of_machine: false,
            used: Used::default(),
        },
        room: TaskRoom {
            result: charge,
            ..TaskRoom::default()
        },
    }
}

/// A piece that was read ahead, and its permit.
type Ahead = (Piece, Option<OwnedSemaphorePermit>);

/// The part of the input that makes one task.
enum Piece {
    Whole(Bytes),
    /// The task fails alone, for this reason.
    Rejected(String),
    /// There is no task, and the input ends here, for this reason.
    Broken(String),
}

/// Reads lines until the end, an error, or until `hand` returns that no more are needed. Returns whether the end was
/// reached.
fn read_lines(mut input: impl BufRead, options: &LinesOptions, mut hand: impl FnMut(Piece) -> bool) -> bool {
    let mut number = 0u64;
    loop {
        let mut piece = BytesMut::new();
        let mut count = 0;
        let mut is_too_long = false;
        while count < options.batch {
            if count > 0 {
                piece.put_u8(options.end);
            }
            let room = options.payload_max.saturating_sub(piece.len());
            match read_line(&mut input, options.end, &mut piece, room) {
                Ok(None) => {
                    if count > 0 {
                        piece.truncate(piece.len() - 1);
                    }
                    break;
                }
                Ok(Some(is_whole)) => {
                    number += 1;
                    count += 1;
                    if !is_whole || piece.len() > options.payload_max {
                        is_too_long = true;
                        // The rest of it is not needed.
                        piece.truncate(options.payload_max);
                    }
                }
                Err(error) => {
                    hand(Piece::Broken(format!(
                        "the input broke off after line {number}: {error}"
                    )));
                    return false;
                }
            }
        }
        if count == 0 {
            return true;
        }
        let piece = match is_too_long {
            true => Piece::Rejected(too_long(number, count, options.payload_max)),
            false => match &options.files {
                Some(files) => read_file(&piece, files.output.as_deref(), options.payload_max),
                None => Piece::Whole(piece.freeze()),
            },
        };
        if !hand(piece) {
            return false;
        }
    }
}

/// Adds the number of tasks in the rest of an input to `tasks`, until a deadline. Returns whether the end was reached.
fn count_rest(mut input: impl BufRead, options: &LinesOptions, tasks: &AtomicU64, until: Instant) -> bool {
    let (before, batch) = (tasks.load(Ordering::Relaxed), options.batch.max(1) as u64);
    let (mut lines, mut is_within) = (0u64, false);
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let is_end = read.is_empty();
        lines += memchr::memchr_iter(options.end, read).count() as u64;
        is_within = read.last().map_or(is_within, |last| *last != options.end);
        let size = read.len();
        input.consume(size);
        let all = lines + u64::from(is_within);
        tasks.store(before + all.div_ceil(batch), Ordering::Relaxed);
        if is_end || Instant::now() >= until {
            return is_end;
        }
    }
}

/// Reads the file whose path is a line, unless it is the output.
fn read_file(path: &[u8], output: Option<&Path>, most: usize) -> Piece {
    let name = Path::new(OsStr::from_bytes(path));
    let place = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if let Some(output) = output
        && let Some(own) = place(name)
        && place(output) == Some(own)
    {
        return Piece::Rejected(format!("`{}` is also the output and is not read", name.display()));
    }
    match files::read(name, most as u64) {
        Ok(bytes) => Piece::Whole(bytes.into()),
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::FileTooLarge => "; raise it with --result-size",
                _ => "",
            };
            Piece::Rejected(format!("cannot read `{}`: {error}{hint}", name.display()))
        }
    }
}

/// Why the last `count` lines, up to this one, cannot be one payload.
fn too_long(number: u64, count: usize, most: usize) -> String {
    let most = Size(most as u64);
    match count {
        1 => format!("it is longer than {most}; raise it with --result-size"),
        _ => {
            let first = number - count as u64 + 1;
            format!(
                "lines {first} to {number} together are longer than {most}; lower --batch or raise it with --result-size"
            )
        }
    }
}

/// Reads a line without its end and keeps its first `room` bytes. None: the input has ended. Returns whether all of it
/// was kept.
fn read_line(input: &mut impl BufRead, end_byte: u8, into: &mut BytesMut, mut room: usize) -> io::Result<Option<bool>> {
    let (mut is_any, mut is_whole) = (false, true);
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(is_any.then_some(is_whole));
        }
        is_any = true;
        let end = memchr::memchr(end_byte, read);
        let line = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
        let kept = line.get(..room).unwrap_or(line);
        into.extend_from_slice(kept);
        room -= kept.len();
        is_whole &= kept.len() == line.len();
        let used = line.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(is_whole));
        }
    }
}

/// The planner: hands out lines and writes results.
struct Planned {
    port: PlannerPort,
    to_driver: UnboundedSender<Notice>,
    /// Permits for output that is not yet written.
    room: Arc<Semaphore>,
    /// None: results are written as they come.
    order: Option<InOrder>,
    shared: Arc<Shared>,
    /// How many tasks were handed out; the driver numbers them alike.
    handed: u64,
    /// The byte that ends results.
    end: u8,
}

impl Planned {
    async fn plan(mut self, mut calls: UnboundedReceiver<(PlannerCall, TaskRoom)>, mut lines: mpsc::Receiver<Ahead>) {
        let (mut wanted, mut handed) = (0, 0);
        // Why there are no more lines, if not because the input has ended. Reported when the earlier ones are done.
        let mut broken = None;
        loop {
            tokio::select! {
                biased;
                call = calls.recv() => match call {
                    None => return,
                    Some((PlannerCall::Next(count), _)) => (wanted, handed) = (count, 0),
                    Some((PlannerCall::Collect { task, outcome, .. }, room)) => {
                        self.collect(task, outcome.ok(), room).await;
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
            Piece::Whole(bytes) => bytes,
            Piece::Rejected(message) | Piece::Broken(message) => {
                let mut rejected = self.shared.rejected.lock().unwrap_or_else(PoisonError::into_inner);
                rejected.insert(self.handed, message);
                Bytes::new()
            }
        }
    }

    /// Takes the end of a task: writes it now, or once all earlier ones are written.
    async fn collect(&mut self, task: TaskId, end: Option<Bytes>, room: TaskRoom) {
        let Some(order) = &mut self.order else {
            return self.write(task.0, end).await;
        };
        if order.due() == task.0 {
            order.pass();
            self.write(task.0, end).await;
            drop(room);
            self.write_due().await;
        } else {
            // The memory of its input is free now.
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
                self.write(task, end).await;
                drop(room);
            }
            if !self.order.as_ref().is_some_and(InOrder::is_due_in_file) {
                return;
            }
            let read = self.on_disk(|order| order.read(READ_AT_ONCE)).await;
            match read {
                Ok(ends) => {
                    for (task, end) in ends {
                        self.write(task, end).await;
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
        // Fails if the driver is gone.
        let _ = self.to_driver.send(Notice::Shortage(message));
    }

    /// Writes a result, if the end is one.
    async fn write(&self, task: u64, end: Option<Bytes>) {
        let Some(result) = end else { return };
        let mut record = BytesMut::with_capacity(result.len() + 1);
        record.extend_from_slice(&result);
        record.put_u8(self.end);
        let room = output_room(&self.room, record.len()).await;
        self.port.output_of(Some(TaskId(task)), record.freeze(), room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, batch: usize, payload_max: usize) -> Vec<Result<String, String>> {
        let options = LinesOptions {
            kind: "line".into(),
            batch,
            end: b'\n',
            files: None,
            idempotent: false,
            payload_max,
            is_file: true,
            ordered: None,
        };
        let mut pieces = Vec::new();
        // A small buffer, so that lines are read in several pieces.
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        let is_all = read_lines(input, &options, |piece| {
            pieces.push(match piece {
                Piece::Whole(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                Piece::Rejected(why) | Piece::Broken(why) => Err(why),
            });
            true
        });
        assert!(is_all);
        // The number of tasks if none is handed out.
        let tasks = AtomicU64::new(0);
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        assert!(count_rest(input, &options, &tasks, Instant::now() + 60 * COUNTING));
        assert_eq!(tasks.into_inner(), pieces.len() as u64);
        pieces
    }

    #[test]
    fn counting_the_rest_of_an_input_ends_in_time() {
        let options = LinesOptions {
            kind: "line".into(),
            batch: 10,
            end: b'\n',
            files: None,
            idempotent: false,
            payload_max: 9,
            is_file: true,
            ordered: None,
        };
        let (endless, tasks) = (io::BufReader::new(io::repeat(b'\n')), AtomicU64::new(7));
        assert!(!count_rest(endless, &options, &tasks, Instant::now()));
        assert!(tasks.into_inner() > 7 + 100);
    }

    #[test]
    fn too_long_lines_fail_alone() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(read("", 1, 9), []);
        assert_eq!(
            read("a\n\nlong line\nb", 1, 9),
            [ok("a"), ok(""), ok("long line"), ok("b")]
        );
        assert_eq!(read("1\n2\n3\n", 2, 9), [ok("1\n2"), ok("3")]);
        let pieces = read("a\nlonger lines\nb\n", 1, 9);
        assert_eq!((&pieces[0], &pieces[2]), (&ok("a"), &ok("b")));
        assert!(pieces[1].as_ref().unwrap_err().contains("longer than 9B"), "{pieces:?}");
        // The newlines in between count.
        assert_eq!(read("1234\n1234\n1\n", 2, 9), [ok("1234\n1234"), ok("1")]);
        let pieces = read("12345\n1234\nx\n12\n3\n", 2, 9);
        let why = pieces[0].as_ref().unwrap_err();
        assert!(why.starts_with("lines 1 to 2 together are longer than 9B"), "{why}");
        assert_eq!(pieces[1..], [ok("x\n12"), ok("3")]);
    }
}
