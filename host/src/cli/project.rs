//! What a path on the command line names: a component, or a manifest with its folder.

use std::path::{Path, PathBuf};

use super::{
    error::Failure,
    trust::{self, ManifestFlags, ManifestSource},
};
use crate::{
    files,
    settings::{Ask, FILE_NAME, MANIFEST_MAX, Manifest},
};

/// A path as it was typed: a component, or a manifest with its folder.
pub(super) enum Source {
    Component(PathBuf),
    Project(Box<Project>),
}

/// A manifest and its folder.
pub(super) struct Project {
    pub(super) manifest: Manifest,
    /// What its paths are relative to. Empty for a component alone, which has no manifest.
    pub(super) folder: PathBuf,
    /// The manifest's path as it was typed.
    pub(super) shown: PathBuf,
    pub(super) source: ManifestSource,
    /// Whether it is trusted: for longer, or for this run.
    pub(super) trusted: bool,
}

impl Project {
    /// What the manifest asks for; see [`Manifest::asks`].
    pub(super) fn asks(&self, signed: bool) -> Vec<Ask> {
        self.manifest.asks(&self.folder, signed)
    }

    /// Whether it is a component that was typed, without a manifest.
    pub(super) fn is_alone(&self) -> bool {
        self.folder.as_os_str().is_empty()
    }
}

/// The manifest's file, if a path is one or a folder.
fn manifest_of(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        Some(path.join(FILE_NAME))
    } else {
        let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
        is_manifest.then(|| path.to_owned())
    }
}

fn folder_of(manifest: &Path) -> &Path {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The path that the manifest of a folder, or in a file, is known by. It need not be there any more.
pub(super) fn manifest_path(path: &Path) -> PathBuf {
    let manifest = manifest_of(path).unwrap_or_else(|| path.join(FILE_NAME));
    let folder = folder_of(&manifest);
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    folder.map_or_else(
        |_| manifest.clone(),
        |folder| folder.join(manifest.file_name().unwrap_or_default()),
    )
}

/// What a path names. `trusted`: whether its manifest is, for this run.
///
/// # Errors
/// There is no manifest, it cannot be read or is invalid, or it leads out of its folder and is not trusted.
pub(super) fn source(path: &Path, trusted: bool) -> Result<Source, Failure> {
    let Some(shown) = manifest_of(path) else {
        return Ok(Source::Component(path.to_owned()));
    };
    if !shown.exists() {
        return Err(
            Failure::usage(format!("`{}` is not there", shown.display())).hint(format!(
                "a folder is run when it has a {FILE_NAME}; else give the .wasm file"
            )),
        );
    }
    let unusable = || Failure::usage(format!("cannot use `{}`", shown.display()));
    let bytes =
        files::read(&shown, MANIFEST_MAX).map_err(|error| unusable().because(format!("cannot read it: {error}")))?;
    let folder = folder_of(&shown).to_owned();
    let mut project = Project {
        manifest: Manifest::default(),
        source: ManifestSource {
            path: manifest_path(&shown),
            bytes,
        },
        folder,
        shown: shown.clone(),
        trusted,
    };
    project.trusted |= trust::is_trusted(&project);
    // Before anything of it is shown: an error has a line of it.
    if let Some(target) = files::leads_out(&project.folder, Path::new(shown.file_name().unwrap_or_default()))
        && !project.trusted
    {
        return Err(unusable()
            .because(format!("it leads to `{}`, out of its folder", target.display()))
            .hint("if it is to be trusted all the same, give --trust-manifest, or see `disperse-host trust`"));
    }
    let text = std::str::from_utf8(&project.source.bytes).map_err(|error| unusable().because(error))?;
    project.manifest = Manifest::parse(text).map_err(|error| unusable().because(error))?;
    Ok(Source::Project(Box::new(project)))
}

/// What a path names. A component alone is a project that says nothing else.
///
/// # Errors
/// As [`source`].
pub(super) fn project(
    path: &Path,
    flags: ManifestFlags,
    alone: impl FnOnce(PathBuf) -> Manifest,
) -> Result<Project, Failure> {
    Ok(match source(path, flags.trust_manifest)? {
        Source::Component(component) => Project {
            manifest: alone(component),
            folder: PathBuf::new(),
            shown: PathBuf::new(),
            source: ManifestSource::default(),
            trusted: flags.trust_manifest,
        },
        Source::Project(project) => *project,
    })
}
