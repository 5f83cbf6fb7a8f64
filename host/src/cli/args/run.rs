//! The arguments of `run` and `map`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::common::Common;
use crate::text::is_printable;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A .wasm file, a disperse.toml or a folder [default: .]
    ///
    /// A project is built first if its disperse.toml has a build command.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Use this component as worker instead of the project's
    ///
    /// `=N` starts N workers. Can be given several times.
    #[arg(long, value_name = "FILE[=N]", value_hint = ValueHint::FilePath)]
    pub(crate) worker: Vec<String>,
    /// Collect tasks in the order in which the operation created them
    #[arg(short = 'k', long)]
    pub(crate) ordered: bool,
    /// Maximum number of tasks in flight [default: by workers]
    ///
    /// The default is three for each attempt that the workers run at once.
    #[arg(long, value_name = "N")]
    pub(crate) tasks: Option<NonZeroUsize>,
    /// File of the journal, from which the run is resumed if it is killed or stopped
    ///
    /// Without FILE, or without this flag, it is in the folder of runs: `.disperse` in a project. With the flag, a run that
    /// cannot have a journal is an error and not only a warning.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) journal: Option<Option<PathBuf>>,
    /// Keep no journal: faster, and the run cannot be resumed
    #[arg(long, conflicts_with = "journal")]
    pub(crate) no_journal: bool,
    /// Arguments for the operation
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    /// A worker: a .wasm file, a disperse.toml or a folder [default: .]
    ///
    /// A project is built first if its disperse.toml has a build command.
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Write results in the order of the input lines (default)
    ///
    /// Results that wait for an earlier one are kept in memory, up to 64MiB, and beyond that in a file in TMPDIR.
    #[arg(short = 'k', long, overrides_with = "unordered")]
    pub(crate) ordered: bool,
    /// Write each result as soon as it is ready
    #[arg(long, overrides_with = "ordered")]
    pub(crate) unordered: bool,
    /// Number of lines per action
    ///
    /// The worker gets them joined by line ends, and divides them itself.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,
    /// Declare actions idempotent: slow ones may be tried twice
    ///
    /// A second worker may then try a slow line while the first one still runs it.
    #[arg(long)]
    pub(crate) idempotent: bool,
    /// The kind of the actions
    #[arg(long, default_value = "line", value_parser = kind)]
    pub(crate) kind: String,
    /// Terminate lines and results with a NUL byte, as `find -print0` does
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Treat each line as the path of a file that holds the payload
    #[arg(long, conflicts_with = "batch")]
    pub(crate) files: bool,
    /// Begin each line of the output with its line of the input and a tab
    ///
    /// Of a result with several lines each one. With --files the line is the path.
    #[arg(long, conflicts_with = "batch")]
    pub(crate) tag: bool,
    /// Output of a line that failed: skip, empty or stop
    ///
    /// `skip`: none. `empty`: an empty line. `stop`: none, and the run stops, as with --halt 1.
    #[arg(long, value_enum, value_name = "HOW", default_value_t, hide_possible_values = true)]
    pub(crate) on_error: OnError,
    /// Write the lines that failed to this file, to run them again
    ///
    /// As they came, in the order of the input, with --unordered as they fail. With --batch all lines of the batch. Lines that were not run
    /// are not in it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) failed: Option<PathBuf>,
    /// Write each result also to a file of its own in this folder
    ///
    /// It is named by the number of the line, as 000000001; one that failed has 000000001.err with the reason. The folder must be
    /// empty, or is created.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) results: Option<PathBuf>,
    /// Arguments for a program; `{}` is the payload
    ///
    /// `{file}` is the path of a file with the payload, `{file.EXT}` of one with that extension; `{kind}` and `{attempt}` are the
    /// action's kind and attempt number. Double braces escape a placeholder. Without `{}` and `{file}` the payload is on stdin.
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What stands in the output for a line that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Nothing.
    #[default]
    Skip,
    /// An empty line.
    Empty,
    /// Nothing, and the run stops.
    Stop,
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
