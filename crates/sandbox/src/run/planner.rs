//! The planner's instance: `next`, `collect`, `finish`.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::component::Func;

use super::{
    fault::Fault,
    instance::{Running, Start},
    pace::DeficitCounter,
    share::Admission,
};
use crate::{
    chain::chain,
    imports::{guest_env::GuestEnv, limiter::Need, state::Role, stdio::Tail},
    load::{component::LoadedComponent, sandbox::Sandbox},
};
use disperse_protocol::{
    inbox::{LogSource, PlannerPort},
    limits::{Limits, OUTPUT_ROOM, PIECE},
    logger::Logger,
};

/// A running planner.
pub struct PlannerInstance {
    running: Running,
    stderr: Tail,
    limits: Limits,
    next: Func,
    collect: Func,
    finish: Func,
}

type NextReturn = (Option<Vec<u8>>,);
type CollectParams<'a> = (&'a [u8], Result<&'a [u8], &'a str>);
type FinishReturn = (Result<(), String>,);

impl PlannerInstance {
    /// Starts an admitted planner.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn start(
        sandbox: &Sandbox,
        program: &LoadedComponent,
        admission: Admission,
        port: PlannerPort,
        env: GuestEnv,
        limits: Limits,
        logger: &Logger,
    ) -> Result<Self, Fault> {
        let stderr = Tail::new(limits.log_rate, u64::MAX);
        stderr.forward(LogSource::Planner, logger.clone());
        let largest = usize::try_from(limits.result)
            .unwrap_or(usize::MAX)
            .saturating_add(PIECE);
        let output_permits = Arc::new(Semaphore::new(OUTPUT_ROOM.max(largest).min(Semaphore::MAX_PERMITS)));
        let role = Role::Planner { port, output_permits };
        let start = Start {
            role,
            env,
            limits,
            logger: logger.clone(),
            stderr: stderr.clone(),
            debt: DeficitCounter::default(),
            admission,
            need: Need::default(),
        };
        let mut running = Running::start(sandbox, program.inner(), start).await?;
        let exports = &program.inner().exports;
        let missing = |error: wasmtime::Error| Fault::Start(chain(&error));
        let next = running.func::<(), NextReturn>(exports.next).map_err(missing)?;
        let collect = running
            .func::<CollectParams<'static>, ()>(exports.collect)
            .map_err(missing)?;
        let finish = running.func::<(), FinishReturn>(exports.finish).map_err(missing)?;
        Ok(Self {
            running,
            stderr,
            limits,
            next,
            collect,
            finish,
        })
    }

    /// Sets the planner's clock. To be called before each call.
    pub fn set_now(&self, now_ms: u64) {
        self.running.store.data().env.set_now(now_ms);
    }

    /// Requests one more task. None: there is none now.
    ///
    /// # Errors
    /// The planner failed and cannot be used again. **Not cancel safe**, like all calls.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        self.running.set_fuel(self.limits.fuel);
        let called = self.running.call::<(), NextReturn>(Instant::now(), self.next, ()).await;
        let (task,) = self.done(called)?;
        match task {
            Some(task) if task.len() as u64 > self.limits.result => Err(Fault::Oversize {
                limit: self.limits.result,
            }),
            task => Ok(task.map(Bytes::from)),
        }
    }

    /// Delivers the outcome of one task.
    ///
    /// # Errors
    /// The same as of [`PlannerInstance::next`].
    pub async fn collect(&mut self, input: &[u8], outcome: Result<&[u8], &str>) -> Result<(), Fault> {
        self.running.set_fuel(self.limits.fuel);
        let called = self
            .running
            .call::<CollectParams<'_>, ()>(Instant::now(), self.collect, (input, outcome))
            .await;
        self.done(called)
    }

    /// Tells the planner that all tasks have ended.
    ///
    /// # Errors
    /// The same as of [`PlannerInstance::next`]. The inner error is the planner's own verdict on the run.
    pub async fn finish(&mut self) -> Result<Result<(), String>, Fault> {
        self.running.set_fuel(self.limits.fuel);
        let called = self
            .running
            .call::<(), FinishReturn>(Instant::now(), self.finish, ())
            .await;
        let (said,) = self.done(called)?;
        Ok(said)
    }

    fn done<T>(&mut self, called: wasmtime::Result<T>) -> Result<T, Fault> {
        self.stderr.end_line();
        called.map_err(|error| self.running.fault(&error))
    }
}
