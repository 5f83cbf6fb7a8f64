//! Replaces `poll` of `wasi:io`: it checks every handle of its list, which by itself burns no fuel.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::{DynPollable, bindings::io::poll::Host};

use super::{charge::charge, state::State};

/// The version that wasmtime-wasi links, so that this replaces it.
const NAME: &str = "wasi:io/poll@0.2.12";

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    linker.instance(NAME)?.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, State>, (pollables,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                charge(&mut store, 0, pollables.len()).await?;
                let ready = store.data_mut().table.poll(pollables).await?;
                Ok((ready,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
