//! The components that builds have made.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    digest::Digest,
    sandbox::{COMPONENT_MAX, InspectedComponent},
};

/// The digests of the files that the builds of this command have made, or found up to date.
///
/// Only these components add to the compiled functions that all components use. See `docs/book/src/internals/loading.md`.
#[derive(Debug, Default)]
pub(crate) struct Built(BTreeSet<Digest>);

impl Built {
    pub(super) fn add(&mut self, made: impl IntoIterator<Item = Digest>) {
        self.0.extend(made);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether the file of a component was made by a build. It is compared by its content, so that a file that is replaced after
    /// the build does not count.
    pub(crate) fn contains(&self, component: &InspectedComponent) -> bool {
        self.0.contains(&component.file())
    }
}

/// The file of a component before its build.
pub(super) struct Before {
    path: PathBuf,
    identity: Option<Identity>,
}

/// The device, the inode and the ctime of a file in seconds and ns. Programs cannot set a ctime.
type Identity = (u64, u64, i64, i64);

impl Before {
    pub(super) fn of(path: PathBuf) -> Self {
        let identity = regular(&path).as_ref().map(identity);
        Self { path, identity }
    }

    /// The digest of the file, if the build has made or changed it. A link is not made by a build: its target may be from
    /// elsewhere.
    pub(super) fn made(&self) -> Option<Digest> {
        let now = regular(&self.path)?;
        if self.identity == Some(identity(&now)) || now.len() > COMPONENT_MAX {
            return None;
        }
        // A failure only means that the component adds no functions.
        Digest::read(&mut File::open(&self.path).ok()?.take(COMPONENT_MAX)).ok()
    }
}

fn regular(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file)
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_made_by_the_build_that_creates_or_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wasm");
        let missing = Before::of(path.clone());
        assert_eq!(missing.made(), None, "nothing was made");
        fs::write(&path, "one").unwrap();
        assert_eq!(missing.made(), Some(Digest::of(b"one")));

        let untouched = Before::of(path.clone());
        assert_eq!(untouched.made(), None, "the build did not write it");
        // Renamed over it, with another inode, as an atomic write does. Its time of change may be the same.
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(untouched.made(), Some(Digest::of(b"two")));

        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("vendored.wasm"), "three").unwrap();
        std::os::unix::fs::symlink("vendored.wasm", &path).unwrap();
        assert_eq!(untouched.made(), None, "it is a link");
    }
}
