//! WASI 0.3 without HTTP: the functions of wasmtime-wasi, under the same grants as WASI 0.2. Some functions are
//! replaced, for the same reasons as there:
//!
//! * A guest on logical time must not wait for real time.
//! * Making random bytes burns no fuel by itself.
//! * Guests have no network, so looking up a name fails before the name is copied.

mod convert;
mod files;
mod streams;

use std::time::Duration;

use wasmtime::{
    Result, StoreContextMut,
    component::{Accessor, Linker, WasmStr},
};
use wasmtime_wasi::{
    WasiView,
    p3::{
        self,
        bindings::{random, sockets::ip_name_lookup::ErrorCode, sockets::types::IpAddress},
    },
};

use super::{
    charge::charge,
    clock::{check_wait, now},
    state::State,
};

/// The version that wasmtime-wasi links, and the only version of 0.3.
const CLOCK: &str = "wasi:clocks/monotonic-clock@0.3.0";
const SECURE: &str = "wasi:random/random@0.3.0";
const INSECURE: &str = "wasi:random/insecure@0.3.0";
const NAMES: &str = "wasi:sockets/ip-name-lookup@0.3.0";

/// Links WASI 0.3 on an engine with component-model async.
pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    p3::cli::add_to_linker(linker)?;
    p3::clocks::add_to_linker(linker)?;
    p3::random::add_to_linker(linker)?;
    p3::sockets::add_to_linker(linker)?;
    files::link(linker)?;
    linker.allow_shadowing(true);
    let mut clock = linker.instance(CLOCK)?;
    clock.func_wrap_concurrent("wait-until", |store, (when,): (u64,)| {
        Box::pin(async move {
            let now = store.with(|mut access| now(access.get()))?;
            wait(store, when.saturating_sub(now)).await
        })
    })?;
    clock.func_wrap_concurrent("wait-for", |store, (how_long,): (u64,)| Box::pin(wait(store, how_long)))?;
    linker.instance(SECURE)?.func_wrap_async(
        "get-random-bytes",
        |mut store: StoreContextMut<'_, State>, (most,): (u64,)| {
            Box::new(async move {
                let random = store.data_mut().ctx().ctx.random();
                // At most the limit of one call: the function may return fewer bytes than were asked for.
                let bytes = random::random::Host::get_random_bytes(random, most)?;
                charge(&mut store, bytes.len(), 0).await?;
                Ok((bytes,))
            })
        },
    )?;
    linker.instance(INSECURE)?.func_wrap_async(
        "get-insecure-random-bytes",
        |mut store: StoreContextMut<'_, State>, (most,): (u64,)| {
            Box::new(async move {
                let random = store.data_mut().ctx().ctx.random();
                let bytes = random::insecure::Host::get_insecure_random_bytes(random, most)?;
                charge(&mut store, bytes.len(), 0).await?;
                Ok((bytes,))
            })
        },
    )?;
    linker
        .instance(NAMES)?
        .func_wrap_concurrent("resolve-addresses", |_, _: (WasmStr,)| {
            let denied: std::result::Result<Vec<IpAddress>, ErrorCode> = Err(ErrorCode::AccessDenied);
            Box::pin(async { Ok((denied,)) })
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Waits for `wait_ns` nanoseconds.
///
/// # Errors
/// The guest's clock stands still; traps it.
async fn wait(store: &Accessor<State>, wait_ns: u64) -> Result<()> {
    store.with(|mut access| check_wait(access.get(), wait_ns))?;
    if wait_ns > 0 {
        tokio::time::sleep(Duration::from_nanos(wait_ns)).await;
    }
    Ok(())
}
