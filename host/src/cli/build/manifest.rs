//! The builds that a manifest lists.

use std::path::{Path, PathBuf};

use crate::settings::{Manifest, Operation};

/// The build of a component.
pub(crate) struct Build<'a> {
    pub(crate) line: &'a str,
    pub(crate) component: &'a Path,
    /// Its sources, relative to the manifest: files, folders, patterns, and exclusions after a `!`. Empty: unknown, and it is built
    /// each time.
    pub(crate) sources: &'a [PathBuf],
}

/// The builds of all components of a manifest that have a build command.
pub(super) fn builds(manifest: &Manifest) -> impl Iterator<Item = Build<'_>> {
    let worker = manifest.worker.iter();
    let worker = worker.filter_map(|worker| build_of(worker.build.as_deref(), &worker.component, &worker.sources));
    let pools = manifest.pool.iter();
    let pools = pools.filter_map(|pool| build_of(pool.build.as_deref(), &pool.component, &pool.sources));
    let operation = manifest.operation.iter().filter_map(operation_build);
    operation.chain(worker).chain(pools)
}

/// The build of an operation, if it has a command.
pub(crate) fn operation_build(operation: &Operation) -> Option<Build<'_>> {
    build_of(operation.build.as_deref(), &operation.component, &operation.sources)
}

fn build_of<'a>(line: Option<&'a str>, component: &'a Path, sources: &'a [PathBuf]) -> Option<Build<'a>> {
    Some(Build {
        line: line?,
        component,
        sources,
    })
}
