//! The arguments and flags of each command.

mod cache;
mod command;
mod common;
mod compile;
mod explain;
mod inspect;
mod new;
mod project;
mod run;
mod simulate;
mod test;
mod trust;

pub(crate) use self::{
    cache::{CacheArgs, CacheCommand},
    command::{Cli, Command, NameKind, SchemaName, WorkersCommand},
    common::Common,
    compile::CompileArgs,
    explain::{Explain, QueryArgs},
    inspect::InspectArgs,
    new::{Kind, Lang, NewArgs},
    project::ManifestFlags,
    run::{MapArgs, OnError, ResumeArgs, RunArgs},
    simulate::{SimulateArgs, policy_id},
    test::TestArgs,
    trust::TrustArgs,
};
