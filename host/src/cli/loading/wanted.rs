//! The components that a command loads, and what each must be.

use std::path::{Path, PathBuf};

use crate::{
    cli::args::Common,
    digest::Digest,
    settings::{Manifest, Pool},
    signer::Signer,
};

/// A component to load.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(super) path: PathBuf,
    /// The required digest of its file, if any.
    pub(super) pin: Option<Digest>,
    /// The key that must have signed it, if any.
    pub(super) signer: Option<Signer>,
    pub(super) role: Role,
    /// Whether it was given on the command line. Then it may be a pipe.
    pub(super) typed: bool,
}

impl Wanted {
    pub(crate) fn new(path: PathBuf, pin: Option<Digest>, signer: Option<&Signer>, role: Role) -> Self {
        Self {
            path,
            pin,
            signer: signer.cloned(),
            role,
            typed: false,
        }
    }

    /// Sets whether it was given on the command line.
    pub(crate) fn typed(self, typed: bool) -> Self {
        Self { typed, ..self }
    }
}

/// The role that a component must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Operation,
    Worker,
    Any,
}

/// All components of a manifest, in its order.
pub(crate) fn wanted_by_manifest(manifest: &Manifest, folder: &Path) -> Vec<Wanted> {
    let signer = manifest.signed_by.as_ref();
    let wanted = |component: &Path, pin, role| Wanted::new(folder.join(component), pin, signer, role);
    let operation = manifest.operation.iter();
    let operation = operation.map(|operation| wanted(&operation.component, operation.sha256, Role::Operation));
    let worker = manifest.worker.iter();
    let worker = worker.map(|worker| wanted(&worker.component, worker.sha256, Role::Worker));
    let pools = manifest.pool.iter();
    let pools = pools.map(|pool| wanted(&pool.component, pool.sha256, Role::Worker));
    operation.chain(worker).chain(pools).collect()
}

/// The components of the pools of a manifest.
pub(crate) fn wanted_by_pools(manifest: &Manifest, folder: &Path, signer: Option<&Signer>) -> Vec<Wanted> {
    let pools = manifest.pool.iter();
    let wanted = |pool: &Pool| Wanted::new(folder.join(&pool.component), pool.sha256, signer, Role::Worker);
    pools.map(wanted).collect()
}

/// The component of the single pool of `map`, if a manifest has no pools.
pub(crate) fn wanted_by_map(
    manifest: &Manifest,
    folder: &Path,
    common: &Common,
    signer: Option<&Signer>,
) -> Option<Wanted> {
    if !manifest.pool.is_empty() {
        return None;
    }
    let worker = manifest
        .worker
        .as_ref()
        .map(|worker| (&worker.component, worker.sha256));
    let operation = manifest.operation.as_ref();
    let operation = operation.map(|operation| (&operation.component, operation.sha256));
    let (component, pin) = worker.or(operation)?;
    let pin = common.expect_sha256.or(pin);
    Some(Wanted::new(folder.join(component), pin, signer, Role::Worker))
}

/// All requirements of one file. The file is read once, so that the checked bytes are the ones that run.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(super) wanted: Vec<Wanted>,
}

impl File {
    /// Whether it must have a given digest or signature.
    pub(super) fn is_checked(&self) -> bool {
        self.wanted
            .iter()
            .any(|wanted| wanted.pin.is_some() || wanted.signer.is_some())
    }
}

/// The files of the wanted components, in the order of their first use.
pub(crate) fn files(wanted: &[Wanted]) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    for one in wanted {
        match files.iter_mut().find(|file| file.path == one.path) {
            Some(file) => file.wanted.push(one.clone()),
            None => files.push(File {
                path: one.path.clone(),
                wanted: vec![one.clone()],
            }),
        }
    }
    files
}
