//! Converts the flags and the manifest of `run` into the plan of a run.

use std::{num::NonZeroUsize, path::Path};

use disperse_scheduler::Policy;

use super::{
    common::{plan, prepare, workers_can_be_counted},
    pools::PoolMaker,
    streams::Written,
    tampering, worker_grants,
};
use crate::{
    cli::{
        args::RunArgs,
        console::Failure,
        loading::{LoadedComponents, Role, Wanted, name_of, sandbox, wanted_by_pools},
        project::{operation_alone, project},
        recording::RecordedOperation,
    },
    limits::{Limits, WORKERS_MAX},
    run::{OperationSource, Plan, PoolPlan},
    sandbox::Sandbox,
};

/// The sandbox and the plan of `run`.
pub(crate) fn for_run(args: &RunArgs) -> Result<(Sandbox, Plan, RecordedOperation), Failure> {
    let written = Written::of(&args.common);
    written.iter().try_for_each(Written::check)?;
    let mut project = project(&args.path, args.common.manifest, operation_alone)?;
    let sandbox = sandbox(&args.common, &project.manifest)?;
    let operation = project.manifest.operation.clone().ok_or_else(|| {
        Failure::usage(format!("`{}` names no operation", args.path.display()))
            .hint("add an [operation] table, or use `map` for a worker")
    })?;
    let component = project.folder.join(&operation.component);
    let mut operation_args = operation.args;
    let typed = args.worker.iter().map(|spec| typed_worker(spec));
    let typed: Vec<_> = typed.collect::<Result<_, _>>()?;
    if typed.is_empty() {
        workers_can_be_counted(&project.manifest, &args.common)?;
    }
    let built = prepare(&mut project, &args.common)?;
    let (manifest, folder) = (&project.manifest, &project.folder);
    let signer = args.common.signed_by.as_ref().or(manifest.signed_by.as_ref());
    let pin = args.common.expect_sha256.or(operation.sha256);
    let mut wanted = vec![Wanted::new(component.clone(), pin, signer, Role::Operation).typed(project.is_alone())];
    if typed.is_empty() {
        wanted.extend(wanted_by_pools(manifest, folder, signer));
    } else {
        let worker = |(path, _): &(&Path, _)| Wanted::new(path.into(), None, signer, Role::Worker).typed(true);
        wanted.extend(typed.iter().map(worker));
    }
    let programs = LoadedComponents::load(&sandbox, &wanted, &built, args.common.quiet)?;
    let program = programs.of(&component)?;
    operation_args.extend(args.args.iter().cloned());
    operation_args.insert(0, name_of(&component));
    let recorded = RecordedOperation {
        path: component.clone(),
        digest: programs.digest(&component)?,
        arguments: operation_args.clone(),
    };
    let limits = args.common.limits.over(manifest.limits.over(Limits::WORKER));
    let maker = PoolMaker::new(&programs, &args.common, limits, &[])?;
    let mut pools = Vec::new();
    for &(path, count) in &typed {
        let mut pool = maker.component(path, count)?;
        // Files with the same name are separate pools.
        let like = |one: &PoolPlan| one.name == pool.name || one.name.starts_with(&format!("{}#", pool.name));
        match pools.iter().filter(|one| like(one)).count() {
            0 => {}
            others => pool.name = format!("{}#{}", pool.name, others + 1),
        }
        pools.push(pool);
    }
    if pools.is_empty() {
        pools = maker.manifest(manifest, folder, false)?;
    }
    if pools.is_empty() {
        if program.contract().worker.is_none() {
            return Err(
                Failure::usage(format!("no worker performs the actions of `{}`", component.display()))
                    .hint("add workers with --worker FILE, or with a [[pool]] in disperse.toml"),
            );
        }
        pools.push(maker.own(&component, program.clone())?);
    }
    let workers = typed.iter().map(|(path, _)| *path);
    let writes = (written.as_slice(), None);
    tampering::check(
        &sandbox,
        &pools,
        &args.common,
        &args.path,
        (manifest, folder),
        workers,
        writes,
    )?;
    worker_grants::hide(&args.common, manifest);
    let what = OperationSource::Component {
        program,
        args: operation_args,
        task_limits: limits,
        planner_limits: args.common.limits.over(manifest.limits.over(Limits::PLANNER)),
    };
    let mut plan = plan(&args.common, what, pools, manifest.health.over(Policy::default()))?;
    plan.run.tasks_max = args.tasks.or(operation.max_concurrent_tasks).map(NonZeroUsize::get);
    plan.run.ordered = args.ordered;
    Ok((sandbox, plan, recorded))
}

/// The file and the count of `--worker FILE=N`.
fn typed_worker(spec: &str) -> Result<(&Path, Option<u32>), Failure> {
    let Some((path, count)) = spec.rsplit_once('=') else {
        return Ok((Path::new(spec), None));
    };
    let count = count.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count));
    let range = format!("N must be a number from 1 to {WORKERS_MAX}");
    let wrong = || Failure::usage(format!("`{spec}` is not FILE=N")).hint(range);
    Ok((Path::new(path), Some(count.ok_or_else(wrong)?)))
}
