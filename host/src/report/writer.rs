//! What a run writes: results and events on one thread, words for people on another, so that a stderr that is not read keeps no
//! result back.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write},
    os::fd::AsFd,
    path::PathBuf,
    sync::{atomic::Ordering, mpsc::Receiver},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::io::Errno;
use tokio::sync::Notify;

use super::{
    Backlog, Finished,
    lane::{Lane, Pending, Written},
};
use crate::{
    inbox::{Guard, OutputPiece},
    text::{painted, plain},
};

/// Where results go.
#[derive(Debug)]
pub(crate) enum Target {
    Stdout,
    /// Created, or cut to this many bytes if the run is recorded, at the first byte or else at the end of a run that came to its end.
    File(PathBuf, Option<u64>),
}

/// How long a stderr that takes nothing is waited for when all results are written. Arbitrary: longer than a pager takes to
/// start. A terminal is waited for without an end.
const STDERR_PATIENCE: Duration = Duration::from_secs(5);

/// How long the writer waits for a reader of the results once the run was told to stop, as where the output is a pipe that is not read.
/// Arbitrary: longer than a reader that is only slow stands still.
pub(super) const RESULTS_PATIENCE: Duration = Duration::from_secs(10);

enum Piece {
    Data(OutputPiece),
    /// With the room of the output that it is, and how many bytes of output that is.
    Event(String, Guard, usize),
    /// The last event, which follows all results, also where those go to a file.
    Report(String),
    /// There are results, though they may be empty.
    Begun,
}

enum Words {
    Line(String),
    /// The line that is drawn again and again.
    Progress(String),
}

/// Hands what is to be written to the threads that write.
pub(crate) struct Writer {
    results: Lane<Piece, io::Result<Finished>>,
    words: Lane<Words, ()>,
    /// Whether results go to a file that is not there yet.
    is_file: bool,
    is_terminal: bool,
    /// How many lines were not written because too many wait for stderr.
    unshown: u64,
}

/// What follows all results.
pub(super) enum Last {
    Nothing,
    Event(String),
    Words(String),
}

