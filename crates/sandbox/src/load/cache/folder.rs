//! The cache's folder: opened and checked so that no other user can change or replace it.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat},
    process::geteuid,
};

/// Bits of a folder's mode: all access of other users, their write access, and the sticky bit (each user may only
/// replace their own entries).
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Errors of opening the cache's folder.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("neither XDG_CACHE_HOME nor HOME is an absolute path")]
    Nowhere,
    #[error("`{path}` cannot be made: {error}")]
    Make { path: String, error: io::Error },
    #[error("`{0}` is not this user's alone: code that others put there would be run")]
    Shared(String),
    #[error("`{path}` lies in `{parent}`, which others own or can write to: code that they put there would be run")]
    Exposed { path: String, parent: String },
}

impl CacheError {
    /// Whether the folder exists but is unsafe to use.
    pub fn is_danger(&self) -> bool {
        matches!(self, Self::Shared(_) | Self::Exposed { .. })
    }
}

/// A checked folder, held by its descriptor: later changes of its path have no effect.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens a folder, and creates it if it is missing.
    ///
    /// # Errors
    /// It cannot be created, other users have access to it, or other users can write to a folder that it lies in.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let make = |error: io::Error| CacheError::Make {
            path: path.display().to_string(),
            error,
        };
        // Symbolic links are resolved here and not followed after this, so the folders that are checked are the ones
        // that are used.
        let (real, missing) = real(path).map_err(make)?;
        let mut folder = step(CWD, Path::new("/")).map_err(make)?;
        let mut walked = PathBuf::from("/");
        let names = real.components().filter_map(|part| match part {
            Component::Normal(name) => Some((name.to_owned(), false)),
            _ => None,
        });
        for (name, is_missing) in names.chain(missing.into_iter().map(|name| (name, true))) {
            check_parent(&folder, &walked, path)?;
            if is_missing {
                match mkdirat(&folder, &name, Mode::RWXU) {
                    // Another process may have created it meanwhile.
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(make(error.into())),
                }
            }
            folder = step(&folder, Path::new(&name)).map_err(make)?;
            walked.push(name);
        }
        let stat = fstat(&folder).map_err(|error| make(error.into()))?;
        if !is_of_user(&stat) || stat.st_mode & OTHERS != 0 {
            return Err(CacheError::Shared(path.display().to_string()));
        }
        Ok(Self(Arc::new(folder)))
    }

    /// A path to the folder for the functions of `std::fs`, through its descriptor.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Opens one of its files for reading. None: it is not a regular file, or not owned by this user.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        // Without `NONBLOCK`, opening a pipe waits for a writer.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(self.path().join(name))?;
        let stat = fstat(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok((is_file && is_of_user(&stat)).then_some(file))
    }
}

/// The part of a path that exists, without symbolic links, and the names of the missing rest.
fn real(path: &Path) -> io::Result<(PathBuf, Vec<OsString>)> {
    let mut existing = std::path::absolute(path)?;
    let mut missing = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(real) => {
                missing.reverse();
                return Ok((real, missing));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Some(name) = existing.file_name() else {
                    return Err(error);
                };
                missing.push(name.to_owned());
                existing.pop();
            }
            Err(error) => return Err(error),
        }
    }
}

fn step(from: impl std::os::fd::AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(from, name, flags, Mode::empty())?)
}

fn is_of_user(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw()
}

/// Checks that other users cannot replace entries of a folder: write access is enough for that, unless the folder is
/// sticky, as `/tmp` is.
fn check_parent(folder: &OwnedFd, walked: &Path, path: &Path) -> Result<(), CacheError> {
    let stat = fstat(folder).map_err(|error| CacheError::Make {
        path: path.display().to_string(),
        error: error.into(),
    })?;
    let is_trusted = stat.st_uid == 0 || is_of_user(&stat);
    if is_trusted && (stat.st_mode & OTHERS_WRITE == 0 || stat.st_mode & STICKY != 0) {
        return Ok(());
    }
    Err(CacheError::Exposed {
        path: path.display().to_string(),
        parent: walked.display().to_string(),
    })
}
