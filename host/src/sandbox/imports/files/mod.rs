//! The files of workers: folders that were opened once, and bounds for what a guest has open, under way and unread.
//!
//! wasmtime-wasi does the work on paths. What is here decides which descriptors that work begins at, what may be opened, in
//! which thread it is done, and how much of it there may be.

mod entries;
mod open;
mod streams;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::format_err;
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir},
    p2::{FsError, FsResult},
};

pub(crate) use self::{
    entries::Entries,
    open::{How, OpenError, open},
    streams::{PIECE, Reader, Writer},
};
use super::scratch::ScratchFile;
use crate::{
    grants::Grants,
    limits::{self, Budget, Charge, FILE_CALLS, FILE_CALLS_ALL, UNREAD_MAX},
};

/// What all workers of a sandbox have together.
pub(crate) struct FileLimits {
    calls: Arc<Semaphore>,
    open: Arc<Semaphore>,
    /// How many files guests may have open together.
    open_all: usize,
}

impl Default for FileLimits {
    fn default() -> Self {
        let open_all = limits::open_files();
        Self {
            calls: Arc::new(Semaphore::new(FILE_CALLS_ALL)),
            open: Arc::new(Semaphore::new(open_all)),
            open_all,
        }
    }
}

/// The granted folders of one pool, each with the one descriptor that all its instances share.
pub(crate) type Folders = Arc<[(Dir, String)]>;

/// Makes ready what workers with these grants see.
///
/// # Errors
/// There is no descriptor left for one of them.
pub(crate) fn folders(grants: &Grants) -> std::io::Result<Folders> {
    let folder = |dir: &crate::grants::Dir| {
        let (perms, mode) = if dir.writable {
            (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE)
        } else {
            (FsPerms::ReadOnly, OpenMode::READ)
        };
        Ok((Dir::new(dir.folder.try_clone()?, perms, mode, true), dir.guest.clone()))
    };
    grants.dirs.iter().map(folder).collect()
}

/// What one worker may do with files, over all its instances.
pub(crate) struct FileAccess {
    pub(crate) folders: Folders,
    calls: Calls,
    open: Arc<Semaphore>,
    /// How many files one instance may have open.
    pub(crate) open_max: usize,
}

impl FileAccess {
    /// For one of `workers` workers, whose instances hold at most `handles`.
    pub(crate) fn new(all: &FileLimits, folders: Folders, workers: usize, handles: usize) -> Arc<Self> {
        Arc::new(Self {
            folders,
            calls: Calls {
                own: Arc::new(Semaphore::new(FILE_CALLS)),
                all: all.calls.clone(),
            },
            open: all.open.clone(),
            open_max: limits::open_files_of_each(all.open_all, workers, handles),
        })
    }
}

/// Bounds how many blocking calls of one worker, and of all, are under way. A call that was given up still counts until the
/// system has let it go.
#[derive(Clone)]
pub(crate) struct Calls {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Calls {
    /// Does this in a thread that may block, as soon as there may be one more.
    ///
    /// Cancel safe: work that has begun goes on to its end and its result is dropped.
    ///
    /// # Errors
    /// The runtime ends.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> wasmtime::Result<R> {
        let over = |_| format_err!("the run is over");
        let own = self.own.clone().acquire_owned().await.map_err(over)?;
        let all = self.all.clone().acquire_owned().await.map_err(over)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((own, all));
            done
        });
        done.await
            .map_err(|error| format_err!("a file operation broke off: {error}"))
    }
}

/// The files of one instance.
pub(crate) struct Files {
    pub(crate) access: Arc<FileAccess>,
    open: Arc<Semaphore>,
    pub(crate) unread: Unread,
}

impl Files {
    pub(crate) fn new(access: Arc<FileAccess>, budget: Arc<Budget>) -> Self {
        Self {
            open: Arc::new(Semaphore::new(access.open_max)),
            unread: Unread {
                left: Arc::new(Semaphore::new(UNREAD_MAX)),
                budget,
            },
            access,
        }
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.access.calls
    }

    /// Leave to have one more file open. None: this instance, or all guests together, have as many as they may.
    pub(crate) fn one_more(&self) -> Option<Arc<OpenPermit>> {
        let own = self.open.clone().try_acquire_owned().ok()?;
        let all = self.access.open.clone().try_acquire_owned().ok()?;
        Some(Arc::new(OpenPermit { _own: own, _all: all }))
    }
}

/// Leave to have a file open, until the last that uses the file drops it.
pub(crate) struct OpenPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// What a guest's descriptor stands for in the table of its store.
pub(crate) enum Opened {
    /// A file or folder of the machine.
    Granted {
        descriptor: Descriptor,
        /// None of a granted folder, which is open anyway.
        permit: Option<Arc<OpenPermit>>,
    },
    Scratch(ScratchFile),
}

