//! The files of a journal, all together.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::JournalError,
    lock::Lock,
    place::{beside, companion, resolve},
};

/// The files of a journal: itself, what SQLite has beside it, its lock and its spare space.
fn files(path: &Path) -> [PathBuf; 5] {
    [
        path.to_owned(),
        beside(path, "-wal"),
        beside(path, "-shm"),
        companion(path, "spare"),
        companion(path, "lock"),
    ]
}

/// How many bytes the files of a journal take. Those that are missing count as empty.
pub fn size(path: &Path) -> u64 {
    let path = resolve(path).unwrap_or_else(|_| path.to_owned());
    let sizes = files(&path).map(|file| file.metadata().map_or(0, |file| file.len()));
    sizes.iter().sum()
}

/// Removes a journal, also one that is damaged.
///
/// # Errors
/// Its run goes on, there is none, or it cannot be removed.
pub fn remove(path: &Path) -> Result<(), JournalError> {
    let path = &*resolve(path).map_err(|error| JournalError::io(path, error))?;
    let io = |error| JournalError::io(path, error);
    path.metadata().map_err(io)?;
    let _lock = Lock::take(path)?;
    let removed = files(path).map(std::fs::remove_file);
    for result in removed {
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    Ok(())
}
