//! Folders.

use std::{
    fmt,
    fs::File,
    io::ErrorKind,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, open, openat2},
    io::Errno,
};

/// A granted folder, written `HOST[::GUEST][:rw]`.
///
/// It is opened once, when the text is parsed, and every instance of the run gets this descriptor: later changes of the
/// path have no effect.
#[derive(Clone, Debug)]
pub struct Dir {
    /// The open folder.
    pub folder: Arc<File>,
    /// The guests' name for it; as written for the host unless given.
    pub guest: String,
    /// Whether guests may write to it.
    pub writable: bool,
    /// Its path when it was opened, for messages and for [`Tampering`](super::Tampering).
    pub(super) host: PathBuf,
}

/// Why a folder cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    #[error("`{0}` does not name a folder; write it as HOST[::GUEST][:rw]")]
    Empty(String),
    #[error("cannot open the folder `{path}`: {error}")]
    Missing { path: String, error: std::io::Error },
    #[error("`{0}` is not a folder")]
    NotAFolder(String),
    #[error(
        "`{0}` belongs to a proc file system, which shows the host itself; grant copies of the files that are needed"
    )]
    Proc(String),
    #[error("this system cannot confine paths to a folder: it needs `openat2`, which Linux has from 5.6 on: {0}")]
    Kernel(std::io::Error),
}

impl DirError {
    /// Whether the machine is at fault and not the grant.
    pub fn is_of_machine(&self) -> bool {
        matches!(self, Self::Kernel(_))
    }

    /// What to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { error, .. } if error.kind() == ErrorKind::NotFound => {
                Some("is the path right? A folder has to be there before the run: make it with `mkdir -p`")
            }
            Self::Missing { error, .. } if error.kind() == ErrorKind::PermissionDenied => {
                Some("this user may not enter it or a folder above it: `ls -ld` shows the permissions of each")
            }
            Self::NotAFolder(_) => Some("to grant a file, grant the folder that it is in"),
            _ => None,
        }
    }
}

impl Dir {
    /// The folder of `PATH[::GUEST][:rw]`, the guests' name for it, and whether it is writable.
    pub fn parts(text: &str) -> (&str, &str, bool) {
        let (rest, writable) = match text.strip_suffix(":rw") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (host, guest) = rest.split_once("::").unwrap_or((rest, rest));
        (host, guest, writable)
    }

    /// Parses a rule and opens the folder; `base` is the start of a relative path.
    ///
    /// # Errors
    /// It is not well-formed, there is no such folder, or it is in a proc file system.
    pub fn parse(text: &str, base: &Path) -> Result<Self, DirError> {
        let (host, guest, writable) = Self::parts(text);
        if host.is_empty() || guest.is_empty() {
            return Err(DirError::Empty(text.to_owned()));
        }
        let path = base.join(host);
        let shown = || path.display().to_string();
        let missing = |error| DirError::Missing { path: shown(), error };
        let resolved = path.canonicalize().map_err(missing)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(&resolved, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR => DirError::NotAFolder(shown()),
            other => missing(other.into()),
        })?;
        if is_proc(&folder).map_err(missing)? {
            return Err(DirError::Proc(shown()));
        }
        // Asked now, so that the error comes before a guest runs.
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&folder, ".", flags, Mode::empty(), confined).map_err(|error| DirError::Kernel(error.into()))?;
        Ok(Self {
            folder: Arc::new(folder.into()),
            guest: guest.to_owned(),
            writable,
            host: resolved,
        })
    }
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.writable { ":rw" } else { "" };
        write!(f, "{}::{}{mode}", self.host.display(), self.guest)
    }
}

/// Whether a file is in a proc file system, wherever that is mounted. Its files show, and change, the host itself.
///
/// # Errors
/// The system returns an error.
pub fn is_proc(file: impl AsFd) -> std::io::Result<bool> {
    Ok(fstatfs(file)?.f_type == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_rule_round_trips() {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("data")).unwrap();
        std::fs::write(here.path().join("file"), "").unwrap();
        let read = |text: &str| Dir::parse(text, here.path()).map(|dir| (dir.guest, dir.writable));
        assert_eq!(read("data").unwrap(), ("data".to_owned(), false));
        assert_eq!(read("data:rw").unwrap(), ("data".to_owned(), true));
        assert_eq!(read("data::/in").unwrap(), ("/in".to_owned(), false));
        assert_eq!(read("data::/out:rw").unwrap(), ("/out".to_owned(), true));
        assert!(matches!(read("nothing"), Err(DirError::Missing { .. })));
        assert!(matches!(read("file"), Err(DirError::NotAFolder(_))));
        assert!(matches!(read("::/in"), Err(DirError::Empty(_))));
        assert!(matches!(read(":rw"), Err(DirError::Empty(_))));
        assert!(matches!(read("/proc/self::/p"), Err(DirError::Proc(_))));
    }
}
