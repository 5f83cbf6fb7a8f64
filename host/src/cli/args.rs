//! The arguments and flags of each command.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::{
    cache::{CacheArgs, HELP as CACHE_HELP},
    compile::{CompileArgs, Compiling, HELP as COMPILE_HELP},
    simulate::SimulateArgs,
    trust::{HELP as TRUST_HELP, ManifestFlags, TrustArgs},
};
use crate::{
    digest::Digest,
    limits::{CONCURRENCY_MAX, WORKERS_MAX},
    report::Format,
    settings::{LimitsTable, QuotaTable},
    signer::Signer,
    text::{Color, is_printable},
    units::{Size, Time},
};

/// Runs sandboxed WebAssembly operations and workers.
#[derive(Debug, Parser)]
#[command(name = "disperse-host", version, about, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// Print errors only
    #[arg(short, long, global = true, display_order = 900)]
    pub(super) quiet: bool,
    /// Print failed attempts and guest logs; twice: debug lines too
    #[arg(short, long, global = true, display_order = 901, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
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
    pub(super) color: Color,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run an operation: its tasks submit actions to workers
    Run(RunArgs),
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
    /// `manifest` describes disperse.toml, `events` the JSON lines of `run` and `map`, each other one those of its command.
    Schema {
        /// The schema to print
        name: SchemaName,
    },
}

