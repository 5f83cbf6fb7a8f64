//! The arguments of `test`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::project::{Compiling, ManifestFlags};
use crate::{report::Format, units::Time};

/// The format of a test script.
pub(super) const HELP: &str = "\
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
pub(crate) struct TestArgs {
    /// A component (.wasm), a disperse.toml or a folder with one; its operation is built first [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Run this script [default: tests/*.toml beside disperse.toml]
    ///
    /// Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) script: Vec<PathBuf>,
    /// Update the golden logs: write NAME.golden beside each NAME.toml
    #[arg(long)]
    pub(crate) update: bool,
    /// Maximum real time of one test [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Time>,
    /// Number of threads that run guests; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) manifest: ManifestFlags,
    #[command(flatten)]
    pub(crate) compiling: Compiling,
    /// Do not use the cache of compiled code
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Output format; JSON Lines have one line per test and a final summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Omit tests that pass: copied from the program's flags.
    #[arg(skip)]
    pub(crate) quiet: bool,
    /// Print the log of every test and its guests' log lines; twice: debug lines too. Copied from the program's flags.
    #[arg(skip)]
    pub(crate) verbose: u8,
}
