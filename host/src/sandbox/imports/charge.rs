//! What a call of the host costs its guest.
//!
//! What is done in the host burns no fuel by itself. Workers have a timeout beside their fuel; planners and tasks have nothing else
//! that ends them. So each function whose work grows with what it is given, or with what it gives, takes fuel for it and lets
//! others have a turn. What is charged depends on nothing but sizes, so a task runs out of fuel at the same place every time.

use std::task::Poll;

use wasmtime::{Result, StoreContextMut, Trap, format_err};

use super::state::State;
use crate::units::Size;

/// From how many bytes on a call is charged.
const LARGE: usize = 4 << 10;

/// What one element of a list, or one string, counts as, in bytes: what it takes in the host, and what handling it takes.
pub(super) const ENTRY: usize = 128;

/// How many bytes are moved for one unit of fuel. A unit is about a nanosecond, and the host checks and copies a few bytes in
/// one.
const BYTES_PER_UNIT: usize = 4;

/// Charges a call that moves so many bytes in so many elements, and lets others have a turn. Small calls are free.
///
/// # Errors
/// There is not so much fuel; traps the guest.
///
/// Cancel safe.
pub(super) async fn charge(store: &mut StoreContextMut<'_, State>, bytes: usize, entries: usize) -> Result<()> {
    if pay(store, bytes, entries)? {
        let_others().await;
    }
    Ok(())
}

/// Takes the fuel for a call that moves so many bytes in so many elements; whether it was any.
///
/// # Errors
/// There is not so much; traps the guest.
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

/// Ends the turn: others have theirs before this goes on. The waker is used at once: an async task that waits here is not quiet.
///
/// Cancel safe.
pub(crate) async fn let_others() {
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

/// # Errors
/// The bytes are more than allowed; traps the guest.
pub(super) fn check_size(state: &State, what: &str, size: usize) -> Result<()> {
    match over_size(state, what, size) {
        None => Ok(()),
        Some(message) => Err(format_err!("{message}")),
    }
}

/// What is wrong with so many bytes, if they are more than allowed.
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
