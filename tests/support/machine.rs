//! Who has the machine: most things run beside each other, and a measurement runs alone.

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// How many things run beside each other, or whether one has the machine for itself.
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
    /// Whether it is this thread that has the machine for itself.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Waits until this is true of the machine.
fn when(is_so: impl Fn(&Machine) -> bool) -> MutexGuard<'static, Machine> {
    let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    LEFT.wait_while(machine, |machine| !is_so(machine))
        .unwrap_or_else(PoisonError::into_inner)
}

/// The machine without other tests on it, for a measurement.
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

/// Something that runs beside others.
pub(crate) struct Beside;

/// Waits while somebody is alone, unless that is this thread. Not for those who wait to be, so that a test may have two.
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
