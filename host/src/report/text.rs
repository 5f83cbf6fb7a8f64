//! The sink for people: results as they are, and lines about the rest on stderr.

use std::{io, time::Duration};

use tokio::sync::Notify;

use super::{
    Backlog, EventSink, Finished, Writer,
    text_format::{Shown, TextFormat, TextSettings},
    writer::Last,
};
use crate::inbox::{Numbered, OutputPiece};

/// How often progress is written where there is no terminal.
const PROGRESS_LINES: Duration = Duration::from_secs(10);

/// Writes results, and lines for people.
pub(crate) struct TextSink {
    quiet: bool,
    format: TextFormat,
    writer: Writer,
    next_progress: Duration,
    last: Last,
    is_whole: bool,
}

impl TextSink {
    pub(crate) fn new(settings: TextSettings, writer: Writer) -> Self {
        Self {
            quiet: settings.quiet,
            format: TextFormat::new(settings),
            writer,
            next_progress: PROGRESS_LINES,
            last: Last::Nothing,
            is_whole: false,
        }
    }
}

impl EventSink for TextSink {
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>) {
        if let Some(piece) = output {
            self.writer.data(piece);
        }
        match self.format.shown(event) {
            Shown::Nothing => {}
            Shown::Line(text) => self.writer.words(&text),
            Shown::Progress(text, _) if self.writer.is_terminal() => self.writer.progress(text),
            Shown::Progress(text, elapsed) => {
                self.next_progress = elapsed + PROGRESS_LINES;
                self.writer.words(&text);
            }
            Shown::Last(text, is_whole) => {
                self.is_whole = is_whole;
                if !text.is_empty() {
                    self.last = Last::Words(text);
                }
            }
        }
    }

    fn backlog(&self) -> Backlog {
        self.writer.backlog()
    }

    fn caught_up(&self) -> Option<&Notify> {
        Some(self.writer.caught_up())
    }

    fn waiting(&self) -> u64 {
        self.writer.waiting()
    }

    fn written(&self) -> u64 {
        self.writer.written().bytes()
    }

    fn is_lost(&self) -> bool {
        self.writer.is_lost()
    }

    fn wants_progress(&self, elapsed: Duration) -> bool {
        let is_shown = !self.quiet && self.backlog() < Backlog::Full;
        is_shown && (self.writer.is_terminal() || elapsed >= self.next_progress)
    }

    fn flush(&mut self) {
        self.writer.flush();
    }

    fn finish(self: Box<Self>, is_stopped: &dyn Fn() -> bool) -> io::Result<Finished> {
        self.writer.finish(self.last, self.is_whole, is_stopped)
    }
}
