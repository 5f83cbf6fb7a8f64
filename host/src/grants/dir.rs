//! Folders.

use std::path::{Path, PathBuf};

/// A folder that workers see, written `HOST[::GUEST][:rw]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    /// Where it is.
    pub(crate) host: PathBuf,
    /// How guests call it; what was written for the host's side unless said otherwise.
    pub(crate) guest: String,
    /// Whether they may write.
    pub(crate) writable: bool,
}

/// Why a folder cannot be granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirError {
    #[error("`{0}` names no folder; it is written HOST[::GUEST][:rw]")]
    Empty(String),
    #[error("`{path}` is no folder that can be opened: {error}")]
    Missing { path: String, error: std::io::Error },
    #[error("`{0}` is not a folder")]
    NotAFolder(String),
}

impl Dir {
    /// Reads one; `base` is what a relative path is relative to.
    ///
    /// # Errors
    /// It is not written as it should be, or there is no such folder.
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Self, DirError> {
        let (rest, writable) = match text.strip_suffix(":rw") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (host, guest) = rest.split_once("::").unwrap_or((rest, rest));
        if host.is_empty() || guest.is_empty() {
            return Err(DirError::Empty(text.to_owned()));
        }
        let path = base.join(host);
        let missing = |error| DirError::Missing {
            path: path.display().to_string(),
            error,
        };
        let resolved = path.canonicalize().map_err(missing)?;
        if !resolved.is_dir() {
            return Err(DirError::NotAFolder(path.display().to_string()));
        }
        Ok(Self {
            host: resolved,
            guest: guest.to_owned(),
            writable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_as_it_is_written() {
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
    }
}
