//! The cache on disk: compiled code, compiled functions that components share, components that were made of core
//! modules, inspections of files, and records of what components were built from.
//!
//! Wasmtime trusts the code that it loads. So the folder is used only if it is owned by this user, closed to others,
//! and below folders that others cannot write to. Files are named by the digest of the component and by what made them,
//! and are written atomically. Each ends with a checksum: code that a disk has damaged would crash the process or
//! compute wrong results at every start. A damaged file is removed and made again.

mod folder;
mod functions;

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustc_hash::FxHasher;
use wasmtime::{Engine, component::Component};

use self::folder::Folder;
use crate::{
    inspect::{
        adapt,
        report::{self, Inspection},
    },
    shortage::HostResource,
};
use disperse_protocol::{digest::Digest, files};

pub use self::folder::CacheError;

/// The prefix of files that are being written, and the age after which such a file counts as abandoned.
const NEW: &str = ".new-";
const ABANDONED: Duration = Duration::from_secs(3600);

/// The extensions of the files.
const COMPILED: &str = "cwasm";
const ADAPTED: &str = "wasm";
const INSPECTED: &str = "json";
const BUILT: &str = "built";
const FUNCTIONS: &str = "functions";

/// The extensions, with the names of their kinds.
const KINDS: [(&str, &str); 5] = [
    (COMPILED, "compiled"),
    (ADAPTED, "adapted"),
    (INSPECTED, "inspected"),
    (BUILT, "built"),
    (FUNCTIONS, "functions"),
];

/// The length of the checksum at the end of a file, in bytes.
const SUM: usize = 8;

/// The bytes that are added to the checksum at a time.
const BLOCK: usize = 1 << 18;

/// The cache of compiled code and inspections.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Folder,
    /// The path as it was given.
    path: PathBuf,
}

/// The files of one kind in the cache.
#[derive(Clone, Debug)]
pub struct CacheUsage {
    /// `compiled`, `adapted`, `inspected`, `built` or `functions`.
    pub kind: &'static str,
    pub files: u64,
    /// Including checksums.
    pub bytes: u64,
}

impl Cache {
    /// The most bytes that are kept. The least recently used files are removed first.
    pub const SIZE_MAX: u64 = 1 << 30;

    /// Opens the user's folder, and creates it if it is missing: `$XDG_CACHE_HOME/disperse` or `~/.cache/disperse`.
    ///
    /// # Errors
    /// The environment names no folder, or the folder cannot be created or is not this user's alone.
    pub fn user() -> Result<Self, CacheError> {
        Self::at(&Self::user_path()?)
    }

    /// The path of the user's folder, which may be missing.
    ///
    /// # Errors
    /// The environment names no folder.
    pub fn user_path() -> Result<PathBuf, CacheError> {
        files::user_folder("XDG_CACHE_HOME", ".cache").ok_or(CacheError::Nowhere)
    }

    /// Opens a given folder, and creates it if it is missing.
    ///
    /// # Errors
    /// It cannot be created, or is not this user's alone.
    pub fn at(path: &Path) -> Result<Self, CacheError> {
        Ok(Self {
            folder: Folder::open(path)?,
            path: path.to_owned(),
        })
    }

