//! What can be typed.

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
    /// Print failed attempts and guests' words; twice: debug lines
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
    /// Run an operation: its tasks hand actions to workers
    Run(RunArgs),
    /// Hand every line of the input to a worker, no operation needed
    Map(MapArgs),
    /// Test an operation: scripted workers, virtual time, golden logs
    #[command(after_long_help = TEST_HELP)]
    Test(TestArgs),
    /// Make a new project: an operation, a worker or both
    New(NewArgs),
    /// Compile components into the cache ahead of time
    #[command(after_long_help = COMPILE_HELP)]
    Compile(CompileArgs),
    /// Print where the cache of compiled code is and how large it is, or empty it
    #[command(after_long_help = CACHE_HELP)]
    Cache(CacheArgs),
    /// Show what a component is, what it imports and which limits apply, or why it cannot be used
    Inspect(InspectArgs),
    /// Trust what the disperse.toml of a folder asks for
    ///
    /// That is builds, grants, secrets and paths out of the folder.
    #[command(after_long_help = TRUST_HELP)]
    Trust(TrustArgs),
    /// Compare scheduling policies with simulated workers, in virtual time
    Simulate(SimulateArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print names for completions, one a line
    #[command(name = "__complete", hide = true)]
    Complete {
        /// Of what
        what: Completed,
    },
    /// Print the manual page, or write the pages of all commands to a folder
    Man {
        /// Write a page for each command to this folder, which is made if it is not there
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Show the status of a run, and why an action or worker is in its current state
    Explain {
        #[command(subcommand)]
        what: Option<Explain>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Give a worker of a run work again, with a clean record
    Readmit {
        /// Its name, `pool/worker`, or what follows the `/`
        worker: String,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Add workers to a run
    Workers {
        #[command(subcommand)]
        what: WorkersCommand,
    },
    /// Give a worker no more work, or stop a run as the first Ctrl-C does
    Drain {
        /// Its name, `pool/worker`, or what follows the `/`; without it the whole run is stopped
        worker: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Print a JSON schema
    ///
    /// Of the lines of `--format json`, of those of `explain`, `inspect`, `test`, `compile` or `cache`, or of disperse.toml.
    Schema {
        /// Which one
        name: SchemaName,
    },
}

/// What the shell asks for while a command line is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Completed {
    /// Runs that `--run` can name
    Runs,
    /// Workers of the newest run
    Workers,
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkersCommand {
    /// Add workers to a pool: as those that the pool has a number of, with nothing of their own
    Add {
        /// The pool's name
        pool: String,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
        count: u32,
        #[command(flatten)]
        ask: AskArgs,
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
    /// The folder that is made; it may be there already if it is empty
    #[arg(value_hint = ValueHint::DirPath)]
    pub(super) path: PathBuf,
    /// In which language
    #[arg(long, value_enum, ignore_case = true, default_value_t = Lang::Rust)]
    pub(super) lang: Lang,
    /// What it is
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
    /// Says what has to be done
    Operation,
    /// Does one step of it
    Worker,
    /// An operation with its workers
    Both,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A .wasm file, a disperse.toml or a folder [default: .]
    ///
    /// A component, or a project, which is built first if its disperse.toml says how.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Perform actions with this component instead
    ///
    /// `=N` makes N workers of it. Can be given several times.
    #[arg(long, value_name = "FILE[=N]", value_hint = ValueHint::FilePath)]
    pub(super) worker: Vec<String>,
    /// Collect tasks in the order in which they were handed out
    #[arg(short = 'k', long)]
    pub(super) ordered: bool,
    /// How many tasks may be in flight [default: by workers]
    ///
    /// By default three for each attempt that workers take at once.
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
    /// A component, or a project, which is built first if its disperse.toml says how.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Write results in the order of the lines, which is the default
    ///
    /// Results that wait for an earlier one wait in memory, up to 64MiB, and then in a file in TMPDIR.
    #[arg(short = 'k', long, overrides_with = "unordered")]
    pub(super) ordered: bool,
    /// Write results as they come
    #[arg(long, overrides_with = "ordered")]
    pub(super) unordered: bool,
    /// How many lines make one action
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch: u32,
    /// A second attempt of a line does no harm: try slow ones twice
    ///
    /// A slow line may then be tried by a second worker beside the first.
    #[arg(long)]
    pub(super) idempotent: bool,
    /// The kind of the actions
    #[arg(long, default_value = "line", value_parser = kind)]
    pub(super) kind: String,
    /// End lines and results with a zero byte, as `find -print0`
    #[arg(short = '0', long)]
    pub(super) null: bool,
    /// Take each line for the path of a file with the payload
    #[arg(long, conflicts_with = "batch")]
    pub(super) files: bool,
    /// Arguments for a program; `{}` is the payload
    ///
    /// `{file}` is a file with the payload, `{file.EXT}` one whose name ends so; `{kind}` and `{attempt}` are those of the action. A
    /// placeholder in double braces is text. Without `{}` and `{file}` the payload is on stdin.
    #[arg(last = true)]
    pub(super) args: Vec<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What `run` and `map` share.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// How many workers [default: one for each core]
    ///
    /// Not for pools whose workers the manifest lists one by one.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    pub(super) workers: Option<u32>,
    /// Where the input comes from; `-` is stdin [default: stdin]
    ///
    /// A terminal is read only with `-`.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) input: Option<PathBuf>,
    /// Where the results go; `-` is stdout [default: stdout]
    ///
    /// The file is made, or cut to nothing, when the first result is there, or at the end of a run without results.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Write results and events as text or json
    ///
    /// As text, results as they are and the rest for people. As json, JSON Lines with one `type` field each.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(super) format: Format,
    /// How many attempts of an action may fail [default: 4 to 8]
    ///
    /// By default 4 to 8, by how flaky the actions of its kind are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) attempts: Option<u32>,
    /// Let workers see this environment variable
    ///
    /// Without VALUE as it is here. Can be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Grants")]
    pub(super) env: Vec<String>,
    /// Let workers read this folder, or with `:rw` write to it
    ///
    /// With GUEST they see it under that path. Can be given several times.
    #[arg(long, value_name = "PATH[::GUEST][:rw]", help_heading = "Grants", value_hint = ValueHint::DirPath)]
    pub(super) dir: Vec<String>,
    /// Let workers run this program with such arguments
    ///
    /// `*` stands for any text, a last `...` for any arguments. Can be given several times.
    #[arg(long, value_name = "PROGRAM [PATTERN ...]", help_heading = "Grants", value_hint = ValueHint::CommandString)]
    pub(super) exec: Vec<String>,
    /// Let workers send requests, as `GET https://example.com/v1`
    ///
    /// A name never stands for an address that is not public, which is granted as itself. Can be given several times.
    #[arg(long, value_name = "[METHOD,... ]URL", help_heading = "Grants", value_hint = ValueHint::Url)]
    pub(super) http: Vec<String>,
    /// Put a secret from env:VAR or file:PATH into granted requests
    ///
    /// Its value replaces, in workers' requests to granted https servers, the placeholder that their variable NAME holds; they
    /// never see it. Can be given several times.
    #[arg(long, value_name = "NAME=SOURCE", help_heading = "Grants")]
    pub(super) secret: Vec<String>,
    /// Memory for all guests and their data [default: half of the machine's]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(super) host_memory: Option<Size>,
    /// How many threads run guests [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), hide_short_help = true)]
    pub(super) threads: Option<u32>,
    /// How many attempts one worker takes at once [default: 1]
    ///
    /// For async workers that mostly wait.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENCY_MAX)))]
    pub(super) concurrency: Option<u32>,
    /// What a service allows each worker, as `100/10s`
    ///
    /// Or `100/10s,fixed`, `10/1s,burst=20` or `concurrent=4`. Workers wait for it at no cost. Can be given several times.
    #[arg(long, value_name = "LIMIT/TIME")]
    pub(super) quota: Vec<QuotaTable>,
    /// Give every attempt a new instance
    #[arg(long, hide_short_help = true)]
    pub(super) fresh: bool,
    #[command(flatten)]
    pub(super) program: ProgramFlags,
    #[command(flatten)]
    pub(super) manifest: ManifestFlags,
    /// Run the component only if its SHA-256 is this, in hexadecimal
    #[arg(long, value_name = "HEX", hide_short_help = true)]
    pub(super) expect_sha256: Option<Digest>,
    /// Run only components with a signature by this key of minisign, in a file beside each: COMPONENT.minisig
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub(super) signed_by: Option<Signer>,
    #[command(flatten)]
    pub(super) compiling: Compiling,
    /// Do not keep compiled code for the next start
    #[arg(long, hide_short_help = true)]
    pub(super) no_cache: bool,
    /// The random seed of the run [default: 0]
    #[arg(long, default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub(super) seed: u64,
    /// Do not listen for `explain`, `readmit`, `workers` and `drain`
    #[arg(long, hide_short_help = true)]
    pub(super) no_socket: bool,
    /// Print errors only: see [`Cli`].
    #[arg(skip)]
    pub(super) quiet: bool,
    /// As [`Cli`] has it.
    #[arg(skip)]
    pub(super) verbose: u8,
    // The last: what follows would be under its heading.
    #[command(flatten)]
    pub(super) limits: LimitsTable,
}

/// How workers that are programs are called.
#[derive(Debug, Args)]
pub(super) struct ProgramFlags {
    /// Exit statuses that are a success, as `0,10` [default: 0]
    #[arg(long, value_name = "N[,N...]", value_delimiter = ',', value_parser = exit_status, help_heading = "Programs")]
    pub(super) ok_status: Option<Vec<u8>>,
    /// Give each attempt an empty `/tmp` of this size
    ///
    /// It is kept in memory. Default: 16MiB if {file} or --result-file is used, else there is none.
    #[arg(long, value_name = "SIZE", help_heading = "Programs")]
    pub(super) scratch: Option<Size>,
    /// Take this file in `/tmp` as the result [default: stdout]
    #[arg(long, value_name = "NAME", help_heading = "Programs", hide_short_help = true)]
    pub(super) result_file: Option<String>,
}

fn exit_status(text: &str) -> Result<u8, String> {
    let status = text.trim().parse();
    status.map_err(|_| "an exit status is a number from 0 to 255; several are written as `0,10`".to_owned())
}

impl Common {
    /// The file that the input comes from. None: none, or stdin.
    pub(super) fn input(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The file that the results go to. None: stdout.
    pub(super) fn output(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// What a script looks like.
const TEST_HELP: &str = "\
A script:
  seed = 7                        # what the run's luck is drawn from [default: 0]
  args = [\"--top\", \"3\"]         # after those of disperse.toml
  input = \"a b\\n\"                # or input-file = \"book.txt\", relative to the script
  tasks = 4                       # tasks in flight
  ordered = true                  # as --ordered
  golden = false                  # compare no log [default: true]
  quota = [{ limit = 2, per = \"10s\" }]
                                  # of each worker, or account; as in disperse.toml [default: none]

  [expect]
  output = \"2\\n\"                  # or output-file
  exit = 0                        # the exit code that `run` would have [default: 0]

  [[worker]]                      # none: one that serves every kind
  name = \"ann\"
  kinds = [\"count\"]              # none: every kind that no worker lists
  slots = 1                       # attempts at once
  account = \"alice\"               # whose quota it spends [default: its own]
  quota = []                      # instead of that of each

  [[answer]]                      # the first one that fits answers an attempt
  kind = \"count\"                  # fits if all that is given holds: kind, worker, attempt = N,
  payload-contains = \"a\"          # payload, payload-json, payload-starts, payload-contains
  times = 2                       # how often it answers [default: always]
  after = \"150ms\"                 # in virtual time [default: 0ms]
  result = \"2\"                    # or one of: json = VALUE, base64 = TEXT, file = PATH, echo = true,
                                  # fail = TEXT, permanent = TEXT, trap = TEXT, unfit = TEXT,
                                  # busy = TIME, lost = true
  report = [{ remaining = 1, resets = \"2s\" }]
                                  # what it says of the quota; with `name` if it has several";

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// A component (.wasm), a disperse.toml, or a folder with one, whose operation is built first [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// Run this script [default: all of tests/*.toml beside disperse.toml]
    ///
    /// Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) script: Vec<PathBuf>,
    /// Keep the logs as they are now: write NAME.golden beside each NAME.toml
    #[arg(long)]
    pub(super) update: bool,
    /// How long one test may take in real time [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<Time>,
    /// How many threads run guests; it changes no result [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) threads: Option<u32>,
    #[command(flatten)]
    pub(super) manifest: ManifestFlags,
    #[command(flatten)]
    pub(super) compiling: Compiling,
    /// Do not keep compiled code for the next start
    #[arg(long)]
    pub(super) no_cache: bool,
    /// How it is written: as text, or as JSON Lines with one for each test and a last one for all
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Print nothing of tests that pass: see [`Cli`].
    #[arg(skip)]
    pub(super) quiet: bool,
    /// Print the log of every test and what its guests write; twice: debug lines too.
    #[arg(skip)]
    pub(super) verbose: u8,
}

/// The longest kind of an action, in bytes, as the contract says.
const KIND_MAX: usize = 256;

/// A kind, which reports name.
///
/// # Errors
/// It is too long, or cannot be shown in a line.
fn kind(text: &str) -> Result<String, String> {
    if text.len() > KIND_MAX {
        return Err(format!("it has more than {KIND_MAX} bytes"));
    }
    match text.chars().find(|c| !is_printable(*c)) {
        None => Ok(text.to_owned()),
        Some(c) => Err(format!("it has an unprintable character, {}", c.escape_default())),
    }
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub(super) enum Explain {
    /// How the run is going; the same as without a word
    Run,
    /// What became of an action
    Action {
        /// Its number, as in `17` or `#17.2`
        id: String,
    },
    /// What is thought of a worker, and the evidence
    Worker {
        /// Its name, `pool/worker`, or what follows the `/`
        name: String,
    },
}

/// Whom to ask, and how to say the answer.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// Which run: its name, or the beginning or the end of it [default: the newest in this folder]
    #[arg(long, value_name = "RUN", global = true)]
    pub(super) run: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A component or core module (.wasm), a disperse.toml, or a folder with one; nothing is built [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(super) path: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}
