//! The command line: parses the arguments, runs a command and returns the exit code.
//!
//! The folders and files here, from the top; each imports only from lines below its own:
//!
//! * this file: the start of the program, and which command runs
//! * `commands`: each command, from its arguments to its exit code
//! * `plan`: the plan of a run, from flags and manifest
//! * `recording`: the journal of a run
//! * `project`, `loading`: a manifest and the trust in it; the sandbox and its components
//! * `build`: build commands, and the components that they have made
//! * `process`, `tools`, `help`: runtime, signals and panics; tools of builds; examples and exit codes in `--help`
//! * `args`: arguments and flags
//! * `console`: what a command prints, and the exit codes

mod args;
mod build;
mod commands;
mod console;
mod help;
mod loading;
mod plan;
mod process;
mod project;
mod recording;
mod tools;

use std::{ffi::OsString, process::ExitCode};

use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum, error::ErrorKind};

use self::{
    args::{Cli, Command, MapArgs, RunArgs, SchemaName, WorkersCommand},
    commands::{
        cache, compile, complete, dead, explain, export, inspect, man, new, results, run, runs, simulate, test, trust,
    },
    console::{Failure, exit, print, to_stdout},
    process::{cannot_start, panics, signals},
};
use crate::{control::Query, limits, sandbox::as_compile_child, text::Color};

/// Stack of the program's main thread, in bytes: Linux's default, as `ulimit -s` may lower that of the process to less than parsing
/// the command line takes.
const STACK: usize = 8 << 20;

/// Runs the program with the command line of this process, and returns its exit code.
pub fn main() -> ExitCode {
    // A panic there ends the process.
    let thread = std::thread::Builder::new().name("main".into()).stack_size(STACK);
    match thread.spawn(program) {
        Ok(thread) => thread.join().unwrap_or(ExitCode::from(exit::BUG)),
        // Other shortages are reported there.
        Err(_) => program(),
    }
}

fn program() -> ExitCode {
    panics::install_hook();
    if let Some(code) = as_compile_child() {
        return ExitCode::from(code);
    }
    limits::raise_open_files();
    // Before the command line is parsed, as its errors have colors too.
    let color = color_typed(std::env::args_os().skip(1));
    color.set();
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let read = || {
        let mut documented = help::documented(Cli::command()).color(choice);
        let matches = documented.try_get_matches_from_mut(std::env::args_os())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut documented))
    };
    ended(match read() {
        Ok(cli) => command(cli),
        Err(error) => unread(&error),
    })
}

/// The value of `--color`; the default if it is missing or invalid.
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

/// The exit code of a command. Prints its failure, if any.
fn ended(done: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(done.unwrap_or_else(|failure| {
        failure.print();
        failure.code
    }))
}

/// Prints what clap returns in place of a command: help and version to stdout, errors to stderr.
fn unread(error: &clap::Error) -> Result<u8, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => to_stdout(|| error.print()).map(|()| exit::DONE),
        _ => {
            // A closed stderr is not an error.
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
        Command::Results(args) => args.quiet = quiet,
        _ => {}
    }
    // Signals end the preparations of a run too, such as a build, with one line.
    let stopped = match &command {
        Command::Run(_) | Command::Map(_) | Command::Resume(_) => {
            signals::listen(quiet, "stopped before the run began")
        }
        Command::Test(_) | Command::Compile(_) => signals::listen(quiet, "stopped before the end"),
        _ => Ok(signals::Stopped::default()),
    };
    let stopped = stopped.map_err(|error| cannot_start(&error))?;
    match command {
        Command::Run(args) => run::run(&args, None, &stopped),
        Command::Resume(args) => run::resume(&args, quiet, verbose, &stopped),
        Command::Map(args) => run::map(&args, &stopped),
        Command::Test(args) => test::test(&args),
        Command::Compile(args) => compile::compile(&args),
        Command::Explain { what, ask } => explain::explain(what.as_ref(), &ask),
        Command::Readmit { worker, ask } => explain::query_run(&Query::Readmit { worker }, &ask),
        Command::Workers {
            what: WorkersCommand::Add { pool, count, ask },
        } => explain::query_run(&Query::Workers { pool, add: count }, &ask),
        Command::Drain { worker, ask } => explain::query_run(&Query::Drain { worker }, &ask),
        Command::Runs(args) => runs::runs(&args),
        Command::Results(args) => results::results(&args),
        Command::Export(args) => export::export(&args),
        Command::Dead(args) => dead::dead(&args),
        Command::New(args) => new::new(&args),
        Command::Trust(args) => trust::trust(&args),
        Command::Cache(args) => cache::cache(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Completions { shell } => {
            // Into memory first: clap panics if a write fails.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "disperse-host", &mut script);
            // clap_complete 4.6 spells a state in two ways if the program's name has a hyphen.
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
                SchemaName::Explain => explain::schema(),
                SchemaName::Test => test::schema(),
                SchemaName::Compile => compile::schema(),
                SchemaName::Inspect => inspect::schema(),
                SchemaName::Cache => cache::schema(),
                SchemaName::Actions => dead::schema(),
                SchemaName::Results => results::schema(),
                SchemaName::Runs => runs::schema(),
            };
            print(&format!(
                "{}\n",
                serde_json::to_string_pretty(&schema).unwrap_or_default()
            ))?;
            Ok(exit::DONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        help::documented(Cli::command()).debug_assert();
    }

    #[test]
    fn color_is_found_without_parsing_the_command_line() {
        let typed = |words: &str| color_typed(words.split(' ').map(OsString::from));
        assert_eq!(typed("map x --color always"), Color::Always);
        assert_eq!(typed("--color=never map x"), Color::Never);
        assert_eq!(typed("map x --color"), Color::Auto);
        assert_eq!(typed("run x -- --color always"), Color::Auto);
    }

    /// If this fails after an intended change, run
    /// `disperse-host schema events > docs/schema/events.json`, and the same for the other schemas.
    #[test]
    fn published_schemas_are_current() {
        for (name, schema) in [
            ("events", crate::report::schema()),
            ("manifest", crate::settings::schema()),
            ("explain", explain::schema()),
            ("test", test::schema()),
            ("compile", compile::schema()),
            ("inspect", inspect::schema()),
            ("cache", cache::schema()),
            ("actions", dead::schema()),
            ("results", results::schema()),
            ("runs", runs::schema()),
        ] {
            let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let published: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            assert_eq!(published, schema.to_value(), "{name}");
        }
    }
}
