//! The arguments of the commands for runs that have a journal: `resume`, `runs`, `results`, `export` and `dead`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::{report::Format, units::Time};

/// The run whose journal is used.
#[derive(Debug, Default, Args)]
pub(crate) struct RecordedRunArgs {
    /// The run: its name, the beginning or end of it, or the file of its journal [default: the newest run]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) run: RecordedRunArgs,
    /// Go on although the operation's component is another one than before
    ///
    /// Tasks that had not ended and do something else than before fail; a planner that does ends the run.
    #[arg(long)]
    pub(crate) accept_new_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) what: Option<RunsCommand>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs, the newest first (default)
    List,
    /// Show one run
    Show(RecordedRunArgs),
    /// Remove journals, with the copies of their inputs
    #[command(name = "rm")]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The runs to remove: names, the beginnings or ends of them, or the files of their journals
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath, required_unless_present = "keep", conflicts_with = "keep")]
    pub(crate) runs: Vec<String>,
    /// Remove all runs that finished or failed, except for the newest N, or those that ended in the last e.g. `30d`
    #[arg(long, value_name = "N|TIME")]
    pub(crate) keep: Option<Keep>,
    /// Print what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which of the runs that have ended are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// So many, the newest.
    Newest(usize),
    /// Those that ended so long ago at most.
    Within(Duration),
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Newest(count));
        }
        let time: Result<Time, _> = text.parse();
        time.map(|time| Self::Within(time.duration()))
            .map_err(|_| format!("`{text}` is not a number of runs, such as 10, or a time, such as 30d or 12h"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    #[command(flatten)]
    pub(crate) run: RecordedRunArgs,
    /// Output format: `text` is the results alone, one per line; `json` has a line for each task
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
    /// Copied from the program's flags.
    #[arg(skip)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) run: RecordedRunArgs,
    /// The rows to export
    #[arg(long, value_enum, default_value_t = Table::Results)]
    pub(crate) table: Table,
    /// The format of the file
    #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
    pub(crate) format: FileFormat,
    /// Write to this file; `-` is stdout [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// The rows of a journal that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// The tasks that have ended
    Results,
    /// The actions that have ended
    Actions,
    /// The actions that failed
    Dead,
}

/// The formats of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// RFC 4180, with a header
    Csv,
    /// An object in each line
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    pub(crate) what: Option<DeadCommand>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List the actions that failed, in the order in which they did (default)
    List(RecordedRunArgs),
    /// Show one of them
    Show {
        /// The action: `TASK-REQUEST`, as in `3-1`
        id: String,
        #[command(flatten)]
        run: RecordedRunArgs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_kept_by_number_or_age() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!("10".parse(), Ok(Keep::Newest(10)));
        assert_eq!("30d".parse(), Ok(Keep::Within(30 * day)));
        for text in ["", "-1", "x", "30 days ago", "1.5"] {
            assert!(text.parse::<Keep>().unwrap_err().contains("such as 10"), "{text}");
        }
    }
}
