//! What a store holds beside the guest itself.

use std::{sync::Arc, time::Duration};

use disperse_scheduler::AttemptId;
use tokio::sync::Semaphore;
use wasmtime::{Result, component::ResourceTable, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{calls::Calls, files::Files, imports::Web, limiter::Limiter, stdio::Tail, world::World};
use crate::{
    grants::{Denials, Grants},
    http::Access,
    inbox::{ActionName, Job, PlannerPort, Reports, Speaker, TaskPort},
    limits::{Deadline, Limits},
    logger::{Level, Logger},
};

/// The data of every store. One type for all roles, so that one linker serves them all; what a role may not do, its host
/// functions refuse.
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) role: Role,
    /// The largest payload, result or output, in bytes.
    pub(super) result_max: u64,
    /// The most random bytes in one call.
    pub(super) random_max: u64,
    pub(super) logger: Logger,
    pub(super) stderr: Tail,
    /// The task's budget, for refilling it with each batch of answers; units.
    pub(super) fuel: u64,
    /// What was burnt of the budgets before the one that runs now; units.
    pub(super) fuel_burnt: u64,
    /// The last batch for which the budget was refilled.
    pub(super) fuel_delivery: u64,
    pub(super) world: World,
    /// The kind of the action that a task asked for last.
    pub(super) last_kind: Arc<str>,
    pub(super) table: ResourceTable,
    pub(super) web: Web,
    /// Made when a guest that has folders first asks for anything of files.
    pub(super) files: Option<Files>,
    /// Built when a guest first asks for anything of WASI: most calls never do, and building it costs as much as a call.
    wasi: Option<WasiCtx>,
}

/// Who the guest is, with what it may reach as such.
pub(super) enum Role {
    Planner {
        port: PlannerPort,
        /// Bytes of output that may be on their way out.
        room: Arc<Semaphore>,
    },
    Task(TaskPort),
    Worker(WorkerRole),
}

/// An attempt that goes on.
#[derive(Clone, Copy)]
pub(super) struct Current {
    pub(super) attempt: AttemptId,
    pub(super) action: ActionName,
    /// When it is cut.
    pub(super) cut: Deadline,
}

impl Current {
    pub(super) fn of(job: &Job, cut: Deadline) -> Self {
        Self {
            attempt: job.attempt,
            action: job.action,
            cut,
        }
    }
}

/// What a worker is doing.
pub(super) struct WorkerRole {
    /// The run's name.
    pub(super) run: Arc<str>,
    /// For people: `pool/worker`.
    pub(super) name: Arc<str>,
    pub(super) grants: Arc<Grants>,
    pub(super) http: Arc<Access>,
    pub(super) denials: Arc<Denials>,
    pub(super) reports: Arc<Reports>,
    /// The attempt that goes on. Where several go on at once: the one that is calling the host, found out
    /// by [`Calls::attribute`](super::calls::Calls::attribute).
    pub(super) current: Option<Current>,
    /// What goes on in an instance that takes several attempts at once.
    pub(super) calls: Option<Box<Calls>>,
}

impl WorkerRole {
    /// The time for what a guest wants to be done within so many ms, 0 being any: no more than is left.
    pub(super) fn time(&self, wanted_ms: u32) -> Duration {
        match wanted_ms {
            0 => self.left(),
            ms => self.left().min(Duration::from_millis(ms.into())),
        }
    }

    /// The time that is left. Outside of an attempt, while the guest is being started, none is kept: there is none.
    pub(super) fn left(&self) -> Duration {
        self.current.map_or(Duration::ZERO, |current| current.cut.left())
    }
}

impl State {
    pub(super) fn new(
        limiter: Limiter,
        role: Role,
        world: World,
        limits: &Limits,
        logger: Logger,
        stderr: Tail,
    ) -> Self {
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
            world,
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
    /// The guest is no task; traps it.
    pub(super) fn task(&mut self) -> Result<&mut TaskPort> {
        match &mut self.role {
            Role::Task(port) => Ok(port),
            other => Err(not_for(other, "only `run` may perform, submit or sleep")),
        }
    }

    /// What a worker is doing.
    ///
    /// # Errors
    /// The guest is no worker; traps it.
    pub(super) fn worker(&mut self) -> Result<&mut WorkerRole> {
        match &mut self.role {
            Role::Worker(worker) => Ok(worker),
            other => Err(not_for(
                other,
                "only `handle` has an attempt, a quota, HTTP and programs",
            )),
        }
    }

    /// What goes on in an instance that takes several attempts at once.
    pub(super) fn calls(&mut self) -> Option<&mut Calls> {
        match &mut self.role {
            Role::Worker(worker) => worker.calls.as_deref_mut(),
            _ => None,
        }
    }

    /// The port of a planner, and the room for its output.
    ///
    /// # Errors
    /// The guest is no planner; traps it.
    pub(super) fn planner(&mut self) -> Result<(&PlannerPort, &Arc<Semaphore>)> {
        match &mut self.role {
            Role::Planner { port, room } => Ok((port, room)),
            other => Err(not_for(
                other,
                "only `next`, `collect` and `finish` may write output; return it instead",
            )),
        }
    }

    /// Sees to it that a guest that has folders has what goes with them.
    pub(super) fn prepare_files(&mut self) {
        if self.files.is_none() {
            let budget = self.limiter.budget();
            self.files = self.world.files.clone().map(|access| Files::new(access, budget));
        }
    }

    pub(super) fn speaker(&self) -> Speaker {
        match &self.role {
            Role::Planner { .. } => Speaker::Planner,
            Role::Task(port) => Speaker::Task(port.task()),
            Role::Worker(worker) => Speaker::Worker(worker.name.clone(), worker.current.map(|current| current.attempt)),
        }
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        self.stderr.log(&self.logger, &self.speaker(), level, message);
    }
}

fn not_for(role: &Role, rule: &str) -> wasmtime::Error {
    let who = match role {
        Role::Planner { .. } => "the planner",
        Role::Task(_) => "a task",
        Role::Worker(_) => "a worker",
    };
    format_err!("{who} called a function that is not for it: {rule}")
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self {
            wasi,
            world,
            stderr,
            table,
            random_max,
            ..
        } = self;
        let ctx = wasi.get_or_insert_with(|| world.wasi(stderr, *random_max));
        WasiCtxView { ctx, table }
    }
}
