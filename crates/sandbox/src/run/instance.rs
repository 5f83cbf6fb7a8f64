//! The common part of all instances: a store under limits, and the classification of failed calls.

use std::{sync::atomic::Ordering, time::Instant};

use wasmtime::{
    AsContextMut, Store,
    component::{ComponentExportIndex, ComponentNamedList, Func, Instance, Lift, Lower, TypedFunc},
    format_err,
};

use super::{
    fault::{Fault, hostcall_max},
    pace::{DeficitCounter, Pace},
    share::Admission,
    starts::note_progress,
    turn::{CollectedTurn, Turn},
};
use crate::{
    engine::YIELD_INTERVAL,
    imports::{
        guest_env::GuestEnv,
        limiter::{Limiter, Need},
        state::{Role, State},
        stdio::Tail,
    },
    load::{component::Inner, sandbox::Sandbox},
};
use disperse_protocol::{
    inbox::{TaskPort, Used},
    limits::{Limits, Reservation},
    logger::Logger,
};

/// A running guest. Dropping it frees everything that it held.
pub struct Running {
    // Declared before the slots, so that the pool's slots are free before another instance is admitted.
    pub store: Store<State>,
    pub instance: Instance,
    limits: Limits,
    pub pace: Pace,
    _slots: Reservation,
}

/// A guest that could not be started, and its role.
pub struct NotStarted {
    pub fault: Fault,
    pub role: Role,
}

impl From<NotStarted> for Fault {
    fn from(not_started: NotStarted) -> Self {
        not_started.fault
    }
}

/// The parameters of a start.
pub struct Start {
    pub role: Role,
    pub env: GuestEnv,
    pub limits: Limits,
    pub logger: Logger,
    pub stderr: Tail,
    pub debt: DeficitCounter,
    pub admission: Admission,
    /// The memory that must be reserved for the next instance in its place.
    pub need: Need,
}

impl Running {
    /// Starts an admitted guest: runs its start functions under the limits of one call.
    ///
    /// # Errors
    /// It could not be started, for this reason. Cancel safe: nothing is left of a cancelled start.
    pub async fn start(sandbox: &Sandbox, program: &Inner, start: Start) -> Result<Self, NotStarted> {
        let Admission { memory, slots, .. } = start.admission;
        let limits = start.limits;
        let pre = match (&start.role, &program.operation) {
            (Role::Planner { .. } | Role::Task(_), Some(operation)) => operation,
            _ => &program.pre,
        };
        let is_worker = matches!(start.role, Role::Worker(_));
        let limiter = Limiter::new(
            limits.memory,
            program.contract.collects,
            memory,
            start.need,
            sandbox.budget.clone(),
        );
        let state = State::new(limiter, start.role, start.env, &limits, start.logger, start.stderr);
        let mut store = Store::new(&program.context.engine, state);
        match is_worker {
            true => store.limiter(|state| &mut state.limiter),
            false => store.limiter_async(|state| &mut state.limiter),
        }
        match program.contract.collects {
            true => store.call_hook_async(CollectedTurn::new(start.debt.clone())),
            false => {
                let mut turn = Turn::new(start.debt.clone());
                store.call_hook(move |store, way| turn.hook(store, way));
            }
        }
        store.set_hostcall_fuel(hostcall_max(&limits));
        store.set_max_component_handles(limits.handles.get() as usize);
        let started = async {
            store.fuel_async_yield_interval(Some(YIELD_INTERVAL))?;
            store.set_fuel(limits.fuel)?;
            pre.instantiate_async(&mut store).await
        };
        let mut pace = Pace::new(start.debt);
        match pace.run(pace.ended(), started).await {
            Ok(instance) => {
                program.has_started.store(true, Ordering::Relaxed);
                note_progress(pace.ended());
                Ok(Self {
                    store,
                    instance,
                    limits,
                    pace,
                    _slots: slots,
                })
            }
            Err(error) => {
                let fault = match read(&mut store, &limits, &error) {
                    Fault::HostFull { resource, .. } => Fault::before(resource),
                    fault => not_started(&store, program, &fault),
                };
                let role = store.into_data().role;
                Err(NotStarted { fault, role })
            }
        }
    }

    /// Ends the instance, and returns the port if it was a task's.
    pub fn into_port(self) -> Option<TaskPort> {
        match self.store.into_data().role {
            Role::Task(port) => Some(port),
            _ => None,
        }
    }

    /// Sets the fuel budget of the next call.
    pub fn set_fuel(&mut self, fuel: u64) {
        self.limits.fuel = fuel;
        let state = self.store.data_mut();
        state.fuel = fuel;
        state.fuel_burnt = 0;
        // Fails only on an engine without fuel.
        let _ = self.store.set_fuel(fuel);
    }

    /// The resources used since the budget was set.
    pub fn used(&self) -> Used {
        let left = self.store.get_fuel().unwrap_or_default();
        let state = self.store.data();
        Used {
            fuel: state.fuel_burnt + state.fuel.saturating_sub(left),
            wall: std::time::Duration::ZERO,
            memory: state.limiter.peak(),
        }
    }

    /// Classifies the error of a failed call.
    pub fn fault(&mut self, error: &wasmtime::Error) -> Fault {
        let limits = self.limits;
        read(&mut self.store, &limits, error)
    }

    /// The fault for a memory growth beyond a limit, if there was one since the last classified fault.
    pub fn denied_growth(&mut self) -> Option<Fault> {
        let denied = self.store.data_mut().limiter.take_denied();
        denied.map(|denied| Fault::of_denied(&self.limits, denied))
    }

    /// Finds an export and checks its type.
    ///
    /// # Errors
    /// It is missing or has another type.
    pub fn func<P, R>(&mut self, export: Option<ComponentExportIndex>) -> wasmtime::Result<Func>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let export = export.ok_or_else(|| format_err!("the component does not export it"))?;
        let func = self
            .instance
            .get_func(&mut self.store, export)
            .ok_or_else(|| format_err!("the component does not export it as a function"))?;
        func.typed::<P, R>(&self.store)?;
        Ok(func)
    }

    /// Calls an export whose type [`Running::func`] has checked. `now`: the current time.
    #[allow(
        unsafe_code,
        reason = "a typed function contains the lifetime of its arguments, which differs for each call"
    )]
    pub async fn call<P, R>(&mut self, now: Instant, func: Func, params: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        // SAFETY: `func` was checked against these types, up to lifetimes, when it was found.
        let typed: TypedFunc<P, R> = unsafe { TypedFunc::new_unchecked(func) };
        let Self { store, pace, .. } = self;
        let returned = pace.run(now, typed.call_async(store.as_context_mut(), params)).await;
        note_progress(pace.ended());
        returned
    }
}

/// Converts a fault during a start, and adds the end of the guest's stderr.
fn not_started(store: &Store<State>, program: &Inner, fault: &Fault) -> Fault {
    let stderr = store.data().stderr.take();
    let text = if stderr.is_empty() {
        fault.to_string()
    } else {
        format!("{fault}\n  {stderr}")
    };
    if fault.is_of_guest() && !program.has_started.load(Ordering::Relaxed) {
        Fault::NeverStarts(text)
    } else {
        Fault::Start(text)
    }
}

fn read(store: &mut Store<State>, limits: &Limits, error: &wasmtime::Error) -> Fault {
    let stack = store.engine().get_max_wasm_stack() as u64;
    let denied = store.data_mut().limiter.take_denied();
    Fault::of(error, limits, stack, denied)
}
