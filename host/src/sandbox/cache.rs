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
    time::SystemTime,
};

use wasmtime::{Engine, component::Component};

use super::adapt;
use crate::digest::Digest;

/// How much is kept. The least recently used goes first.
const SIZE_MAX: u64 = 1 << 30;

/// What the names of the files end with.
const COMPILED: &str = "cwasm";
const ADAPTED: &str = "wasm";

/// The folder of compiled code.
#[derive(Clone, Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The folder, made if need be: `$XDG_CACHE_HOME/disperse` or `~/.cache/disperse`. None where there is no place that
    /// is ours alone.
    pub(crate) fn user() -> Option<Self> {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Self::at(base.join("disperse"))
    }

    /// A given folder, made if need be. None if it is not ours alone.
    pub(crate) fn at(path: PathBuf) -> Option<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .ok()?;
        let meta = std::fs::symlink_metadata(&path).ok()?;
        let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
        ours.then_some(Self(path))
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.0.join(format!("{digest}-{:016x}.{COMPILED}", hasher.finish()))
    }

    /// The compiled code of a component, if it is there and fits the engine.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(engine, digest);
        let file = std::fs::File::open(&path).ok()?;
        // Its age tells what can go first.
        let _ = file.set_modified(SystemTime::now());
        // SAFETY: the file is in a folder that only this user can write to, where only `store` below puts files, whole and
        // named after the engine that compiled them.
        #[allow(
            unsafe_code,
            reason = "the only way to load compiled code; the folder is checked to be ours alone"
        )]
        match unsafe { Component::deserialize_file(engine, &path) } {
            Ok(component) => Some(component),
            Err(_) => {
                let _ = std::fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps compiled code. A failure costs time at the next start and nothing else.
    pub(super) fn store(&self, engine: &Engine, digest: &Digest, code: &[u8]) -> std::io::Result<()> {
        self.keep(&self.path(engine, digest), code)
    }

    fn adapted(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{digest}-{:016x}.{ADAPTED}", adapt::version()))
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
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.0)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        self.trim()
    }

    fn trim(&self) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if is_ours(&entry.path()) {
                files.push((meta.modified()?, meta.len(), entry.path()));
            }
        }
        let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, bytes, path) in files {
            if size <= SIZE_MAX {
                break;
            }
            std::fs::remove_file(path)?;
            size -= bytes;
        }
        Ok(())
    }
}

fn is_ours(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == COMPILED || extension == ADAPTED)
}
