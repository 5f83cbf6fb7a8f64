//! The sink of a program that embeds the host: it gets the events as values. Nothing is written, and no thread is needed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use disperse_engine::sink::{BEHIND_MAX, Backlog, EventSink, Finished};
use disperse_protocol::{
    inbox::{Numbered, OutputPiece, RunEvent},
    limits::PIECE,
};

/// What the reader gets.
#[derive(Debug)]
pub enum Heard {
    /// An event, and the bytes of an output.
    Event(Numbered, Option<OutputPiece>),
    /// So many events were left out because too much was unread.
    Missed(u64),
}

impl Heard {
    /// What it takes until it is read, in bytes.
    fn size(&self) -> u64 {
        let text = match self {
            Self::Event(event, output) => size(&event.event) + output.as_ref().map_or(0, |piece| piece.bytes.len()),
            Self::Missed(_) => 0,
        };
        (PIECE + text) as u64
    }
}

/// The bytes of an event's long texts.
fn size(event: &RunEvent) -> usize {
    match event {
        RunEvent::TaskEnded { error, .. } => error.as_ref().map_or(0, String::len),
        RunEvent::AttemptFailed(failed) => failed.message.len() + failed.stderr.len(),
        RunEvent::ActionFailed(failed) => failed.message.len(),
        RunEvent::Denied { message, .. } => message.len(),
        RunEvent::Log { text, .. } => text.len(),
        RunEvent::Started { .. }
        | RunEvent::Output { .. }
        | RunEvent::Hedged { .. }
        | RunEvent::Outvoted { .. }
        | RunEvent::HealthChanged { .. }
        | RunEvent::Barred { .. }
        | RunEvent::Systemic { .. }
        | RunEvent::Notice(_)
        | RunEvent::WorkerJoined { .. }
        | RunEvent::WorkerLeft { .. }
        | RunEvent::Progress(_)
        | RunEvent::Finished(_) => 0,
    }
}

/// How an event is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is passed on however far the reader is behind. The number of these is bounded: output is charged, and ends are as many as
    /// tasks in flight, of which no more are begun meanwhile.
    Always,
    /// It is counted instead while the reader is far behind.
    Unless,
    /// The program asks for it elsewhere: the summary is what `finish` returns, and the progress is asked for.
    Elsewhere,
}

pub fn treatment(event: &RunEvent) -> Treatment {
    match event {
        RunEvent::Started { .. } | RunEvent::Output { .. } | RunEvent::TaskEnded { .. } => Treatment::Always,
        RunEvent::AttemptFailed(_)
        | RunEvent::Hedged { .. }
        | RunEvent::Outvoted { .. }
        | RunEvent::ActionFailed(_)
        | RunEvent::HealthChanged { .. }
        | RunEvent::Barred { .. }
        | RunEvent::Systemic { .. }
        | RunEvent::Denied { .. }
        | RunEvent::Log { .. }
        | RunEvent::Notice(_)
        | RunEvent::WorkerJoined { .. }
        | RunEvent::WorkerLeft { .. } => Treatment::Unless,
        RunEvent::Progress(_) | RunEvent::Finished(_) => Treatment::Elsewhere,
    }
}

/// What both ends have in common.
#[derive(Default)]
struct Shared {
    /// Bytes that wait to be read.
    waiting: AtomicU64,
    /// Notified when the reader is no longer far behind.
    caught_up: Notify,
}

/// Passes events to the reader. Never waits for it.
pub struct LibrarySink {
    to_reader: UnboundedSender<Heard>,
    shared: Arc<Shared>,
    missed: u64,
}

/// The end that reads them.
pub struct Reader {
    heard: UnboundedReceiver<Heard>,
    shared: Arc<Shared>,
}

/// Both ends.
pub fn library() -> (LibrarySink, Reader) {
    let (to_reader, heard) = unbounded_channel();
    let shared = Arc::<Shared>::default();
    let sink = LibrarySink {
        to_reader,
        shared: shared.clone(),
        missed: 0,
    };
    (sink, Reader { heard, shared })
}

