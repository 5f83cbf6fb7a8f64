//! A task's instance: `run`, once.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    engine::Form,
    fault::Fault,
    instance::{Running, Start},
    pace::Debt,
    program::{Program, Sandbox},
    quiet::{self, Pump, Quiet},
    state::Role,
    stdio::Tail,
    world::World,
};
use crate::{
    inbox::{Speaker, TaskEnd, TaskPort, TaskRoom, Used},
    limits::{Charge, Limits},
    logger::Logger,
    text::cut_to,
};

/// What all tasks of a run have in common.
#[derive(Clone)]
pub(crate) struct TaskSpec {
    pub(crate) program: Program,
    pub(crate) limits: Limits,
    /// What those that have ended owe.
    pub(crate) debt: Debt,
}

type Params<'a> = (&'a [u8],);
type Return = (Result<Vec<u8>, String>,);

/// Runs one task from its input to its end.
///
/// Cancel safe: giving it up ends the task.
pub(crate) async fn run_task(
    sandbox: &Sandbox,
    spec: &TaskSpec,
    port: TaskPort,
    input: Bytes,
    world: World,
    logger: &Logger,
) -> TaskEnd {
    let began = Instant::now();
    let stderr = Tail::new(spec.limits.log_rate, u64::MAX);
    stderr.aloud(Speaker::Task(port.task()), logger.clone());
    let debt = spec.debt.hand_on();
    let start = Start {
        role: Role::Task(port),
        world,
        limits: spec.limits,
        logger: logger.clone(),
        stderr: stderr.clone(),
        debt: debt.clone(),
        slots: 1,
    };
    let mut end = match Running::start(sandbox, spec.program.inner(), start).await {
        Ok(mut running) => {
            let outcome = call(&mut running, spec, &input).await;
            // While the instance still counts, so that there is no moment at which neither does.
            let size = outcome.as_ref().map_or_else(String::len, Bytes::len);
            TaskEnd {
                outcome,
                used: running.used(),
                room: TaskRoom {
                    result: Charge::of(&sandbox.budget, size),
                    ..TaskRoom::default()
                },
            }
        }
        Err(fault) => TaskEnd {
            outcome: Err(fault.to_string()),
            used: Used::default(),
            room: TaskRoom::default(),
        },
    };
    spec.debt.inherit(&debt);
    stderr.end_line();
    end.used.wall = began.elapsed();
    end
}

async fn call(running: &mut Running, spec: &TaskSpec, input: &[u8]) -> Result<Bytes, String> {
    running.set_fuel(spec.limits.fuel);
    let export = spec.program.inner().exports.run;
    let called = match running.func::<Params<'static>, Return>(export) {
        Ok(run) if spec.program.contract().engine == Form::Async => {
            let quiet = Arc::new(Quiet::default());
            match running.store.spawn(Pump(quiet.clone())) {
                Ok(_) => quiet::run(quiet, running.call::<Params<'_>, Return>(Instant::now(), run, (input,))).await,
                Err(error) => Err(error),
            }
        }
        Ok(run) => running.call::<Params<'_>, Return>(Instant::now(), run, (input,)).await,
        Err(error) => Err(error),
    };
    match called {
        Ok((Ok(result),)) if result.len() as u64 <= spec.limits.result => Ok(result.into()),
        Ok((Ok(_),)) => Err(Fault::Oversize {
            limit: spec.limits.result,
        }
        .to_string()),
        Ok((Err(text),)) => Err(cut_to(text, usize::try_from(spec.limits.result).unwrap_or(usize::MAX))),
        Err(error) => Err(format!("the task {}", running.fault(&error))),
    }
}
