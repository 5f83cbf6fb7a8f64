//! The counts of a run while it goes on, for a process that is ended before the run can report them, and whether it
//! was told to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use disperse_protocol::inbox::{TaskCounts, Undone};

/// Written by the driver after each turn, and read by the thread that waits for signals.
#[derive(Debug, Default)]
pub struct LiveCounts {
    done: AtomicU64,
    failed: AtomicU64,
    undone: AtomicU64,
    is_all: AtomicBool,
    is_reported: AtomicBool,
    is_stopped: AtomicBool,
}

impl LiveCounts {
    pub fn set(&self, tasks: TaskCounts, undone: Undone) {
        self.done.store(tasks.done, Relaxed);
        self.failed.store(tasks.failed, Relaxed);
        self.undone.store(undone.tasks, Relaxed);
        self.is_all.store(!undone.at_least, Relaxed);
    }

    /// Takes note that the run was told to stop.
    pub fn stopped(&self) {
        self.is_stopped.store(true, Relaxed);
    }

    /// Whether the run was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Relaxed)
    }

    /// Takes note that the run has said how it went.
    pub fn reported(&self) {
        self.is_reported.store(true, Relaxed);
    }

    /// How many tasks have ended and are left. None: that was reported.
    pub fn unreported(&self) -> Option<(TaskCounts, Undone)> {
        let tasks = TaskCounts {
            done: self.done.load(Relaxed),
            failed: self.failed.load(Relaxed),
            in_flight: 0,
        };
        let undone = Undone {
            tasks: self.undone.load(Relaxed),
            at_least: !self.is_all.load(Relaxed),
        };
        (!self.is_reported.load(Relaxed)).then_some((tasks, undone))
    }
}
