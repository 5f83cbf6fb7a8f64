//! Limits of guests.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    limits,
    settings::LimitsTable,
    units::{Fuel, Size, Time},
};

/// What a guest may use. Every limit is on by default; what is not said here stays as it is.
///
/// ```
/// use std::time::Duration;
///
/// let limits = disperse_host::Limits::default().memory(16 << 20).timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits(LimitsTable);

impl Limits {
    /// Units of computation, 1 to 20 billion a second of a core by what is computed: for a worker in one attempt, for a task
    /// between two batches of answers, for a planner in one call. From 1. Default 100 billion. Native workers and tasks have no
    /// such limit.
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.0.fuel = Some(Fuel(units));
        self
    }

    /// Bytes in all memories and tables of one instance, from 1. Default 64 MiB, for a planner 1 GiB. Native workers and tasks
    /// have no such limit.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.0.memory = Some(Size(bytes));
        self
    }

    /// How long one attempt of a worker may take, waits included; more than zero. Default 30 s. Tasks have none.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(Time::from(timeout));
        self
    }

    /// Bytes in one payload, result or output, at most 2 GiB. Default 8 MiB. Of native workers it bounds the result; native tasks have no
    /// such limit.
    #[must_use]
    pub fn result_size(mut self, bytes: u64) -> Self {
        self.0.result_size = Some(Size(bytes));
        self
    }

    /// How many actions of one task may be without an answer; one more waits. From 1, and 0 counts as 1. Default 1,024. No
    /// limit of workers.
    #[must_use]
    pub fn actions_in_flight(mut self, actions: u32) -> Self {
        self.0.actions_in_flight = Some(NonZeroU32::new(actions).unwrap_or(NonZeroU32::MIN));
        self
    }

    /// # Errors
    /// A limit is zero, with which nothing could run, or more than can be had.
    pub(super) fn check(&self) -> Result<(), String> {
        self.0.check().map_err(|error| error.to_string())
    }

    pub(super) fn over(&self, base: limits::Limits) -> limits::Limits {
        self.0.over(base)
    }
}
