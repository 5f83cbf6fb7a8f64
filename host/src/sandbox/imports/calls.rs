//! The calls that go on at once in one instance: whose each is, and what each has burnt.
//!
//! Fuel is the store's, and wasmtime does not say which of several calls burnt it. So the store is given an attempt's budget
//! when that begins, and what is left of it is taken back when it ends: those in flight have together at most their sum. What
//! is burnt between two such changes is divided equally among them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use wasmtime::component::GuestTaskId;

use crate::{
    inbox::{ActionName, Job, Used},
    limits::Deadline,
};

/// An attempt that goes on.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    pub(crate) attempt: AttemptId,
    pub(crate) action: ActionName,
    /// When it is cut.
    pub(crate) cut: Deadline,
}

impl Current {
    pub(crate) fn of(job: &Job, cut: Deadline) -> Self {
        Self {
            attempt: job.attempt,
            action: job.action,
            cut,
        }
    }
}

/// What goes on in an instance that takes several attempts at once.
pub(crate) struct Calls {
    pub(super) open: BTreeMap<GuestTaskId, Call>,
    /// How much fuel was left at the last change; units.
    pub(super) left: u64,
    /// What one that was there all the time would have burnt; units.
    pub(super) each: u64,
    /// When the instance last let others have a turn.
    turned: Instant,
}

/// One attempt in flight.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) current: Current,
    pub(super) began: Instant,
    /// Its budget; units.
    pub(super) fuel: u64,
    /// What [`Calls::each`] was when it began.
    pub(super) from: u64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            left: 0,
            each: 0,
            turned: Instant::now(),
        }
    }

    /// Notes that the instance lets others have a turn.
    pub(crate) fn turn(&mut self) {
        self.turned = Instant::now();
    }

    /// How long the instance has been at it without a break.
    pub(crate) fn held(&self) -> Duration {
        self.turned.elapsed()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// All budgets in flight together; units.
    pub(crate) fn fuel(&self) -> u64 {
        self.open.values().fold(0, |sum, call| sum.saturating_add(call.fuel))
    }

    /// What each attempt in flight has used, when so much fuel is left. Of memory the whole instance's.
    pub(crate) fn used(&mut self, left: u64, memory: u64) -> BTreeMap<AttemptId, Used> {
        self.divide(left);
        let used = |call: &Call| (call.current.attempt, self.used_by(call, memory));
        self.open.values().map(used).collect()
    }

    pub(super) fn used_by(&self, call: &Call, memory: u64) -> Used {
        Used {
            fuel: self.each.saturating_sub(call.from),
            wall: call.began.elapsed(),
            memory,
        }
    }

    /// Divides what was burnt since the last change among those in flight.
    pub(super) fn divide(&mut self, left: u64) {
        let burnt = self.left.saturating_sub(left);
        self.each += burnt / (self.open.len() as u64).max(1);
        self.left = left;
    }
}
