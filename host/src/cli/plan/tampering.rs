//! Protects files of the host from guests: whatever this run or the next one reads, runs or overwrites by its path.

use std::{
    fs::{File, Metadata},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::worker_grants::{self, Source};
use crate::{
    cli::{args::Common, console::Failure, project::Store},
    control,
    grants::Tampering,
    run::PoolPlan,
    sandbox::Sandbox,
    settings::{FILE_NAME, Manifest},
    signer,
};

/// Checks that no worker can write to the folder of a file that is read, run or written by its path: a guest that replaced the file,
/// also by a link, would decide what this host or the next one reads, runs or overwrites.
///
/// `path` is the project or component on the command line, `workers` are the components of `--worker`.
///
/// # Errors
/// A worker can; the file and the granted folder.
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
        Some(dir) => Err(exposed(what, path, &dir.to_string(), hint)),
    };
    let in_folder = |what: &str, path: &Path, hint: &str| match tampering.exchange_in(path) {
        None => Ok(()),
        Some(dir) => Err(exposed(what, path, &dir.to_string(), Some(hint))),
    };
    let read = files_read(pools, common, path, (manifest, folder), workers);
    for (what, path) in &read {
        file(what, path, None)?;
    }
    if let Some(output) = common.output() {
        file("output", output, None)?;
        is_apart(output, &read)?;
    }
    if !common.no_socket {
        let hint = "run it in another folder, or without a run record: --no-socket";
        in_folder("run's own folder", &control::folder_of_new_runs(), hint)?;
    }
    if let Some(cache) = sandbox.cache() {
        let hint = "grant a folder that holds only data, or do not cache compiled code: --no-cache";
        in_folder("compiled code", cache, hint)?;
    }
    if let Ok(store) = Store::user() {
        let hint = "grant a folder that holds only data; in this one a worker could make any manifest trusted";
        in_folder("list of trusted manifests", store.folder(), hint)?;
    }
    if let Ok(program) = std::env::current_exe() {
        file("host itself", &program, None)?;
    }
    Ok(())
}

/// The files that a run reads by their paths, each with its kind.
fn files_read<'a>(
    pools: &[PoolPlan],
    common: &Common,
    path: &Path,
    (manifest, folder): (&Manifest, &Path),
    workers: impl IntoIterator<Item = &'a Path>,
) -> Vec<(&'static str, PathBuf)> {
    let mut read = Vec::new();
    for rule in pools.iter().flat_map(|pool| &pool.grants.exec) {
        read.push(("program", rule.program().to_owned()));
    }
    read.extend(
        worker_grants::sources(common, manifest).filter_map(|source| match source {
            Source::Variable(_) => None,
            Source::Typed(path) => Some(("secret", path.to_owned())),
            Source::Written(path) => Some(("secret", folder.join(path))),
        }),
    );
    if path.is_dir() {
        read.push(("manifest", path.join(FILE_NAME)));
    } else if path.extension().is_some_and(|extension| extension == "toml") {
        read.push(("manifest", path.to_owned()));
    }
    let written = manifest.components().into_iter().map(|path| folder.join(path));
    for component in written.chain(workers.into_iter().map(Path::to_owned)) {
        let signature = signer::signature_of(&component);
        read.extend([("component", component), ("signature", signature)]);
    }
    if let Some(input) = common.input() {
        read.push(("input", input.to_owned()));
    }
    read
}

/// Checks that the output, which is truncated first, is none of the files that are read, nor stdin.
fn is_apart(output: &Path, read: &[(&str, PathBuf)]) -> Result<(), Failure> {
    let Some(found) = std::fs::metadata(output).ok().filter(Metadata::is_file) else {
        return Ok(());
    };
    let is_same = |other: Metadata| (other.dev(), other.ino()) == (found.dev(), found.ino());
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let stdin = stdin.and_then(|stdin| stdin.metadata()).is_ok_and(is_same);
    let what = match stdin {
        true => Some("stdin".to_owned()),
        false => read
            .iter()
            .find(|(_, path)| std::fs::metadata(path).is_ok_and(is_same))
            .map(|(what, _)| format!("the {what}")),
    };
    match what {
        None => Ok(()),
        Some(what) => Err(
            Failure::usage(format!("cannot write the output `{}`", output.display()))
                .because(format!("{what} is the same file, and would be truncated first"))
                .hint("give --output another name"),
        ),
    }
}

fn exposed(what: &str, path: &Path, dir: &str, hint: Option<&str>) -> Failure {
    Failure::usage(format!("workers could replace the {what} `{}`", path.display()))
        .because(format!(
            "it, or a link on its path, is in a folder that they may write to: `{dir}`"
        ))
        .hint(hint.unwrap_or("grant write access only to folders that hold only data"))
}
