//! The flags that `run` and `map` share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use disperse_engine::driver::Halt;

use super::project::{Compiling, ManifestFlags};
use crate::{
    digest::Digest,
    limits::{CONCURRENCY_MAX, WORKERS_MAX},
    report::Format,
    settings::{LimitsTable, QuotaTable},
    signer::Signer,
    units::Size,
};

/// The flags that `run` and `map` share.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Number of workers [default: one per core]
    ///
    /// Invalid for pools whose workers the manifest lists one by one.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    pub(crate) workers: Option<u32>,
    /// Read the input from this file; `-` is stdin [default: stdin]
    ///
    /// A terminal is read only with `-`.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// Write results to this file; `-` is stdout [default: stdout]
    ///
    /// The file is created or truncated when the first result is ready, or at the end of a run without results.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Output format of results and events: text or json
    ///
    /// `text` writes results verbatim and messages for people; `json` writes JSON Lines, each with a `type` field.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
    /// Write a row for each attempt to this file, as GNU parallel does
    ///
    /// Separated by tabs, with a header. `Seq` is the line or task, `Host` the worker, `Command` the kind. With a journal, `resume`
    /// adds rows.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) joblog: Option<PathBuf>,
    /// Stop when so many tasks have failed, or percent of those that ended
    ///
    /// For `map` a task is a line or batch. A percentage, as `10%`, counts once 20 have ended: of fewer, one failure is much.
    /// Running attempts end, and the exit code is 1.
    #[arg(long, value_name = "N|N%")]
    pub(crate) halt: Option<Halt>,
    /// Maximum number of failed attempts per action [default: 4 to 8]
    ///
    /// The default depends on how often actions of the same kind fail.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts: Option<u32>,
    /// Pass this environment variable to workers
    ///
    /// Without VALUE, its value in this process. Can be given several times.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Grants")]
    pub(crate) env: Vec<String>,
    /// Let workers read this folder, or with `:rw` write to it
    ///
    /// GUEST is the path at which workers see it. Can be given several times.
    #[arg(long, value_name = "PATH[::GUEST][:rw]", help_heading = "Grants", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Vec<String>,
    /// Let workers run this program with matching arguments
    ///
    /// `*` matches any text, a final `...` any further arguments. Can be given several times.
    #[arg(long, value_name = "PROGRAM [PATTERN ...]", help_heading = "Grants", value_hint = ValueHint::CommandString)]
    pub(crate) exec: Vec<String>,
    /// Let workers send such requests: `GET https://example.com/v1`
    ///
    /// A host name never grants an address that is not public: grant that one by its address. Can be given several times.
    #[arg(long, value_name = "[METHOD,... ]URL", help_heading = "Grants", value_hint = ValueHint::Url)]
    pub(crate) http: Vec<String>,
    /// Add a secret from env:VAR or file:PATH to granted requests
    ///
    /// The workers' variable NAME holds a placeholder. The host replaces it by the value in requests to granted https
    /// servers or, if there are none, to those granted by address; workers never see the value. Can be given several times.
    #[arg(long, value_name = "NAME=SOURCE", help_heading = "Grants")]
    pub(crate) secret: Vec<String>,
    /// Memory for all guests and their data [default: half of the machine's]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) host_memory: Option<Size>,
    /// Number of threads that run guests [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), hide_short_help = true)]
    pub(crate) threads: Option<u32>,
    /// Number of attempts that one worker runs at once [default: 1]
    ///
    /// Only for async workers; useful for those that mostly wait.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENCY_MAX)))]
    pub(crate) concurrency: Option<u32>,
    /// Rate limit of a service for each worker, e.g. `100/10s`
    ///
    /// Other forms: `100/10s,fixed`, `10/1s,burst=20`, `concurrent=4`. Waiting for a quota uses no attempt. Can be given several times.
    #[arg(long, value_name = "LIMIT/TIME")]
    pub(crate) quota: Vec<QuotaTable>,
    /// Start a new instance for every attempt
    #[arg(long, hide_short_help = true)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) program: ProgramFlags,
    #[command(flatten)]
    pub(crate) manifest: ManifestFlags,
    /// Run the component only if it has this SHA-256, in hexadecimal
    #[arg(long, value_name = "HEX", hide_short_help = true)]
    pub(crate) expect_sha256: Option<Digest>,
    /// Run only components signed by this minisign key; the signature is read from COMPONENT.minisig
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub(crate) signed_by: Option<Signer>,
    #[command(flatten)]
    pub(crate) compiling: Compiling,
    /// Do not use the cache of compiled code
    #[arg(long, hide_short_help = true)]
    pub(crate) no_cache: bool,
    /// The random seed of the run [default: 0]
    #[arg(long, default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub(crate) seed: u64,
    /// Do not listen for `explain`, `readmit`, `workers` and `drain`
    #[arg(long, hide_short_help = true)]
    pub(crate) no_socket: bool,
    /// Copied from the program's flags.
    #[arg(skip)]
    pub(crate) quiet: bool,
    /// Copied from the program's flags.
    #[arg(skip)]
    pub(crate) verbose: u8,
    // Last: clap would put the flags that follow under its heading.
    #[command(flatten)]
    pub(crate) limits: LimitsTable,
}

/// The flags for workers that are programs.
#[derive(Debug, Args)]
pub(crate) struct ProgramFlags {
    /// Exit statuses that mean success, e.g. `0,10` [default: 0]
    #[arg(long, value_name = "N[,N...]", value_delimiter = ',', value_parser = exit_status, help_heading = "Programs")]
    pub(crate) ok_status: Option<Vec<u8>>,
    /// Give each attempt an empty `/tmp` of this size
    ///
    /// It is held in memory. Default: 16MiB if {file} or --result-file is used, else none.
    #[arg(long, value_name = "SIZE", help_heading = "Programs")]
    pub(crate) scratch: Option<Size>,
    /// Use this file in `/tmp` as the result [default: stdout]
    #[arg(long, value_name = "NAME", help_heading = "Programs", hide_short_help = true)]
    pub(crate) result_file: Option<String>,
}

fn exit_status(text: &str) -> Result<u8, String> {
    let status = text.trim().parse();
    status.map_err(|_| "an exit status is a number from 0 to 255; several are written as `0,10`".to_owned())
}

impl Common {
    /// The input file. None: stdin, or no input.
    pub(crate) fn input(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The file that results are written to. None: stdout.
    pub(crate) fn output(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}
