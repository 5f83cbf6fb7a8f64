//! The command line: words in, exit code out.

mod args;
mod build;
mod cache;
mod compile;
mod complete;
mod error;
mod exit;
mod explain;
mod explained;
mod facts;
mod help;
mod inspect;
mod inspected;
mod loading;
mod man;
mod new;
mod opened;
mod output;
mod plan;
mod pools;
mod project;
mod signals;
mod simulate;
mod sources;
mod tampering;
mod test;
mod tools;
mod trust;
mod words;

use std::{ffi::OsString, panic::PanicHookInfo, process::ExitCode, sync::Arc, time::Duration};

use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum, error::ErrorKind};
use tokio::runtime::{Builder, Runtime};

use self::{
    args::{Cli, Command, MapArgs, RunArgs, SchemaName, WorkersCommand},
    error::Failure,
    output::{print, to_stdout},
};
use crate::{
    control::Query,
    inbox::panic_message,
    limits::{self, Shortage},
    report::Finished,
    run::{self, Plan, RunError},
    sandbox::{self, Sandbox, as_compile_child, panics_are_caught},
    text::Color,
};

/// How many threads a run has beside those that guests run on: for signals, input, results, words, the control socket, and one that may
/// block. Without one of them it cannot go on.
const THREADS_BESIDE: usize = 6;

/// For how long a thread that may block is kept when it has nothing to do: as good as for ever, so that there always is one.
const BLOCKING_KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How much stack the program has, in bytes. As much as a main thread has by default on Linux, which `ulimit -s` may lower to less
/// than reading the command line takes.
const STACK: usize = 8 << 20;

/// Runs the program: reads the command line of this process, does what it says, and says how that went.
pub fn main() -> ExitCode {
    // A panic there ends the process.
    let thread = std::thread::Builder::new().name("main".into()).stack_size(STACK);
    match thread.spawn(program) {
        Ok(thread) => thread.join().unwrap_or(ExitCode::from(exit::BUG)),
        // What else it lacks is found out there.
        Err(_) => program(),
    }
}

fn program() -> ExitCode {
    // A panic anywhere, also in a thread or a tokio task, is a bug of ours; going on would hang or lie.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if panics_are_caught() {
            return;
        }
        if let Some((shortage, why)) = shortage(info) {
            Failure::machine("cannot go on", &std::io::Error::other(why))
                .hint(shortage.hint())
                .print();
            std::process::exit(exit::MACHINE.into());
        }
        told(info);
        error::say("error: this is a bug of disperse-host; please report it with the lines above");
        std::process::exit(exit::BUG.into());
    }));
    if let Some(code) = as_compile_child() {
        return ExitCode::from(code);
    }
    limits::raise_open_files();
    // Before the command line is read, as errors in it have colors too.
    let color = color_typed(std::env::args_os().skip(1));
    color.set();
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let read = || {
        let mut known = help::documented(Cli::command()).color(choice);
        let typed = known.try_get_matches_from_mut(std::env::args_os())?;
        Cli::from_arg_matches(&typed).map_err(|error| error.format(&mut known))
    };
    ended(match read() {
        Ok(cli) => command(cli),
        Err(error) => unread(&error),
    })
}

/// What was typed with `--color`, as far as it can be meant.
fn color_typed(args: impl Iterator<Item = OsString>) -> Color {
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let value = match arg.split_once('=') {
            Some(("--color", value)) => Some(value.to_owned()),
            None if arg == "--color" => args.next(),
            None if arg == "--" => break,
            _ => continue,
        };
        return value
            .and_then(|value| Color::from_str(&value, true).ok())
            .unwrap_or_default();
    }
    Color::default()
}

/// The exit code; says first why the command failed, if it did.
fn ended(done: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(done.unwrap_or_else(|failure| {
        failure.print();
        failure.code
    }))
}

/// Says what clap has to say instead of reading the command line: help and the version on stdout, errors on stderr.
fn unread(error: &clap::Error) -> Result<u8, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => to_stdout(|| error.print()).map(|()| exit::DONE),
        _ => {
            // A stderr that is gone is nobody's loss.
            let _ = error.print();
            Ok(exit::USAGE)
        }
    }
}

