//! A task's instance: one call of `run`.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    fault::Fault,
    instance::{NotStarted, Running, Start},
    pace::DeficitCounter,
    quiet::{self, Pump, Quiet},
    share::{Admission, Share},
    starts::Starts,
};
use crate::{
    engine::EngineKind,
    imports::{guest_env::GuestEnv, limiter::Need, state::Role, stdio::Tail},
    load::{component::LoadedComponent, sandbox::Sandbox},
};
use disperse_protocol::{
    inbox::{LogSource, TaskEnd, TaskPort, TaskRoom},
    limits::{Charge, Limits},
    logger::Logger,
    text::cut_to,
};

/// The common parameters of all tasks of a run.
#[derive(Clone)]
pub struct TaskSpec {
    pub program: LoadedComponent,
    pub limits: Limits,
    /// The share of the host's resources for their instances.
    pub share: Arc<Share>,
    /// The time deficit of tasks that have ended.
    pub debt: DeficitCounter,
}

type Params<'a> = (&'a [u8],);
type Return = (Result<Vec<u8>, String>,);

/// Runs one admitted task to its end. Returns that, and what it takes in the host. Cancel safe: cancelling it ends the task.
pub async fn run_task(
    sandbox: &Sandbox,
    spec: &TaskSpec,
    admission: Admission,
    port: TaskPort,
    input: Bytes,
    env: GuestEnv,
    logger: &Logger,
) -> (TaskEnd, TaskRoom) {
    let began = Instant::now();
    let stderr = Tail::new(spec.limits.log_rate, u64::MAX);
    stderr.forward(LogSource::Task(port.task()), logger.clone());
    let debt = spec.debt.hand_on();
    let need = Need::default();
    let mut starts = Starts::default();
    let (mut port, mut admission) = (port, admission);
    let mut room = TaskRoom::default();
    let mut end = loop {
        let start = Start {
            role: Role::Task(port),
            env: env.clone(),
            limits: spec.limits,
            logger: logger.clone(),
            stderr: stderr.clone(),
            debt: debt.clone(),
            admission,
            need: need.clone(),
        };
        let mut running = match Running::start(sandbox, spec.program.inner(), start).await {
            Ok(running) => running,
            Err(NotStarted { fault, role }) => {
                let again = match role {
                    Role::Task(port) if !port.has_asked() => port,
                    _ => break failed(&fault, fault.to_string()),
                };
                if !starts.again(&fault).await {
                    let text = match fault {
                        Fault::HostFull { .. } => format!("the task {fault}"),
                        _ => fault.to_string(),
                    };
                    break failed(&fault, text);
                }
                match readmit(spec, &need).await {
                    Ok(admitted) => (port, admission) = (again, admitted),
                    Err(fault) => break not_begun(&fault),
                }
                continue;
            }
        };
        let called = call(&mut running, spec, &input).await;
        let used = running.used();
        spec.share.note_taken(used.memory);
        let is_short = matches!(called, Err(Fault::HostFull { .. }));
        if is_short && running.store.data_mut().task().is_ok_and(|port| !port.has_asked()) {
            // The task has had no visible effect, so it is restarted once its memory is reserved.
            let again = running.into_port();
            match (again, readmit(spec, &need).await) {
                (Some(again), Ok(admitted)) => (port, admission) = (again, admitted),
                (_, Err(fault)) => break not_begun(&fault),
                (None, Ok(_)) => break TaskEnd::failed("the task lost its port".to_owned()),
            }
            continue;
        }
        let outcome = called.unwrap_or_else(|fault| Err(format!("the task {fault}")));
        // Charged while the instance is still charged, so that there is no gap.
        let size = outcome.as_ref().map_or_else(String::len, Bytes::len);
        room.result = Charge::of(&sandbox.budget, size);
        break TaskEnd {
            outcome,
            is_of_machine: false,
            used,
        };
    };
    spec.debt.inherit(&debt);
    stderr.end_line();
    end.used.wall = began.elapsed();
    (end, room)
}

/// Waits until an instance may be started in place of one for which no memory was left.
async fn readmit(spec: &TaskSpec, need: &Need) -> Result<Admission, Fault> {
    let memory = spec.share.reserve(need, 0).await?;
    spec.share.admit_with(memory).await
}

/// The end of a task that could not begin because of this fault.
pub fn not_begun(fault: &Fault) -> TaskEnd {
    failed(fault, format!("the task {fault}"))
}

/// The end of a task without an outcome of its own.
fn failed(fault: &Fault, error: String) -> TaskEnd {
    TaskEnd {
        is_of_machine: fault.is_of_machine(),
        ..TaskEnd::failed(error)
    }
}

/// Calls `run`. Returns its result, or the error message of the task.
///
/// # Errors
/// The call failed.
async fn call(running: &mut Running, spec: &TaskSpec, input: &[u8]) -> Result<Result<Bytes, String>, Fault> {
    running.set_fuel(spec.limits.fuel);
    let export = spec.program.inner().exports.run;
    let called = match running.func::<Params<'static>, Return>(export) {
        Ok(run) if spec.program.contract().engine == EngineKind::Async => {
            let quiet = Arc::new(Quiet::new(running.store.data().limiter.waits()));
            match running.store.spawn(Pump(quiet.clone())) {
                Ok(_) => quiet::run(quiet, running.call::<Params<'_>, Return>(Instant::now(), run, (input,))).await,
                Err(error) => Err(error),
            }
        }
        Ok(run) => running.call::<Params<'_>, Return>(Instant::now(), run, (input,)).await,
        Err(error) => Err(error),
    };
    match called {
        Ok((Ok(result),)) if result.len() as u64 <= spec.limits.result => Ok(Ok(result.into())),
        Ok((Ok(_),)) => Ok(Err(Fault::Oversize {
            limit: spec.limits.result,
        }
        .to_string())),
        Ok((Err(text),)) => {
            let most = usize::try_from(spec.limits.result).unwrap_or(usize::MAX);
            Ok(Err(cut_to(text, most)))
        }
        Err(error) => Err(running.fault(&error)),
    }
}
