//! What is reported of every attempt to a sink that takes them.

use std::sync::Arc;

use disperse_scheduler::Class;

use super::{event::AttemptNumber, task_end::Used};

/// An attempt that has ended, with a result or without.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    pub attempt: AttemptNumber,
    /// The task of its action.
    pub task: u64,
    pub worker: Arc<str>,
    pub kind: Arc<str>,
    pub class: Class,
    /// The lengths of the payload and of the result, in bytes.
    pub sent: u64,
    pub received: u64,
    /// When it began, in ms since 1970.
    pub began_unix_ms: u64,
    pub used: Used,
}
