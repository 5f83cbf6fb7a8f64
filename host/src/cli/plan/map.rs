//! Converts the flags and the manifest of `map` into the plan of a run.

use std::{io::IsTerminal, num::NonZeroU64, path::Path};

use disperse_engine::driver::Halt;
use disperse_scheduler::Policy;

use super::{
    common::{plan, prepare, workers_can_be_counted},
    pools::PoolMaker,
    streams::{Written, empty_folder},
    tampering, worker_grants,
};
use crate::{
    cli::{
        args::{MapArgs, OnError},
        console::Failure,
        loading::{LoadedComponents, sandbox, wanted_by_map, wanted_by_pools},
        project::project,
    },
    limits::Limits,
    operation::{Files, LineWriting},
    run::{OperationSource, Plan},
    sandbox::Sandbox,
    settings::{Component, Manifest},
};

/// The sandbox and the plan of `map`.
pub(crate) fn for_map(args: &MapArgs) -> Result<(Sandbox, Plan), Failure> {
    if args.common.input.is_none() && std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no input: stdin is a terminal")
            .hint("name a file with --input FILE, pipe lines in, or type them with --input -"));
    }
    let halt = halt(args)?;
    let mut written = Written::of(&args.common);
    written.extend(args.failed.as_deref().map(Written::failed_lines));
    written.iter().try_for_each(Written::check)?;
    args.results.as_deref().map_or(Ok(()), empty_folder)?;
    let mut project = project(&args.path, args.common.manifest, |component| Manifest {
        worker: Some(Component {
            component,
            ..Component::default()
        }),
        ..Manifest::default()
    })?;
    let sandbox = sandbox(&args.common, &project.manifest)?;
    workers_can_be_counted(&project.manifest, &args.common)?;
    let built = prepare(&mut project, &args.common)?;
    let (manifest, folder) = (&project.manifest, &project.folder);
    let limits = args.common.limits.over(manifest.limits.over(Limits::WORKER));
    let signer = args.common.signed_by.as_ref().or(manifest.signed_by.as_ref());
    let mut wanted = wanted_by_pools(manifest, folder, signer);
    let alone = wanted_by_map(manifest, folder, &args.common, signer);
    wanted.extend(alone.map(|one| one.typed(project.is_alone())));
    let programs = LoadedComponents::load(&sandbox, &wanted, &built, args.common.quiet)?;
    let pools = PoolMaker::new(&programs, &args.common, limits, &args.args)?.manifest(manifest, folder, true)?;
    if pools.is_empty() {
        return Err(Failure::usage(format!("`{}` names no worker", args.path.display()))
            .hint("add a [worker] table or a [[pool]]"));
    }
    let writes = (written.as_slice(), args.results.as_deref());
    tampering::check(
        &sandbox,
        &pools,
        &args.common,
        &args.path,
        (manifest, folder),
        [],
        writes,
    )?;
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
        writing: LineWriting {
            tags: args.tag,
            gaps: args.on_error == OnError::Empty,
            failed: args.failed.is_some(),
        },
        payload_max: usize::try_from(payload).unwrap_or(usize::MAX),
    };
    let mut plan = plan(&args.common, what, pools, policy)?;
    plan.run.ordered = !args.unordered;
    plan.run.halt = halt;
    plan.files.failed.clone_from(&args.failed);
    plan.files.results.clone_from(&args.results);
    Ok((sandbox, plan))
}

/// How many lines may fail. `--on-error stop` is `--halt 1`.
fn halt(args: &MapArgs) -> Result<Option<Halt>, Failure> {
    match (args.on_error, args.common.halt) {
        (OnError::Stop, None) => Ok(Some(Halt::Count(NonZeroU64::MIN))),
        (OnError::Stop, Some(_)) => {
            Err(Failure::usage("`--on-error stop` is `--halt 1`, and another --halt is given").hint("give one of them"))
        }
        (_, halt) => Ok(halt),
    }
}
