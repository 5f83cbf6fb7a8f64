//! Protects files of the host from guests: whatever this run or the next one reads, runs or overwrites by its path.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    streams::Written,
    worker_grants::{self, Source},
};
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
/// `path` is the project or component on the command line, `workers` are the components of `--worker`; `writes` are the files that are
/// written, and the folder of results.
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
    (written, results): (&[Written], Option<&Path>),
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
    for (at, one) in written.iter().enumerate() {
        file(one.what, one.path, None)?;
        is_apart(one, &read, written.get(..at).unwrap_or_default())?;
    }
    if let Some(results) = results {
        in_folder("folder of results", results, "grant a folder that holds only data")?;
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

/// Checks that a file that is written, and truncated first, is none of the files that are read, nor stdin, nor another one that is
/// written.
fn is_apart(one: &Written, read: &[(&str, PathBuf)], others: &[Written]) -> Result<(), Failure> {
    let found = std::fs::metadata(one.path).ok();
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        return Ok(());
    }
    let is_same = |other: Metadata| {
        found
            .as_ref()
            .is_some_and(|found| (other.dev(), other.ino()) == (found.dev(), found.ino()))
    };
    let is_same_path = |path: &Path| match std::fs::metadata(path) {
        Ok(other) => is_same(other),
        Err(_) => found.is_none() && place(path).is_some_and(|other| Some(other) == place(one.path)),
    };
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let stdin = stdin.and_then(|stdin| stdin.metadata()).is_ok_and(is_same);
    let what = match stdin {
        true => Some("stdin"),
        false => {
            let read = read.iter().map(|(what, path)| (*what, path.as_path()));
            let others = others.iter().map(|other| (other.what, other.path));
            read.chain(others)
                .find(|(_, path)| is_same_path(path))
                .map(|(what, _)| what)
        }
    };
    match what {
        None => Ok(()),
        Some(what) => {
            let article = if what == "stdin" { "" } else { "the " };
            Err(one
                .unwritable()
                .because(format!(
                    "{article}{what} is the same file, and would be truncated first"
                ))
                .hint(format!("give {} another name", one.flag)))
        }
    }
}

/// The place of a file that does not exist: its folder and its name.
fn place(path: &Path) -> Option<(PathBuf, &OsStr)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    Some((folder, path.file_name()?))
}

fn exposed(what: &str, path: &Path, dir: &str, hint: Option<&str>) -> Failure {
    Failure::usage(format!("workers could replace the {what} `{}`", path.display()))
        .because(format!(
            "it, or a link on its path, is in a folder that they may write to: `{dir}`"
        ))
        .hint(hint.unwrap_or("grant write access only to folders that hold only data"))
}
