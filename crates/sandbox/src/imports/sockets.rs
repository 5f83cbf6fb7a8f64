//! Replaces `resolve-addresses` of `wasi:sockets`: guests have no network, so it fails before it copies the name.
//!
//! The other socket interfaces stay linked, because programs that use no sockets import their types. Calls that would
//! make a socket return `access-denied` from wasmtime-wasi itself.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, Resource, WasmStr},
};
use wasmtime_wasi::p2::bindings::sockets::{
    ip_name_lookup::ResolveAddressStream,
    network::{ErrorCode, Network},
};

use super::state::State;

/// The version that wasmtime-wasi links, so that this replaces it.
const NAME: &str = "wasi:sockets/ip-name-lookup@0.2.12";

type Answer = std::result::Result<Resource<ResolveAddressStream>, ErrorCode>;

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    linker.instance(NAME)?.func_wrap(
        "resolve-addresses",
        |_: StoreContextMut<'_, State>, _: (Resource<Network>, WasmStr)| -> Result<(Answer,)> {
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
