//! Limits of guests.

use std::{num::NonZeroU32, time::Duration};

use crate::settings::LimitSettings;
use disperse_protocol::{
    limits,
    units::{Fuel, Size, Time},
};

/// What a guest may use. All limits are on by default; a limit that is not set keeps its default.
///
/// ```
/// use std::time::Duration;
///
/// let limits = disperse::Limits::default().memory(16 << 20).timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits(LimitSettings);

impl Limits {
    /// The most fuel: of a worker in one attempt, of a task between two batches of answers, of a planner in one call.
    /// From 1. One second on one core burns 1 to 20 billion units, depending on the instructions. Default 100 billion.
    /// Native workers and tasks have no such limit.
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.0.fuel = Some(Fuel(units));
        self
    }

    /// The most bytes in all memories and tables of one instance, from 1. Default 64 MiB, for a planner 1 GiB. Native
    /// workers and tasks have no such limit.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.0.memory = Some(Size(bytes));
        self
    }

    /// The most time of one attempt of a worker, waits included; more than zero. Default 30 s. Tasks have no such
    /// limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(Time::from(timeout));
        self
    }

    /// The most bytes in one payload, result or output, up to 2 GiB. Default 8 MiB. It bounds the results of native
    /// workers; native tasks have no such limit.
    #[must_use]
    pub fn result_size(mut self, bytes: u64) -> Self {
        self.0.result_size = Some(Size(bytes));
        self
    }

    /// The most unanswered actions of one task; further ones wait. From 1, and 0 counts as 1. Default 1,024. Workers
    /// have no such limit.
    #[must_use]
    pub fn actions_in_flight(mut self, actions: u32) -> Self {
        self.0.actions_in_flight = Some(NonZeroU32::new(actions).unwrap_or(NonZeroU32::MIN));
        self
    }

    /// # Errors
    /// A limit is zero, with which nothing could run, or above its maximum.
    pub(super) fn check(&self) -> Result<(), String> {
        self.0.check().map_err(|error| error.to_string())
    }

    pub(super) fn over(&self, base: limits::Limits) -> limits::Limits {
        self.0.over(base)
    }
}
