//! Replaces `wasi:clocks/monotonic-clock`: a guest on logical time must not wait for real time.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, Resource},
    format_err,
};
use wasmtime_wasi::{
    WasiView,
    clocks::WasiClocksCtxView,
    p2::{DynPollable, bindings::clocks::monotonic_clock::Host},
};

use super::state::State;

/// The version that wasmtime-wasi links, so that this replaces it.
const NAME: &str = "wasi:clocks/monotonic-clock@0.2.12";

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut to = linker.instance(NAME)?;
    to.func_wrap("now", |mut store: StoreContextMut<'_, State>, (): ()| {
        Ok((clock(&mut store).now()?,))
    })?;
    to.func_wrap("resolution", |mut store: StoreContextMut<'_, State>, (): ()| {
        Ok((clock(&mut store).resolution()?,))
    })?;
    to.func_wrap(
        "subscribe-instant",
        |mut store: StoreContextMut<'_, State>, (when,): (u64,)| {
            let wait = when.saturating_sub(clock(&mut store).now()?);
            subscribe(store, wait)
        },
    )?;
    to.func_wrap(
        "subscribe-duration",
        |store: StoreContextMut<'_, State>, (wait,): (u64,)| subscribe(store, wait),
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn clock<'a>(store: &'a mut StoreContextMut<'_, State>) -> WasiClocksCtxView<'a> {
    clocks(store.data_mut())
}

/// The time on the guest's own clock, in ns.
pub(super) fn now(state: &mut State) -> Result<u64> {
    clocks(state).now()
}

fn clocks(state: &mut State) -> WasiClocksCtxView<'_> {
    let view = state.ctx();
    WasiClocksCtxView {
        ctx: view.ctx.clocks(),
        table: view.table,
    }
}

fn subscribe(mut store: StoreContextMut<'_, State>, wait_ns: u64) -> Result<(Resource<DynPollable>,)> {
    check_wait(store.data(), wait_ns)?;
    Ok((clock(&mut store).subscribe_duration(wait_ns)?,))
}

/// Checks that a guest may wait for this time.
///
/// # Errors
/// The guest's clock stands still; traps it.
pub(super) fn check_wait(state: &State, wait_ns: u64) -> Result<()> {
    if wait_ns == 0 || state.env.logical.is_none() {
        return Ok(());
    }
    Err(format_err!(
        "it waited for the clock, which stands still for planners, tasks and untrusted workers; a task can use the host's \
         sleep"
    ))
}