impl LibrarySink {
    /// Passes on how many events were left out.
    fn pass_missed(&mut self) {
        match std::mem::take(&mut self.missed) {
            0 => {}
            missed => self.send(Heard::Missed(missed)),
        }
    }

    fn send(&self, heard: Heard) {
        self.shared.waiting.fetch_add(heard.size(), Ordering::Relaxed);
        // A reader that is gone has stopped the run.
        let _ = self.to_reader.send(heard);
    }
}

impl EventSink for LibrarySink {
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>) {
        match treatment(&event.event) {
            Treatment::Elsewhere => {}
            Treatment::Unless if self.backlog() >= Backlog::Behind => self.missed += 1,
            Treatment::Always | Treatment::Unless => {
                self.pass_missed();
                self.send(Heard::Event(event.clone(), output));
            }
        }
    }

    fn backlog(&self) -> Backlog {
        match self.shared.waiting.load(Ordering::Relaxed) {
            0 => Backlog::None,
            waiting if waiting > BEHIND_MAX => Backlog::Behind,
            _ => Backlog::Some,
        }
    }

    fn caught_up(&self) -> Option<&Notify> {
        Some(&self.shared.caught_up)
    }

    fn finish(mut self: Box<Self>, _: &dyn Fn() -> bool) -> io::Result<Finished> {
        self.pass_missed();
        Ok(Finished::Whole)
    }
}

impl Reader {
    /// The next event; none: there will be none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        let heard = ready!(self.heard.poll_recv(cx));
        if let Some(heard) = &heard {
            let size = heard.size();
            let before = self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            if before > BEHIND_MAX && before - size <= BEHIND_MAX {
                self.shared.caught_up.notify_one();
            }
        }
        Poll::Ready(heard)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use disperse_protocol::{
        logger::Level,
        samples::{EVENTS, output, samples},
    };

    fn numbered(event: RunEvent) -> Numbered {
        Numbered {
            seq: 1,
            at_ms: 0,
            event,
        }
    }

    fn line(size: usize) -> Numbered {
        numbered(RunEvent::Log {
            source: None,
            level: Level::Info,
            text: "x".repeat(size),
        })
    }

    fn next(reader: &mut Reader) -> Option<Heard> {
        match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(heard) => heard,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn every_event_but_what_the_program_asks_for_is_passed_on() {
        let (mut sink, mut reader) = library();
        for event in samples() {
            sink.event(&event, output(&event.event));
        }
        drop(sink);
        let mut passed = Vec::new();
        while let Some(heard) = next(&mut reader) {
            match heard {
                Heard::Event(event, output) => {
                    assert_eq!(output.is_some(), matches!(event.event, RunEvent::Output { .. }));
                    passed.push(event);
                }
                Heard::Missed(missed) => panic!("{missed} are missed"),
            }
        }
        let mut expected = samples();
        expected.truncate(EVENTS - 2);
        assert_eq!(passed, expected, "all but the progress and the summary");
    }

    #[test]
    fn reader_that_is_far_behind_misses_events_and_gets_their_number() {
        let (mut sink, mut reader) = library();
        sink.event(&line(BEHIND_MAX as usize), None);
        sink.event(&line(1), None);
        sink.event(&line(1), None);
        let ended = RunEvent::TaskEnded {
            task: 1,
            error: None,
            fuel: 0,
            wall: std::time::Duration::ZERO,
        };
        sink.event(&numbered(ended), None);
        drop(sink);
        let mut next = || next(&mut reader);
        let is = |heard: Option<Heard>, is: fn(&RunEvent) -> bool| matches!(heard, Some(Heard::Event(event, None)) if is(&event.event));
        assert!(is(next(), |event| matches!(event, RunEvent::Log { .. })));
        assert!(matches!(next(), Some(Heard::Missed(2))));
        assert!(is(next(), |event| matches!(event, RunEvent::TaskEnded { .. })));
        assert!(next().is_none());
        assert_eq!(reader.shared.waiting.load(Ordering::Relaxed), 0);
    }
}
