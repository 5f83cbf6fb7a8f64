//! The arguments of `compile`.

use std::path::PathBuf;

use clap::Args;

use super::project::{Compiling, ManifestFlags};
use crate::report::Format;

/// The path and size of the cache.
pub(super) const HELP: &str = "\
The cache is $XDG_CACHE_HOME/disperse, else ~/.cache/disperse. It holds up to 1 GiB; the least recently used code is removed first.";

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// Components (.wasm), core modules, or disperse.toml files or folders, which are built first [default: .]
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true, value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) manifest: ManifestFlags,
    #[command(flatten)]
    pub(crate) compiling: Compiling,
    /// Output format; JSON Lines have one line per file
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Print errors only; copied from the program's flags.
    #[arg(skip)]
    pub(crate) quiet: bool,
}
