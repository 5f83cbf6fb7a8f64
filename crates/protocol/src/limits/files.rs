//! How many files guests may have open, and how much of the system's file access they may use at once.
//!
//! The rule for open files: half of the process's limit is for guests, the other half for the host's own pipes, sockets
//! and programs. Workers that have folders share the guests' half evenly: at least 16 for an instance, and at most its
//! limit of handles. If there are too many workers for 16 each, the half is still never exceeded. An open file or
//! folder, and a folder that is being listed, count as one each; a granted folder does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most blocking file system calls of one worker in progress. Most guests can have one; some read several streams
/// at once.
pub const FILE_CALLS: usize = 4;

/// The same for all workers of a host: half of tokio's blocking threads, of which there are 512 by default, so that a
/// disk that does not answer leaves the host its own.
pub const FILE_CALLS_ALL: usize = 256;

/// The most bytes of files and folders buffered for one instance, read or to be written. As large as one result by
/// default.
pub const UNREAD_MAX: usize = 8 << 20;

/// The fewest open files of an instance.
const OPEN_MIN: usize = 16;

/// The number of open files to which the process's own limit is raised, if the system allows. Some programs that
/// workers run close all possible descriptors, one by one, so more is not better.
const RAISED: u64 = 65_536;

/// Raises the process's limit on open files as far as allowed. Programs inherit it.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(RAISED);
    if limit.current.is_some_and(|current| current < most) {
        // If that fails the limit stays as it was.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: limit.maximum,
            },
        );
    }
}

/// The most open files of all guests together.
pub fn open_files() -> usize {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(RAISED);
    usize::try_from(all.min(RAISED) / 2).unwrap_or(OPEN_MIN)
}

/// The most open files of one instance, of `all` for this many workers, with this limit of handles.
pub fn open_files_of_each(all: usize, workers: usize, handles: usize) -> usize {
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
