//! The tokio runtime of a run or test.

use std::time::Duration;

use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::console::Failure,
    limits::{self, Shortage},
};

/// The threads of a run beside those that run guests: for signals, input, results, logs, the control socket, and blocking calls. A
/// run needs all of them.
const THREADS_BESIDE: usize = 6;

/// The address space that the threads of a run take, in bytes: their stacks and allocators, with a reserve. A thread that has no room
/// for these as it starts ends the process.
const ADDRESS_SPACE: u64 = 64 << 20;

/// How long an idle thread for blocking calls is kept: practically for ever, so that one always exists.
const BLOCKING_KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A runtime with `threads` threads for guests, by default one per core; fewer if the machine allows fewer. It also has one thread for
/// blocking calls.
///
/// # Errors
/// The machine does not allow the threads that a run needs beside those for guests, or has no room for them.
pub(crate) fn runtime(threads: Option<u32>) -> Result<Runtime, Failure> {
    let wanted = threads.map_or_else(limits::cores, |threads| threads as usize);
    if limits::spare_address_space().is_some_and(|spare| spare < ADDRESS_SPACE) {
        return Err(cannot_start(&Errno::NOMEM.into()));
    }
    // With a single thread, guests run on the main thread.
    let (all, refused) = limits::startable_threads(wanted + THREADS_BESIDE);
    let had = match (all.checked_sub(THREADS_BESIDE), refused) {
        (Some(had), _) => had,
        (None, Some(refused)) => return Err(cannot_start(&refused)),
        (None, None) => 0,
    };
    let mut builder = match (threads, had) {
        (Some(1), _) | (_, 0 | 1) => Builder::new_current_thread(),
        (_, had) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(had);
            builder
        }
    };
    let runtime = builder.enable_all().thread_keep_alive(BLOCKING_KEPT).build();
    let runtime = runtime.map_err(|error| cannot_start(&error))?;
    // Starts the thread for blocking calls. The empty closure cannot fail.
    let _ = runtime.block_on(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// The failure for threads or files that the machine does not provide at the start.
pub(crate) fn cannot_start(error: &std::io::Error) -> Failure {
    with_hint(Failure::machine("cannot start", error), error)
}

/// A failure, with a hint if the machine is short of a resource.
pub(crate) fn with_hint(failure: Failure, error: &std::io::Error) -> Failure {
    match Shortage::of_start(error) {
        Some(shortage) => failure.hint(shortage.hint()),
        None => failure,
    }
}