/// Bytes that are kept for an instance because it has not taken them yet, or because a disk has not.
#[derive(Clone)]
pub(crate) struct Unread {
    left: Arc<Semaphore>,
    budget: Arc<Budget>,
}

impl Unread {
    /// Keeps so many. None: more are kept already than may be.
    pub(crate) fn keep(&self, bytes: usize) -> Option<Kept> {
        let permit = self.left.clone();
        let permit = permit.try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Kept {
            _permit: permit,
            _charge: Charge::new(&self.budget, bytes as u64),
        })
    }
}

/// Bytes that count until this is dropped.
pub(crate) struct Kept {
    _permit: OwnedSemaphorePermit,
    _charge: Charge,
}

/// Carries out what wasmtime-wasi says of descriptors that may block their thread: there it never waits.
pub(crate) fn at_once<R>(work: impl Future<Output = FsResult<R>>) -> FsResult<R> {
    let done = futures::FutureExt::now_or_never(work);
    done.unwrap_or_else(|| Err(FsError::trap(format_err!("a file operation waited where none may"))))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, sync::mpsc, time::Duration};

    use bytes::Bytes;
    use futures::FutureExt;
    use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

    use super::*;

    fn files(open: usize) -> Files {
        let all = FileLimits {
            calls: Arc::new(Semaphore::new(2)),
            open: Arc::new(Semaphore::new(open)),
            open_all: open,
        };
        Files::new(FileAccess::new(&all, Arc::new([]), 1, 4096), Budget::new(u64::MAX))
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_counts_until_it_has_ended() {
        let files = files(16);
        let mut stuck = Vec::new();
        for _ in 0..2 {
            let (release, wait) = mpsc::channel::<()>();
            let (begin, begun) = mpsc::channel();
            let work = move || {
                let _ = begin.send(());
                let _ = wait.recv();
            };
            let mut call = Box::pin(files.calls().run(work));
            assert!((&mut call).now_or_never().is_none());
            begun.recv_timeout(Duration::from_secs(60)).unwrap();
            drop(call);
            stuck.push(release);
        }
        let mut next = Box::pin(files.calls().run(|| 7));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(files.access.calls.all.available_permits(), 0);
        stuck.pop();
        assert_eq!(next.await.unwrap(), 7);
    }

    #[test]
    fn files_are_open_until_the_last_that_uses_them_is_gone() {
        let files = files(16);
        let mut open: Vec<_> = (0..16).map(|_| files.one_more().unwrap()).collect();
        assert!(files.one_more().is_none());
        let stream = open[0].clone();
        open.remove(0);
        assert!(files.one_more().is_none());
        drop(stream);
        assert!(files.one_more().is_some());
    }

    #[tokio::test]
    async fn a_file_is_written_and_read_in_the_background() {
        let files = files(16);
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut writer = Writer::new(&file, None, &files, Some(2));
        for text in ["abc", "def"] {
            assert!(writer.check_write().unwrap() > 3);
            writer.write(Bytes::from_static(text.as_bytes())).unwrap();
            assert_eq!(writer.check_write().unwrap(), 0);
            writer.ready().await;
        }
        let mut end = Writer::new(&file, None, &files, None);
        end.write(Bytes::from_static(b"ghi")).unwrap();
        end.cancel().await;

        let mut reader = Reader::new(&file, None, &files, 0);
        assert!(reader.read(4).unwrap().is_empty());
        reader.ready().await;
        assert_eq!(reader.read(100).unwrap(), &b"\0\0ab"[..]);
        reader.ready().await;
        assert_eq!(reader.read(3).unwrap(), &b"cde"[..]);
        assert_eq!(reader.blocking_read(100).await.unwrap(), &b"fghi"[..]);
        reader.ready().await;
        assert!(matches!(reader.read(1), Err(StreamError::Closed)));
        assert_eq!(files.unread.left.available_permits(), UNREAD_MAX);
    }

    #[tokio::test]
    async fn what_is_read_ahead_has_a_bound() {
        let files = files(16);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 1 << 16]).unwrap();
        let file = Arc::new(file);
        let mut readers = Vec::new();
        for _ in 0..UNREAD_MAX >> 16 {
            let mut reader = Reader::new(&file, None, &files, 0);
            reader.read(1 << 20).unwrap();
            reader.ready().await;
            readers.push(reader);
        }
        let mut one_more = Reader::new(&file, None, &files, 0);
        assert!(matches!(one_more.read(1), Err(StreamError::Trap(error)) if error.to_string().contains("8MiB")));
        // What is taken at once is not kept.
        assert_eq!(one_more.blocking_read(5).await.unwrap().len(), 5);
        readers.pop();
        assert!(one_more.read(1).is_ok());
        drop((readers, one_more));
        assert_eq!(files.unread.left.available_permits(), UNREAD_MAX);
    }
}
