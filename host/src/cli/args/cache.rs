//! The arguments of `cache`.

use clap::{Args, Subcommand};

use crate::report::Format;

/// The path of the cache, and the exit codes.
pub(super) const HELP: &str = "\
The cache is $XDG_CACHE_HOME/disperse, else ~/.cache/disperse. `clean` does not disturb runs: loaded code stays loaded, and missing
code is compiled again.

Exit codes: 0 success, 4 the cache cannot be used";

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) what: Option<CacheCommand>,
    /// Output format; JSON is one line
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the path of the cache
    Dir,
    /// Print the size of the cache (default)
    Size,
    /// Empty the cache: the next start compiles components and builds projects again
    Clean,
}
