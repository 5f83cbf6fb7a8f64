//! The limits of one guest, and of all guests together.

mod awake;
mod budget;
mod files;
mod machine;
mod shares;
mod shortage;

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

pub use self::{
    awake::{Deadline, TICK, awake, stopped, stopped_so_far, tick},
    budget::{Begun, Budget, Charge, OpenActions},
    files::{FILE_CALLS, FILE_CALLS_ALL, UNREAD_MAX, open_files, open_files_of_each, raise_open_files},
    machine::{cores, default_host_memory, spare_address_space, startable_threads},
    shares::{Account, NoRoom, Reservation, Shares},
    shortage::Shortage,
};

/// The most workers of a run. Arbitrary: far more than one machine can use, and half a gigabyte of the host's own
/// memory.
pub const WORKERS_MAX: u32 = 50_000;

/// The most attempts at once of the workers of one pool if each makes several. Arbitrary: the most instances there may
/// be.
pub const CONCURRENCY_MAX: u32 = 1000;

/// The limits of one kind of guest. All are on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel: for a worker in one attempt; for a planner in one call; for a task between two batches of
    /// answers. Default 100G, so that the time limit ends most attempts. Measured on one core of a cloud machine: 4.5 s
    /// of integer arithmetic, 6 s of sorting, 15 s of text and hash maps, 46 s of sines, 84 s of reads all over 32 MiB,
    /// 98 s of an empty loop.
    pub fuel: u64,
    /// Bytes in all memories and tables of one instance. Default 64 MiB; 1 GiB for a planner.
    pub memory: u64,
    /// How long one attempt may take, waits in the host included. Default 30 s. Tasks and planners have none: a task
    /// may wait for its answers for days.
    pub timeout: Duration,
    /// Bytes in one payload, result or output. Default 8 MiB.
    pub result: u64,
    /// Handles in one instance: resources of the host, and beside them those of the component model. Default 4,096.
    pub handles: NonZeroU32,
    /// Unanswered actions of one task. Default 1,024, so that few tasks can keep all workers of a run busy.
    pub in_flight: NonZeroU32,
    /// Random bytes in one call. Default 64 KiB.
    pub random: u64,
    /// Bytes in the URL of a request, and in the headers of a request or an answer. Default 64 KiB.
    pub headers: u64,
    /// Bytes of one guest's stderr and log together, for each second and at once. Default 64 KiB.
    pub log_rate: u64,
    /// Bytes of a worker's stderr and log in one attempt. Default 1 MiB. Tasks and planners, which may go on for days,
    /// have only the rate.
    pub log_size: u64,
}

impl Limits {
    /// For workers.
    pub const WORKER: Self = Self {
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
    pub const PLANNER: Self = Self {
        memory: 1 << 30,
        ..Self::WORKER
    };
}

/// The highest limit on header lines: what the one client of all workers accepts.
pub const HEADERS_MAX: u64 = 256 << 10;

/// The stack of a guest, in bytes, by default: wasmtime's default.
pub const STACK: u64 = 512 << 10;

/// The range of the stack. Every instance has its own, as address space.
pub const STACK_RANGE: RangeInclusive<u64> = 64 << 10..=1 << 30;

/// The least memory of all guests together: less than one needs.
pub const HOST_MEMORY_MIN: u64 = 1 << 20;

/// The stack as a size, if it is in range.
pub fn stack(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok().filter(|_| STACK_RANGE.contains(&bytes))
}

/// The limits on compiling one component. A limit that is not set follows from the size of the component, so that a
/// small file gets few resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileLimits {
    /// Wall time.
    pub timeout: Option<Duration>,
    /// Bytes.
    pub memory: Option<u64>,
}

impl CompileLimits {
    /// The largest default.
    const TIMEOUT_MAX: Duration = Duration::from_secs(120);
    /// The largest default, in bytes.
    const MEMORY_MAX: u64 = 4 << 30;

    /// For a component of `size` bytes. Default 15 s and 4 s for each MB, at most two minutes: 55 s for 10 MB. Python
    /// has 20 MB and takes 15 s on two cores; what Rust compiles to takes half a second for each MB.
    pub fn timeout(&self, size: u64) -> Duration {
        let default = Duration::from_secs(15) + Duration::from_micros(size.saturating_mul(4));
        self.timeout.unwrap_or_else(|| default.min(Self::TIMEOUT_MAX))
    }

    /// Bytes for a component of `size` bytes. Default 512 MiB and 40 times the size, at most 4 GiB: 940 MB for 10 MB.
    /// What Rust compiles to takes 17 times its size.
    pub fn memory(&self, size: u64) -> u64 {
        let default = (512_u64 << 20).saturating_add(size.saturating_mul(40));
        self.memory.unwrap_or_else(|| default.min(Self::MEMORY_MAX))
    }
}

/// The most bytes of unwritten output before a writer waits.
pub const OUTPUT_ROOM: usize = 16 << 20;

/// What a piece of output, or of other data that waits, takes beside its bytes. An upper bound, not measured.
pub const PIECE: usize = 256;
