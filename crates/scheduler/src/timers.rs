//! What is to happen later, in one table.

use std::collections::BTreeSet;

use crate::{
    ids::{Ax, Bx, Kx, Px, Wx},
    moment::Moment,
};

/// What a moment was set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A worker's quarantine, busy time or damping is over.
    Worker(Wx),
    /// A worker is given actions of a kind again.
    Barred(Wx, Kx),
    /// An action is given up.
    Deadline(Ax),
    /// An action's backoff is over.
    Rested(Ax),
    /// An action has waited long enough for a better worker.
    Patience(Ax),
    /// A pool that is only probed may be probed again.
    Probe(Px),
    /// A bucket has what a worker waits for.
    Bucket(Bx),
    /// The oldest attempt of a kind that has no second one is slow by now.
    Slow(Kx),
}

/// All of them, soonest first. What is not needed any more is taken out at once: whatever is in here is meant, and a
/// place that is used again never wakes for its former owner.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    /// Sets one; [`Moment::NEVER`] sets none.
    pub(crate) fn set(&mut self, at: Moment, timer: Timer) {
        if at != Moment::NEVER {
            self.due.insert((at, timer));
        }
    }

    pub(crate) fn clear(&mut self, at: Moment, timer: Timer) {
        if at != Moment::NEVER {
            self.due.remove(&(at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the soonest one if its moment has come.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, timer)| timer)
    }
}
