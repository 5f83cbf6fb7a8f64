//! The calls that go on at once in one instance: whose each is, and what each has burnt.
//!
//! Fuel is the store's, and wasmtime does not say which of several calls burnt it. So the store is given an attempt's budget
//! when that begins, and what is left of it is taken back when it ends: those in flight have together at most their sum. What
//! is burnt between two such changes is divided equally among them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use wasmtime::{Result, StoreContextMut, component::GuestTaskId};

use super::state::{Current, Role, State};
use crate::{
    inbox::{Job, Used},
    limits::Deadline,
};

/// What goes on in an instance that takes several attempts at once.
pub(crate) struct Calls {
    open: BTreeMap<GuestTaskId, Call>,
    /// How much fuel was left at the last change; units.
    left: u64,
    /// What one that was there all the time would have burnt; units.
    each: u64,
    /// When the instance last let others have a turn.
    turned: Instant,
}

/// One attempt in flight.
#[derive(Clone, Copy)]
struct Call {
    current: Current,
    began: Instant,
    /// Its budget; units.
    fuel: u64,
    /// What [`Calls::each`] was when it began.
    from: u64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            left: 0,
            each: 0,
            turned: Instant::now(),
        }
    }

    /// Notes that the instance lets others have a turn.
    pub(crate) fn turn(&mut self) {
        self.turned = Instant::now();
    }

    /// How long the instance has been at it without a break.
    pub(crate) fn held(&self) -> Duration {
        self.turned.elapsed()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// All budgets in flight together; units.
    pub(crate) fn fuel(&self) -> u64 {
        self.open.values().fold(0, |sum, call| sum.saturating_add(call.fuel))
    }

    /// What each attempt in flight has used, when so much fuel is left. Of memory the whole instance's.
    pub(crate) fn used(&mut self, left: u64, memory: u64) -> BTreeMap<AttemptId, Used> {
        self.divide(left);
        let used = |call: &Call| (call.current.attempt, self.used_by(call, memory));
        self.open.values().map(used).collect()
    }

    fn used_by(&self, call: &Call, memory: u64) -> Used {
        Used {
            fuel: self.each.saturating_sub(call.from),
            wall: call.began.elapsed(),
            memory,
        }
    }

    /// Divides what was burnt since the last change among those in flight.
    fn divide(&mut self, left: u64) {
        let burnt = self.left.saturating_sub(left);
        self.each += burnt / (self.open.len() as u64).max(1);
        self.left = left;
    }

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
