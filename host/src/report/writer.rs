//! The thread that writes.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::BEHIND_MAX;
use crate::{escape::plain, inbox::OutputPiece, limits::PIECE};

/// Where results go.
#[derive(Debug)]
pub(crate) enum Target {
    Stdout,
    /// Created or cut to nothing when the run begins.
    File(PathBuf),
    /// Nowhere, and nothing else is said either: somebody else keeps what is needed.
    Nowhere,
}

/// How many bytes are handed over at once at the latest.
const BATCH_MAX: usize = 32 << 10;

enum Piece {
    Data(OutputPiece),
    /// With the room of the output that it is.
    Event(String, Option<OwnedSemaphorePermit>),
    Words(String),
    Progress(String),
}

/// Hands pieces to the thread, many at a time: waking a thread costs more than most pieces.
pub(crate) struct Writer {
    pieces: mpsc::Sender<Vec<Piece>>,
    /// What was not handed over yet, and its bytes.
    batch: Vec<Piece>,
    batch_size: usize,
    shared: Arc<Shared>,
    /// None: nothing is written.
    thread: Option<JoinHandle<io::Result<Finished>>>,
    is_terminal: bool,
    is_silent: bool,
}

#[derive(Default)]
struct Shared {
    /// Nobody reads the results any more, or they cannot be written.
    lost: AtomicBool,
    /// Bytes that wait to be written.
    waiting: AtomicU64,
    /// Told when they are no longer too many.
    caught_up: Notify,
}

/// How the writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Everything is written.
    Whole,
    /// Whoever read the results has gone. That is no error: `| head` does it.
    BrokenPipe,
}

impl Writer {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// The file cannot be created, or no thread can be had.
    pub(crate) fn new(target: Target, progress: bool) -> io::Result<Self> {
        let is_silent = matches!(target, Target::Nowhere);
        // Events go to stdout, also when the results go to a file; with results on stdout there are either or.
        let (results, events): (Box<dyn Write + Send>, Box<dyn Write + Send>) = match target {
            Target::Stdout => (Box::new(stdout()?), Box::new(stdout()?)),
            Target::File(path) => (Box::new(File::create(path)?), Box::new(Aside(stdout()?))),
            Target::Nowhere => (Box::new(io::sink()), Box::new(io::sink())),
        };
        let is_terminal = progress && io::stderr().is_terminal();
        let (pieces, inbox) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let start = || {
            let shared = shared.clone();
            let work = move || write(results, events, &inbox, &shared, is_terminal);
            std::thread::Builder::new().name("writer".into()).spawn(work)
        };
        let thread = (!is_silent).then(start).transpose()?;
        Ok(Self {
            pieces,
            batch: Vec::new(),
            batch_size: 0,
            shared,
            thread,
            is_terminal,
            is_silent,
        })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Whether so many wait that nothing more should be said.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting() > BEHIND_MAX
    }

    /// Waits until [`Writer::is_behind`] is over; may end before.
    ///
    /// Cancel safe.
    pub(super) async fn caught_up(&self) {
        self.shared.caught_up.notified().await;
    }

    /// Bytes of the run's output.
    pub(crate) fn data(&mut self, piece: OutputPiece) {
        self.send(piece.bytes.len(), Piece::Data(piece));
    }

    /// A line for stdout.
    pub(crate) fn event(&mut self, line: String, room: Option<OwnedSemaphorePermit>) {
        self.send(line.len(), Piece::Event(line, room));
    }

    /// A line for stderr.
    pub(crate) fn words(&mut self, text: &str) {
        let text = plain(text).into_owned();
        self.send(text.len(), Piece::Words(text));
    }

    /// The line that is drawn again and again.
    pub(crate) fn progress(&mut self, text: String) {
        self.send(text.len(), Piece::Progress(text));
    }

    fn send(&mut self, size: usize, piece: Piece) {
        if self.is_silent {
            return;
        }
        self.batch.push(piece);
        self.batch_size += size;
        if self.batch_size >= BATCH_MAX {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let size = std::mem::take(&mut self.batch_size) + PIECE * self.batch.len();
        self.shared.waiting.fetch_add(size as u64, Ordering::Relaxed);
        // The thread ends only with the channel.
        let _ = self.pieces.send(std::mem::take(&mut self.batch));
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The results could not be written; the first error.
    pub(crate) fn finish(mut self) -> io::Result<Finished> {
        self.flush();
        drop(self.pieces);
        match self.thread.map(JoinHandle::join) {
            None => Ok(Finished::Whole),
            Some(Ok(finished)) => finished,
            Some(Err(_)) => Err(io::Error::other("the writing thread died")),
        }
    }
}

/// Stdout without the standard library's buffer, which is written when the process exits: that would wait for a reader.
fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Events beside results that go to a file. Their reader may leave without an end to the run: the results are wanted.
struct Aside(File);

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

fn write(
    results: Box<dyn Write + Send>,
    events: Box<dyn Write + Send>,
    inbox: &mpsc::Receiver<Vec<Piece>>,
    shared: &Shared,
    is_terminal: bool,
) -> io::Result<Finished> {
    let mut results = io::BufWriter::with_capacity(64 << 10, results);
    let mut events = io::BufWriter::with_capacity(64 << 10, events);
    let mut outcome = Ok(Finished::Whole);
    let bar = bar(is_terminal);
    let mut next = inbox.recv().ok();
    while let Some(batch) = next {
        let mut written = Ok(());
        for piece in batch {
            let (size, done) = match piece {
                Piece::Data(piece) => (piece.bytes.len(), results.write_all(&piece.bytes)),
                Piece::Event(line, _room) => (line.len(), events.write_all(line.as_bytes())),
                Piece::Words(text) => {
                    // Stderr that is gone is nobody's loss.
                    let _ = bar.suspend(|| writeln!(io::stderr(), "{text}"));
                    (text.len(), Ok(()))
                }
                Piece::Progress(text) => {
                    let size = text.len();
                    bar.set_message(text);
                    (size, Ok(()))
                }
            };
            let size = (size + PIECE) as u64;
            let before = shared.waiting.fetch_sub(size, Ordering::Relaxed);
            if before > BEHIND_MAX && before - size <= BEHIND_MAX {
                shared.caught_up.notify_one();
            }
            written = written.and(done);
        }
        next = inbox.try_recv().ok();
        if next.is_none() {
            written = written.and(results.flush()).and(events.flush());
        }
        if let (Ok(Finished::Whole), Err(error)) = (&outcome, written) {
            shared.lost.store(true, Ordering::Relaxed);
            outcome = match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(Finished::BrokenPipe),
                _ => Err(error),
            };
        }
        if next.is_none() {
            next = inbox.recv().ok();
        }
    }
    bar.finish_and_clear();
    outcome
}

/// The line that is drawn again and again; nothing where there is no terminal.
pub(crate) fn bar(is_terminal: bool) -> ProgressBar {
    if !is_terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is fixed, so it parses.
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar
}
