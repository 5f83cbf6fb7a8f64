//! `run` and `map`: makes a plan and carries it out.

use std::sync::Arc;

use clap::Parser;

use crate::{
    cli::{
        args::{Cli, Command, MapArgs, ResumeArgs, RunArgs},
        console::{Failure, exit, print_stderr},
        plan::{for_map, for_run},
        process::{runtime, signals, with_hint},
        recording::{self, Recorder, Resumed, Wanted},
    },
    report::Finished,
    run::{self, Plan, RunError},
    sandbox::{self, Sandbox},
    text::plain,
};

/// `resumed`: the run that it goes on with. None: it begins one.
pub(crate) fn run(args: &RunArgs, resumed: Option<Resumed>, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let (sandbox, mut plan, operation) = for_run(args)?;
    let recorder = match (resumed, wanted(args)) {
        (Some(resumed), _) => Some(resumed.resume(&mut plan, &operation)?),
        (None, Some(wanted)) => recording::begin(&mut plan, wanted, &operation, args.common.input())?,
        (None, None) => None,
    };
    execute(sandbox, plan, recorder, args.common.threads, stopped)
}

/// Which journal a run is to have. None: none.
fn wanted(args: &RunArgs) -> Option<Wanted<'_>> {
    match &args.journal {
        _ if args.no_journal => None,
        None => Some(Wanted::ByDefault),
        Some(None) => Some(Wanted::InFolder),
        Some(Some(path)) => Some(Wanted::At(path)),
    }
}

/// Goes on with a run that has a journal: by its own command line.
pub(crate) fn resume(args: &ResumeArgs, quiet: bool, verbose: u8, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let path = recording::find(args.run.run.as_deref())?;
    let Some(mut resumed) = Resumed::open(&path)? else {
        return Ok(exit::DONE);
    };
    if args.accept_new_code {
        resumed.accept_new_code();
    }
    if !quiet {
        // It may be a foreign one: what it runs is seen first.
        print_stderr(&plain(&format!("resuming: {}", resumed.command_line())));
    }
    resumed.enter_folder()?;
    let line = ["disperse-host"]
        .into_iter()
        .chain(resumed.arguments().iter().map(String::as_str));
    let command = Cli::try_parse_from(line).map(|cli| cli.command);
    let Ok(Command::Run(mut args)) = command else {
        return Err(Failure::usage(format!(
            "the journal `{}` is not one of `run`",
            path.display()
        )));
    };
    (args.common.quiet, args.common.verbose) = (quiet, verbose);
    run(&args, Some(resumed), stopped)
}

pub(crate) fn map(args: &MapArgs, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let (sandbox, plan) = for_map(args)?;
    execute(sandbox, plan, None, args.common.threads, stopped)
}

fn execute(
    sandbox: Sandbox,
    plan: Plan,
    recorder: Option<Recorder>,
    threads: Option<u32>,
    stopped: &signals::Stopped,
) -> Result<u8, Failure> {
    let quiet = plan.quiet;
    let runtime = runtime(threads)?;
    let (stopper, wires) = run::wires();
    signals::stop_from_now_on(stopper);
    // The driver is a tokio task like the guests, so that their messages often need no switch of threads.
    let run = runtime.spawn(run::run_with(Arc::new(sandbox), plan, wires));
    let ended = runtime.block_on(run);
    // A thread that reads a terminal or a pipe ends only with the process, and so may a guest that blocks a thread.
    runtime.shutdown_background();
    sandbox::kill_programs();
    let (ended, written) = ended.map_err(|error| Failure::machine("the run ended early", &error))?;
    if let Some(recorder) = recorder {
        recorder.end(ended.as_ref().map(|ended| &ended.summary), written, quiet)?;
    }
    let ended = ended.map_err(|error| {
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
