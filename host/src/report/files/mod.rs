//! The files that a run writes beside its output: `--failed`, `--joblog` and `--results`. They have a thread of their own; one that
//! is slow slows the run, and one that cannot be written ends it.

mod job_log;
mod paths;
mod write;

use std::{io, time::Duration};

use bytes::Bytes;
use disperse_engine::sink::Wants;
use tokio::sync::Notify;

pub(crate) use self::paths::SideFiles;
use self::write::Piece;
use super::{Backlog, EventSink, Finished, first_line, lane::Lane, writer::RESULTS_PATIENCE};
use crate::inbox::{AttemptReport, Guard, Numbered, OutputPiece};

/// Writes the files beside the output, and passes everything else on.
pub(crate) struct FilesSink {
    next: Box<dyn EventSink>,
    lane: Lane<Piece, io::Result<()>>,
    wants: Wants,
    /// For `map`: how many lines of the input make one task.
    lines_a_task: Option<u64>,
}

impl FilesSink {
    /// Puts itself before a sink if there are such files.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn before(
        next: Box<dyn EventSink>,
        files: &SideFiles,
        lines_a_task: Option<u64>,
    ) -> io::Result<Box<dyn EventSink>> {
        if !files.are_any() {
            return Ok(next);
        }
        let wants = Wants {
            attempts: files.job_log.is_some(),
            results: files.results.is_some(),
        };
        let files = files.clone();
        Ok(Box::new(Self {
            next,
            lane: Lane::start("files", move |inbox, pending| write::write(&files, &inbox, pending))?,
            wants,
            lines_a_task,
        }))
    }

    /// The line of a task, or its number.
    fn number(&self, task: u64) -> u64 {
        self.lines_a_task.map_or(task, |batch| first_line(task, batch))
    }

    fn send(&mut self, piece: Piece) {
        self.lane.send(piece.size(), piece);
    }
}

impl EventSink for FilesSink {
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>) {
        self.next.event(event, output);
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    fn attempt(&mut self, attempt: &AttemptReport) {
        let row = job_log::row(self.number(attempt.task), attempt);
        self.send(Piece::Attempt(row));
    }

    fn result(&mut self, task: u64, outcome: &Result<Bytes, String>) {
        self.send(Piece::Result(self.number(task), outcome.clone()));
    }

    fn failed_lines(&mut self, bytes: Bytes, room: Guard) {
        self.send(Piece::FailedLines(bytes, room));
    }

    fn backlog(&self) -> Backlog {
        match self.lane.is_behind() {
            true => Backlog::Full,
            false => self.next.backlog(),
        }
    }

    fn caught_up(&self) -> Option<&Notify> {
        match self.lane.is_behind() {
            true => Some(self.lane.caught_up()),
            false => self.next.caught_up(),
        }
    }

    fn waiting(&self) -> u64 {
        self.next.waiting() + self.lane.waiting()
    }

    fn written(&self) -> u64 {
        self.next.written()
    }

    fn is_lost(&self) -> bool {
        self.next.is_lost() || self.lane.is_lost()
    }

    fn wants_progress(&self, elapsed: Duration) -> bool {
        self.next.wants_progress(elapsed)
    }

    fn flush(&mut self) {
        self.lane.flush();
        self.next.flush();
    }

    fn finish(self: Box<Self>, is_stopped: &dyn Fn() -> bool) -> io::Result<Finished> {
        let Self { next, lane, .. } = *self;
        // The report follows all that is written.
        let files = lane.finish(|| is_stopped().then_some(RESULTS_PATIENCE));
        let finished = next.finish(is_stopped);
        files?.unwrap_or_else(|| {
            let message = "a file beside the output was not read after the run was told to stop";
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })?;
        finished
    }
}
