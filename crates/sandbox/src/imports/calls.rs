//! The concurrent calls in one instance: the attempt that each belongs to, and the fuel that each has burnt.
//!
//! Fuel is counted for the whole store, and wasmtime does not report which call burnt it. So the store gets an
//! attempt's budget when the attempt begins, and loses the rest of it when the attempt ends: the attempts in flight
//! share the sum of their budgets. The fuel that is burnt between two such changes is divided equally among them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use wasmtime::component::GuestTaskId;

use disperse_protocol::{
    inbox::{ActionName, Job, Used},
    limits::Deadline,
};

/// An attempt that is running.
#[derive(Clone, Copy)]
pub struct Current {
    pub attempt: AttemptId,
    pub action: ActionName,
    /// When it times out.
    pub deadline: Deadline,
}

impl Current {
    pub fn of(job: &Job, deadline: Deadline) -> Self {
        Self {
            attempt: job.attempt,
            action: job.action,
            deadline,
        }
    }
}

/// The attempts in flight in an instance that runs several at once.
pub struct Calls {
    pub(super) open: BTreeMap<GuestTaskId, Call>,
    /// The fuel that was left at the last change; units.
    pub(super) left: u64,
    /// The fuel that an attempt in flight since the start would have burnt; units.
    pub(super) each: u64,
    /// When the instance last yielded.
    yielded_at: Instant,
}

/// One attempt in flight.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) current: Current,
    pub(super) began: Instant,
    /// Its budget; units.
    pub(super) fuel: u64,
    /// The value of [`Calls::each`] when it began.
    pub(super) from: u64,
}

impl Calls {
    pub fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            left: 0,
            each: 0,
            yielded_at: Instant::now(),
        }
    }

    /// Notes that the instance yields.
    pub fn note_yield(&mut self) {
        self.yielded_at = Instant::now();
    }

    /// How long the instance has run without yielding.
    pub fn since_yield(&self) -> Duration {
        self.yielded_at.elapsed()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The sum of all budgets in flight; units.
    pub fn fuel(&self) -> u64 {
        self.open.values().fold(0, |sum, call| sum.saturating_add(call.fuel))
    }

    /// What each attempt in flight has used. `left`: the store's fuel. `memory`: the whole instance's, in bytes.
    pub fn used(&mut self, left: u64, memory: u64) -> BTreeMap<AttemptId, Used> {
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

    /// Divides the fuel burnt since the last change among the attempts in flight.
    pub(super) fn divide(&mut self, left: u64) {
        let burnt = self.left.saturating_sub(left);
        self.each += burnt / (self.open.len() as u64).max(1);
        self.left = left;
    }
}
