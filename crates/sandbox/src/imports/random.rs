//! Replaces `get-random-bytes` of `wasi:random`: making bytes burns no fuel by itself, so a call for many bytes is
//! charged and yields.

use wasmtime::{Result, StoreContextMut, component::Linker, format_err};
use wasmtime_wasi::{WasiView, p2::bindings::random};

use super::{charge::charge, state::State};
use disperse_protocol::units::Size;

/// The version that wasmtime-wasi links, so that this replaces it.
const SECURE: &str = "wasi:random/random@0.2.12";
const INSECURE: &str = "wasi:random/insecure@0.2.12";

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    linker.instance(SECURE)?.func_wrap_async(
        "get-random-bytes",
        |mut store: StoreContextMut<'_, State>, (len,): (u64,)| {
            Box::new(async move {
                check(store.data(), len)?;
                let bytes = random::random::Host::get_random_bytes(store.data_mut().ctx().ctx.random(), len)?;
                charge(&mut store, bytes.len(), 0).await?;
                Ok((bytes,))
            })
        },
    )?;
    linker.instance(INSECURE)?.func_wrap_async(
        "get-insecure-random-bytes",
        |mut store: StoreContextMut<'_, State>, (len,): (u64,)| {
            Box::new(async move {
                check(store.data(), len)?;
                let random = store.data_mut().ctx().ctx.random();
                let bytes = random::insecure::Host::get_insecure_random_bytes(random, len)?;
                charge(&mut store, bytes.len(), 0).await?;
                Ok((bytes,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Checks the number of random bytes of one call.
///
/// # Errors
/// They are more than allowed; traps the guest.
fn check(state: &State, len: u64) -> Result<()> {
    let max = state.random_max;
    if len <= max {
        return Ok(());
    }
    Err(format_err!(
        "asked for {} of randomness at once, of {}; raise it with --random-size",
        Size(len),
        Size(max)
    ))
}
