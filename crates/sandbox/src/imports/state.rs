//! The data of a store.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use wasmtime::{Result, component::ResourceTable, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    calls::{Calls, Current},
    files::Files,
    guest_env::GuestEnv,
    limiter::Limiter,
    stdio::Tail,
    web::Web,
};
use disperse_egress::{
    grants::{Denials, Grants},
    http::Access,
};
use disperse_protocol::{
    inbox::{LogSource, PlannerPort, Reports, TaskPort},
    limits::Limits,
    logger::{Level, Logger},
};

/// The data of a store. One type for all roles, so that one linker serves all of them; host functions fail if the role
/// may not call them.
pub struct State {
    pub limiter: Limiter,
    pub role: Role,
    /// The largest payload, result or output, in bytes.
    pub result_max: u64,
    /// The most random bytes of one call.
    pub random_max: u64,
    pub logger: Logger,
    pub stderr: Tail,
    /// The task's budget, which is refilled with each batch of answers; units.
    pub fuel: u64,
    /// The fuel burnt of earlier budgets; units.
    pub fuel_burnt: u64,
    /// The last batch for which the budget was refilled.
    pub fuel_delivery: u32,
    pub env: GuestEnv,
    /// The kind of the last action that a task requested.
    pub last_kind: Arc<str>,
    pub table: ResourceTable,
    pub web: Web,
    /// Made when a guest with folders first calls a file function.
    pub files: Option<Files>,
    /// Built when a guest first calls a function of WASI. Most calls never do, and building it costs as much as a call.
    wasi: Option<WasiCtx>,
}

/// The guest's role, with what that role may use.
pub enum Role {
    Planner {
        port: PlannerPort,
        /// Permits for bytes of output that are in flight.
        output_permits: Arc<Semaphore>,
    },
    Task(TaskPort),
    Worker(WorkerRole),
}

/// The state of a worker.
pub struct WorkerRole {
    /// The name of the run.
    pub run: Arc<str>,
    /// The name in messages: `pool/worker`.
    pub name: Arc<str>,
    pub grants: Arc<Grants>,
    pub http: Arc<Access>,
    pub denials: Arc<Denials>,
    pub reports: Arc<Reports>,
    /// The running attempt. If several run at once: the one that is calling the host, set by
    /// [`attribute`](super::attribution::attribute).
    pub current: Option<Current>,
    /// The attempts in flight, in an instance that runs several at once.
    pub calls: Option<Box<Calls>>,
}

impl WorkerRole {
    /// The timeout of a host call, at most the time that is left. `wanted_ms`: the guest's timeout in ms; 0 is none.
    pub fn time(&self, wanted_ms: u32) -> Duration {
        match wanted_ms {
            0 => self.left(),
            ms => self.left().min(Duration::from_millis(ms.into())),
        }
    }

    /// The time that is left to the attempt. Zero outside of an attempt, as while the guest is being started.
    pub fn left(&self) -> Duration {
        self.current.map_or(Duration::ZERO, |current| current.deadline.left())
    }
}

impl State {
    pub fn new(limiter: Limiter, role: Role, env: GuestEnv, limits: &Limits, logger: Logger, stderr: Tail) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles.get() as usize);
        Self {
            limiter,
            role,
            result_max: limits.result,
            random_max: limits.random,
            logger,
            stderr,
            fuel: limits.fuel,
            fuel_burnt: 0,
            fuel_delivery: 0,
            env,
            last_kind: Arc::default(),
            table,
            web: Web::default(),
            files: None,
            wasi: None,
        }
    }

    /// The port of a task.
    ///
    /// # Errors
    /// The guest is not a task; traps it.
    pub fn task(&mut self) -> Result<&mut TaskPort> {
        match &mut self.role {
            Role::Task(port) => Ok(port),
            other => Err(wrong_role(other, "only `run` may perform, submit or sleep")),
        }
    }

    /// The state of a worker.
    ///
    /// # Errors
    /// The guest is not a worker; traps it.
    pub fn worker(&mut self) -> Result<&mut WorkerRole> {
        match &mut self.role {
            Role::Worker(worker) => Ok(worker),
            other => Err(wrong_role(
                other,
                "only `handle` has an attempt, a quota, HTTP and programs",
            )),
        }
    }

    /// The attempts in flight, in an instance that runs several at once.
    pub fn calls(&mut self) -> Option<&mut Calls> {
        match &mut self.role {
            Role::Worker(worker) => worker.calls.as_deref_mut(),
            _ => None,
        }
    }

    /// The port of a planner, and the permits for its output.
    ///
    /// # Errors
    /// The guest is not a planner; traps it.
    pub fn planner(&mut self) -> Result<(&PlannerPort, &Arc<Semaphore>)> {
        match &mut self.role {
            Role::Planner { port, output_permits } => Ok((port, output_permits)),
            other => Err(wrong_role(
                other,
                "only `next`, `collect` and `finish` may write output; return it instead",
            )),
        }
    }

    /// Makes the file state of a guest with folders, if it has none yet.
    pub fn prepare_files(&mut self) {
        if self.files.is_none() {
            let budget = self.limiter.budget();
            self.files = self.env.files.clone().map(|access| Files::new(access, budget));
        }
    }

    pub fn source(&self) -> LogSource {
        match &self.role {
            Role::Planner { .. } => LogSource::Planner,
            Role::Task(port) => LogSource::Task(port.task()),
            Role::Worker(worker) => {
                LogSource::Worker(worker.name.clone(), worker.current.map(|current| current.attempt))
            }
        }
    }

    pub fn log(&self, level: Level, message: &str) {
        self.stderr.log(&self.logger, &self.source(), level, message);
    }
}

fn wrong_role(role: &Role, rule: &str) -> wasmtime::Error {
    let role = match role {
        Role::Planner { .. } => "the planner",
        Role::Task(_) => "a task",
        Role::Worker(_) => "a worker",
    };
    format_err!("{role} called a function that its role may not call: {rule}")
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self {
            wasi,
            env,
            stderr,
            table,
            random_max,
            ..
        } = self;
        let ctx = wasi.get_or_insert_with(|| env.wasi(stderr, *random_max));
        WasiCtxView { ctx, table }
    }
}
