//! `wasi:clocks/monotonic-clock`, once more: a guest on logical time must not wait for real time to pass.

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

use crate::sandbox::state::State;

/// The version that wasmtime-wasi links, so that this takes its place.
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
    let view = store.data_mut().ctx();
    WasiClocksCtxView {
        ctx: view.ctx.clocks(),
        table: view.table,
    }
}

fn subscribe(mut store: StoreContextMut<'_, State>, wait_ns: u64) -> Result<(Resource<DynPollable>,)> {
    if wait_ns > 0 && store.data().world.logical.is_some() {
        return Err(format_err!(
            "it waited for the clock, which stands still for planners, tasks and untrusted workers; a task can use the \
             host's sleep"
        ));
    }
    Ok((clock(&mut store).subscribe_duration(wait_ns)?,))
}
