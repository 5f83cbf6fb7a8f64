//! Links the host functions.

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, LinkerInstance, WasmList, WasmStr},
};
use wasmtime_wasi::I32Exit;

use super::{
    abi,
    calls::Calls,
    charge::{charge, check_size},
    clock, concurrent, exec, fields, http, poll, preview3, random, sockets,
    state::State,
    task, wasi_files, wasi_http, worker,
};
use crate::{
    engine::EngineKind,
    inspect::known::{EXIT, VERSION},
};
use disperse_protocol::limits::PIECE;

/// Links all imports that a component on an engine of this kind may have. Functions that a role may not call fail when
/// they are called and not at the link, because bindings of some languages import a whole world, used or not.
pub(crate) fn link(linker: &mut Linker<State>, kind: EngineKind) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    let (interface_name, exit) = EXIT;
    linker
        .instance(interface_name)?
        .func_wrap(exit, |_: StoreContextMut<'_, State>, (status,): (u32,)| -> Result<()> {
            Err(I32Exit(status.cast_signed()).into())
        })?;
    clock::link(linker)?;
    poll::link(linker)?;
    random::link(linker)?;
    sockets::link(linker)?;
    wasi_files::link(linker)?;
    wasi_http::link(linker)?;
    fields::link(linker)?;
    log(&mut interface(linker, "log")?)?;
    output(&mut interface(linker, "output")?)?;
    task::link(&mut interface(linker, "host")?)?;
    worker::link_attempt(&mut interface(linker, "attempt")?)?;
    worker::link_quota(&mut interface(linker, "quota")?)?;
    http::link(&mut interface(linker, "http")?)?;
    exec::link(&mut interface(linker, "exec")?)?;
    if kind == EngineKind::Async {
        preview3::link(linker)?;
        wasi_http::link_3(linker)?;
        concurrent::link_host(&mut interface(linker, "host-async")?)?;
        http::link_async(&mut interface(linker, "http-async")?)?;
    }
    Ok(())
}

fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("disperse:guest/{name}@{VERSION}"))
}

fn log(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "write",
        |mut store: StoreContextMut<'_, State>, (level, message): (abi::Level, WasmStr)| {
            Box::new(async move {
                Calls::attribute(&mut store)?;
                let message = message.to_str(&store)?;
                // Before the charge, so that a line that costs all fuel is still counted.
                store.data().log(level.into(), &message);
                let bytes = message.len();
                charge(&mut store, bytes, 0).await
            })
        },
    )
}

fn output(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "write",
        |mut store: StoreContextMut<'_, State>, (bytes,): (WasmList<u8>,)| {
            Box::new(async move {
                check_size(store.data(), "an output", bytes.len())?;
                let (_, permits) = store.data_mut().planner()?;
                let permits = permits.clone();
                charge(&mut store, bytes.len(), 0).await?;
                let size = u32::try_from(bytes.len().saturating_add(PIECE)).unwrap_or(u32::MAX);
                let permit = permits.acquire_many_owned(size).await.ok();
                let bytes = bytes.as_le_slice(&store).to_vec();
                store.data_mut().planner()?.0.output(bytes.into(), permit);
                Ok(())
            })
        },
    )
}
