//! The arguments of `inspect`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::report::Format;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component or core module (.wasm), a disperse.toml, or a folder with one; nothing is built [default: .]
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
