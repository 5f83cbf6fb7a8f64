//! Log lines of guests and of the host on their way to the report.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::inbox::LogSource;

/// How many lines may wait to be shown. More are counted and dropped: a flood of words must not slow the work or fill the
/// host.
const WAITING_MAX: usize = 1024;

/// The longest line; what is beyond is cut.
const LINE_MAX: usize = 8 << 10;

/// As much of a text as a line may have.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LINE_MAX)).unwrap_or_default()
}

/// How much a line matters. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
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

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// None: the host itself.
    pub(crate) source: Option<LogSource>,
    pub(crate) level: Level,
    pub(crate) text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "[{source}] {}: {}", self.level, self.text),
            None => write!(f, "{}: {}", self.level, self.text),
        }
    }
}

/// Where lines go in. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub(crate) struct Logger {
    to_report: mpsc::Sender<Line>,
    dropped: Arc<AtomicU64>,
    level: Level,
    workers_aloud: bool,
}

impl Logger {
    /// Makes one that passes on lines from `level` up, and what workers write to their stderr if `workers_aloud`.
    pub(crate) fn new(level: Level, workers_aloud: bool) -> (Self, mpsc::Receiver<Line>) {
        let (to_report, lines) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        (
            Self {
                to_report,
                dropped,
                level,
                workers_aloud,
            },
            lines,
        )
    }

    /// Whether what workers write to their stderr is shown as it comes.
    pub(crate) fn workers_aloud(&self) -> bool {
        self.workers_aloud
    }

    /// Whether a line that matters so much is passed on.
    pub(crate) fn hears(&self, level: Level) -> bool {
        level >= self.level
    }

    /// A line of a guest.
    pub(crate) fn guest(&self, source: &LogSource, level: Level, text: &str) {
        if self.hears(level) {
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

    /// How many lines were dropped, since the last time this was asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}
