//! How many files guests may have open, and how much of the system they may keep busy with files.
//!
//! The rule for open files: half of what the process may have open is for guests, the other half for the host's own pipes, sockets
//! and programs. The guests' half is shared evenly among the workers that have folders: at least 16 for an instance, and at most
//! as many as it may have handles. Where the workers are so many that 16 each is more than there is, the half is still never
//! exceeded. A file or folder that is open, and a folder that is being listed, count as one each; a granted folder does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many blocking calls to the file system one worker may have under way. One is what most guests can have; some read
/// several streams at once.
pub(crate) const FILE_CALLS: usize = 4;

/// How many all workers of a host may have: half of tokio's blocking threads, of which there are 512 by default, so that a disk
/// that does not answer leaves the host its own.
pub(crate) const FILE_CALLS_ALL: usize = 256;

/// How many bytes of files and folders may be kept for one instance that has not taken them yet, or that a disk has not. As
/// large as one result by default.
pub(crate) const UNREAD_MAX: usize = 8 << 20;

/// How many files an instance may have open at least.
const OPEN_MIN: usize = 16;

/// To how many open files the process's own limit is raised, if the system lets it. Some programs that workers run close as many
/// descriptors as they might have, one by one, so more is not better.
const RAISED: u64 = 65_536;

/// Raises the process's limit on open files as far as it goes. Programs inherit it.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(RAISED);
    if limit.current.is_some_and(|current| current < most) {
        // Where that is refused there are as many as there were.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: limit.maximum,
            },
        );
    }
}

/// How many files all guests may have open together.
pub(crate) fn open_files() -> usize {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(RAISED);
    usize::try_from(all.min(RAISED) / 2).unwrap_or(OPEN_MIN)
}

/// How many files one instance may have open, of `all` for this many workers, if it may have so many handles.
pub(crate) fn open_files_of_each(all: usize, workers: usize, handles: usize) -> usize {
    (all / workers.max(1)).max(OPEN_MIN).min(handles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_shared_evenly_within_bounds() {
        assert_eq!(open_files_of_each(2048, 6, 4096), 341);
        assert_eq!(open_files_of_each(2048, 1000, 4096), OPEN_MIN);
        assert_eq!(open_files_of_each(32_768, 1, 4096), 4096);
        assert_eq!(open_files_of_each(32_768, 1, 8), 8);
        assert_eq!(open_files_of_each(512, 0, 4096), 512);
    }
}
