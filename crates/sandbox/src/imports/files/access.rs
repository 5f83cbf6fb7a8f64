//! Granted folders, and limits on a guest's open files, running calls and unread bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::format_err;
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::Dir,
    p2::{FsError, FsResult},
};

use disperse_egress::grants::Grants;
use disperse_protocol::limits::{self, Budget, Charge, FILE_CALLS, FILE_CALLS_ALL, UNREAD_MAX};

/// Limits on files for all workers of a sandbox together.
pub struct FileLimits {
    pub(super) calls: Arc<Semaphore>,
    pub(super) open: Arc<Semaphore>,
    /// The most files that all guests together have open.
    pub(super) open_all: usize,
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

/// The granted folders of one pool with their names in guests. All instances share one descriptor for each.
pub type Folders = Arc<[(Dir, String)]>;

/// Prepares the granted folders of a pool.
///
/// # Errors
/// No file descriptor is left for one of them.
pub fn folders(grants: &Grants) -> std::io::Result<Folders> {
    let folder = |dir: &disperse_egress::grants::Dir| {
        let (perms, mode) = if dir.writable {
            (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE)
        } else {
            (FsPerms::ReadOnly, OpenMode::READ)
        };
        Ok((Dir::new(dir.folder.try_clone()?, perms, mode, true), dir.guest.clone()))
    };
    grants.dirs.iter().map(folder).collect()
}

/// The file access of one worker, for all its instances.
pub struct FileAccess {
    pub folders: Folders,
    pub(super) calls: Calls,
    pub(super) open: Arc<Semaphore>,
    /// The most files that one instance has open.
    pub open_max: usize,
}

impl FileAccess {
    /// For one of `workers` workers, whose instances have at most `handles` handles.
    pub fn new(all: &FileLimits, folders: Folders, workers: usize, handles: usize) -> Arc<Self> {
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

/// Limits the blocking calls in flight, of one worker and of all workers. A cancelled call counts until the system call
/// has returned.
#[derive(Clone)]
pub struct Calls {
    pub(super) own: Arc<Semaphore>,
    pub(super) all: Arc<Semaphore>,
}

impl Calls {
    /// Runs `work` on a thread that may block, as soon as the limits allow one more call.
    ///
    /// Cancel safe: work that has begun goes on to its end and its result is dropped.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> wasmtime::Result<R> {
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
pub struct Files {
    pub access: Arc<FileAccess>,
    pub(super) open: Arc<Semaphore>,
    pub unread: Unread,
}

impl Files {
    pub fn new(access: Arc<FileAccess>, budget: Arc<Budget>) -> Self {
        Self {
            open: Arc::new(Semaphore::new(access.open_max)),
            unread: Unread {
                left: Arc::new(Semaphore::new(UNREAD_MAX)),
                budget,
            },
            access,
        }
    }

    pub fn calls(&self) -> &Calls {
        &self.access.calls
    }

    /// A permit for one more open file. None: this instance, or all guests together, are at their limit.
    pub fn one_more(&self) -> Option<Arc<OpenPermit>> {
        let own = self.open.clone().try_acquire_owned().ok()?;
        let all = self.access.open.clone().try_acquire_owned().ok()?;
        Some(Arc::new(OpenPermit { _own: own, _all: all }))
    }
}

/// A permit for one open file, held until its last user is dropped.
pub struct OpenPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Limits the bytes that are buffered for an instance: read ahead, or not written to the disk yet.
#[derive(Clone)]
pub struct Unread {
    pub(super) left: Arc<Semaphore>,
    budget: Arc<Budget>,
}

impl Unread {
    /// Counts `bytes` as buffered. None: that is over the limit.
    pub fn keep(&self, bytes: usize) -> Option<Buffered> {
        let permit = self.left.clone();
        let permit = permit.try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Buffered {
            _permit: permit,
            _charge: Charge::new(&self.budget, bytes as u64),
        })
    }
}

/// Buffered bytes, which count until this is dropped.
pub struct Buffered {
    _permit: OwnedSemaphorePermit,
    _charge: Charge,
}

/// Polls a file operation of wasmtime-wasi once. On descriptors that may block their thread, such operations never
/// wait.
pub(crate) fn at_once<R>(work: impl Future<Output = FsResult<R>>) -> FsResult<R> {
    let done = futures::FutureExt::now_or_never(work);
    done.unwrap_or_else(|| Err(FsError::trap(format_err!("a file operation waited where none may"))))
}
