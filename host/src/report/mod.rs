//! Words out: results, failures, progress and the final report, as text or as JSON Lines.
//!
//! Results go to stdout or to a file, everything else to stderr. Each is written in a thread of its own, because a pipe or
//! a disk may be slow and the driver must not be. Slow results slow the run; words that are not read are dropped and counted.
//! A program that has this host built in is told values instead: `stream.rs`.

mod event;
mod lane;
mod live;
mod reasons;
mod said;
mod stream;
mod text;
mod writer;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, Health, Moment, TaskId};
use rustc_hash::FxHashMap;

pub(crate) use event::{Event, schema};
pub(crate) use event::{KindSummary, QuotaSummary, TaskCounts, Undone, WorkerSummary};
pub(crate) use live::LiveCounts;
use reasons::Reasons;
pub(crate) use said::{AttemptFailed, Dead, Progress, Summary};
pub(crate) use stream::{Reader, Stream, Told, stream};
pub(crate) use text::{TAKEN_OUT, health as health_with_reason, health_word, left as time_left};
use writer::Last;
pub(crate) use writer::{Finished, Target, Writer, bar};

use crate::{
    inbox::{OutputPiece, TaskEnd},
    logger::{Level, Line},
    text::{plain_json, said},
};

/// How results and events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Results as they are, the rest for people.
    Text,
    /// JSON Lines, one `type` field each.
    Json,
}

/// What is said and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) format: Format,
    /// Nothing but errors.
    pub(crate) quiet: bool,
    /// Every failed attempt, not only dead actions and the first fault of a worker.
    pub(crate) verbose: bool,
    /// Whether raw results go to a file while events go to stdout.
    pub(crate) output_is_file: bool,
    /// For `map`, where errors name lines of the input and not tasks: how many of them make one task.
    pub(crate) lines_a_task: Option<u64>,
}

/// How far the driver's words may be ahead of the writing, in bytes.
const BEHIND_MAX: u64 = 16 << 20;

/// How many lines of one level are written about one sort of thing: dead actions, failed tasks, the health of workers and the
/// like; the rest is counted.
const TOLD_MAX: u64 = 100;

/// How many failures of one reason are written before that. Arbitrary: enough to see what they have in common.
const ALIKE_MAX: u64 = 10;

/// How many actions are remembered that were told to be dead and whose tasks may fail for it. Arbitrary.
const DEAD_MAX: usize = 1024;

/// How often progress is told where there is no terminal.
const PROGRESS_LINES: Duration = Duration::from_secs(10);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Task,
    Action,
    Attempt,
    Health,
    Denied,
    Pool,
}

/// The driver's mouth.
pub(crate) struct Reporter {
    style: Style,
    writer: Writer,
    /// Who is told everything as values; then nothing is written.
    stream: Option<Stream>,
    /// How many such lines were written, by level and sort: news of workers must not use up the room of errors.
    told: BTreeMap<(Level, Sort), u64>,
    /// How many of those were left to the count at the end.
    untold: u64,
    reasons: Reasons,
    /// Of tasks: an action that was told to be dead, and how.
    dead: FxHashMap<TaskId, (u64, String)>,
    next_progress: Duration,
}

impl Reporter {
    pub(crate) fn new(style: Style, writer: Writer) -> Self {
        Self {
            style,
            writer,
            stream: None,
            told: BTreeMap::new(),
            untold: 0,
            reasons: Reasons::default(),
            dead: FxHashMap::default(),
            next_progress: PROGRESS_LINES,
        }
    }

    /// One that says everything there, as values.
    ///
    /// # Errors
    /// Never; a writer that writes nothing needs no file and no thread.
    pub(crate) fn telling(stream: Stream) -> std::io::Result<Self> {
        let style = Style {
            format: Format::Text,
            quiet: true,
            verbose: false,
            output_is_file: false,
            lines_a_task: None,
        };
        Ok(Self {
            stream: Some(stream),
            ..Self::new(style, Writer::new(Target::Nowhere, true, false)?)
        })
    }

