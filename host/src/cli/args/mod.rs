//! The arguments and flags of each command.

mod cache;
mod command;
mod common;
mod compile;
mod explain;
mod inspect;
mod new;
mod project;
mod recorded;
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
    recorded::{
        DeadArgs, DeadCommand, ExportArgs, FileFormat, Keep, RemoveArgs, ResultsArgs, ResumeArgs, RunsArgs,
        RunsCommand, Table,
    },
    run::{MapArgs, OnError, RunArgs},
    simulate::{SimulateArgs, policy_id},
    test::TestArgs,
    trust::TrustArgs,
};
