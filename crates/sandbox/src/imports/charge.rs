//! Charges guests fuel for host calls.
//!
//! Work in the host burns no fuel by itself. Workers have a timeout in addition to fuel; planners and tasks have no
//! other limit. So each function whose work grows with its input or output takes fuel for it and yields. The charge
//! depends only on sizes, so a task runs out of fuel at the same place every time.

use std::task::Poll;

use wasmtime::{Result, StoreContextMut, Trap, format_err};

use super::state::State;
use disperse_protocol::units::Size;

/// The largest call that is free, in bytes.
const LARGE: usize = 4 << 10;

/// The bytes that one list element or string counts as, for its memory in the host and the time to handle it.
pub(super) const ENTRY: usize = 128;

/// The bytes that are moved for one unit of fuel. A unit is about a nanosecond, in which the host checks and copies a
/// few bytes.
const BYTES_PER_UNIT: usize = 4;

/// Charges a call that moves `bytes` in `entries` elements, and yields. Small calls are free and do not yield.
///
/// # Errors
/// Not enough fuel is left; traps the guest.
///
/// Cancel safe.
pub(super) async fn charge(store: &mut StoreContextMut<'_, State>, bytes: usize, entries: usize) -> Result<()> {
    if pay(store, bytes, entries)? {
        yield_once().await;
    }
    Ok(())
}

/// Takes the fuel for a call that moves `bytes` in `entries` elements. Returns whether it took any.
///
/// # Errors
/// Not enough fuel is left; traps the guest.
pub(super) fn pay(store: &mut StoreContextMut<'_, State>, bytes: usize, entries: usize) -> Result<bool> {
    let size = bytes.saturating_add(entries.saturating_mul(ENTRY));
    if size <= LARGE {
        return Ok(false);
    }
    let cost = (size / BYTES_PER_UNIT) as u64;
    let left = store.get_fuel()?;
    store.set_fuel(left.saturating_sub(cost))?;
    match left < cost {
        true => Err(Trap::OutOfFuel.into()),
        false => Ok(true),
    }
}

/// Yields once: other guests run before this one continues. It wakes itself at once, so an async task that waits here
/// does not count as quiet.
///
/// Cancel safe.
pub(crate) async fn yield_once() {
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Checks `size` bytes against the largest result; `what` names them in the error.
///
/// # Errors
/// They are more than allowed; traps the guest.
pub(super) fn check_size(state: &State, what: &str, size: usize) -> Result<()> {
    match over_size(state, what, size) {
        None => Ok(()),
        Some(message) => Err(format_err!("{message}")),
    }
}

/// The error message for `size` bytes, if they are more than allowed.
pub(super) fn over_size(state: &State, what: &str, size: usize) -> Option<String> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    (size > state.result_max).then(|| {
        format!(
            "{what} of {} is over the limit of {}; raise it with --result-size",
            Size(size),
            Size(state.result_max)
        )
    })
}
