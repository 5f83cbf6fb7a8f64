//! `resolve-addresses` of `wasi:sockets`, once more: nothing of the network is ever open, so the name is not even copied.
//!
//! The rest of the sockets' interfaces stays linked, because programs that use none of them import their types. Where a socket
//! would be made, wasmtime-wasi itself says `access-denied`.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, Resource, WasmStr},
};
use wasmtime_wasi::p2::bindings::sockets::{
    ip_name_lookup::ResolveAddressStream,
    network::{ErrorCode, Network},
};

use super::state::State;

/// The version that wasmtime-wasi links, so that this takes its place.
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
