//! The arguments of `explain`, `readmit`, `workers` and `drain`.

use clap::{Args, Subcommand};

use crate::report::Format;

/// The subjects of `explain`.
#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
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
pub(crate) struct QueryArgs {
    /// The run's name, or the beginning or end of it [default: the newest run in this folder]
    #[arg(long, value_name = "RUN", global = true)]
    pub(crate) run: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
}
