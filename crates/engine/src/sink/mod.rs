//! Where the events of a run go.
//!
//! The driver numbers what happens ([`Reporter`]), and a sink does the rest ([`EventSink`]): it writes text or JSON, or
//! hands values to a program.

mod live;

use std::{future::pending, io, time::Duration};

use bytes::Bytes;
use disperse_scheduler::Moment;
use tokio::sync::Notify;

pub use self::live::LiveCounts;
use disperse_protocol::{
    inbox::{ActionDone, AttemptReport, Guard, Numbered, OutputPiece, RunEvent, RunSummary, TaskCounts},
    units::Time,
};

/// How the writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Everything is written.
    Whole,
    /// The reader of the results has gone. That is no error: `| head` does it.
    BrokenPipe,
}

/// How far a sink may be behind the driver, in bytes. Arbitrary: little beside the memory of guests, and more than a pipe holds.
pub const BEHIND_MAX: u64 = 16 << 20;

/// How far a sink is behind. Ordered: each also means the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backlog {
    /// The run need not wait for it.
    None,
    /// Something is unread.
    Some,
    /// Too much is unread for more tasks to be begun.
    Behind,
    /// Too much is unread for more notices to be taken.
    Full,
}

/// What a sink takes beside events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// Every attempt: see [`EventSink::attempt`].
    pub attempts: bool,
    /// The result of every task: see [`EventSink::result`].
    pub results: bool,
}

