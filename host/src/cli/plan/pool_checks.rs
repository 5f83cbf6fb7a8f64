//! Checks of the settings of a pool against its component and its grants.

use std::num::NonZeroU32;

use super::worker_grants::WorkerGrants;
use crate::{
    cli::console::Failure,
    limits::CONCURRENCY_MAX,
    sandbox::{EngineKind, LoadedComponent},
    settings::Pool,
};

/// Checks that the workers of an untrusted pool have no grants or settings that their results could depend on.
///
/// # Errors
/// They have; the first kind of these.
pub(super) fn given_nothing(
    table: &Pool,
    worker_grants: &WorkerGrants,
    env: &[(String, String)],
) -> Result<(), Failure> {
    let grants = &worker_grants.grants;
    let settings = table
        .worker
        .iter()
        .any(|worker| !worker.settings.is_empty() || !worker.secrets.is_empty());
    let given = [
        ("folders", !grants.dirs.is_empty()),
        ("programs", !grants.exec.is_empty()),
        ("requests", !grants.http.is_empty()),
        ("secrets", !worker_grants.secrets.is_empty()),
        ("variables", settings || !env.is_empty()),
        (
            "arguments for a single worker",
            table.worker.iter().any(|worker| worker.args.is_some()),
        ),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((what, _)) => Err(Failure::usage(format!(
            "the pool `{}` is untrusted and cannot have {what}",
            table.name
        ))
        .because("its workers run on untrusted machines, and their results are compared: all must see the same")
        .hint("remove that, or move it to a pool without `untrusted`")),
    }
}

/// The number of attempts that each of `workers` workers runs at once. `typed` is the flag, which overrides `written`.
///
/// # Errors
/// It is more than one, which this worker or pool does not support.
pub(super) fn concurrency(
    typed: Option<u32>,
    pool: &str,
    program: &LoadedComponent,
    written: Option<NonZeroU32>,
    fresh: bool,
    workers: usize,
) -> Result<u32, Failure> {
    let wanted = typed.or(written.map(NonZeroU32::get)).unwrap_or(1);
    if wanted == 1 {
        return Ok(1);
    }
    let cannot = || Failure::usage(format!("the workers of `{pool}` cannot run {wanted} attempts at once"));
    if program.contract().worker != Some(EngineKind::Async) {
        return Err(cannot()
            .because("they are blocking: an attempt that waits blocks the whole instance")
            .hint("raise --workers, or export an async `handle`; see the world `worker-async`"));
    }
    if fresh {
        return Err(cannot()
            .because("every attempt has a new instance, but attempts at once share one")
            .hint("remove either `fresh` or `concurrency`"));
    }
    if workers.saturating_mul(wanted as usize) > CONCURRENCY_MAX as usize {
        return Err(cannot()
            .because(format!(
                "{workers} workers together would run more than {CONCURRENCY_MAX}"
            ))
            .hint("lower --workers: one worker can wait for many things at once"));
    }
    Ok(wanted)
}
