//! Log lines of guests and of the host, on their way to the report.
//!
//! Not tracing: these lines are data of a run, with budgets, of untrusted guests; they are no diagnostics of this program.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use disperse_scheduler::{AttemptId, TaskId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The most lines that wait to be shown. More are counted and dropped: a flood of lines must not slow the work or fill
/// the host.
const WAITING_MAX: usize = 1024;

/// The longest line in bytes; longer ones are cut.
const LINE_MAX: usize = 8 << 10;

/// Cuts a text to the length of a line.
pub fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LINE_MAX)).unwrap_or_default()
}

/// The severity of a line. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For debugging.
    Debug,
    /// Information.
    Info,
    /// A warning: something is not as it should be.
    Warning,
    /// An error.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The source of a log line: a planner, a task or a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSource {
    Planner,
    Task(TaskId),
    /// A worker, as `pool/worker`, in the middle of an attempt or, without one, being started.
    Worker(Arc<str>, Option<AttemptId>),
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planner => f.write_str("planner"),
            Self::Task(task) => write!(f, "task {}", task.0),
            Self::Worker(worker, None) => f.write_str(worker),
            Self::Worker(worker, Some(attempt)) => write!(f, "{worker}#{}.{}", attempt.action.0, attempt.number),
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// None: the host itself.
    pub source: Option<LogSource>,
    pub level: Level,
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "[{source}] {}: {}", self.level, self.text),
            None => write!(f, "{}: {}", self.level, self.text),
        }
    }
}

/// Takes log lines. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Logger {
    to_report: mpsc::Sender<Line>,
    dropped: Arc<AtomicU64>,
    level: Level,
    forwards_stderr: bool,
}

impl Logger {
    /// Makes a logger that passes on lines from `level` up, and the stderr of workers if `forwards_stderr`.
    pub fn new(level: Level, forwards_stderr: bool) -> (Self, mpsc::Receiver<Line>) {
        let (to_report, lines) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        (
            Self {
                to_report,
                dropped,
                level,
                forwards_stderr,
            },
            lines,
        )
    }

    /// Whether the stderr of workers is shown as it arrives.
    pub fn forwards_stderr(&self) -> bool {
        self.forwards_stderr
    }

    /// Whether lines of this level are passed on.
    pub fn is_enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// A line of a guest.
    pub fn guest(&self, source: &LogSource, level: Level, text: &str) {
        if self.is_enabled(level) {
            self.line(source.clone(), level, text);
        }
    }

    fn line(&self, source: LogSource, level: Level, text: &str) {
        let text = cut(text);
        let line = Line {
            source: Some(source),
            level,
            text: text.to_owned(),
        };
        if self.to_report.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}