    /// Whether whoever reads the results has gone, or they cannot be written: there is no use in going on.
    pub(crate) fn is_output_lost(&self) -> bool {
        self.writer.is_lost()
    }

    /// Hands what was said to the thread that writes. Call it before waiting for anything.
    pub(crate) fn flush(&mut self) {
        self.writer.flush();
    }

    /// Whether reading is so far behind that no more tasks should be begun.
    pub(crate) fn is_behind(&self) -> bool {
        match &self.stream {
            Some(stream) => stream.is_behind(),
            None => self.is_full(),
        }
    }

    /// Whether writing is so far behind that nothing more should be said. A program is never too far behind for that: what is
    /// said to it beyond a bound is counted and not kept.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.is_behind()
    }

    /// Whether the run waits for a reader.
    pub(crate) fn has_unread(&self) -> bool {
        match &self.stream {
            Some(stream) => stream.has_unread(),
            None => self.is_full(),
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.writer.waiting()
    }

    /// Waits until [`Reporter::is_behind`] may be over.
    ///
    /// Cancel safe.
    pub(crate) async fn caught_up(&self) {
        match &self.stream {
            Some(stream) => stream.caught_up().await,
            None => self.writer.caught_up().await,
        }
    }

    pub(crate) fn output(&mut self, piece: OutputPiece) {
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::Output(piece));
        }
        if self.style.format == Format::Json {
            let event = if self.style.output_is_file {
                Event::Output {
                    bytes: piece.bytes.len() as u64,
                    text: None,
                    base64: None,
                }
            } else {
                Event::output(&piece.bytes)
            };
            if !self.style.output_is_file {
                return self.writer.event(json(&event), piece.room);
            }
            self.event(&event);
        }
        self.writer.data(piece);
    }

    pub(crate) fn task_ended(&mut self, task: TaskId, end: &TaskEnd) {
        // It may be as long as a result, and `collect` gets all of it.
        let error = end.outcome.as_ref().err().and_then(|error| said(error, ""));
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::TaskEnded { task, error });
        }
        let dead = if self.dead.is_empty() {
            None
        } else {
            self.dead.remove(&task)
        };
        let failed = error.as_ref().map(|error| {
            let name = self.task_name(task);
            let alike = self.reasons.count(&name, error);
            (name, alike)
        });
        if self.style.format == Format::Json {
            self.event(&Event::TaskEnded {
                id: task.0,
                error,
                fuel: end.used.fuel,
                run_ms: end.used.wall.as_secs_f64() * 1e3,
            });
        } else if let (Some((name, alike)), Some(mut error)) = (failed, error) {
            if let Some((action, how)) = dead {
                error = error.replace(&how, &format!("action {action} failed as told above"));
            }
            let text = format!("{name}: {error}");
            match alike {
                // The first of its reason is always told.
                Some(1) => self.say(Level::Error, Sort::Task, &text),
                Some(2..=ALIKE_MAX) => drop(self.tell(Level::Error, Sort::Task, &text)),
                _ if self.style.verbose => drop(self.tell(Level::Error, Sort::Task, &text)),
                _ => self.untold += 1,
            }
        }
    }

    /// What people call a task.
    fn task_name(&self, task: TaskId) -> String {
        match self.style.lines_a_task {
            None => format!("task {}", task.0),
            Some(1) => format!("line {}", task.0),
            Some(batch) => format!("the batch from line {}", (task.0 - 1) * batch + 1),
        }
    }

    pub(crate) fn attempt_failed(&mut self, failed: AttemptFailed) {
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::AttemptFailed(Box::new(failed)));
        }
        if self.style.format == Format::Json {
            self.event(&Event::AttemptFailed {
                id: failed.attempt.action.0,
                attempt: failed.attempt.number,
                worker: failed.worker.to_string(),
                kind: failed.kind.to_string(),
                class: failed.class.to_string(),
                message: failed.message,
                stderr: failed.stderr,
                fuel: failed.used.fuel,
                run_ms: failed.used.wall.as_secs_f64() * 1e3,
            });
        } else if self.style.verbose {
            let (action, number) = (failed.attempt.action.0, failed.attempt.number);
            let text = format!(
                "[{}#{action}.{number}] {}: {}",
                failed.worker, failed.class, failed.told
            );
            self.tell(Level::Info, Sort::Attempt, &text);
        } else if failed.is_first_fault {
            // Its actions go elsewhere, so that nothing else would say what is wrong with it.
            let text = format!("worker {}: {}", failed.worker, failed.told);
            self.tell(Level::Warning, Sort::Attempt, &text);
        }
    }

    /// An attempt is slow, and its action gets a second one.
    pub(crate) fn hedged(&mut self, attempt: AttemptId, kind: &str) {
        let (id, number) = (attempt.action.0, attempt.number);
        if self.style.format == Format::Json {
            self.event(&Event::Hedged {
                id,
                attempt: number,
                kind: kind.to_owned(),
            });
        } else if self.style.verbose {
            let text = format!("action {id} ({kind}): attempt {number} is slow, and gets a second one beside it");
            self.tell(Level::Info, Sort::Attempt, &text);
        }
    }

    /// An untrusted worker's result was not the one that others had.
    pub(crate) fn outvoted(&mut self, attempt: AttemptId, worker: &str, message: &str) {
        let (id, number) = (attempt.action.0, attempt.number);
        if self.style.format == Format::Json {
            self.event(&Event::Outvoted {
                id,
                attempt: number,
                worker: worker.to_owned(),
                message: message.to_owned(),
            });
        } else {
            self.tell(
                Level::Warning,
                Sort::Attempt,
                &format!("worker {worker} was outvoted on action {id}: {message}"),
            );
        }
    }

    pub(crate) fn dead(&mut self, dead: Dead) {
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::Dead(Box::new(dead)));
        }
        if self.style.format == Format::Json {
            self.event(&Event::ActionDead {
                id: dead.action.0,
                task: dead.task.0,
                kind: dead.kind.to_string(),
                reason: dead.reason.to_string(),
                message: dead.message,
            });
        } else if self.style.lines_a_task.is_none() {
            let text = format!(
                "action {} of task {} ({}) is dead, {}: {}",
                dead.action.0, dead.task.0, dead.kind, dead.reason, dead.message
            );
            if self.tell(Level::Warning, Sort::Action, &text) && self.dead.len() < DEAD_MAX {
                self.dead.insert(dead.task, (dead.action.0, dead.message));
            }
        }
    }

    pub(crate) fn health(&mut self, worker: &str, health: Health, now: Moment) {
        if let Some(stream) = &mut self.stream {
            let worker = worker.into();
            return stream.tell(Told::Health { worker, health });
        }
        if self.style.format == Format::Json {
            self.event(&Event::Health {
                worker: worker.to_owned(),
                health: health_word(health),
                at_ms: now.as_millis(),
            });
        } else {
            let level = if matches!(health, Health::Evicted(_)) {
                Level::Warning
            } else {
                Level::Info
            };
            self.tell(
                level,
                Sort::Health,
                &format!("worker {worker}: {}", text::health(health, now)),
            );
        }
    }

    /// A worker is given nothing of a kind until then, or is given it again.
    pub(crate) fn barred(&mut self, worker: &str, kind: &str, until: Option<Moment>, now: Moment) {
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::Barred {
                worker: worker.into(),
                kind: kind.into(),
                lasts: until.map(|until| until.since(now)),
            });
        }
        if self.style.format == Format::Json {
            return self.event(&Event::Barred {
                worker: worker.to_owned(),
                kind: kind.to_owned(),
                until_ms: until.map(Moment::as_millis),
                at_ms: now.as_millis(),
            });
        }
        let what = match until {
            Some(until) => format!(
                "no actions of kind {kind} for {}: it fails them and does others",
                crate::units::Time::from(until.since(now))
            ),
            None => format!("actions of kind {kind} again"),
        };
        let text = format!("worker {worker} is given {what}");
        self.tell(Level::Info, Sort::Health, &text);
    }

    /// Everything fails in a pool, or that is over.
    pub(crate) fn systemic(&mut self, pool: &str, on: bool, now: Moment) {
        if let Some(stream) = &mut self.stream {
            let pool = pool.into();
            return stream.tell(Told::Systemic { pool, on });
        }
        if self.style.format == Format::Json {
            self.event(&Event::Systemic {
                pool: pool.to_owned(),
                on,
                at_ms: now.as_millis(),
            });
        } else if on {
            let text = "everything fails, whoever tries it: the work or the service is failing, not your workers; \
                        one attempt is made every 10 s";
            self.tell(Level::Warning, Sort::Pool, &format!("pool {pool}: {text}"));
        } else {
            self.tell(Level::Info, Sort::Pool, &format!("pool {pool}: it works again"));
        }
    }

    /// A worker asked for what is not granted.
    pub(crate) fn denied(&mut self, worker: &str, message: &str) {
        if let Some(stream) = &mut self.stream {
            let (worker, message) = (worker.into(), message.to_owned());
            return stream.tell(Told::Denied { worker, message });
        }
        if self.style.format == Format::Json {
            self.event(&Event::Denied {
                worker: worker.to_owned(),
                message: message.to_owned(),
            });
        } else {
            let text = format!("worker {worker} was denied: {message}");
            self.tell(Level::Warning, Sort::Denied, &text);
        }
    }

    pub(crate) fn line(&mut self, line: &Line) {
        if let Some(stream) = &mut self.stream {
            return stream.tell(Told::Line(line.clone()));
        }
        if self.style.format == Format::Json {
            self.event(&Event::Log {
                speaker: line.speaker.as_ref().map(ToString::to_string),
                level: line.level,
                text: line.text.clone(),
            });
        } else {
            self.writer.words(&text::line(line));
        }
    }

    /// Something that the user should know before it goes wrong.
    pub(crate) fn warn(&mut self, text: String) {
        self.line(&Line {
            speaker: None,
            level: Level::Warning,
            text,
        });
    }

    /// The run has begun, under this name. `deaf`: why nobody can talk to it.
    pub(crate) fn begun(&mut self, run: &str, deaf: Option<&str>) {
        if self.style.format == Format::Json {
            self.event(&Event::Run { id: run.to_owned() });
        } else if self.style.verbose && !self.style.quiet {
            self.writer.words(&text::host(Level::Info, &format!("run {run}")));
        }
        if let (true, Some(why)) = (self.style.verbose, deaf) {
            self.warn(format!("explain, readmit and drain cannot reach this run: {why}"));
        }
    }

    /// Somebody has asked from outside that the run be stopped.
    pub(crate) fn stopping(&mut self) {
        let text = "stopping, as `drain` asks: attempts that run are let end";
        self.remark(Level::Info, text.to_owned());
    }

    /// Says how many lines were too many to be shown.
    pub(crate) fn dropped_lines(&mut self, dropped: u64) {
        self.remark(Level::Warning, format!("{dropped} log lines came too fast to be shown"));
    }

    /// The host says something by itself.
    fn remark(&mut self, level: Level, text: String) {
        if self.style.quiet && self.style.format == Format::Text && self.stream.is_none() {
            return;
        }
        self.line(&Line {
            speaker: None,
            level,
            text,
        });
    }

    /// Whether it is to be shown now how far the run is.
    pub(crate) fn wants_progress(&self, elapsed: Duration) -> bool {
        let is_shown = !self.style.quiet && self.style.format != Format::Json && !self.is_full();
        is_shown && (self.writer.is_terminal() || elapsed >= self.next_progress)
    }

    /// Shows how far the run is: a line that is drawn again on a terminal, a new line each ten seconds elsewhere.
    pub(crate) fn progress(&mut self, progress: &Progress) {
        let text = text::progress(progress);
        if self.writer.is_terminal() {
            self.writer.progress(text);
        } else {
            self.next_progress = progress.elapsed + PROGRESS_LINES;
            self.writer.words(&text);
        }
    }

    fn event(&mut self, event: &Event) {
        self.writer.event(json(event), None);
    }

    /// Says something about one of many things: only so often, and then it is left to the count at the end. Whether it was said.
    fn tell(&mut self, level: Level, sort: Sort, text: &str) -> bool {
        if self.style.quiet && level < Level::Error {
            return false;
        }
        let told = self.told.get(&(level, sort)).copied().unwrap_or_default();
        let is_told = told < TOLD_MAX || self.style.verbose;
        if is_told {
            self.say(level, sort, text);
        } else {
            self.untold += 1;
        }
        is_told
    }

    fn say(&mut self, level: Level, sort: Sort, text: &str) {
        *self.told.entry((level, sort)).or_default() += 1;
        self.writer.words(&text::host(level, text));
    }

    /// Reports how the run went, after all results. Everything is written when this returns, but for words that stderr does
    /// not take. `is_stopped`: whether the run was told to stop, also after its end, while results wait for a reader.
    ///
    /// # Errors
    /// The results could not be written.
    pub(crate) fn finish(mut self, summary: &Summary, is_stopped: impl Fn() -> bool) -> std::io::Result<Finished> {
        if let Some(stream) = &mut self.stream {
            // The summary is given to whoever waits for the run's end.
            stream.tell_missed();
        }
        let mut head = String::new();
        if self.untold > 0 {
            head = format!("… and {} more lines like these; -v shows all\n", self.untold);
        }
        head += &self.reasons.table(summary.tasks.done);
        if let Some(failure) = &summary.failure {
            head = head + &text::host(Level::Error, failure) + "\n";
        }
        let last = match self.style.format {
            Format::Json => Last::Event(json(&Event::report(summary))),
            Format::Text if !self.style.quiet => Last::Words(head + &text::summary(summary)),
            // Errors, and what was left out of them.
            Format::Text if !head.is_empty() => Last::Words(head.trim_end().to_owned()),
            Format::Text => Last::Nothing,
        };
        // A run that did not come to its end leaves an output alone to which it wrote nothing.
        let is_whole = !summary.interrupted && summary.failure.is_none() && summary.shortage.is_none();
        self.writer.finish(last, is_whole, is_stopped)
    }
}

