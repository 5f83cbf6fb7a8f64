//! What guests must not be able to exchange: whatever the run, or the next one, takes for its own.

use std::path::Path;

use super::{
    args::Common,
    error::Failure,
    opened::{self, Source},
    trust::Store,
};
use crate::{
    control,
    grants::Tampering,
    run::PoolPlan,
    sandbox::Sandbox,
    settings::{FILE_NAME, Manifest},
    signer,
};

/// Sees to it that no worker may write where something lies that is read, run or written by its path: if it was exchanged for
/// something else, or for a link, guests would decide what this host or the next one reads, runs or overwrites.
///
/// `path` is what was typed as the project or component, `workers` are components that were typed.
///
/// # Errors
/// One may; says which folder and what lies there.
pub(super) fn check<'a>(
    sandbox: &Sandbox,
    pools: &[PoolPlan],
    common: &Common,
    path: &Path,
    (manifest, folder): (&Manifest, &Path),
    workers: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let tampering = Tampering::with(pools.iter().map(|pool| &*pool.grants));
    let file = |what: &str, path: &Path, hint: Option<&str>| match tampering.exchange(path) {
        None => Ok(()),
        Some(dir) => Err(refused(what, path, &dir.to_string(), hint)),
    };
    let in_folder = |what: &str, path: &Path, hint: &str| match tampering.exchange_in(path) {
        None => Ok(()),
        Some(dir) => Err(refused(what, path, &dir.to_string(), Some(hint))),
    };
    for rule in pools.iter().flat_map(|pool| &pool.grants.exec) {
        file("program", rule.program(), None)?;
    }
    for source in opened::sources(common, manifest) {
        match source {
            Source::Variable(_) => {}
            Source::Typed(path) => file("secret", path, None)?,
            Source::Written(path) => file("secret", &folder.join(path), None)?,
        }
    }
    if path.is_dir() {
        file("manifest", &path.join(FILE_NAME), None)?;
    } else if path.extension().is_some_and(|extension| extension == "toml") {
        file("manifest", path, None)?;
    }
    let written = manifest.components().into_iter().map(|path| folder.join(path));
    for component in written.chain(workers.into_iter().map(Path::to_owned)) {
        file("component", &component, None)?;
        file("signature", &signer::signature_of(&component), None)?;
    }
    for (what, path) in [("input", &common.input), ("output", &common.output)] {
        if let Some(path) = path.as_ref().filter(|path| *path != Path::new("-")) {
            file(what, path, None)?;
        }
    }
    if !common.no_socket {
        let hint = "run it in another folder, or without what is kept there: --no-socket";
        in_folder("run's own folder", Path::new(control::FOLDER), hint)?;
    }
    if let Some(cache) = sandbox.cache() {
        let hint = "grant a folder that holds only data, or keep no compiled code: --no-cache";
        in_folder("compiled code", cache, hint)?;
    }
    if let Ok(store) = Store::user() {
        let hint = "grant a folder that holds only data; in this one a worker could have any manifest trusted";
        in_folder("list of trusted manifests", store.folder(), hint)?;
    }
    if let Ok(program) = std::env::current_exe() {
        file("host itself", &program, None)?;
    }
    Ok(())
}

fn refused(what: &str, path: &Path, dir: &str, hint: Option<&str>) -> Failure {
    Failure::usage(format!("workers could exchange the {what} `{}`", path.display()))
        .because(format!(
            "it, or a link on its way, lies in a folder that they may write to: `{dir}`"
        ))
        .hint(hint.unwrap_or("grant a folder for writing that holds only data"))
}
