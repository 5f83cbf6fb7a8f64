//! Attributes host calls and fuel to the concurrent attempts of one instance.

use std::time::Instant;

use disperse_scheduler::AttemptId;
use wasmtime::{Result, StoreContextMut, component::GuestTaskId};

use super::{
    calls::{Call, Calls, Current},
    state::{Role, State},
};
use disperse_protocol::{
    inbox::{Job, Used},
    limits::Deadline,
};

impl Calls {
    /// Sets the role's current attempt to the one whose guest is calling the host. With one attempt at a time, it is
    /// set already.
    ///
    /// # Errors
    /// None that a guest can cause.
    pub fn attribute(store: &mut StoreContextMut<'_, State>) -> Result<()> {
        if store.data_mut().calls().is_none() {
            return Ok(());
        }
        // The last entry is the call that the host made.
        let first = store.async_call_stack()?.last();
        if let Role::Worker(worker) = &mut store.data_mut().role {
            let open = worker.calls.as_ref().zip(first);
            let call = open.and_then(|(calls, task)| calls.open.get(&task));
            worker.current = call.map(|call| call.current);
        }
        Ok(())
    }

    /// The attempt whose guest was running when the instance ended, if known. **Only** for components that are not
    /// composed: after a trap in a call between nested components, wasmtime still points into a stack that no longer
    /// exists.
    pub fn interrupted(store: &mut StoreContextMut<'_, State>) -> Option<AttemptId> {
        let first = store.async_call_stack().ok()?.last()?;
        Some(store.data_mut().calls()?.open.get(&first)?.current.attempt)
    }

    /// Notes that the call of a job has begun, and adds its fuel.
    ///
    /// # Errors
    /// Only on an engine without fuel.
    pub fn begin(store: &mut StoreContextMut<'_, State>, task: GuestTaskId, job: &Job) -> Result<()> {
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

    /// Notes that a call has ended, and takes back the rest of its fuel. Returns what the call used.
    ///
    /// # Errors
    /// Only on an engine without fuel.
    pub fn end(store: &mut StoreContextMut<'_, State>, task: GuestTaskId) -> Result<Used> {
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
        // Without attempts in flight no fuel may be burnt.
        calls.left = match calls.open.is_empty() {
            true => 0,
            false => left.saturating_sub(call.fuel.saturating_sub(used.fuel)),
        };
        let left = calls.left;
        store.set_fuel(left)?;
        Ok(used)
    }
}