impl Writer {
    /// Opens the target and starts the threads. `stdout_open`: whether the process was started with a stdout.
    ///
    /// # Errors
    /// The file cannot be created, or no thread can be had.
    pub(crate) fn new(target: Target, stdout_open: bool, progress: bool) -> io::Result<Self> {
        let (is_terminal, stdout) = (progress && io::stderr().is_terminal(), || stdout(stdout_open));
        // Events go to stdout, also when the results go to a file; with results on stdout there are either or.
        let is_file = matches!(target, Target::File(..));
        let (results, events): (Results, Box<dyn Write + Send>) = match target {
            Target::Stdout => (Results::Stdout(stdout()?), stdout()?),
            Target::File(path, kept) => (Results::File(Late::new(path, kept)), Box::new(Aside(stdout()?))),
        };
        let bar = bar(is_terminal);
        // Where both are drawn on a terminal, the line must not be in the way.
        let beside = (is_terminal && io::stdout().is_terminal()).then(|| bar.clone());
        Ok(Self {
            results: Lane::start("writer", move |inbox, pending| {
                write(results, events, &inbox, pending, beside.as_ref())
            })?,
            words: Lane::start("words", move |inbox, pending| say(&inbox, pending, &bar))?,
            is_file,
            is_terminal,
            unshown: 0,
        })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether the reader of the results has gone, or they cannot be written.
    pub(crate) fn is_lost(&self) -> bool {
        self.results.is_lost()
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> u64 {
        self.results.waiting() + self.words.waiting()
    }

    /// How many results and events wait. Words are dropped instead, see [`Writer::words`].
    pub(super) fn backlog(&self) -> Backlog {
        if self.results.is_behind() {
            Backlog::Full
        } else {
            Backlog::None
        }
    }

    /// Notified when [`Writer::backlog`] has become less.
    pub(super) fn caught_up(&self) -> &Notify {
        self.results.caught_up()
    }

    /// Tells how many bytes of the output have reached their target, also when this is gone.
    pub(crate) fn written(&self) -> Written {
        self.results.written()
    }

    /// Bytes of the run's output.
    pub(crate) fn data(&mut self, piece: OutputPiece) {
        self.results.send(piece.bytes.len(), Piece::Data(piece));
    }

    /// A line for stdout, which has so many bytes of the run's output in it.
    pub(crate) fn event(&mut self, line: String, room: Guard, output: usize) {
        self.results.send(line.len(), Piece::Event(line, room, output));
    }

    /// A line for stderr. Where too many wait for that it is counted and dropped, so that a stderr that is not read neither
    /// stops the run nor fills the host.
    pub(crate) fn words(&mut self, text: &str) {
        if self.words.is_behind() {
            self.unshown += 1;
            return;
        }
        let text = plain(text).into_owned();
        self.words.send(text.len(), Words::Line(text));
    }

    /// The line that is drawn again and again.
    pub(crate) fn progress(&mut self, text: String) {
        if !self.words.is_behind() {
            self.words.send(text.len(), Words::Progress(text));
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        self.results.flush();
        self.words.flush();
    }

    /// Writes this after all results, and waits until everything is written. `is_whole`: whether the results are all there, so
    /// that there is a file of them even if there are none. `is_stopped`: whether the run was told to stop by now, and so is not to
    /// wait for a reader without an end.
    ///
    /// # Errors
    /// The results could not be written; the first error.
    pub(super) fn finish(self, last: Last, is_whole: bool, is_stopped: &dyn Fn() -> bool) -> io::Result<Finished> {
        let Self {
            mut results,
            mut words,
            is_file,
            unshown,
            ..
        } = self;
        if is_whole && is_file {
            results.send(0, Piece::Begun);
        }
        let last = match last {
            Last::Event(line) => {
                results.send(line.len(), Piece::Report(line));
                None
            }
            Last::Words(text) => Some(plain(&text).into_owned()),
            Last::Nothing => None,
        };
        words.flush();
        let finished = results.finish(|| is_stopped().then_some(RESULTS_PATIENCE));
        let unshown =
            (unshown > 0).then(|| format!("{unshown} lines came faster than stderr was read, and are not shown"));
        for text in [unshown, last].into_iter().flatten() {
            words.send(text.len(), Words::Line(text));
        }
        let patience = (!io::stderr().is_terminal()).then_some(STDERR_PATIENCE);
        // Words that are not read are no error.
        let _ = words.finish(|| patience);
        let seconds = RESULTS_PATIENCE.as_secs();
        finished?.unwrap_or_else(|| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("results are left, and none was read for {seconds} seconds after the run was told to stop"),
            ))
        })
    }
}

/// Stdout without the standard library's buffer, which is written when the process exits: that would wait for a reader.
fn stdout(is_open: bool) -> io::Result<Box<dyn Write + Send>> {
    if !is_open {
        return Ok(Box::new(Closed));
    }
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(stdout)))
}

/// How long written bytes of a file may be unsynced. Arbitrary: what is lost after a power cut is made again.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What results are written to.
enum Results {
    Stdout(Box<dyn Write + Send>),
    File(Late),
}

impl Results {
    /// Whether what was written by now stays: of a file, whether it is on disk. `is_last`: whether it must be.
    fn keeps(&mut self, is_last: bool) -> io::Result<bool> {
        match self {
            Self::Stdout(_) => Ok(true),
            Self::File(late) => late.sync(is_last),
        }
    }
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(late) => late.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(late) => late.flush(),
        }
    }
}

/// A file that is opened when something is written to it, if only nothing: a run that fails before leaves what was there.
struct Late {
    path: PathBuf,
    /// If the run is recorded: how many bytes that are there already are kept.
    kept: Option<u64>,
    file: Option<File>,
    synced: Instant,
}

impl Late {
    fn new(path: PathBuf, kept: Option<u64>) -> Self {
        Self {
            path,
            kept,
            file: None,
            synced: Instant::now(),
        }
    }

