//! A guest's environment: clocks, random numbers, arguments, settings, files and input.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chacha20::{ChaCha8Rng, rand_core::SeedableRng};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, p2::pipe::MemoryInputPipe};

use super::{
    files::FileAccess,
    input::Input,
    scratch::Scratch,
    stdio::{Capture, Out, Tail},
};
use disperse_protocol::inbox::ActionName;

/// The environment of the planner, of the tasks or of one worker.
#[derive(Clone, Default)]
pub struct GuestEnv {
    pub args: Arc<[String]>,
    pub env: Arc<[(String, String)]>,
    /// The file access; only workers have any.
    pub files: Option<Arc<FileAccess>>,
    /// The scratch folder; only programs may have one.
    pub scratch: Option<Scratch>,
    /// The input of the run; only the planner has one.
    pub stdin: Option<Input>,
    /// The input and output of an attempt; only programs have them.
    pub pipes: Option<Pipes>,
    /// The clock and random numbers of planners, tasks and untrusted workers. None: those of the machine.
    pub logical: Option<Logical>,
}

/// A program's input and output.
#[derive(Clone)]
pub struct Pipes {
    pub stdin: Bytes,
    pub stdout: Capture,
}

/// Logical time and a random seed, the same on every replay.
#[derive(Clone, Debug)]
pub struct Logical {
    /// When the run began, in ms since 1970.
    pub began_unix_ms: u64,
    /// The run's time that the guest sees, in ms since it began.
    pub now_ms: Arc<AtomicU64>,
    /// Depends on the run and the guest.
    pub seed: u64,
}

impl GuestEnv {
    pub fn wasi(&self, stdio: &Tail, random_max: u64) -> WasiCtx {
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.args)
            .envs(&self.env)
            .stdout(Out(stdio.clone()))
            .stderr(Out(stdio.clone()))
            .max_random_size(random_max)
            .allow_tcp(false)
            .allow_udp(false);
        if let Some(stdin) = &self.stdin {
            wasi.stdin(stdin.clone());
        }
        if let Some(pipes) = &self.pipes {
            wasi.stdin(MemoryInputPipe::new(pipes.stdin.clone()))
                .stdout(Out(pipes.stdout.clone()));
        }
        if let Some(logical) = &self.logical {
            wasi.wall_clock(logical.clone())
                .monotonic_clock(logical.clone())
                .secure_random(ChaCha8Rng::seed_from_u64(logical.seed))
                .insecure_random(ChaCha8Rng::seed_from_u64(logical.seed ^ 1))
                .insecure_random_seed(u128::from(logical.seed));
        }
        wasi.build()
    }

    /// Sets the guest's clock, in ms since the run began.
    pub fn set_now(&self, now_ms: u64) {
        if let Some(logical) = &self.logical {
            logical.now_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

/// The time that guests on a stopped clock see, in ms since 1970: 2000-01-01.
pub const NO_TIME_UNIX_MS: u64 = 946_684_800_000;

impl Logical {
    /// The logical time and random seed of one guest. `index`: its number among all guests that share `seed`.
    pub fn new(began_unix_ms: u64, seed: u64, index: u64) -> Self {
        Self {
            began_unix_ms,
            now_ms: Arc::default(),
            // Spreads neighbouring numbers over all seeds; the constant is 2^64 divided by the golden ratio.
            seed: seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// A stopped clock, and a random seed that depends on the action and not on the worker.
    pub fn of_action(seed: u64, action: ActionName) -> Self {
        Self::new(NO_TIME_UNIX_MS, seed, action.number())
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::Relaxed))
    }
}

impl HostWallClock for Logical {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.began_unix_ms) + Self::now(self)
    }
}

impl HostMonotonicClock for Logical {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    /// Starts at one ms: some runtimes (Go's) take a clock at zero for a broken one.
    fn now(&self) -> u64 {
        let now = Self::now(self) + Duration::from_millis(1);
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }
}