    /// The path with which the folder was opened.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Loads a component's compiled code and returns it with its size in bytes, if it is there and fits the engine.
    pub fn load(&self, engine: &Engine, digest: &Digest) -> Option<(Component, u64)> {
        let name = compiled(engine, digest);
        let (file, size) = self.read_checked(&name, |_| {})?;
        // The file that was checked, even if its name leads to another one now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: the file is in a folder that only this user can write to. Only `store` below puts files there,
        // complete and named after the engine that compiled them, and the checksum shows that this one is unchanged.
        // Wasmtime ignores the checksum behind the code.
        #[allow(
            unsafe_code,
            reason = "the only way to load compiled code; the folder is checked to be this user's alone"
        )]
        let component = unsafe { Component::deserialize_file(engine, path) };
        match component {
            Ok(component) => Some((component, size)),
            Err(error) => {
                // The file is kept if only the machine has run out of address space.
                if HostResource::of(&error).is_none() {
                    self.remove(&name);
                }
                None
            }
        }
    }

    /// Whether a component's compiled code is there.
    pub fn has(&self, engine: &Engine, digest: &Digest) -> bool {
        self.is_there(&compiled(engine, digest))
    }

    /// Stores compiled code. A failure only makes the next start slower.
    pub fn store(&self, engine: &Engine, digest: &Digest, code: &[u8]) -> io::Result<()> {
        self.write(&compiled(engine, digest), code)
    }

    /// Whether the component that was made of this core module is there.
    pub fn has_adapted(&self, module: &Digest) -> bool {
        self.is_there(&adapted(module))
    }

    /// Loads the inspection of a file, with the component that was made of it if it is a core module.
    pub fn load_inspection(&self, file: &Digest) -> Option<(Inspection, Option<Vec<u8>>)> {
        let name = inspected(file);
        let Ok(inspection) = serde_json::from_slice::<Inspection>(&self.read(&name)?) else {
            self.remove(&name);
            return None;
        };
        let component = match inspection.digest {
            Some(_) => Some(self.read(&adapted(file))?),
            None => None,
        };
        Some((inspection, component))
    }

    /// Stores the inspection of a file, as [`Cache::store`] does.
    pub fn store_inspection(&self, file: &Digest, inspection: &Inspection, component: Option<&[u8]>) -> io::Result<()> {
        if let Some(component) = component {
            self.write(&adapted(file), component)?;
        }
        self.write(&inspected(file), &serde_json::to_vec(inspection)?)
    }

    /// Loads the record of what a component was built from. `key`: the digest that names it.
    pub fn load_build(&self, key: &Digest) -> Option<Vec<u8>> {
        self.read(&format!("{key}.{BUILT}"))
    }

    /// Stores the record of what a component was built from, as [`Cache::store`] does.
    pub fn store_build(&self, key: &Digest, content: &[u8]) -> io::Result<()> {
        self.write(&format!("{key}.{BUILT}"), content)
    }

    /// The number and size of the files of each kind that is present.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn usage(&self) -> io::Result<Vec<CacheUsage>> {
        let files = self.files()?;
        let usage = KINDS.iter().map(|(extension, kind)| {
            let sizes = files
                .iter()
                .filter(|file| has_extension(&file.path, extension))
                .map(|file| file.size);
            CacheUsage {
                kind,
                files: sizes.clone().count() as u64,
                bytes: sizes.sum(),
            }
        });
        Ok(usage.filter(|usage| usage.files > 0).collect())
    }

    /// Removes all files but those that are being written. Returns their number and size in bytes. A process that uses
    /// a removed file is not affected.
    ///
    /// # Errors
    /// The folder cannot be read, or a file cannot be removed.
    pub fn clear(&self) -> io::Result<(u64, u64)> {
        let mut removed = (0, 0);
        for file in self.files()? {
            if unless_gone(std::fs::remove_file(&file.path))?.is_some() {
                removed = (removed.0 + 1, removed.1 + file.size);
            }
        }
        Ok(removed)
    }

    fn is_there(&self, name: &str) -> bool {
        self.folder.path().join(name).is_file()
    }

    fn remove(&self, name: &str) {
        // If this fails, the file is found damaged again the next time.
        let _ = std::fs::remove_file(self.folder.path().join(name));
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        self.read_checked(name, |block| content.extend_from_slice(block))?;
        Some(content)
    }

    /// Reads a file to its end and checks it. Returns it with the size of its content. A damaged file is removed.
    fn read_unused(&self, name: &str, block: impl FnMut(&[u8])) -> Option<(File, u64)> {
        let checked = match self.folder.file(name) {
            Ok(Some(mut file)) => match check(&mut file, name, block) {
                Ok(Some(size)) => Some((file, size)),
                _ => None,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            _ => None,
        };
        if checked.is_none() {
            self.remove(name);
        }
        checked
    }

    /// Reads a file as [`Cache::read_unused`] does, and sets its time of last use.
    fn read_checked(&self, name: &str, block: impl FnMut(&[u8])) -> Option<(File, u64)> {
        let checked = self.read_unused(name, block);
        if let Some((file, _)) = &checked {
            set_used(file);
        }
        checked
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let folder = self.folder.path();
        let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(&folder)?;
        let mut sum = Checksum::of(name);
        content.chunks(BLOCK).for_each(|block| sum.add(block));
        file.write_all(content)?;
        file.write_all(&sum.bytes())?;
        // After a crash of the machine the name must not exist without the content.
        file.as_file().sync_data()?;
        file.persist(folder.join(name))?;
        // If this fails, the file is stored all the same, and the cache is too large for a while.
        let _ = self.trim();
        Ok(())
    }

    fn trim(&self) -> io::Result<()> {
        let mut files = self.files()?;
        let mut size: u64 = files.iter().map(|file| file.size).sum();
        files.sort_by_key(|file| file.modified);
        for file in files {
            if size <= Self::SIZE_MAX {
                break;
            }
            unless_gone(std::fs::remove_file(file.path))?;
            size -= file.size;
        }
        Ok(())
    }

    /// The complete files. Abandoned partial files are removed.
    fn files(&self) -> io::Result<Vec<CacheFile>> {
        let mut files = Vec::new();
        let now = SystemTime::now();
        for entry in std::fs::read_dir(self.folder.path())? {
            let entry = entry?;
            let is_new = entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes());
            if !is_new && !is_cache_file(&entry.path()) {
                continue;
            }
            let Some(meta) = unless_gone(entry.metadata())? else {
                continue;
            };
            let modified = meta.modified()?;
            if !is_new {
                files.push(CacheFile {
                    modified,
                    size: meta.len(),
                    path: entry.path(),
                });
            } else if now.duration_since(modified).is_ok_and(|age| age > ABANDONED) {
                // The process that wrote it was killed.
                unless_gone(std::fs::remove_file(entry.path()))?;
            }
        }
        Ok(files)
    }
}

