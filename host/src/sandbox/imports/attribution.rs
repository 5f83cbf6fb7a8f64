//! Which of several attempts in one instance calls the host, and the store's fuel as they begin and end.

use std::time::Instant;

use disperse_scheduler::AttemptId;
use wasmtime::{Result, StoreContextMut, component::GuestTaskId};

use super::{
    calls::{Call, Calls, Current},
    state::{Role, State},
};
use crate::{
    inbox::{Job, Used},
    limits::Deadline,
};

impl Calls {
    /// Makes the attempt whose guest is calling the host the role's current one. Where one attempt goes on at a time it is so
    /// anyway.
    ///
    /// # Errors
    /// None that a guest could cause.
    pub(crate) fn attribute(store: &mut StoreContextMut<'_, State>) -> Result<()> {
        if store.data_mut().calls().is_none() {
            return Ok(());
        }
        // The last is the call that the host made.
        let first = store.async_call_stack()?.last();
        if let Role::Worker(worker) = &mut store.data_mut().role {
            let open = worker.calls.as_ref().zip(first);
            let call = open.and_then(|(calls, task)| calls.open.get(&task));
            worker.current = call.map(|call| call.current);
        }
        Ok(())
    }

    /// Whose guest was at it when the instance came to its end, if that can be told. **Only** for components that are not
    /// composed: of one that trapped in a call from one part to another, wasmtime still points into the stack that is gone.
    pub(crate) fn interrupted(store: &mut StoreContextMut<'_, State>) -> Option<AttemptId> {
        let first = store.async_call_stack().ok()?.last()?;
        Some(store.data_mut().calls()?.open.get(&first)?.current.attempt)
    }

    /// Notes that the call of a job has begun, and adds its fuel.
    ///
    /// # Errors
    /// Only on an engine without fuel.
    pub(crate) fn begin(store: &mut StoreContextMut<'_, State>, task: GuestTaskId, job: &Job) -> Result<()> {
        let left = store.get_fuel()?;
        let Some(calls) = store.data_mut().calls() else {
            return Ok(());
        };
        calls.divide(left);
        let began = Instant::now();
        let call = Call {
            current: Current::of(job, Deadline::after(began, job.timeout)),
            began,
            fuel: job.fuel,
            from: calls.each,
        };
        calls.open.insert(task, call);
        calls.left = left.saturating_add(job.fuel);
        let left = calls.left;
        store.set_fuel(left)
    }

    /// Notes that a call has ended, and takes back what is left of its fuel. Says what it used.
    ///
    /// # Errors
    /// Only on an engine without fuel.
    pub(crate) fn end(store: &mut StoreContextMut<'_, State>, task: GuestTaskId) -> Result<Used> {
        let left = store.get_fuel()?;
        let state = store.data_mut();
        let memory = state.limiter.peak();
        let Some(calls) = state.calls() else {
            return Ok(Used::default());
        };
        calls.divide(left);
        let Some(call) = calls.open.remove(&task) else {
            return Ok(Used::default());
        };
        let used = calls.used_by(&call, memory);
        // With nobody in flight nothing may be burnt.
        calls.left = match calls.open.is_empty() {
            true => 0,
            false => left.saturating_sub(call.fuel.saturating_sub(used.fuel)),
        };
        let left = calls.left;
        store.set_fuel(left)?;
        Ok(used)
    }
}
