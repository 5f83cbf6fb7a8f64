//! Where a journal is, and the names of the files beside it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The ending of journals' names.
const ENDING: &str = "journal";

/// The path of a journal without links, so that one file has one lock. The file need not exist, but its folder. Absolute, because
/// SQLite takes a path that begins with `file:` for something else.
///
/// # Errors
/// The folder does not exist.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = std::path::absolute(path)?;
            let name = path.file_name().unwrap_or_default();
            Ok(folder(&path).canonicalize()?.join(name))
        }
        found => found,
    }
}

/// The folder of a file with an absolute path.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// A file that SQLite has beside a journal.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// A file of ours beside a journal: `RUN.lock` of `RUN.journal`, and `x.db.lock` of `x.db`.
pub fn companion(path: &Path, ending: &str) -> PathBuf {
    if path.extension().is_some_and(|found| found == ENDING) {
        path.with_extension(ending)
    } else {
        beside(path, &format!(".{ending}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_a_journal_have_other_names() {
        let lock = |path: &str| companion(Path::new(path), "lock");
        assert_eq!(lock("/a/b.c.journal"), Path::new("/a/b.c.lock"));
        assert_eq!(lock("/a/b.lock"), Path::new("/a/b.lock.lock"));
        assert_eq!(lock("/a/b"), Path::new("/a/b.lock"));
    }
}
