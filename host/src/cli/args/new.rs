//! The arguments of `new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The folder to create; an existing one must be empty
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// The programming language
    #[arg(long, value_enum, ignore_case = true, default_value_t = Lang::Rust)]
    pub(crate) lang: Lang,
    /// What to create
    #[arg(long, value_enum, default_value_t = Kind::Both)]
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
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
pub(crate) enum Kind {
    /// A component that plans tasks and submits actions
    Operation,
    /// A component that performs actions
    Worker,
    /// An operation and its worker
    Both,
}
