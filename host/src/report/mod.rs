//! Formats run events for the selected sink: text for people, JSON Lines, or values for the program that embeds the host.
//!
//! The driver numbers what happens ([`Reporter`]) and a sink does the rest ([`EventSink`]). Results go to stdout or to a file,
//! everything else to stderr. Each is written by a thread of its own (`writer.rs`), because a pipe or a disk may be slow and the
//! driver must not be. Slow results slow the run; text that is not read is dropped and counted.

mod figures;
mod json;
mod lane;
mod library;
mod lines;
mod live;
mod reasons;
#[cfg(test)]
pub(crate) mod samples;
mod text;
mod text_format;
mod totals;
mod words;
mod writer;

use std::{future::pending, io, time::Duration};

use disperse_scheduler::Moment;
use tokio::sync::Notify;

pub(crate) use figures::left as time_left;
pub(crate) use json::JsonSink;
pub(crate) use library::{Heard, LibrarySink, Reader, library};
pub(crate) use lines::schema;
pub(crate) use live::LiveCounts;
pub(crate) use text::{TextSettings, TextSink};
pub(crate) use totals::{KindSummary, QuotaSummary, TaskCounts};
pub(crate) use words::{
    change as change_words, class as class_word, dissent as dissent_words, health as health_with_reason, health_word,
    notice as notice_words, quota as quota_words, remark as remark_words,
};
pub(crate) use writer::{Finished, Target, Writer, bar};

use crate::inbox::{Numbered, OutputPiece, RunEvent, RunSummary};

/// How results and events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Results as they are, the rest for people.
    Text,
    /// JSON Lines, one `type` field each.
    Json,
}

/// How far a sink may be behind the driver, in bytes. Arbitrary: little beside the memory of guests, and more than a pipe holds.
const BEHIND_MAX: u64 = 16 << 20;

/// How far a sink is behind. Ordered: each also means the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Backlog {
    /// The run need not wait for it.
    None,
    /// Something is unread.
    Some,
    /// Too much is unread for more tasks to be begun.
    Behind,
    /// Too much is unread for more notices to be taken.
    Full,
}

/// Takes the events of a run.
pub(crate) trait EventSink: Send + Sync {
    /// Takes one event; they come in order. Must not wait. `output`: the bytes of a [`RunEvent::Output`], and none with any other
    /// event. They are shared and not copied, and with them goes their charge on the host's memory, which is given back when the
    /// sink has written them and drops the piece.
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>);

    /// How far it is behind.
    fn backlog(&self) -> Backlog {
        Backlog::None
    }

    /// Notified when [`EventSink::backlog`] may have become less than [`Backlog::Behind`]. None: it is never that far behind.
    fn caught_up(&self) -> Option<&Notify> {
        None
    }

    /// Bytes that it holds and that nothing else has charged to the host's memory.
    fn waiting(&self) -> u64 {
        0
    }

    /// Whether results cannot be written any more, as when their reader has gone: the run has no use then.
    fn is_lost(&self) -> bool {
        false
    }

    /// Whether it is to have a [`RunEvent::Progress`] now, so long after the start.
    fn wants_progress(&self, _elapsed: Duration) -> bool {
        false
    }

    /// Hands over what it has gathered. Called before the driver waits.
    fn flush(&mut self) {}

    /// Ends it after the last event; waits until everything is written. `is_stopped`: whether the run was told to stop, also after
    /// its end, while results wait for a reader.
    ///
    /// # Errors
    /// The results could not be written.
    fn finish(self: Box<Self>, is_stopped: &dyn Fn() -> bool) -> io::Result<Finished>;
}

/// Drops all events, as in a rehearsal, which keeps a log of its own.
pub(crate) struct NoSink;

impl EventSink for NoSink {
    fn event(&mut self, _: &Numbered, _: Option<OutputPiece>) {}

    fn finish(self: Box<Self>, _: &dyn Fn() -> bool) -> io::Result<Finished> {
        Ok(Finished::Whole)
    }
}

/// Numbers the events of a run and passes them to its sink.
pub(crate) struct Reporter {
    sink: Box<dyn EventSink>,
    /// The number of the last event.
    seq: u64,
    /// When that was, by the run's time.
    at_ms: u64,
}

impl Reporter {
    pub(crate) fn new(sink: Box<dyn EventSink>) -> Self {
        Self { sink, seq: 0, at_ms: 0 }
    }

    /// Passes on an event of this moment.
    pub(crate) fn event(&mut self, now: Moment, event: RunEvent) {
        self.at_ms = self.at_ms.max(now.as_millis());
        self.next(event, None);
    }

    /// Passes on an event outside of the driver's turns: of the moment of the last one.
    pub(crate) fn aside(&mut self, event: RunEvent) {
        self.next(event, None);
    }

    /// Passes on a piece of the run's output, of this moment.
    pub(crate) fn output(&mut self, now: Moment, piece: OutputPiece) {
        self.at_ms = self.at_ms.max(now.as_millis());
        self.next(RunEvent::output(&piece), Some(piece));
    }

    fn next(&mut self, event: RunEvent, output: Option<OutputPiece>) -> Numbered {
        self.seq += 1;
        let numbered = Numbered {
            seq: self.seq,
            at_ms: self.at_ms,
            event,
        };
        self.sink.event(&numbered, output);
        numbered
    }

    /// Whether the results cannot be written any more: the run has no use then.
    pub(crate) fn is_output_lost(&self) -> bool {
        self.sink.is_lost()
    }

    /// Hands over what the sink has gathered. Call it before waiting for anything.
    pub(crate) fn flush(&mut self) {
        self.sink.flush();
    }

    /// Whether so much is unread that no more tasks should be begun.
    pub(crate) fn is_behind(&self) -> bool {
        self.sink.backlog() >= Backlog::Behind
    }

    /// Whether so much is unread that no more notices should be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.sink.backlog() >= Backlog::Full
    }

    /// Whether the run waits for a reader.
    pub(crate) fn has_unread(&self) -> bool {
        self.sink.backlog() >= Backlog::Some
    }

    /// Bytes that wait to be written and are not charged yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.sink.waiting()
    }

    /// Waits until [`Reporter::is_behind`] may be over.
    ///
    /// Cancel safe.
    pub(crate) async fn caught_up(&self) {
        match self.sink.caught_up() {
            Some(notify) => notify.notified().await,
            None => pending().await,
        }
    }

    /// Whether the sink is to have the progress now, so long after the start.
    pub(crate) fn wants_progress(&self, elapsed: Duration) -> bool {
        self.sink.wants_progress(elapsed)
    }

    /// Passes on how the run went, after all other events, and ends the sink: see [`EventSink::finish`]. Gives the summary back.
    pub(crate) fn finish(
        mut self,
        summary: RunSummary,
        is_stopped: impl Fn() -> bool,
    ) -> (RunSummary, io::Result<Finished>) {
        let last = self.next(RunEvent::Finished(Box::new(summary)), None);
        let finished = self.sink.finish(&is_stopped);
        match last.event {
            RunEvent::Finished(summary) => (*summary, finished),
            // It is the one that was made above.
            _ => (RunSummary::default(), finished),
        }
    }
}

/// Whether the results of a run are all there: one that did not come to its end leaves an output alone to which it wrote nothing.
fn is_whole(summary: &RunSummary) -> bool {
    !summary.interrupted && summary.failure.is_none() && summary.shortage.is_none()
}
