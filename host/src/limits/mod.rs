//! How much a guest may use, and how much all of them together.

mod awake;
mod budget;
mod files;
mod machine;
mod shares;
mod shortage;

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

pub(crate) use self::{
    awake::{Deadline, TICK, awake, stopped, stopped_so_far, tick},
    budget::{Begun, Budget, Charge, OpenActions},
    files::{FILE_CALLS, FILE_CALLS_ALL, UNREAD_MAX, open_files, open_files_of_each, raise_open_files},
    machine::{cores, default_host_memory, startable_threads},
    shares::{Account, NoRoom, Reservation, Shares},
    shortage::Shortage,
};

/// The most workers of a run. Arbitrary: far more than one machine has use for, and half a gigabyte of the host's own memory.
pub(crate) const WORKERS_MAX: u32 = 50_000;

/// The most attempts that the workers of one pool take at once if each takes several. Arbitrary: as many as there may be instances.
pub(crate) const CONCURRENCY_MAX: u32 = 1000;

/// What one kind of guest may use. Every limit is on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Units of fuel: for a worker in one attempt; for a planner in one call; for a task between two batches of answers.
    /// Default 100G, so that the time limit ends most attempts. Measured on one core of a cloud machine: 4.5 s of integer
    /// arithmetic, 6 s of sorting, 15 s of text and hash maps, 46 s of sines, 84 s of reads all over 32 MiB, 98 s of an empty
    /// loop.
    pub(crate) fuel: u64,
    /// Bytes in all memories and tables of one instance. Default 64 MiB; 1 GiB for a planner.
    pub(crate) memory: u64,
    /// How long one attempt may take, waits in the host included. Default 30 s. Tasks and planners have none: a task may
    /// wait for its answers for days.
    pub(crate) timeout: Duration,
    /// Bytes in one payload, result or output. Default 8 MiB.
    pub(crate) result: u64,
    /// Handles in one instance: resources of the host, and beside them those of the component model. Default 4,096.
    pub(crate) handles: NonZeroU32,
    /// Actions of one task without an answer. Default 1,024, so that all workers of a run can be kept busy by few tasks.
    pub(crate) in_flight: NonZeroU32,
    /// Random bytes in one call. Default 64 KiB.
    pub(crate) random: u64,
    /// Bytes in the URL of a request, and in the headers of a request or an answer. Default 64 KiB.
    pub(crate) headers: u64,
    /// Bytes that one guest may say in a second, and at once, on its stderr and to the log together. Default 64 KiB.
    pub(crate) log_rate: u64,
    /// Bytes that a worker may say in one attempt. Default 1 MiB. Tasks and planners, which may go on for days, have the
    /// rate alone.
    pub(crate) log_size: u64,
}

impl Limits {
    /// For workers.
    pub(crate) const WORKER: Self = Self {
        fuel: 100_000_000_000,
        memory: 64 << 20,
        timeout: Duration::from_secs(30),
        result: 8 << 20,
        handles: NonZeroU32::new(4096).unwrap(),
        in_flight: NonZeroU32::new(1024).unwrap(),
        random: 64 << 10,
        headers: 64 << 10,
        log_rate: 64 << 10,
        log_size: 1 << 20,
    };
    /// For planners, which assemble what tasks return.
    pub(crate) const PLANNER: Self = Self {
        memory: 1 << 30,
        ..Self::WORKER
    };
}

/// The largest header lines that the limit on them can be raised to: what the one client of all workers takes.
pub(crate) const HEADERS_MAX: u64 = 256 << 10;

/// How deep a guest may recurse, in bytes of stack, unless set otherwise: what wasmtime has by default.
pub(crate) const STACK: u64 = 512 << 10;

/// How deep it may be set. Every instance has its own, as address space.
pub(crate) const STACK_RANGE: RangeInclusive<u64> = 64 << 10..=1 << 30;

/// The least memory that guests may have together: less than one needs.
pub(crate) const HOST_MEMORY_MIN: u64 = 1 << 20;

/// So much stack, if guests can have it.
pub(crate) fn stack(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok().filter(|_| STACK_RANGE.contains(&bytes))
}

/// What compiling one component may take. What is not set follows from the size of the component, so that a small file can
/// take little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CompileLimits {
    /// Wall time.
    pub(crate) timeout: Option<Duration>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
}

impl CompileLimits {
    /// Of the default for any component.
    const TIMEOUT_MAX: Duration = Duration::from_secs(120);
    /// Of the default for any component, in bytes.
    const MEMORY_MAX: u64 = 4 << 30;

    /// For a component of `size` bytes. Default 15 s and 4 s for each MB, at most two minutes: 55 s for 10 MB. Python has
    /// 20 MB and takes 15 s on two cores; what Rust compiles to takes half a second for each MB.
    pub(crate) fn timeout(&self, size: u64) -> Duration {
        let default = Duration::from_secs(15) + Duration::from_micros(size.saturating_mul(4));
        self.timeout.unwrap_or_else(|| default.min(Self::TIMEOUT_MAX))
    }

    /// Bytes for a component of `size` bytes. Default 512 MiB and 40 times the size, at most 4 GiB: 940 MB for 10 MB. What
    /// Rust compiles to takes 17 times its size.
    pub(crate) fn memory(&self, size: u64) -> u64 {
        let default = (512_u64 << 20).saturating_add(size.saturating_mul(40));
        self.memory.unwrap_or_else(|| default.min(Self::MEMORY_MAX))
    }
}

/// How many bytes of output may be on their way out before whoever writes more waits.
pub(crate) const OUTPUT_ROOM: usize = 16 << 20;

/// What a piece of output, or anything else that waits to be read, takes beside its bytes. A bound and no measurement.
pub(crate) const PIECE: usize = 256;
