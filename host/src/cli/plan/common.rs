//! What `run` and `map` share: preparations, and the flags of both.

use std::path::Path;

use disperse::assembly;
use disperse_scheduler::Policy;

use super::streams::input;
use crate::{
    cli::{
        args::Common,
        build::{Built, build_all},
        console::Failure,
        project::{Project, trust},
    },
    logger::Level,
    report::SideFiles,
    run::{OperationSource, Plan, PoolPlan},
    settings::{Health, Manifest},
};

/// Checks the health settings, and returns them.
///
/// # Errors
/// A value is invalid.
pub(crate) fn checked(policy: Policy) -> Result<Policy, Failure> {
    Health::check(policy).map_err(|why| Failure::usage("invalid `[health]` settings").because(why))
}

/// Requires trust in a project as far as it is needed, and builds it. Returns the components that were made.
pub(super) fn prepare(project: &mut Project, common: &Common) -> Result<Built, Failure> {
    trust::require(project, common.manifest, common.signed_by.is_some(), |_| true)?;
    if common.manifest.no_build {
        return Ok(Built::default());
    }
    build_all(&project.manifest, &project.folder, common.quiet)
}

/// Checks that `--workers` is not given for a pool that lists its workers: they differ, and a count does not select among them.
pub(super) fn workers_can_be_counted(manifest: &Manifest, common: &Common) -> Result<(), Failure> {
    let listing = manifest.pool.iter().find(|pool| !pool.worker.is_empty());
    match (common.workers, listing) {
        (Some(count), Some(pool)) => Err(Failure::usage(format!(
            "`--workers {count}` does not apply to the pool `{}`",
            pool.name
        ))
        .because("the manifest lists its workers one by one")
        .hint("remove --workers; the [[pool.worker]] tables and `workers` of the pool define its workers")),
        _ => Ok(()),
    }
}

/// The plan of a run. It has neither `tasks_max` nor `ordered` set.
///
/// # Errors
/// A health setting is invalid, or the input cannot be read.
pub(super) fn plan(
    common: &Common,
    what: OperationSource,
    pools: Vec<PoolPlan>,
    mut policy: Policy,
) -> Result<Plan, Failure> {
    if let Some(attempts) = common.attempts {
        policy.attempts = attempts;
    }
    let policy = checked(policy)?;
    let run = assembly::Plan {
        what,
        input: input(common)?,
        pools,
        policy,
        tasks_max: None,
        ordered: false,
        halt: common.halt,
        verbose: common.verbose > 0,
        socket: !common.no_socket,
        log_level: match (common.quiet, common.verbose) {
            (true, _) => Level::Error,
            (false, 0 | 1) => Level::Info,
            (false, _) => Level::Debug,
        },
        seed: common.seed,
        recording: None,
        is_embedded: false,
    };
    Ok(Plan {
        run,
        output: common.output().map(Path::to_owned),
        kept: None,
        files: SideFiles {
            job_log: common.joblog.clone(),
            ..SideFiles::default()
        },
        format: common.format,
        quiet: common.quiet,
    })
}