/// A file of the cache.
struct CacheFile {
    modified: SystemTime,
    size: u64,
    path: PathBuf,
}

impl CacheFile {
    fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }
}

/// Sets the time of last use, which decides which files are removed first.
fn set_used(file: &File) {
    // If this fails, the file is removed earlier.
    let _ = file.set_modified(SystemTime::now());
}

/// None if the file is gone: other threads and processes remove files from the same folder too.
fn unless_gone<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_cache_file(path: &Path) -> bool {
    KINDS.iter().any(|(extension, _)| has_extension(path, extension))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|other| other == extension)
}

/// Names all that decides which compiled code fits an engine: wasmtime's version, the machine, and the compiler's settings.
fn identity(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The file name of compiled code.
fn compiled(engine: &Engine, digest: &Digest) -> String {
    format!("{digest}-{}.{COMPILED}", identity(engine))
}

/// The file name of the component that was made of this core module.
fn adapted(module: &Digest) -> String {
    format!("{module}-{:016x}.{ADAPTED}", adapt::version())
}

/// The file name of the inspection of this file.
fn inspected(file: &Digest) -> String {
    let mut hasher = DefaultHasher::new();
    (adapt::version(), report::VERSION).hash(&mut hasher);
    format!("{file}-{:016x}.{INSPECTED}", hasher.finish())
}

/// A checksum of a file's name and content. It protects against damage and not against attackers, which the folder's
/// mode keeps out. So it is a fast one of 64 bits: Python's 60 MiB take 13 ms, where SHA-256 took 145 ms on the same
/// machine, as long as the whole start.
struct Checksum(FxHasher);

impl Checksum {
    fn of(name: &str) -> Self {
        let mut hasher = FxHasher::default();
        name.hash(&mut hasher);
        Self(hasher)
    }

    /// Adds the next [`BLOCK`]; the last one may be shorter.
    fn add(&mut self, block: &[u8]) {
        self.0.write(block);
    }

    fn bytes(&self) -> [u8; SUM] {
        self.0.finish().to_le_bytes()
    }
}

/// Reads a file to its end and passes its content to `block` in pieces. Returns the size of the content; none if the
/// file is damaged.
fn check(file: &mut File, name: &str, mut block: impl FnMut(&[u8])) -> io::Result<Option<u64>> {
    let Some(size) = file.metadata()?.len().checked_sub(SUM as u64) else {
        return Ok(None);
    };
    let mut sum = Checksum::of(name);
    let mut buffer = vec![0; BLOCK];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let piece = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact(piece)?;
        sum.add(piece);
        block(piece);
        left -= length as u64;
    }
    let mut kept = [0; SUM];
    file.read_exact(&mut kept)?;
    Ok((kept == sum.bytes()).then_some(size))
}