/// The kinds of names that a shell completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum NameKind {
    /// Names of runs, for `--run`
    Runs,
    /// Names of the workers of the newest run
    Workers,
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkersCommand {
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
pub(super) enum SchemaName {
    Events,
    Manifest,
    Explain,
    Test,
    Compile,
    Inspect,
    Cache,
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The folder to create; an existing one must be empty
    #[arg(value_hint = ValueHint::DirPath)]
    pub(super) path: PathBuf,
    /// The programming language
    #[arg(long, value_enum, ignore_case = true, default_value_t = Lang::Rust)]
    pub(super) lang: Lang,
    /// What to create
    #[arg(long, value_enum, default_value_t = Kind::Both)]
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    #[value(alias = "rs")]
    Rust,
    #[value(alias = "py")]
    Python,
    #[value(aliases = ["ts", "javascript", "js"])]
    Typescript,
    #[value(alias = "golang")]
    Go,
    C,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A component that plans tasks and submits actions
    Operation,
    /// A component that performs actions
    Worker,
    /// An operation and its worker
    Both,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A .wasm file, a disperse.toml or a folder [default: .]
    ///
    /// A project is built first if its disperse.toml has a build command.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Use this component as worker instead of the project's
    ///
    /// `=N` starts N workers. Can be given several times.
    #[arg(long, value_name = "FILE[=N]", value_hint = ValueHint::FilePath)]
    pub(super) worker: Vec<String>,
    /// Collect tasks in the order in which the operation created them
    #[arg(short = 'k', long)]
    pub(super) ordered: bool,
    /// Maximum number of tasks in flight [default: by workers]
    ///
    /// The default is three for each attempt that the workers run at once.
    #[arg(long, value_name = "N")]
    pub(super) tasks: Option<NonZeroUsize>,
    /// Arguments for the operation
    #[arg(last = true)]
    pub(super) args: Vec<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct MapArgs {
    /// A worker: a .wasm file, a disperse.toml or a folder [default: .]
    ///
    /// A project is built first if its disperse.toml has a build command.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Write results in the order of the input lines (default)
    ///
    /// Results that wait for an earlier one are kept in memory, up to 64MiB, and beyond that in a file in TMPDIR.
    #[arg(short = 'k', long, overrides_with = "unordered")]
    pub(super) ordered: bool,
    /// Write each result as soon as it is ready
    #[arg(long, overrides_with = "ordered")]
    pub(super) unordered: bool,
    /// Number of lines per action
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch: u32,
    /// Declare actions idempotent: slow ones may be tried twice
    ///
    /// A second worker may then try a slow line while the first one still runs it.
    #[arg(long)]
    pub(super) idempotent: bool,
    /// The kind of the actions
    #[arg(long, default_value = "line", value_parser = kind)]
    pub(super) kind: String,
    /// Terminate lines and results with a NUL byte, as `find -print0` does
    #[arg(short = '0', long)]
    pub(super) null: bool,
    /// Treat each line as the path of a file that holds the payload
    #[arg(long, conflicts_with = "batch")]
    pub(super) files: bool,
    /// Arguments for a program; `{}` is the payload
    ///
    /// `{file}` is the path of a file with the payload, `{file.EXT}` of one with that extension; `{kind}` and `{attempt}` are the
    /// action's kind and attempt number. Double braces escape a placeholder. Without `{}` and `{file}` the payload is on stdin.
    #[arg(last = true)]
    pub(super) args: Vec<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The flags that `run` and `map` share.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Number of workers [default: one per core]
    ///
    /// Invalid for pools whose workers the manifest lists one by one.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    pub(super) workers: Option<u32>,
    /// Read the input from this file; `-` is stdin [default: stdin]
    ///
    /// A terminal is read only with `-`.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) input: Option<PathBuf>,
    /// Write results to this file; `-` is stdout [default: stdout]
    ///
    /// The file is created or truncated when the first result is ready, or at the end of a run without results.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Output format of results and events: text or json
    ///
    /// `text` writes results verbatim and messages for people; `json` writes JSON Lines, each with a `type` field.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(super) format: Format,
    /// Maximum number of failed attempts per action [default: 4 to 8]
    ///
    /// The default depends on how often actions of the same kind fail.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) attempts: Option<u32>,
    /// Pass this environment variable to workers
    ///
    /// Without VALUE, its value in this process. Can be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Grants")]
    pub(super) env: Vec<String>,
    /// Let workers read this folder, or with `:rw` write to it
    ///
    /// GUEST is the path at which workers see it. Can be given several times.
    #[arg(long, value_name = "PATH[::GUEST][:rw]", help_heading = "Grants", value_hint = ValueHint::DirPath)]
    pub(super) dir: Vec<String>,
    /// Let workers run this program with matching arguments
    ///
    /// `*` matches any text, a final `...` any further arguments. Can be given several times.
    #[arg(long, value_name = "PROGRAM [PATTERN ...]", help_heading = "Grants", value_hint = ValueHint::CommandString)]
    pub(super) exec: Vec<String>,
    /// Let workers send such requests: `GET https://example.com/v1`
    ///
    /// A host name never grants an address that is not public: grant that one by its address. Can be given several times.
    #[arg(long, value_name = "[METHOD,... ]URL", help_heading = "Grants", value_hint = ValueHint::Url)]
    pub(super) http: Vec<String>,
    /// Add a secret from env:VAR or file:PATH to granted requests
    ///
    /// The workers' variable NAME holds a placeholder. The host replaces it by the value in requests to granted https servers;
    /// workers never see the value. Can be given several times.
    #[arg(long, value_name = "NAME=SOURCE", help_heading = "Grants")]
    pub(super) secret: Vec<String>,
    /// Memory for all guests and their data [default: half of the machine's]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(super) host_memory: Option<Size>,
    /// Number of threads that run guests [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), hide_short_help = true)]
    pub(super) threads: Option<u32>,
    /// Number of attempts that one worker runs at once [default: 1]
    ///
    /// Only for async workers; useful for those that mostly wait.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENCY_MAX)))]
    pub(super) concurrency: Option<u32>,
    /// Rate limit of a service for each worker, e.g. `100/10s`
    ///
    /// Other forms: `100/10s,fixed`, `10/1s,burst=20`, `concurrent=4`. Waiting for a quota uses no attempt. Can be given several times.
    #[arg(long, value_name = "LIMIT/TIME")]
    pub(super) quota: Vec<QuotaTable>,
    /// Start a new instance for every attempt
    #[arg(long, hide_short_help = true)]
    pub(super) fresh: bool,
    #[command(flatten)]
    pub(super) program: ProgramFlags,
    #[command(flatten)]
    pub(super) manifest: ManifestFlags,
    /// Run the component only if it has this SHA-256, in hexadecimal
    #[arg(long, value_name = "HEX", hide_short_help = true)]
    pub(super) expect_sha256: Option<Digest>,
    /// Run only components signed by this minisign key; the signature is read from COMPONENT.minisig
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub(super) signed_by: Option<Signer>,
    #[command(flatten)]
    pub(super) compiling: Compiling,
    /// Do not use the cache of compiled code
    #[arg(long, hide_short_help = true)]
    pub(super) no_cache: bool,
    /// The random seed of the run [default: 0]
    #[arg(long, default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub(super) seed: u64,
    /// Do not listen for `explain`, `readmit`, `workers` and `drain`
    #[arg(long, hide_short_help = true)]
    pub(super) no_socket: bool,
    /// Copied from [`Cli`].
    #[arg(skip)]
    pub(super) quiet: bool,
    /// Copied from [`Cli`].
    #[arg(skip)]
    pub(super) verbose: u8,
    // Last: clap would put the flags that follow under its heading.
    #[command(flatten)]
    pub(super) limits: LimitsTable,
}

/// The flags for workers that are programs.
#[derive(Debug, Args)]
pub(super) struct ProgramFlags {
    /// Exit statuses that mean success, e.g. `0,10` [default: 0]
    #[arg(long, value_name = "N[,N...]", value_delimiter = ',', value_parser = exit_status, help_heading = "Programs")]
    pub(super) ok_status: Option<Vec<u8>>,
    /// Give each attempt an empty `/tmp` of this size
    ///
    /// It is held in memory. Default: 16MiB if {file} or --result-file is used, else none.
    #[arg(long, value_name = "SIZE", help_heading = "Programs")]
    pub(super) scratch: Option<Size>,
    /// Use this file in `/tmp` as the result [default: stdout]
    #[arg(long, value_name = "NAME", help_heading = "Programs", hide_short_help = true)]
    pub(super) result_file: Option<String>,
}

fn exit_status(text: &str) -> Result<u8, String> {
    let status = text.trim().parse();
    status.map_err(|_| "an exit status is a number from 0 to 255; several are written as `0,10`".to_owned())
}

impl Common {
    /// The input file. None: stdin, or no input.
    pub(super) fn input(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The file that results are written to. None: stdout.
    pub(super) fn output(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// The format of a test script.
const TEST_HELP: &str = "\
A script:
  seed = 7                        # the random seed of the run [default: 0]
  args = [\"--top\", \"3\"]         # after those of disperse.toml
  input = \"a b\\n\"                # or input-file = \"book.txt\", relative to the script
  tasks = 4                       # tasks in flight
  ordered = true                  # as --ordered
  golden = false                  # compare no log [default: true]
  quota = [{ limit = 2, per = \"10s\" }]
                                  # per worker, or account; as in disperse.toml [default: none]

  [expect]
  output = \"2\\n\"                  # or output-file
  exit = 0                        # the exit code that `run` would have [default: 0]

  [[worker]]                      # without any: one worker that serves every kind
  name = \"ann\"
  kinds = [\"count\"]              # [default: every kind that no worker lists]
  slots = 1                       # attempts at once
  account = \"alice\"               # workers of one account share its quota [default: its own]
  quota = []                      # replaces the quota of the script

  [[answer]]                      # the first one that matches answers an attempt
  kind = \"count\"                  # matches if all given keys do: kind, worker, attempt = N,
  payload-contains = \"a\"          # payload, payload-json, payload-starts, payload-contains
  times = 2                       # number of answers [default: unlimited]
  after = \"150ms\"                 # in virtual time [default: 0ms]
  result = \"2\"                    # or one of: json = VALUE, base64 = TEXT, file = PATH, echo = true,
                                  # fail = TEXT, permanent = TEXT, trap = TEXT, unfit = TEXT,
                                  # busy = TIME, lost = true
  report = [{ remaining = 1, resets = \"2s\" }]
                                  # what it reports of its quota; with `name` if it has several";

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// A component (.wasm), a disperse.toml or a folder with one; its operation is built first [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Run this script [default: tests/*.toml beside disperse.toml]
    ///
    /// Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) script: Vec<PathBuf>,
    /// Update the golden logs: write NAME.golden beside each NAME.toml
    #[arg(long)]
    pub(super) update: bool,
    /// Maximum real time of one test [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<Time>,
    /// Number of threads that run guests; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) threads: Option<u32>,
    #[command(flatten)]
    pub(super) manifest: ManifestFlags,
    #[command(flatten)]
    pub(super) compiling: Compiling,
    /// Do not use the cache of compiled code
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Output format; JSON Lines have one line per test and a final summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Omit tests that pass: copied from [`Cli`].
    #[arg(skip)]
    pub(super) quiet: bool,
    /// Print the log of every test and its guests' log lines; twice: debug lines too. Copied from [`Cli`].
    #[arg(skip)]
    pub(super) verbose: u8,
}

/// The longest kind of an action, in bytes. Source: the contract.
const KIND_MAX: usize = 256;

/// Checks a kind, which reports show.
///
/// # Errors
/// It is too long, or has an unprintable character.
fn kind(text: &str) -> Result<String, String> {
    if text.len() > KIND_MAX {
        return Err(format!("it has more than {KIND_MAX} bytes"));
    }
    match text.chars().find(|c| !is_printable(*c)) {
        None => Ok(text.to_owned()),
        Some(c) => Err(format!("it has an unprintable character, {}", c.escape_default())),
    }
}

/// The subjects of `explain`.
#[derive(Debug, Subcommand)]
pub(super) enum Explain {
    /// Show the status of the run (default)
    Run,
    /// Show the state of an action and its failed attempts
    Action {
        /// The action's number: `17`, or `#17.2` as reports show it
        id: String,
    },
    /// Show the health of a worker, and the evidence for it
    Worker {
        /// The worker's name: `pool/worker`, or the part after the `/`
        name: String,
    },
}

/// The run to ask, and the format of the answer.
#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// The run's name, or the beginning or end of it [default: the newest run in this folder]
    #[arg(long, value_name = "RUN", global = true)]
    pub(super) run: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A component or core module (.wasm), a disperse.toml, or a folder with one; nothing is built [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}
