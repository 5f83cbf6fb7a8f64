//! What a rehearsal keeps beside the run.

use std::collections::BTreeMap;

use disperse_protocol::logger::Line;
use disperse_scheduler::{BucketId, TaskId};

use crate::script::Log;

/// How many lines of guests are kept. Arbitrary.
const SAID_MAX: usize = 1000;

/// What a rehearsal keeps beside the run.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) log: Log,
    /// Tasks that have something to do, and how many deliveries each will have taken when it rests.
    pub(super) awake: BTreeMap<TaskId, u32>,
    pub(super) said: Vec<Line>,
    /// Units of each quota that were left at the last look, and that had been spent.
    pub(super) quotas: BTreeMap<BucketId, (u32, u64)>,
}

impl Stage {
    pub(super) fn new(workers: Vec<String>) -> Self {
        Self {
            log: Log::new(workers),
            ..Self::default()
        }
    }

    pub(super) fn hear(&mut self, line: Line) {
        if self.said.len() < SAID_MAX {
            self.said.push(line);
        }
    }
}