/// Takes the events of a run.
pub trait EventSink: Send + Sync {
    /// Takes one event; they come in order. Must not wait. `output`: the bytes of a [`RunEvent::Output`], and none with any other
    /// event. They are shared and not copied, and with them goes their charge on the host's memory, which is given back when the
    /// sink has written them and drops the piece.
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>);

    /// What it takes beside events. Always the same.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// Takes an attempt that has ended. Must not wait.
    fn attempt(&mut self, _: &AttemptReport) {}

    /// Takes the result of a task, or why there is none. They come as tasks end. Must not wait.
    fn result(&mut self, _task: u64, _outcome: &Result<Bytes, String>) {}

    /// Takes the next bytes of the lines of the input that failed, each with its end. Only of a `map` that is to pass them on:
    /// see [`LineWriting`](crate::operation::LineWriting). `room`: what they take in the host. Must not wait.
    fn failed_lines(&mut self, _bytes: Bytes, _room: Guard) {}

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

    /// How many bytes of the output have reached their target and stay there: of a file those on disk.
    fn written(&self) -> u64 {
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
pub struct NoSink;

impl EventSink for NoSink {
    fn event(&mut self, _: &Numbered, _: Option<OutputPiece>) {}

    fn finish(self: Box<Self>, _: &dyn Fn() -> bool) -> io::Result<Finished> {
        Ok(Finished::Whole)
    }
}

/// Numbers the events of a run and passes them to its sink.
pub struct Reporter {
    sink: Box<dyn EventSink>,
    wants: Wants,
    /// The number of the last event.
    seq: u64,
    /// When that was, by the run's time.
    at_ms: u64,
}

impl Reporter {
    pub fn new(sink: Box<dyn EventSink>) -> Self {
        Self {
            wants: sink.wants(),
            sink,
            seq: 0,
            at_ms: 0,
        }
    }

    /// What the sink takes beside events.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Passes on an attempt that has ended.
    pub fn attempt(&mut self, attempt: &AttemptReport) {
        self.sink.attempt(attempt);
    }

    /// Passes on how a task ended.
    pub fn result(&mut self, task: u64, outcome: &Result<Bytes, String>) {
        self.sink.result(task, outcome);
    }

    /// Passes on bytes of the lines that failed.
    pub fn failed_lines(&mut self, bytes: Bytes, room: Guard) {
        self.sink.failed_lines(bytes, room);
    }

    /// Passes on an event of this moment.
    pub fn event(&mut self, now: Moment, event: RunEvent) {
        self.at_ms = self.at_ms.max(now.as_millis());
        self.next(event, None);
    }

    /// Passes on an event outside of the driver's turns: of the moment of the last one.
    pub fn aside(&mut self, event: RunEvent) {
        self.next(event, None);
    }

    /// Passes on a piece of the run's output, of this moment, and the action that it was made of.
    pub fn output(&mut self, now: Moment, piece: OutputPiece, action: Option<ActionDone>) {
        self.at_ms = self.at_ms.max(now.as_millis());
        self.next(RunEvent::output(&piece, action), Some(piece));
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

    /// How many bytes of the output have reached their target.
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// Whether the results cannot be written any more: the run has no use then.
    pub fn is_output_lost(&self) -> bool {
        self.sink.is_lost()
    }

    /// Hands over what the sink has gathered. Call it before waiting for anything.
    pub fn flush(&mut self) {
        self.sink.flush();
    }

    /// Whether so much is unread that no more tasks should be begun.
    pub fn is_behind(&self) -> bool {
        self.sink.backlog() >= Backlog::Behind
    }

    /// Whether so much is unread that no more notices should be taken.
    pub fn is_full(&self) -> bool {
        self.sink.backlog() >= Backlog::Full
    }

    /// Whether the run waits for a reader.
    pub fn has_unread(&self) -> bool {
        self.sink.backlog() >= Backlog::Some
    }

    /// Bytes that wait to be written and are not charged yet.
    pub fn waiting(&self) -> u64 {
        self.sink.waiting()
    }

    /// Waits until [`Reporter::is_behind`] may be over.
    ///
    /// Cancel safe.
    pub async fn caught_up(&self) {
        match self.sink.caught_up() {
            Some(notify) => notify.notified().await,
            None => pending().await,
        }
    }

    /// Whether the sink is to have the progress now, so long after the start.
    pub fn wants_progress(&self, elapsed: Duration) -> bool {
        self.sink.wants_progress(elapsed)
    }

    /// Passes on how the run went, after all other events, and ends the sink: see [`EventSink::finish`]. Gives the summary back.
    pub fn finish(mut self, summary: RunSummary, is_stopped: impl Fn() -> bool) -> (RunSummary, io::Result<Finished>) {
        let last = self.next(RunEvent::Finished(Box::new(summary)), None);
        let finished = self.sink.finish(&is_stopped);
        match last.event {
            RunEvent::Finished(summary) => (*summary, finished),
            // It is the one that was made above.
            _ => (RunSummary::default(), finished),
        }
    }
}

/// How long the rest takes at the pace so far. None: there is no rest, or it is not known yet.
pub fn time_left(tasks: &TaskCounts, total: Option<u64>, elapsed: Duration) -> Option<Time> {
    let ended = tasks.done + tasks.failed;
    let rest = total?.checked_sub(ended).filter(|rest| *rest > 0 && ended > 0)?;
    let seconds = elapsed.as_secs_f64() / ended as f64 * rest as f64;
    let whole = Duration::try_from_secs_f64(seconds.ceil()).ok()?;
    Some(Time::from(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_takes_is_known_once_there_are_a_pace_and_a_total() {
        let none = TaskCounts::default();
        let tasks = TaskCounts {
            done: 20,
            failed: 10,
            in_flight: 6,
        };
        let minute = Duration::from_secs(60);
        assert_eq!(time_left(&none, Some(3), minute), None);
        assert_eq!(time_left(&none, Some(0), minute), None);
        assert_eq!(time_left(&tasks, None, minute), None);
        assert_eq!(time_left(&tasks, Some(30), minute), None);
        assert_eq!(time_left(&tasks, Some(60), minute), Some(Time::from(minute)));
    }

    #[test]
    fn events_are_numbered_from_one_and_their_time_never_falls() {
        use std::sync::{Arc, Mutex};

        #[derive(Clone, Default)]
        struct Recorder(Arc<Mutex<Vec<Numbered>>>);

        impl EventSink for Recorder {
            fn event(&mut self, event: &Numbered, _: Option<OutputPiece>) {
                self.0.lock().unwrap().push(event.clone());
            }

            fn finish(self: Box<Self>, _: &dyn Fn() -> bool) -> io::Result<Finished> {
                Ok(Finished::Whole)
            }
        }

        let recorder = Recorder::default();
        let mut reporter = Reporter::new(Box::new(recorder.clone()));
        reporter.aside(RunEvent::Started { run: "r".into() });
        for ms in [5, 3, 9] {
            reporter.event(
                Moment::from_millis(ms),
                RunEvent::Systemic {
                    pool: "p".into(),
                    on: true,
                },
            );
        }
        let summary = RunSummary {
            unroutable: 4,
            ..RunSummary::default()
        };
        let (summary, finished) = reporter.finish(summary, || false);
        assert_eq!((summary.unroutable, finished.unwrap()), (4, Finished::Whole));
        let events = recorder.0.lock().unwrap();
        let places: Vec<_> = events.iter().map(|event| (event.seq, event.at_ms)).collect();
        assert_eq!(places, [(1, 0), (2, 5), (3, 5), (4, 9), (5, 9)]);
        assert!(matches!(events[4].event, RunEvent::Finished(_)));
    }
}
