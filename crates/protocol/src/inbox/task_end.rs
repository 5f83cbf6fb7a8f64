//! How a task ended, and what tasks and attempts cost.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What an attempt or a task cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Units of fuel.
    pub fuel: u64,
    /// From the first instruction to the last, waits in the host included.
    pub wall: Duration,
    /// The most that the instance held while it was at it, in bytes.
    pub memory: u64,
}

/// How a task ended.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEnd {
    /// The result, or the error in words.
    pub outcome: Result<Bytes, String>,
    /// The machine has none left of something that the task needs, for as long as was waited.
    pub is_of_machine: bool,
    pub used: Used,
}

impl TaskEnd {
    /// Of a task that came to none, in words.
    pub fn failed(error: String) -> Self {
        Self::free(Err(error))
    }

    /// Of a task that cost nothing.
    pub fn free(outcome: Result<Bytes, String>) -> Self {
        Self {
            outcome,
            is_of_machine: false,
            used: Used::default(),
        }
    }
}
