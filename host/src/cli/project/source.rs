//! Resolves a path on the command line to a component, or to a manifest with its folder.

use std::path::{Path, PathBuf};

use super::store::{ManifestSource, is_trusted};
use crate::{
    cli::{args::ManifestFlags, console::Failure},
    files,
    settings::{Ask, FILE_NAME, MANIFEST_MAX, Manifest, Operation},
};

/// The target of a path on the command line: a component, or a manifest with its folder.
pub(crate) enum Source {
    Component(PathBuf),
    Project(Box<Project>),
}

/// A manifest and its folder.
pub(crate) struct Project {
    pub(crate) manifest: Manifest,
    /// The folder that its paths are relative to. Empty for a component without a manifest.
    pub(crate) folder: PathBuf,
    /// The manifest's path as given on the command line.
    pub(crate) shown: PathBuf,
    pub(crate) source: ManifestSource,
    /// Whether it is trusted, by a record or for this run.
    pub(crate) trusted: bool,
}

impl Project {
    /// The requests of the manifest; see [`Manifest::asks`].
    pub(crate) fn asks(&self, signed: bool) -> Vec<Ask> {
        self.manifest.asks(&self.folder, signed)
    }

    /// Whether it is a component without a manifest.
    pub(crate) fn is_alone(&self) -> bool {
        self.folder.as_os_str().is_empty()
    }
}

/// The path of the manifest, if `path` is a manifest or a folder.
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

/// The canonical path of a manifest, given by its folder or its file. The file need not exist.
pub(crate) fn manifest_path(path: &Path) -> PathBuf {
    let manifest = manifest_of(path).unwrap_or_else(|| path.join(FILE_NAME));
    let folder = folder_of(&manifest);
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    folder.map_or_else(
        |_| manifest.clone(),
        |folder| folder.join(manifest.file_name().unwrap_or_default()),
    )
}

/// Resolves a path. `trusted`: whether its manifest is trusted for this run.
///
/// # Errors
/// The manifest is missing, unreadable or invalid, or is a link out of its folder and not trusted.
pub(crate) fn source(path: &Path, trusted: bool) -> Result<Source, Failure> {
    let Some(shown) = manifest_of(path) else {
        return Ok(Source::Component(path.to_owned()));
    };
    if !shown.exists() {
        return Err(Failure::usage(format!("`{}` does not exist", shown.display()))
            .hint(format!("give a folder with a {FILE_NAME}, or a .wasm file")));
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
    project.trusted |= is_trusted(&project.source);
    // Before it is parsed: a syntax error shows one of its lines.
    if let Some(target) = files::leads_out(&project.folder, Path::new(shown.file_name().unwrap_or_default()))
        && !project.trusted
    {
        return Err(unusable()
            .because(format!("it leads to `{}`, out of its folder", target.display()))
            .hint("to trust it anyway, give --trust-manifest, or see `disperse-host trust`"));
    }
    let text = std::str::from_utf8(&project.source.bytes).map_err(|error| unusable().because(error))?;
    project.manifest = Manifest::parse(text).map_err(|error| unusable().because(error))?;
    Ok(Source::Project(Box::new(project)))
}

/// Resolves a path to a project. `alone` makes the manifest of a component that has none.
///
/// # Errors
/// As [`source`].
pub(crate) fn project(
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

/// The manifest of an operation's component that has none.
pub(crate) fn operation_alone(component: PathBuf) -> Manifest {
    Manifest {
        operation: Some(Operation {
            component,
            ..Operation::default()
        }),
        ..Manifest::default()
    }
}
