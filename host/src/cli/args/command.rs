//! The commands of the program.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};

use super::{
    cache::{CacheArgs, HELP as CACHE_HELP},
    compile::{CompileArgs, HELP as COMPILE_HELP},
    explain::{Explain, QueryArgs},
    inspect::InspectArgs,
    new::NewArgs,
    recorded::{DeadArgs, ExportArgs, ResultsArgs, ResumeArgs, RunsArgs},
    run::{MapArgs, RunArgs},
    simulate::SimulateArgs,
    test::{HELP as TEST_HELP, TestArgs},
    trust::{HELP as TRUST_HELP, TrustArgs},
};
use crate::{limits::WORKERS_MAX, text::Color};

/// Runs sandboxed WebAssembly operations and workers.
#[derive(Debug, Parser)]
#[command(name = "disperse-host", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print errors only
    #[arg(short, long, global = true, display_order = 900)]
    pub(crate) quiet: bool,
    /// Print failed attempts and guest logs; twice: debug lines too
    #[arg(short, long, global = true, display_order = 901, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[arg(
        long,
        global = true,
        display_order = 902,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true,
        help = "When to use colors: auto, always or never [default: auto]",
        hide_default_value = true
    )]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an operation: its tasks submit actions to workers
    Run(RunArgs),
    /// Go on with a run that was killed or stopped, from its journal
    Resume(ResumeArgs),
    /// Call a worker for each line of the input, without an operation
    Map(MapArgs),
    /// Test an operation with scripted workers, virtual time and golden logs
    #[command(after_long_help = TEST_HELP)]
    Test(TestArgs),
    /// Create a project: an operation, a worker or both
    New(NewArgs),
    /// Compile components into the cache ahead of time
    #[command(after_long_help = COMPILE_HELP)]
    Compile(CompileArgs),
    /// Show the location and size of the cache of compiled code, or empty it
    #[command(after_long_help = CACHE_HELP)]
    Cache(CacheArgs),
    /// Show a component's role, imports and limits, or why it cannot be used
    Inspect(InspectArgs),
    /// Trust the disperse.toml of a folder
    ///
    /// Trust covers its build commands, grants, secrets and paths that lead out of the folder.
    #[command(after_long_help = TRUST_HELP)]
    Trust(TrustArgs),
    /// Compare scheduling policies with simulated workers, in virtual time
    Simulate(SimulateArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the names for completions, one per line
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The kind of names
        what: NameKind,
    },
    /// Print the manual page, or write the pages of all commands to a folder
    Man {
        /// Write one page per command to this folder, created if missing
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Show the status of a run, and why an action or worker is in its current state
    Explain {
        #[command(subcommand)]
        what: Option<Explain>,
        #[command(flatten)]
        ask: QueryArgs,
    },
    /// List the runs that have a journal here, show one, or remove their journals
    Runs(RunsArgs),
    /// Print the results that a run has so far, from its journal
    Results(ResultsArgs),
    /// Export results or actions of a run from its journal, as CSV or JSON Lines
    Export(ExportArgs),
    /// List the actions of a run that failed, from its journal
    Dead(DeadArgs),
    /// Put a worker of a run back into service, with a clean record
    Readmit {
        /// The worker's name: `pool/worker`, or the part after the `/`
        worker: String,
        #[command(flatten)]
        ask: QueryArgs,
    },
    /// Add workers to a run
    Workers {
        #[command(subcommand)]
        what: WorkersCommand,
    },
    /// Stop assigning work to a worker, or stop a run as the first Ctrl-C does
    Drain {
        /// The worker's name: `pool/worker`, or the part after the `/` [default: stop the whole run]
        worker: Option<String>,
        #[command(flatten)]
        ask: QueryArgs,
    },
    /// Print the JSON schema of disperse.toml or of a command's JSON output
    ///
    /// `manifest` describes disperse.toml, `events` the JSON lines of `run` and `map`, `actions` those of `dead`, each other one
    /// those of its command. The lines of `export` are those of `results` and `dead`.
    Schema {
        /// The schema to print
        name: SchemaName,
    },
}

/// The kinds of names that a shell completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum NameKind {
    /// Names of runs, for `--run`
    Runs,
    /// Names of runs that have a journal
    Recorded,
    /// Names of the workers of the newest run
    Workers,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Add workers to a pool, with the pool's own settings
    Add {
        /// The pool's name
        pool: String,
        /// Number of workers to add
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
        count: u32,
        #[command(flatten)]
        ask: QueryArgs,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaName {
    Actions,
    Events,
    Manifest,
    Explain,
    Test,
    Compile,
    Inspect,
    Cache,
    Results,
    Runs,
}
