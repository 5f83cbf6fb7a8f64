//! Converts the flags and the manifest of `run` and `map` into the plan of a run.

use std::{
    fs::File,
    io::{ErrorKind, IsTerminal},
    num::NonZeroUsize,
    path::Path,
};

use disperse_scheduler::Policy;

use super::{
    args::{Common, MapArgs, RunArgs},
    build::build_all,
    console::{Failure, writable},
    loading::{LoadedComponents, Role, Wanted, name_of, sandbox, wanted_by_map, wanted_by_pools},
    pools::PoolMaker,
    project::{Project, operation_alone, project, trust},
    tampering, worker_grants,
};
use crate::{
    limits::{Limits, WORKERS_MAX},
    logger::Level,
    operation::Files,
    run::{InputSource, OperationSource, Plan, PoolPlan},
    sandbox::Sandbox,
    settings::{Component, Health, Manifest},
};

/// The sandbox and the plan of `run`.
pub(super) fn for_run(args: &RunArgs) -> Result<(Sandbox, Plan), Failure> {
    args.common.output().map_or(Ok(()), writable)?;
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
    prepare(&mut project, &args.common)?;
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
    let programs = LoadedComponents::load(&sandbox, &wanted, args.common.quiet)?;
    let program = programs.of(&component)?;
    operation_args.extend(args.args.iter().cloned());
    operation_args.insert(0, name_of(&component));
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
    tampering::check(&sandbox, &pools, &args.common, &args.path, (manifest, folder), workers)?;
    worker_grants::hide(&args.common, manifest);
    let what = OperationSource::Component {
        program,
        args: operation_args,
        task_limits: limits,
        planner_limits: args.common.limits.over(manifest.limits.over(Limits::PLANNER)),
    };
    let mut plan = plan(&args.common, what, pools, manifest.health.over(Policy::default()))?;
    plan.tasks_max = args.tasks.or(operation.max_concurrent_tasks).map(NonZeroUsize::get);
    plan.ordered = args.ordered;
    Ok((sandbox, plan))
}

/// The sandbox and the plan of `map`.
pub(super) fn for_map(args: &MapArgs) -> Result<(Sandbox, Plan), Failure> {
    if args.common.input.is_none() && std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no input: stdin is a terminal")
            .hint("name a file with --input FILE, pipe lines in, or type them with --input -"));
    }
    args.common.output().map_or(Ok(()), writable)?;
    let mut project = project(&args.path, args.common.manifest, |component| Manifest {
        worker: Some(Component {
            component,
            ..Component::default()
        }),
        ..Manifest::default()
    })?;
    let sandbox = sandbox(&args.common, &project.manifest)?;
    workers_can_be_counted(&project.manifest, &args.common)?;
    prepare(&mut project, &args.common)?;
    let (manifest, folder) = (&project.manifest, &project.folder);
    let limits = args.common.limits.over(manifest.limits.over(Limits::WORKER));
    let signer = args.common.signed_by.as_ref().or(manifest.signed_by.as_ref());
    let mut wanted = wanted_by_pools(manifest, folder, signer);
    let alone = wanted_by_map(manifest, folder, &args.common, signer);
    wanted.extend(alone.map(|one| one.typed(project.is_alone())));
    let programs = LoadedComponents::load(&sandbox, &wanted, args.common.quiet)?;
    let pools = PoolMaker::new(&programs, &args.common, limits, &args.args)?.manifest(manifest, folder, true)?;
    if pools.is_empty() {
        return Err(Failure::usage(format!("`{}` names no worker", args.path.display()))
            .hint("add a [worker] table or a [[pool]]"));
    }
    tampering::check(&sandbox, &pools, &args.common, &args.path, (manifest, folder), [])?;
    worker_grants::hide(&args.common, manifest);
    let policy = manifest.health.over(Policy::default());
    let payload = pools
        .iter()
        .map(|pool| pool.limits.result)
        .min()
        .unwrap_or(Limits::WORKER.result);
    let what = OperationSource::Lines {
        kind: args.kind.clone(),
        batch: args.batch as usize,
        end: if args.null { 0 } else { b'\n' },
        files: args.files.then(|| Files {
            output: args.common.output().map(Path::to_owned),
        }),
        idempotent: args.idempotent,
        payload_max: usize::try_from(payload).unwrap_or(usize::MAX),
    };
    let mut plan = plan(&args.common, what, pools, policy)?;
    plan.ordered = !args.unordered;
    Ok((sandbox, plan))
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

/// Checks the health settings, and returns them.
///
/// # Errors
/// A value is invalid.
pub(super) fn checked(policy: Policy) -> Result<Policy, Failure> {
    Health::check(policy).map_err(|why| Failure::usage("invalid `[health]` settings").because(why))
}

/// Requires trust in a project as far as it is needed, and builds it.
fn prepare(project: &mut Project, common: &Common) -> Result<(), Failure> {
    trust::require(project, common.manifest, common.signed_by.is_some(), |_| true)?;
    if !common.manifest.no_build {
        build_all(&project.manifest, &project.folder, common.quiet)?;
    }
    Ok(())
}

/// Checks that `--workers` is not given for a pool that lists its workers: they differ, and a count does not select among them.
fn workers_can_be_counted(manifest: &Manifest, common: &Common) -> Result<(), Failure> {
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

fn plan(common: &Common, what: OperationSource, pools: Vec<PoolPlan>, mut policy: Policy) -> Result<Plan, Failure> {
    if let Some(attempts) = common.attempts {
        policy.attempts = attempts;
    }
    let policy = checked(policy)?;
    Ok(Plan {
        what,
        input: input(common)?,
        output: common.output().map(Path::to_owned),
        pools,
        policy,
        tasks_max: None,
        ordered: false,
        format: common.format,
        quiet: common.quiet,
        verbose: common.verbose > 0,
        socket: !common.no_socket,
        log_level: match (common.quiet, common.verbose) {
            (true, _) => Level::Error,
            (false, 0 | 1) => Level::Info,
            (false, _) => Level::Debug,
        },
        seed: common.seed,
    })
}

fn input(common: &Common) -> Result<InputSource, Failure> {
    let Some(path) = common.input() else {
        // A terminal is read only with `--input -`.
        let nothing = common.input.is_none() && std::io::stdin().is_terminal();
        return Ok(if nothing {
            InputSource::Nothing
        } else {
            InputSource::Stdin
        });
    };
    let what = format!("cannot read the input `{}`", path.display());
    let unusable = |error: std::io::Error| {
        let failure = Failure::unread(what.clone(), &error);
        match error.kind() {
            ErrorKind::NotFound => failure.hint("check the path; `--input -` reads stdin"),
            ErrorKind::PermissionDenied => failure.hint("this user has no read permission: see `ls -l`"),
            _ => failure,
        }
    };
    let file = File::open(path).map_err(unusable)?;
    if file.metadata().map_err(unusable)?.is_dir() {
        return Err(Failure::usage(what).because("it is a folder").hint(
            "give a file, or map the files of a folder: find FOLDER -type f | disperse-host map WORKER --files",
        ));
    }
    Ok(InputSource::File(file))
}
