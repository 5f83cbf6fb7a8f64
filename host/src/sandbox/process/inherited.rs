//! Which standard streams this process was started without, as by `>&-`.
//!
//! Before `main` the standard library opens `/dev/null` in the place of each, so that no other file gets its number. What is
//! written there is lost without an error, and nothing tells it from a `/dev/null` that was meant. So they are looked at
//! before that, among what runs when the program is loaded.

use std::{
    os::fd::{BorrowedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::io::fcntl_getfd;

static STDIN_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether there was a stdin when this process was started.
pub(crate) fn stdin_was_open() -> bool {
    !STDIN_CLOSED.load(Ordering::Relaxed)
}

/// Whether there was a stdout when this process was started.
pub(crate) fn stdout_was_open() -> bool {
    !STDOUT_CLOSED.load(Ordering::Relaxed)
}

#[allow(
    unsafe_code,
    reason = "a number that may be no open file cannot be asked about otherwise"
)]
fn is_closed(number: RawFd) -> bool {
    // SAFETY: it is borrowed for this one call, which only asks whether it is open and leaves it as it is.
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_err()
}

/// Two system calls and two stores: the standard library is not set up when this runs.
extern "C" fn look() {
    STDIN_CLOSED.store(is_closed(0), Ordering::Relaxed);
    STDOUT_CLOSED.store(is_closed(1), Ordering::Relaxed);
}

// SAFETY: what is in this section is called with the C calling convention before `main`, where the arguments that Linux passes
// may be ignored, and `look` needs nothing that is set up later.
#[allow(unsafe_code, reason = "nothing else runs before the standard library's own start")]
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;
