//! What is said, as values for a program that has this host built in. Nothing is written, and no thread is needed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use disperse_scheduler::{Health, TaskId};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{AttemptFailed, BEHIND_MAX, Dead};
use crate::{inbox::OutputPiece, limits::PIECE, logger::Line};

/// One thing that is said.
pub(crate) enum Told {
    Output(OutputPiece),
    TaskEnded {
        task: TaskId,
        error: Option<String>,
    },
    AttemptFailed(Box<AttemptFailed>),
    Dead(Box<Dead>),
    Health {
        worker: Arc<str>,
        health: Health,
    },
    /// A worker is given nothing of a kind for so long; none: it is given it again.
    Barred {
        worker: Arc<str>,
        kind: Arc<str>,
        lasts: Option<Duration>,
    },
    /// Everything fails in a pool, or that is over.
    Systemic {
        pool: Arc<str>,
        on: bool,
    },
    Denied {
        worker: Arc<str>,
        message: String,
    },
    Line(Line),
    /// So many things were not said because nobody listened.
    Missed(u64),
}

impl Told {
    /// What it takes until it is read, in bytes.
    fn size(&self) -> u64 {
        let text = match self {
            Self::Output(piece) => piece.bytes.len(),
            Self::TaskEnded { error, .. } => error.as_ref().map_or(0, String::len),
            Self::AttemptFailed(failed) => failed.message.len() + failed.stderr.len(),
            Self::Dead(dead) => dead.message.len(),
            Self::Denied { message, .. } => message.len(),
            Self::Line(line) => line.text.len(),
            Self::Health { .. } | Self::Barred { .. } | Self::Systemic { .. } | Self::Missed(_) => 0,
        };
        (PIECE + text) as u64
    }

    /// Whether it is said however far behind the reader is. There is a bound for how many of these there are: output has room
    /// of its own, and of tasks so many are in flight, since no new ones are begun meanwhile.
    fn is_bounded(&self) -> bool {
        matches!(self, Self::Output(_) | Self::TaskEnded { .. } | Self::Missed(_))
    }
}

/// What both ends have in common.
#[derive(Default)]
struct Shared {
    /// Bytes that wait to be read.
    waiting: AtomicU64,
    /// Told when the reader is no longer far behind.
    caught_up: Notify,
}

/// The end that says things. It never waits for the other one.
pub(crate) struct Stream {
    to_reader: UnboundedSender<Told>,
    shared: Arc<Shared>,
    missed: u64,
}

/// The end that reads them.
pub(crate) struct Reader {
    told: UnboundedReceiver<Told>,
    shared: Arc<Shared>,
}

/// Both ends.
pub(crate) fn stream() -> (Stream, Reader) {
    let (to_reader, told) = unbounded_channel();
    let shared = Arc::<Shared>::default();
    let stream = Stream {
        to_reader,
        shared: shared.clone(),
        missed: 0,
    };
    (stream, Reader { told, shared })
}

impl Stream {
    /// Whether so much is unread that no more work should be begun.
    pub(super) fn is_behind(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > BEHIND_MAX
    }

    /// Whether anything is unread.
    pub(super) fn has_unread(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until the reader is no longer far behind; may end before.
    ///
    /// Cancel safe.
    pub(super) async fn caught_up(&self) {
        self.shared.caught_up.notified().await;
    }

    pub(super) fn tell(&mut self, told: Told) {
        if self.is_behind() && !told.is_bounded() {
            self.missed += 1;
            return;
        }
        self.tell_missed();
        self.send(told);
    }

    /// Says how much was not said.
    pub(super) fn tell_missed(&mut self) {
        match std::mem::take(&mut self.missed) {
            0 => {}
            missed => self.send(Told::Missed(missed)),
        }
    }

    fn send(&self, told: Told) {
        self.shared.waiting.fetch_add(told.size(), Ordering::Relaxed);
        // A reader that is gone has stopped the run.
        let _ = self.to_reader.send(told);
    }
}

impl Reader {
    /// The next thing; none: there will be none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let told = ready!(self.told.poll_recv(cx));
        if let Some(told) = &told {
            let size = told.size();
            let before = self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            if before > BEHIND_MAX && before - size <= BEHIND_MAX {
                self.shared.caught_up.notify_one();
            }
        }
        Poll::Ready(told)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::logger::Level;

    fn line(size: usize) -> Told {
        Told::Line(Line {
            speaker: None,
            level: Level::Info,
            text: "x".repeat(size),
        })
    }

    #[test]
    fn a_reader_that_is_far_behind_misses_words_and_is_told_how_many() {
        let (mut stream, mut reader) = stream();
        stream.tell(line(BEHIND_MAX as usize));
        stream.tell(line(1));
        stream.tell(line(1));
        let (task, error) = (TaskId(1), None);
        stream.tell(Told::TaskEnded { task, error });
        drop(stream);
        let mut next = || match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => told,
            Poll::Pending => panic!("it waits"),
        };
        assert!(matches!(next(), Some(Told::Line(_))));
        assert!(matches!(next(), Some(Told::Missed(2))));
        assert!(matches!(next(), Some(Told::TaskEnded { .. })));
        assert!(next().is_none());
        assert_eq!(reader.shared.waiting.load(Ordering::Relaxed), 0);
    }
}
