//! `host-async`: the requests of an async task, as futures.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use wasmtime::{
    Result, StoreContextMut,
    component::{FutureProducer, FutureReader, Lift, LinkerInstance, Lower},
};

use super::{
    abi::{self, Outcome},
    charge::{charge, over_size, pay},
    state::State,
};
use disperse_protocol::inbox;

pub(super) fn link_host(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    // In the contract these functions do not wait. They are async so that they can yield.
    to.func_wrap_async("submit", |store, (action,): (abi::Action,)| {
        Box::new(submit(store, action, inbox::Options::default()))
    })?;
    to.func_wrap_async(
        "submit-with",
        |store, (action, options): (abi::Action, abi::Options)| Box::new(submit(store, action, options.into())),
    )?;
    to.func_wrap("sleep", |mut store: StoreContextMut<'_, State>, (duration,): (u32,)| {
        let port = store.data_mut().task()?;
        // Dropped requests are otherwise cancelled when the guest is quiet, which one that drops every future never is.
        port.cancel_unwanted();
        let number = port.sleep(Duration::from_millis(duration.into()));
        let reader = wait(store, number, |state, _| {
            let now_ms = state.task().map_or(0, |port| port.now_ms());
            u32::try_from(now_ms).unwrap_or(u32::MAX)
        })?;
        Ok((reader,))
    })
}

async fn submit(
    mut store: StoreContextMut<'_, State>,
    action: abi::Action,
    options: inbox::Options,
) -> Result<(FutureReader<Outcome>,)> {
    let oversize = over_size(store.data(), "a payload", action.payload.len());
    charge(&mut store, action.payload.len(), 0).await?;
    let hold = store.data().limiter.budget().is_over();
    let action = action.read(&mut store)?;
    let port = store.data_mut().task()?;
    let number = match oversize {
        None => {
            port.make_room(action.payload.len())?;
            port.submit(action, options, hold)
        }
        Some(message) => {
            port.make_room(0)?;
            port.oversize(action.kind, message)
        }
    };
    Ok((wait(store, number, |_, answer| abi::outcome(answer.value))?,))
}

fn wait<T: Lower + Lift + Send + Sync + 'static>(
    mut store: StoreContextMut<'_, State>,
    number: inbox::RequestNumber,
    finish: fn(&mut State, inbox::Answer) -> T,
) -> Result<FutureReader<T>> {
    let unwanted = store.data_mut().task()?.unwanted();
    FutureReader::new(
        store,
        Wait {
            number: Some(number),
            unwanted,
            finish,
        },
    )
}

/// A future that becomes ready with the batch that has the answer to its request. Dropped before, it cancels the
/// request.
struct Wait<T> {
    /// None once it is answered.
    number: Option<inbox::RequestNumber>,
    unwanted: inbox::Unwanted,
    finish: fn(&mut State, inbox::Answer) -> T,
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.unwanted.push(number);
        }
    }
}

impl<T: Send + 'static> FutureProducer<State> for Wait<T> {
    type Item = T;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
        finish: bool,
    ) -> Poll<Result<Option<T>>> {
        let Some(number) = self.number else {
            return Poll::Ready(Ok(None));
        };
        match store.data_mut().task()?.poll_take(number, cx) {
            Poll::Ready(Some(answer)) => {
                self.number = None;
                pay(&mut store, answer.size(), 0)?;
                Poll::Ready(Ok(Some((self.finish)(store.data_mut(), answer))))
            }
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            // The guest cancelled this read; it may read again.
            Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    }
}
