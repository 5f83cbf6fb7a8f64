//! Compiled code on disk, so that a component is compiled once; and components that were made of core modules.
//!
//! What wasmtime loads from here it trusts, so the folder is ours alone: owned by this user and closed to others, or it
//! is not used. Files are named by the digest of the component and by the engine that compiled it, and appear whole or not
//! at all.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use wasmtime::{Engine, component::Component};

use super::adapt;
use crate::digest::Digest;

/// How much is kept. The least recently used goes first.
const SIZE_MAX: u64 = 1 << 30;

/// What the names of files begin with that are not written yet, and after how long nobody writes them any more.
const NEW: &str = ".new-";
const ABANDONED: Duration = Duration::from_secs(3600);

/// What the names of the files end with.
const COMPILED: &str = "cwasm";
const ADAPTED: &str = "wasm";

/// Why there is no folder for compiled code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("neither XDG_CACHE_HOME nor HOME is an absolute path")]
    Nowhere,
    #[error("`{path}` cannot be made: {error}")]
    Make { path: String, error: std::io::Error },
    #[error("`{0}` is not this user's alone: whoever can write to it could have anything run")]
    Shared(String),
}

/// The folder of compiled code.
#[derive(Clone, Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The folder, made if need be: `$XDG_CACHE_HOME/disperse` or `~/.cache/disperse`.
    ///
    /// # Errors
    /// There is no place that is ours alone.
    pub(crate) fn user() -> Result<Self, CacheError> {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = || absolute("HOME").map(|home| home.join(".cache"));
        let base = absolute("XDG_CACHE_HOME").or_else(home).ok_or(CacheError::Nowhere)?;
        Self::at(base.join("disperse"))
    }

    /// A given folder, made if need be.
    ///
    /// # Errors
    /// It cannot be made, or is not ours alone.
    pub(crate) fn at(path: PathBuf) -> Result<Self, CacheError> {
        let shown = || path.display().to_string();
        let meta = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .and_then(|()| std::fs::symlink_metadata(&path))
            .map_err(|error| CacheError::Make { path: shown(), error })?;
        let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
        if ours {
            Ok(Self(path))
        } else {
            Err(CacheError::Shared(shown()))
        }
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.0.join(format!("{digest}-{:016x}.{COMPILED}", hasher.finish()))
    }

    /// The compiled code of a component and its size, if it is there and fits the engine.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<(Component, u64)> {
        let path = self.path(engine, digest);
        let file = std::fs::File::open(&path).ok()?;
        // Its age tells what can go first.
        let _ = file.set_modified(SystemTime::now());
        let size = file.metadata().ok()?.len();
        // SAFETY: the file is in a folder that only this user can write to, where only `store` below puts files, whole and
        // named after the engine that compiled them.
        #[allow(
            unsafe_code,
            reason = "the only way to load compiled code; the folder is checked to be ours alone"
        )]
        match unsafe { Component::deserialize_file(engine, &path) } {
            Ok(component) => Some((component, size)),
            Err(_) => {
                let _ = std::fs::remove_file(&path);
                None
            }
        }
    }

    /// Whether there is compiled code of a component.
    pub(super) fn has(&self, engine: &Engine, digest: &Digest) -> bool {
        self.path(engine, digest).is_file()
    }

    /// Keeps compiled code. A failure costs time at the next start and nothing else.
    pub(super) fn store(&self, engine: &Engine, digest: &Digest, code: &[u8]) -> std::io::Result<()> {
        self.keep(&self.path(engine, digest), code)
    }

    fn adapted(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{digest}-{:016x}.{ADAPTED}", adapt::version()))
    }

    /// Whether there is a component that was made of a core module.
    pub(super) fn has_adapted(&self, digest: &Digest) -> bool {
        self.adapted(digest).is_file()
    }

    /// The component that was made of a core module, if it is there. What is wrong with it is found out as with any other.
    pub(super) fn load_adapted(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.adapted(digest);
        let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        std::fs::read(&path).ok()
    }

    /// Keeps a component that was made of a core module, as [`Cache::store`] does.
    pub(super) fn store_adapted(&self, digest: &Digest, component: &[u8]) -> std::io::Result<()> {
        self.keep(&self.adapted(digest), component)
    }

    fn keep(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(&self.0)?;
        file.write_all(bytes)?;
        // The name must not outlive what it names, whatever happens to the machine: nobody looks through compiled code.
        file.as_file().sync_data()?;
        file.persist(path)?;
        // What is kept is kept, though others may be too many for a while.
        let _ = self.trim();
        Ok(())
    }

    fn trim(&self) -> std::io::Result<()> {
        let mut files = Vec::new();
        let now = SystemTime::now();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let is_new = entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes());
            if !is_new && !is_ours(&entry.path()) {
                continue;
            }
            let Some(meta) = unless_gone(entry.metadata())? else {
                continue;
            };
            let modified = meta.modified()?;
            if !is_new {
                files.push((modified, meta.len(), entry.path()));
            } else if now.duration_since(modified).is_ok_and(|age| age > ABANDONED) {
                // Whoever wrote it was killed.
                unless_gone(std::fs::remove_file(entry.path()))?;
            }
        }
        let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, bytes, path) in files {
            if size <= SIZE_MAX {
                break;
            }
            unless_gone(std::fs::remove_file(path))?;
            size -= bytes;
        }
        Ok(())
    }
}

/// Others, of this host or of one beside it, tidy the same folder.
fn unless_gone<T>(done: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_ours(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == COMPILED || extension == ADAPTED)
}