fn command(cli: Cli) -> Result<u8, Failure> {
    let Cli {
        mut command,
        quiet,
        verbose,
        ..
    } = cli;
    match &mut command {
        Command::Run(RunArgs { common, .. }) | Command::Map(MapArgs { common, .. }) => {
            (common.quiet, common.verbose) = (quiet, verbose);
        }
        Command::Test(args) => (args.quiet, args.verbose) = (quiet, verbose),
        Command::Compile(args) => args.quiet = quiet,
        _ => {}
    }
    // Also what comes before a run, such as a build, is ended by signals, and in one line.
    let stopped = match &command {
        Command::Run(_) | Command::Map(_) => signals::listen(quiet, "stopped before the run began"),
        Command::Test(_) | Command::Compile(_) => signals::listen(quiet, "stopped before the end"),
        _ => Ok(signals::Stopped::default()),
    };
    let stopped = stopped.map_err(|error| cannot_start(&error))?;
    match command {
        Command::Run(args) => {
            let (sandbox, plan) = plan::for_run(&args)?;
            execute(sandbox, plan, args.common.threads, &stopped)
        }
        Command::Map(args) => {
            let (sandbox, plan) = plan::for_map(&args)?;
            execute(sandbox, plan, args.common.threads, &stopped)
        }
        Command::Test(args) => test::test(&args),
        Command::Compile(args) => compile::compile(&args),
        Command::Explain { what, ask } => explain::explain(what.as_ref(), &ask),
        Command::Readmit { worker, ask } => explain::put(&Query::Readmit { worker }, &ask),
        Command::Workers {
            what: WorkersCommand::Add { pool, count, ask },
        } => explain::put(&Query::Workers { pool, add: count }, &ask),
        Command::Drain { worker, ask } => explain::put(&Query::Drain { worker }, &ask),
        Command::New(args) => new::new(&args),
        Command::Trust(args) => trust::trust(&args),
        Command::Cache(args) => cache::cache(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Completions { shell } => {
            // Into memory first: clap panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "disperse-host", &mut script);
            // clap_complete 4.6 names a state in one way and looks for it in another where a program's name has a hyphen.
            let script = String::from_utf8_lossy(&script).replace("disperse__subcmd__host", "disperse__host");
            print(&(complete::without_end(shell, &script) + complete::script(shell)))?;
            Ok(exit::DONE)
        }
        Command::Complete { what } => {
            print(&complete::names(what))?;
            Ok(exit::DONE)
        }
        Command::Man { dir } => {
            match dir {
                Some(dir) => man::write(&dir, Cli::command())?,
                None => print(&man::page(Cli::command())?)?,
            }
            Ok(exit::DONE)
        }
        Command::Schema { name } => {
            let schema = match name {
                SchemaName::Events => crate::report::schema(),
                SchemaName::Manifest => crate::settings::schema(),
                SchemaName::Explain => explained::schema(),
                SchemaName::Test => test::schema(),
                SchemaName::Compile => compile::schema(),
                SchemaName::Inspect => inspected::schema(),
                SchemaName::Cache => cache::schema(),
            };
            print(&format!(
                "{}\n",
                serde_json::to_string_pretty(&schema).unwrap_or_default()
            ))?;
            Ok(exit::DONE)
        }
    }
}

fn execute(sandbox: Sandbox, plan: Plan, threads: Option<u32>, stopped: &signals::Stopped) -> Result<u8, Failure> {
    let runtime = runtime(threads)?;
    let (stopper, wires) = run::wires();
    signals::stop_from_now_on(stopper);
    // The driver is a task like the guests: what it says to one, and one to it, often needs no other thread.
    let run = runtime.spawn(run::run_with(Arc::new(sandbox), plan, wires));
    let ended = runtime.block_on(run);
    // A thread that reads a terminal or a pipe ends only with the process, and so may a guest that holds one.
    runtime.shutdown_background();
    sandbox::kill_programs();
    let ended = ended
        .map_err(|error| Failure::machine("the run broke off", &error))?
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

fn cannot_start(error: &std::io::Error) -> Failure {
    with_hint(Failure::machine("cannot start", error), error)
}

/// A failure with what to do about what the machine has none left of.
fn with_hint(failure: Failure, error: &std::io::Error) -> Failure {
    match Shortage::of_start(error) {
        Some(shortage) => failure.hint(shortage.hint()),
        None => failure,
    }
}

/// What a panic says that a library makes of a thread or a pipe that could not be had, if it is one: tokio, the standard library and
/// rayon have no other way to say it.
fn shortage(info: &PanicHookInfo<'_>) -> Option<(Shortage, String)> {
    let text = panic_message(info.payload());
    let threads = [
        "OS can't spawn worker thread",
        "failed to spawn thread",
        "The global thread pool has not been initialized",
    ];
    let shortage = match text {
        _ if threads.iter().any(|known| text.starts_with(known)) && text.contains("unavailable") => Shortage::Threads,
        _ if text.starts_with("failed to create UnixStream") && text.contains("open files") => Shortage::Files,
        _ => return None,
    };
    Some((shortage, text.to_owned()))
}

/// A runtime of so many threads, by default of as many as there are cores, or of as many as can be had. It has one that may block.
///
/// # Errors
/// Not even one can be had beside those that a run has anyway.
fn runtime(threads: Option<u32>) -> Result<Runtime, Failure> {
    let wanted = threads.map_or_else(limits::cores, |threads| threads as usize);
    // With one, guests run on the main thread.
    let (all, refused) = limits::startable_threads(wanted + THREADS_BESIDE);
    let had = match (all.checked_sub(THREADS_BESIDE), refused) {
        (Some(had), _) => had,
        (None, Some(refused)) => return Err(cannot_start(&refused)),
        (None, None) => 0,
    };
    let mut builder = match (threads, had) {
        (Some(1), _) | (_, 0 | 1) => Builder::new_current_thread(),
        (_, had) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(had);
            builder
        }
    };
    let runtime = builder.enable_all().thread_keep_alive(BLOCKING_KEPT).build();
    let runtime = runtime.map_err(|error| cannot_start(&error))?;
    // It cannot fail: a pool of threads has no result to give.
    let _ = runtime.block_on(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        help::documented(Cli::command()).debug_assert();
    }

    #[test]
    fn color_is_read_before_the_command_line_is() {
        let typed = |words: &str| color_typed(words.split(' ').map(OsString::from));
        assert_eq!(typed("map x --color always"), Color::Always);
        assert_eq!(typed("--color=never map x"), Color::Never);
        assert_eq!(typed("map x --color"), Color::Auto);
        assert_eq!(typed("run x -- --color always"), Color::Auto);
    }

    /// The published schemas are those of this code. When this fails after a wanted change:
    /// `disperse-host schema events > docs/schema/events.json`, and likewise for the others.
    #[test]
    fn published_schemas_are_current() {
        for (name, schema) in [
            ("events", crate::report::schema()),
            ("manifest", crate::settings::schema()),
            ("explain", explained::schema()),
            ("test", test::schema()),
            ("compile", compile::schema()),
            ("inspect", inspected::schema()),
            ("cache", cache::schema()),
        ] {
            let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let published: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            assert_eq!(published, schema.to_value(), "{name}");
        }
    }
}
