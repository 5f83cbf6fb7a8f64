//! The trusted manifests: one small file for each, named by the digest of its path and its bytes.
//!
//! Only this user may have access to the folder, or nothing is trusted. A manifest that changes or moves loses trust. Files beside the
//! manifest are not part of the digest, as with direnv: a trusted build command runs its script even after that has changed.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::{cli::console::Failure, digest::Digest, files};

/// The first line of an entry; the rest is the manifest's path.
const HEADER: &[u8] = b"disperse trust 1\n";

/// The largest entry, in bytes. Paths are at most 4 KiB long.
const ENTRY_MAX: u64 = 8 << 10;

/// The store of trusted manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("neither XDG_STATE_HOME nor HOME is an absolute path")]
    Nowhere,
    #[error("other users have access to `{0}` and could make any manifest trusted")]
    Shared(String),
    #[error("`{0}`: {1}")]
    Io(String, io::Error),
}

/// A manifest that was read: its canonical path and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ManifestSource {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// The folder of entries, `$XDG_STATE_HOME/disperse/trust` or `~/.local/state/disperse/trust`.
#[derive(Debug)]
pub(crate) struct Store(PathBuf);

impl Store {
    /// The store of this user. Its folder need not exist.
    ///
    /// # Errors
    /// Neither XDG_STATE_HOME nor HOME is an absolute path.
    pub(crate) fn user() -> Result<Self, StoreError> {
        let base = files::user_folder("XDG_STATE_HOME", ".local/state").ok_or(StoreError::Nowhere)?;
        Ok(Self(base.join("trust")))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    fn io(&self, error: io::Error) -> StoreError {
        StoreError::Io(self.0.display().to_string(), error)
    }

    /// Whether the folder of entries exists.
    ///
    /// # Errors
    /// Other users have access to it.
    fn is_there(&self) -> Result<bool, StoreError> {
        match files::is_private(&self.0) {
            Ok(true) => Ok(true),
            Ok(false) => Err(StoreError::Shared(self.0.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Whether a manifest is trusted in this state.
    ///
    /// # Errors
    /// Other users have access to the folder of entries.
    pub(crate) fn has(&self, manifest: &ManifestSource) -> Result<bool, StoreError> {
        Ok(self.is_there()? && entry(&self.0.join(name(manifest))).as_deref() == Some(&manifest.path))
    }

    /// Trusts a manifest in this state.
    ///
    /// # Errors
    /// The entry cannot be written, or other users have access to the folder of entries.
    pub(crate) fn record(&self, manifest: &ManifestSource) -> Result<(), StoreError> {
        if !files::make_private(&self.0).map_err(|error| self.io(error))? {
            return Err(StoreError::Shared(self.0.display().to_string()));
        }
        let text = [HEADER, manifest.path.as_os_str().as_bytes()].concat();
        files::replace(&self.0.join(name(manifest)), &text, 0o600).map_err(|error| self.io(error))
    }

    /// The path of each manifest with its entry, sorted. A manifest that is trusted in several states appears several times.
    ///
    /// # Errors
    /// The folder of entries cannot be read, or other users have access to it.
    fn entries(&self) -> Result<Vec<(PathBuf, PathBuf)>, StoreError> {
        if !self.is_there()? {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for file in std::fs::read_dir(&self.0).map_err(|error| self.io(error))? {
            let file = file.map_err(|error| self.io(error))?.path();
            entries.extend(entry(&file).map(|manifest| (manifest, file)));
        }
        entries.sort();
        Ok(entries)
    }

    /// The paths of manifests that are trusted in some state, each once.
    ///
    /// # Errors
    /// As [`Store::has`], or the folder of entries cannot be read.
    pub(crate) fn all(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths: Vec<_> = self.entries()?.into_iter().map(|(manifest, _)| manifest).collect();
        paths.dedup();
        Ok(paths)
    }

    /// Revokes trust in all states of a manifest. Returns whether any was trusted.
    ///
    /// # Errors
    /// An entry cannot be removed, or as [`Store::all`].
    pub(crate) fn revoke(&self, manifest: &Path) -> Result<bool, StoreError> {
        let mut found = false;
        for (_, file) in self.entries()?.into_iter().filter(|(path, _)| path == manifest) {
            std::fs::remove_file(file).map_err(|error| self.io(error))?;
            found = true;
        }
        Ok(found)
    }
}

/// Whether trust in a manifest is stored.
pub(super) fn is_trusted(manifest: &ManifestSource) -> bool {
    Store::user().is_ok_and(|store| store.has(manifest).is_ok_and(|has| has))
}

pub(crate) fn store_failure(error: StoreError) -> Failure {
    Failure::machine("cannot use the list of trusted manifests", &error)
        .hint("set XDG_STATE_HOME to the absolute path of a folder that you own")
}

fn name(manifest: &ManifestSource) -> String {
    // Paths contain no zero byte: it separates the path from the manifest.
    Digest::of(&[manifest.path.as_os_str().as_bytes(), &[0], &manifest.bytes].concat()).to_string()
}

/// The manifest's path, if the file is an entry.
fn entry(file: &Path) -> Option<PathBuf> {
    let text = files::read_unlinked(file, ENTRY_MAX).ok()?;
    let path = text.strip_prefix(HEADER)?;
    Some(OsString::from_vec(path.to_vec()).into())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn read(path: &str, bytes: &str) -> ManifestSource {
        ManifestSource {
            path: path.into(),
            bytes: bytes.into(),
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let temp = tempfile::tempdir().unwrap();
        let store = Store(temp.path().join("disperse/trust"));
        (temp, store)
    }

    #[test]
    fn trust_holds_for_a_path_and_its_bytes() {
        let (_temp, store) = store();
        let manifest = read("/a/disperse.toml", "text");
        assert!(!store.has(&manifest).unwrap() && store.all().unwrap().is_empty());
        store.record(&manifest).unwrap();
        store.record(&manifest).unwrap();
        assert!(store.has(&manifest).unwrap());
        for other in [
            read("/b/disperse.toml", "text"),
            read("/a/disperse.toml", "text "),
            read("/a/disperse.toml\0text", ""),
        ] {
            assert!(!store.has(&other).unwrap(), "{other:?}");
        }
        let changed = read("/a/disperse.toml", "changed");
        store.record(&changed).unwrap();
        store.record(&read("/b/disperse.toml", "text")).unwrap();
        assert_eq!(
            store.all().unwrap(),
            [Path::new("/a/disperse.toml"), Path::new("/b/disperse.toml")]
        );
        assert!(store.revoke(&manifest.path).unwrap());
        assert!(!store.revoke(&manifest.path).unwrap());
        assert!(!store.has(&manifest).unwrap() && !store.has(&changed).unwrap());
        assert_eq!(store.all().unwrap(), [Path::new("/b/disperse.toml")]);
    }

    #[test]
    fn entries_and_their_folder_are_private() {
        let (_temp, store) = store();
        let manifest = read("/a/disperse.toml", "text");
        store.record(&manifest).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.0), mode(&store.0.join(name(&manifest)))), (0o700, 0o600));
        for open in [0o701, 0o720, 0o777] {
            fs::set_permissions(&store.0, PermissionsExt::from_mode(open)).unwrap();
            assert!(matches!(store.has(&manifest), Err(StoreError::Shared(_))), "{open:o}");
            assert!(
                matches!(store.record(&manifest), Err(StoreError::Shared(_))),
                "{open:o}"
            );
        }
    }

    #[test]
    fn store_that_is_a_link_is_rejected() {
        let (temp, store) = store();
        let manifest = read("/a/disperse.toml", "text");
        store.record(&manifest).unwrap();
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&store.0, &link).unwrap();
        assert!(matches!(Store(link).has(&manifest), Err(StoreError::Shared(_))));
        // An entry that is a link or names another path is rejected too.
        let file = store.0.join(name(&manifest));
        let elsewhere = temp.path().join("entry");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(!store.has(&manifest).unwrap());
        fs::remove_file(&file).unwrap();
        fs::write(&file, [HEADER, b"/b"].concat()).unwrap();
        assert!(!store.has(&manifest).unwrap());
    }
}
