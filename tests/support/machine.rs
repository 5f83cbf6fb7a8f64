//! A lock on the machine: most tests run in parallel, and a measurement runs alone.

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// How many runs hold the machine together, and whether a measurement holds it alone.
struct Machine {
    runs: usize,
    is_taken: bool,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine {
    runs: 0,
    is_taken: false,
});
static LEFT: Condvar = Condvar::new();

thread_local! {
    /// Whether this thread holds the machine alone.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Waits until a condition on the machine holds, and returns it locked.
fn when(is_so: impl Fn(&Machine) -> bool) -> MutexGuard<'static, Machine> {
    let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    LEFT.wait_while(machine, |machine| !is_so(machine))
        .unwrap_or_else(PoisonError::into_inner)
}

/// The exclusive lock on the machine, for a measurement.
pub(crate) struct Alone;

pub(crate) fn alone() -> Alone {
    when(|machine| machine.runs == 0 && !machine.is_taken).is_taken = true;
    ALONE.set(true);
    Alone
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE.set(false);
        MACHINE.lock().unwrap_or_else(PoisonError::into_inner).is_taken = false;
        LEFT.notify_all();
    }
}

/// The shared lock on the machine.
pub(crate) struct Beside;

/// Waits while another thread holds the machine alone. It does not wait for threads that still wait for the exclusive lock, so
/// that a test may take two.
pub(crate) fn beside() -> Option<Beside> {
    if ALONE.get() {
        return None;
    }
    when(|machine| !machine.is_taken).runs += 1;
    Some(Beside)
}

impl Drop for Beside {
    fn drop(&mut self) {
        MACHINE.lock().unwrap_or_else(PoisonError::into_inner).runs -= 1;
        LEFT.notify_all();
    }
}
