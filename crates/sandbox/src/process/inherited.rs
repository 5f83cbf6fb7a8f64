//! Detects standard streams that were closed when this process was started, as by `>&-`.
//!
//! Before `main` the standard library opens `/dev/null` in place of each closed stream, so that no other file gets its
//! number. Output to it is lost without an error, and it looks the same as an intended `/dev/null`. So the streams are
//! checked before that, by a function in `.init_array`.

use std::{
    os::fd::{BorrowedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::io::fcntl_getfd;

static STDIN_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether stdin was open when this process was started.
pub fn stdin_was_open() -> bool {
    !STDIN_CLOSED.load(Ordering::Relaxed)
}

/// Whether stdout was open when this process was started.
pub fn stdout_was_open() -> bool {
    !STDOUT_CLOSED.load(Ordering::Relaxed)
}

#[allow(
    unsafe_code,
    reason = "rustix has no other way to check a number that may not be an open file"
)]
fn is_closed(number: RawFd) -> bool {
    // SAFETY: the number is borrowed for this one call, which only checks whether it is open.
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_err()
}

/// Records which streams are closed. Makes only two system calls and two stores, because the standard library is not
/// set up yet.
extern "C" fn record_closed_streams() {
    STDIN_CLOSED.store(is_closed(0), Ordering::Relaxed);
    STDOUT_CLOSED.store(is_closed(1), Ordering::Relaxed);
}

// SAFETY: functions in this section are called with the C calling convention before `main`. The arguments that Linux
// passes may be ignored, and `record_closed_streams` needs nothing that is set up later.
#[allow(unsafe_code, reason = "nothing else runs before the standard library's own start")]
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record_closed_streams;
