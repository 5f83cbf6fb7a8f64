//! The place of run records: `.disperse` beside a manifest, else the user's state folder.
//!
//! A project has a folder of its own for files that are generated in it, like cargo's `target` and uv's `.venv`. In any
//! other folder a filter such as `map` leaves no files, like ripgrep and GNU parallel: state between two starts belongs
//! to `XDG_STATE_HOME` (XDG Base Directory Specification 0.8). There each working folder has one folder, named by a
//! digest of its canonical path. The choice depends only on the working folder, so that `explain` only needs to start
//! in the same one.

use std::{
    io::{self, ErrorKind},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::folder::{Folder, HERE, JOURNAL, State};
use disperse_protocol::{
    digest::Digest,
    files::{self, MANIFEST},
};

/// The number of hex digits in a folder's name: 64 bits, and short for the address of a socket.
const LETTERS: usize = 16;

/// The most working folders in the state folder. Arbitrary: more than one user works in, and few files.
const FOLDERS_MAX: usize = 100;

impl Folder {
    /// The folder for runs that start here, made if it does not exist.
    ///
    /// # Errors
    /// It cannot be made, or belongs to another user.
    pub fn make() -> io::Result<Self> {
        Self::at(&of_new_runs())
    }

    /// The folder of runs that were started here, if there is one. Of several candidates, the first that has any
    /// records: they may lie in a fallback folder, or date from before this folder became a project.
    ///
    /// # Errors
    /// It belongs to another user, or its owner cannot be determined.
    pub fn find() -> io::Result<Option<Self>> {
        let (mut empty, mut unusable) = (None, None);
        for path in all() {
            let folder = Self::unchecked(path);
            match folder.checked_runs() {
                Ok(runs) if runs.is_empty() => _ = empty.get_or_insert(folder),
                Ok(_) => return Ok(Some(folder)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => _ = unusable.get_or_insert(error),
            }
        }
        match (empty, unusable) {
            (None, Some(error)) => Err(error),
            (empty, _) => Ok(empty),
        }
    }
}

/// All places that may have records of runs started here, the place of new records first.
fn all() -> Vec<PathBuf> {
    let (here, state) = (PathBuf::from(HERE), in_state());
    match is_project() {
        true => std::iter::once(here).chain(state).collect(),
        false => state.into_iter().chain(std::iter::once(here)).collect(),
    }
}

/// Whether the working folder is a project.
fn is_project() -> bool {
    Path::new(MANIFEST).exists()
}

/// The folder in the user's state folder, if there is one.
fn in_state() -> Option<PathBuf> {
    let folder = std::env::current_dir().and_then(std::fs::canonicalize).ok()?;
    let name = Digest::of(folder.as_os_str().as_bytes()).to_string();
    Some(root()?.join(name.get(..LETTERS)?))
}

fn root() -> Option<PathBuf> {
    Some(files::user_folder("XDG_STATE_HOME", ".local/state")?.join("runs"))
}

/// The place of the records of a run that starts here. Makes the folders above it.
pub fn of_new_runs() -> PathBuf {
    made().unwrap_or_else(|| HERE.into())
}

/// The folder in the user's state folder, if it is the place of new records: the working folder is not a project, and
/// the parent folders can be made and are private to this user.
fn made() -> Option<PathBuf> {
    let path = in_state().filter(|_| !is_project())?;
    let root = root()?;
    if !files::make_private(&root).ok()? {
        return None;
    }
    if !path.exists() {
        forget_oldest(&root);
    }
    Some(path)
}

/// Removes the folders of the least recently used working folders, so that at most [`FOLDERS_MAX`] are left with a new
/// one. Those of running runs stay, and those with journals: their runs can be resumed.
fn forget_oldest(root: &Path) {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    folders.sort();
    let surplus = (folders.len() + 1).saturating_sub(FOLDERS_MAX);
    for (_, path) in folders.into_iter().take(surplus) {
        let runs = Folder::at(&path).and_then(|folder| folder.runs());
        if runs.is_ok_and(|runs| runs.iter().all(|run| run.state != State::Up)) && !has_journals(&path) {
            // A folder that cannot be removed stays.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Whether a folder has a journal, or may have one.
fn has_journals(folder: &Path) -> bool {
    let is_journal = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == JOURNAL);
    std::fs::read_dir(folder).map_or(true, |entries| entries.flatten().any(is_journal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_folders_are_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        for number in 0..FOLDERS_MAX + 5 {
            let path = temp.path().join(format!("{number:03}"));
            std::fs::create_dir(&path).unwrap();
            if number == 1 {
                std::fs::write(path.join("a.journal"), "").unwrap();
            }
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
            std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }
        let path = temp.path().join("000");
        let busy = Folder::at(&path).unwrap();
        let id = super::super::RunId::new();
        let listener = std::os::unix::net::UnixListener::bind(busy.socket(&id)).unwrap();
        let time = SystemTime::UNIX_EPOCH;
        std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
        forget_oldest(temp.path());
        let left = |number: usize| temp.path().join(format!("{number:03}")).exists();
        assert!(left(0), "a run goes on there");
        assert!(left(1), "it has a journal");
        assert!((2..=5).all(|number| !left(number)));
        assert!((6..FOLDERS_MAX + 5).all(left));
        drop(listener);
    }
}
