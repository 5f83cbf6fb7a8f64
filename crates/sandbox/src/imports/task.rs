//! `host`: the requests of a task of a blocking world.

use std::time::Duration;

use wasmtime::{
    Result, StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
    format_err,
};

use super::{
    abi::{self, Outcome},
    answers::{next_delivery, wait_for},
    charge::{charge, over_size},
    state::State,
};
use disperse_protocol::inbox;

/// The host's side of `host.pending`, without data: the resource's number is the request's.
struct Pending;

pub(super) fn link(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.resource("pending", ResourceType::host::<Pending>(), |mut store, number| {
        store.data_mut().task()?.cancel(number);
        Ok(())
    })?;
    to.func_wrap_async("[method]pending.take", |mut store, (pending,): (Resource<Pending>,)| {
        Box::new(async move {
            let number = pending.rep();
            if !store.data_mut().task()?.is_open(number) {
                return Err(format_err!("the outcome of this action was taken already"));
            }
            let answer = wait_for(&mut store, number).await?;
            Ok((abi::outcome(answer.value),))
        })
    })?;
    to.func_wrap_async("perform", |store, (action,): (abi::Action,)| {
        Box::new(perform(store, action, inbox::Options::default()))
    })?;
    to.func_wrap_async(
        "perform-with",
        |store, (action, options): (abi::Action, abi::Options)| Box::new(perform(store, action, options.into())),
    )?;
    to.func_wrap_async("perform-all", |store, (actions,): (Vec<abi::Action>,)| {
        Box::new(perform_all(store, actions, inbox::Options::default()))
    })?;
    to.func_wrap_async(
        "perform-all-with",
        |store, (actions, options): (Vec<abi::Action>, abi::Options)| {
            Box::new(perform_all(store, actions, options.into()))
        },
    )?;
    to.func_wrap_async("submit", |mut store, (action,): (abi::Action,)| {
        Box::new(async move {
            let number = submit(&mut store, action, inbox::Options::default()).await?;
            Ok((Resource::<Pending>::new_own(number),))
        })
    })?;
    to.func_wrap_async(
        "submit-with",
        |mut store, (action, options): (abi::Action, abi::Options)| {
            Box::new(async move {
                let number = submit(&mut store, action, options.into()).await?;
                Ok((Resource::<Pending>::new_own(number),))
            })
        },
    )?;
    to.func_wrap_async("wait-any", |store, (pendings,): (Vec<Resource<Pending>>,)| {
        Box::new(wait_any(store, pendings))
    })?;
    to.func_wrap_async("sleep", |mut store: StoreContextMut<'_, State>, (duration,): (u32,)| {
        Box::new(async move {
            let number = store.data_mut().task()?.sleep(Duration::from_millis(duration.into()));
            wait_for(&mut store, number).await?;
            let now_ms = store.data_mut().task()?.now_ms();
            Ok((u32::try_from(now_ms).unwrap_or(u32::MAX),))
        })
    })
}

/// Submits an action. Waits while the task has its most requests in flight, or the host is over its memory budget.
async fn submit(
    store: &mut StoreContextMut<'_, State>,
    action: abi::Action,
    options: inbox::Options,
) -> Result<inbox::RequestNumber> {
    let oversize = over_size(store.data(), "a payload", action.payload.len());
    while store.data_mut().task()?.is_full() {
        next_delivery(store).await?;
    }
    let budget = store.data().limiter.budget();
    if budget.is_over() {
        budget.room().await;
    }
    charge(store, action.payload.len(), 0).await?;
    let action = action.read(store)?;
    let port = store.data_mut().task()?;
    Ok(match oversize {
        None => port.submit(action, options, false),
        Some(message) => port.oversize(action.kind, message),
    })
}

async fn perform(
    mut store: StoreContextMut<'_, State>,
    action: abi::Action,
    options: inbox::Options,
) -> Result<(Outcome,)> {
    let number = submit(&mut store, action, options).await?;
    let answer = wait_for(&mut store, number).await?;
    Ok((abi::outcome(answer.value),))
}

async fn perform_all(
    mut store: StoreContextMut<'_, State>,
    actions: Vec<abi::Action>,
    options: inbox::Options,
) -> Result<(Vec<Outcome>,)> {
    charge(&mut store, 0, actions.len()).await?;
    let mut numbers = Vec::with_capacity(actions.len());
    for action in actions {
        numbers.push(submit(&mut store, action, options).await?);
    }
    let mut outcomes = Vec::with_capacity(numbers.len());
    for number in numbers {
        let answer = wait_for(&mut store, number).await?;
        outcomes.push(abi::outcome(answer.value));
    }
    Ok((outcomes,))
}

async fn wait_any(mut store: StoreContextMut<'_, State>, pendings: Vec<Resource<Pending>>) -> Result<(Vec<u32>,)> {
    let numbers: Vec<u32> = pendings.iter().map(Resource::rep).collect();
    loop {
        // Charged in every round: one handle may be in the list four thousand times.
        charge(&mut store, 0, numbers.len()).await?;
        let port = store.data_mut().task()?;
        if !numbers.iter().any(|&number| port.is_open(number)) {
            return Err(format_err!("wait-any without a pending action would wait forever"));
        }
        let ready: Vec<u32> = (0..)
            .zip(&numbers)
            .filter(|&(_, &number)| port.is_answered(number))
            .map(|(index, _)| index)
            .collect();
        if !ready.is_empty() {
            return Ok((ready,));
        }
        next_delivery(&mut store).await?;
    }
}
