//! `run` and `map`: makes a plan and carries it out.

use std::sync::Arc;

use crate::{
    cli::{
        args::{MapArgs, RunArgs},
        console::{Failure, exit},
        plan::{for_map, for_run},
        process::{runtime, signals, with_hint},
    },
    report::Finished,
    run::{self, Plan, RunError},
    sandbox::{self, Sandbox},
};

pub(crate) fn run(args: &RunArgs, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let (sandbox, plan) = for_run(args)?;
    execute(sandbox, plan, args.common.threads, stopped)
}

pub(crate) fn map(args: &MapArgs, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let (sandbox, plan) = for_map(args)?;
    execute(sandbox, plan, args.common.threads, stopped)
}

fn execute(sandbox: Sandbox, plan: Plan, threads: Option<u32>, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let runtime = runtime(threads)?;
    let (stopper, wires) = run::wires();
    signals::stop_from_now_on(stopper);
    // The driver is a tokio task like the guests, so that their messages often need no switch of threads.
    let run = runtime.spawn(run::run_with(Arc::new(sandbox), plan, wires));
    let ended = runtime.block_on(run);
    // A thread that reads a terminal or a pipe ends only with the process, and so may a guest that blocks a thread.
    runtime.shutdown_background();
    sandbox::kill_programs();
    let ended = ended
        .map_err(|error| Failure::machine("the run ended early", &error))?
        .map_err(|error| {
            let failure = Failure::machine("the run was stopped by the machine", &error);
            match &error {
                RunError::Start(error) => with_hint(failure, error),
                _ => failure,
            }
        })?;
    if ended.finished == Finished::BrokenPipe {
        return Ok(exit::DONE);
    }
    Ok(exit::code(&ended.summary, stopped.code()))
}
