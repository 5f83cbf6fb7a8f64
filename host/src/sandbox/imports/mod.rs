//! What guests can call, one file for each sort of guest.

pub(super) mod abi;
pub(super) mod calls;
mod charge;
mod clock;
mod concurrent;
mod exec;
mod fields;
pub(super) mod files;
pub(super) mod guest_env;
mod http;
pub(super) mod input;
pub(super) mod limiter;
mod poll;
mod preview3;
mod random;
pub(super) mod scratch;
mod sockets;
pub(super) mod state;
pub(super) mod stdio;
mod task;
mod unknown;
mod wasi_files;
mod wasi_http;
mod worker;

use wasmtime::{
    Result, StoreContextMut,
    component::{Linker, LinkerInstance, WasmList, WasmStr},
    format_err,
};
use wasmtime_wasi::I32Exit;

use self::charge::{charge, pay};
pub(super) use unknown::{link_unknown, refuse};
pub(super) use wasi_http::Web;

use super::{
    engine::Form,
    imports::{calls::Calls, state::State},
    inspect::adapt,
};
use crate::{inbox, limits::PIECE, units::Size};

/// The package that the host serves, with its version.
pub(super) const VERSION: &str = "0.1.0";

/// Links everything that a component on an engine of this form may import. What a role may not call refuses when called,
/// because generators of some languages import all of a world whether it is used or not.
pub(super) fn link(linker: &mut Linker<State>, form: Form) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    let (interface_name, exit) = adapt::EXIT;
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
    if form == Form::Async {
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
                // Before it is paid for, so that a line that costs all fuel is counted at least.
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
                let (_, room) = store.data_mut().planner()?;
                let room = room.clone();
                charge(&mut store, bytes.len(), 0).await?;
                let size = u32::try_from(bytes.len().saturating_add(PIECE)).unwrap_or(u32::MAX);
                let room = room.acquire_many_owned(size).await.ok();
                let bytes = bytes.as_le_slice(&store).to_vec();
                store.data_mut().planner()?.0.output(bytes.into(), room);
                Ok(())
            })
        },
    )
}

/// # Errors
/// The bytes are more than allowed; traps the guest.
fn check_size(state: &State, what: &str, size: usize) -> Result<()> {
    match over_size(state, what, size) {
        None => Ok(()),
        Some(message) => Err(format_err!("{message}")),
    }
}

/// What is wrong with so many bytes, if they are more than allowed.
fn over_size(state: &State, what: &str, size: usize) -> Option<String> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    (size > state.result_max).then(|| {
        format!(
            "{what} of {} is over the limit of {}; raise it with --result-size",
            Size(size),
            Size(state.result_max)
        )
    })
}

/// Whoever waits in a host function of a task: lets the task see answers until its own is there, and has it pay for that.
async fn wait_for(store: &mut StoreContextMut<'_, State>, number: u32) -> Result<inbox::Answer> {
    loop {
        if let Some(answer) = store.data_mut().task()?.take(number) {
            pay(store, answer.size(), 0)?;
            return Ok(answer);
        }
        next_batch(store).await?;
    }
}

/// Lets a task that can do nothing else see the next batch of answers, and refills its fuel.
async fn next_batch(store: &mut StoreContextMut<'_, State>) -> Result<()> {
    if !store.data_mut().task()?.next_batch().await {
        return Err(format_err!("the run is over"));
    }
    refill(store)
}

/// Refills a task's fuel if it has seen answers since the last time.
pub(super) fn refill(store: &mut StoreContextMut<'_, State>) -> Result<()> {
    let left = store.get_fuel()?;
    let state = store.data_mut();
    let port = state.task()?;
    let (delivery, now_ms) = (port.deliveries(), port.now_ms());
    if delivery == state.fuel_delivery {
        return Ok(());
    }
    state.fuel_delivery = delivery;
    state.fuel_burnt += state.fuel.saturating_sub(left);
    state.world.set_now(now_ms);
    let fuel = state.fuel;
    store.set_fuel(fuel)
}