    /// Opens the file, cut to what is kept of it.
    fn open(&self) -> io::Result<File> {
        let Some(kept) = self.kept.filter(|kept| *kept > 0) else {
            return File::create(&self.path);
        };
        let mut file = File::options().write(true).open(&self.path)?;
        file.set_len(kept)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Whether what was written is on disk: has it written there if it is time.
    fn sync(&mut self, is_last: bool) -> io::Result<bool> {
        if self.kept.is_none() {
            return Ok(true);
        }
        let is_due = is_last || self.synced.elapsed() >= SYNC_EVERY;
        if let (true, Some(file)) = (is_due, &self.file) {
            // A pipe or a device has nothing to sync.
            match file.sync_data() {
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
                _ => self.synced = Instant::now(),
            }
        }
        Ok(is_due)
    }
}

impl Write for Late {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = self.open()?;
                self.file.insert(file)
            }
        };
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stdout that the process was started without.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(Errno::BADF.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events beside results that go to a file. Their reader may leave without an end to the run: the results are wanted.
struct Aside(Box<dyn Write + Send>);

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

/// The thread of results and events. `bar`: the line that is in the way of what is written.
fn write(
    results: Results,
    events: Box<dyn Write + Send>,
    inbox: &Receiver<Vec<Piece>>,
    pending: &Pending,
    bar: Option<&ProgressBar>,
) -> io::Result<Finished> {
    let mut results = BufWriter::with_capacity(64 << 10, results);
    let mut events = BufWriter::with_capacity(64 << 10, events);
    let mut outcome = Ok(Finished::Whole);
    // Bytes of the output that have been written, and may not have reached their target.
    let mut unkept = 0;
    let mut next = inbox.recv().ok();
    while let Some(batch) = next {
        let work = || {
            let written = write_batch(batch, &mut results, &mut events, pending, &mut unkept);
            let next = inbox.try_recv().ok();
            let flushed = match next {
                Some(_) if unkept < UNKEPT_MAX => Ok(()),
                _ => results
                    .flush()
                    .and(events.flush())
                    .and_then(|()| keep(&mut results, pending, &mut unkept, false)),
            };
            (next, written.and(flushed))
        };
        let written;
        (next, written) = match bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        };
        if let (Ok(Finished::Whole), Err(error)) = (&outcome, written) {
            pending.lost.store(true, Ordering::Relaxed);
            outcome = match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(Finished::BrokenPipe),
                _ => Err(error),
            };
        }
        if next.is_none() {
            next = inbox.recv().ok();
        }
    }
    match (&outcome, keep(&mut results, pending, &mut unkept, true)) {
        (Ok(Finished::Whole), Err(error)) => Err(error),
        _ => outcome,
    }
}

/// After how many bytes of output they are flushed, even if there is more to write.
const UNKEPT_MAX: usize = 1 << 20;

/// Counts what has reached its target.
fn keep(results: &mut BufWriter<Results>, pending: &Pending, unkept: &mut usize, is_last: bool) -> io::Result<()> {
    if *unkept > 0 && results.get_mut().keeps(is_last)? {
        let bytes = std::mem::take(unkept) as u64;
        pending.written.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(())
}

/// Writes all of a batch, whatever fails. The first error.
fn write_batch(
    batch: Vec<Piece>,
    results: &mut BufWriter<Results>,
    events: &mut impl Write,
    pending: &Pending,
    unkept: &mut usize,
) -> io::Result<()> {
    let mut written = Ok(());
    for piece in batch {
        let (size, done) = match piece {
            Piece::Data(piece) => {
                *unkept += piece.bytes.len();
                (piece.bytes.len(), results.write_all(&piece.bytes))
            }
            Piece::Event(line, _room, output) => {
                *unkept += output;
                (line.len(), events.write_all(line.as_bytes()))
            }
            Piece::Begun => {
                let done = results.flush();
                (0, done.and_then(|()| results.get_mut().write(&[]).map(drop)))
            }
            Piece::Report(line) => {
                let done = results.flush();
                (line.len(), done.and(events.write_all(line.as_bytes())))
            }
        };
        pending.wrote(size);
        written = written.and(done);
    }
    written
}

/// The thread that writes text for people. A stderr that is gone is no error.
fn say(inbox: &Receiver<Vec<Words>>, pending: &Pending, bar: &ProgressBar) {
    for words in inbox.iter().flatten() {
        let size = match words {
            Words::Line(text) => {
                let _ = bar.suspend(|| writeln!(io::stderr(), "{}", painted(&text)));
                text.len()
            }
            Words::Progress(text) => {
                let size = text.len();
                bar.set_message(text);
                size
            }
        };
        pending.wrote(size);
    }
    bar.finish_and_clear();
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