/// A line of `--format json`, which is safe to show on a terminal.
fn json(event: &Event) -> String {
    // Serializing plain data into memory does not fail.
    let mut line = serde_json::to_string(event).unwrap_or_default();
    line.push('\n');
    match plain_json(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(plain) => plain,
    }
}

/// Bytes of text, or base64 of what is not text.
fn text_or_base64(bytes: &Bytes) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (
            None,
            Some(base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                bytes,
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_do_not_use_up_the_room_of_errors() {
        let style = Style {
            format: Format::Text,
            quiet: false,
            verbose: false,
            output_is_file: false,
            lines_a_task: None,
        };
        let mut reporter = Reporter::new(style, Writer::new(Target::Nowhere, true, false).unwrap());
        for _ in 0..2 * TOLD_MAX {
            reporter.tell(Level::Info, Sort::Health, "worker w/1: busy");
        }
        assert!(reporter.tell(Level::Info, Sort::Attempt, "worker w/1: no"));
        assert!(reporter.tell(Level::Error, Sort::Task, "line 1: it can never work"));
        assert_eq!(reporter.untold, TOLD_MAX);
    }

    #[test]
    fn every_reason_is_told_and_few_failures_of_each() {
        let style = Style {
            format: Format::Text,
            quiet: true,
            verbose: false,
            output_is_file: false,
            lines_a_task: Some(1),
        };
        let mut reporter = Reporter::new(style, Writer::new(Target::Nowhere, true, false).unwrap());
        let mut fail = |task: u64, error: &str| {
            reporter.task_ended(TaskId(task), &TaskEnd::failed(error.to_owned()));
        };
        for reason in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
            for task in 1..=1000 {
                fail(task, &format!("{reason} of {task}"));
            }
        }
        let told = reporter.told.values().sum::<u64>();
        assert_eq!(
            told,
            TOLD_MAX + 2,
            "ten of each, and the first of those after a hundred"
        );
        assert_eq!(reporter.untold, 12_000 - told);
    }
}
