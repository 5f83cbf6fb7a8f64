//! Delivers answers to a task in batches, each of which refills its fuel.

use wasmtime::{Result, StoreContextMut, format_err};

use super::{charge::pay, state::State};
use disperse_protocol::inbox;

/// Waits for the answer to a request, in a host function of a task: delivers batches until that answer is there, and
/// charges the task for it.
pub(super) async fn wait_for(store: &mut StoreContextMut<'_, State>, number: u32) -> Result<inbox::Answer> {
    loop {
        if let Some(answer) = store.data_mut().task()?.take(number) {
            pay(store, answer.size(), 0)?;
            return Ok(answer);
        }
        next_delivery(store).await?;
    }
}

/// Delivers the next batch of answers to a blocked task, and refills its fuel.
pub(super) async fn next_delivery(store: &mut StoreContextMut<'_, State>) -> Result<()> {
    if !store.data_mut().task()?.next_delivery().await {
        return Err(format_err!("the run is over"));
    }
    refill(store)
}

/// Refills a task's fuel if a batch was delivered since the last refill.
pub(crate) fn refill(store: &mut StoreContextMut<'_, State>) -> Result<()> {
    let left = store.get_fuel()?;
    let state = store.data_mut();
    let port = state.task()?;
    let (delivery, now_ms) = (port.deliveries(), port.now_ms());
    if delivery == state.fuel_delivery {
        return Ok(());
    }
    state.fuel_delivery = delivery;
    state.fuel_burnt += state.fuel.saturating_sub(left);
    state.env.set_now(now_ms);
    let fuel = state.fuel;
    store.set_fuel(fuel)
}
