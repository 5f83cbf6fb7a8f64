//! The scratch folder of one attempt, and open files and folders in it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::{
    clocks::wall_clock::Datetime,
    filesystem::types::{
        DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, MetadataHashValue,
    },
};

use super::tree::{FileClock, Id, ROOT, Tree};
use crate::imports::files::OpenHow;
use disperse_protocol::limits::Reservation;

/// The path of the scratch folder in a program.
pub const SCRATCH_FOLDER: &str = "/tmp";

pub(super) type Result<T> = std::result::Result<T, ErrorCode>;

/// The scratch folder of one attempt. Cheap to clone.
#[derive(Clone)]
pub struct Scratch(Arc<Mutex<Tree>>);

impl Scratch {
    /// An empty scratch folder of at most `most` bytes, which include names, files and folders. `memory`: its
    /// reservation.
    pub fn new(most: u64, memory: Reservation, clock: FileClock) -> Self {
        Self(Arc::new(Mutex::new(Tree::new(most, memory, clock))))
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file whose content does not count until the file is written to.
    ///
    /// # Errors
    /// A file of that name exists, or the name does not fit.
    pub fn give(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.lock().give(name, bytes)
    }

    /// The whole content of a file. None: it is longer than `most` bytes.
    ///
    /// # Errors
    /// The file does not exist.
    pub fn whole(&self, path: &str, most: u64) -> Result<Option<Bytes>> {
        self.lock().whole(ROOT, path, most)
    }

    /// Whether something did not fit into the folder.
    pub fn was_full(&self) -> bool {
        self.lock().was_full()
    }

    /// Opens the folder itself.
    pub fn root(&self) -> ScratchFile {
        self.handle(&mut self.lock(), ROOT, true, true)
    }

    fn handle(&self, tree: &mut Tree, id: Id, read: bool, write: bool) -> ScratchFile {
        tree.hold(id);
        ScratchFile {
            scratch: self.clone(),
            id,
            read,
            write,
        }
    }
}

/// An open file or folder in a scratch folder.
pub struct ScratchFile {
    scratch: Scratch,
    id: Id,
    read: bool,
    write: bool,
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        self.scratch.lock().release(self.id);
    }
}

impl ScratchFile {
    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.scratch.lock()
    }

    /// Opens a file or folder below this folder, or creates a file there.
    ///
    /// # Errors
    /// It does not exist, is of the wrong kind, or does not fit.
    pub fn open(&self, path: &str, how: OpenHow) -> Result<Self> {
        let mut tree = self.lock();
        let id = tree.open(self.id, path, how)?;
        Ok(self.scratch.handle(&mut tree, id, how.read, how.write))
    }

    /// Opens the same file again, for a stream.
    ///
    /// # Errors
    /// It is a folder, or was not opened for reading or writing as needed.
    pub(super) fn again(&self, write: bool) -> Result<Self> {
        let mut tree = self.lock();
        if tree.is_folder(self.id)? {
            return Err(ErrorCode::IsDirectory);
        }
        if !(if write { self.write } else { self.read }) {
            return Err(ErrorCode::BadDescriptor);
        }
        Ok(self.scratch.handle(&mut tree, self.id, self.read, self.write))
    }

    /// Reads at most `most` bytes from a position; empty at the end.
    pub fn read(&self, position: u64, most: usize) -> Result<Bytes> {
        match self.read {
            true => self.lock().read(self.id, position, most),
            false => Err(ErrorCode::BadDescriptor),
        }
    }

    /// Writes all bytes at a position, or at the end.
    pub fn write(&self, position: Option<u64>, bytes: &[u8]) -> Result<()> {
        match self.write {
            true => self.lock().write(self.id, position, bytes),
            false => Err(ErrorCode::BadDescriptor),
        }
    }

    pub fn set_size(&self, size: u64) -> Result<()> {
        match self.write {
            true => self.lock().set_size(self.id, size),
            false => Err(ErrorCode::BadDescriptor),
        }
    }

    pub fn make_folder(&self, path: &str) -> Result<()> {
        self.lock().make_folder(self.id, path)
    }

    pub fn remove(&self, path: &str, folder: bool) -> Result<()> {
        self.lock().remove(self.id, path, folder)
    }

    pub fn rename(&self, path: &str, new: &Self, new_path: &str) -> Result<()> {
        self.lock().rename(self.id, path, new.id, new_path)
    }

    pub fn link(&self, path: &str, new: &Self, new_path: &str) -> Result<()> {
        self.lock().link(self.id, path, new.id, new_path)
    }

    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// The file or folder at a path. `path`: none for this one itself.
    fn at(&self, tree: &Tree, path: Option<&str>) -> Result<Id> {
        path.map_or(Ok(self.id), |path| tree.find(self.id, path))
    }

    pub fn stat(&self, path: Option<&str>) -> Result<DescriptorStat> {
        let tree = self.lock();
        let stat = tree.stat(self.at(&tree, path)?)?;
        let time = |since: Duration| {
            Some(Datetime {
                seconds: since.as_secs(),
                nanoseconds: since.subsec_nanos(),
            })
        };
        Ok(DescriptorStat {
            type_: kind(stat.is_folder),
            link_count: stat.links,
            size: stat.size,
            data_access_timestamp: time(stat.times.accessed),
            data_modification_timestamp: time(stat.times.modified),
            status_change_timestamp: time(stat.times.modified),
        })
    }

    /// A different number for each file and folder.
    pub fn hash(&self, path: Option<&str>) -> Result<MetadataHashValue> {
        let tree = self.lock();
        Ok(MetadataHashValue {
            lower: self.at(&tree, path)? + 1,
            upper: 0,
        })
    }

    /// Sets the given times, as durations since 1970. An inner none sets the time to now.
    pub fn set_times(
        &self,
        path: Option<&str>,
        accessed: Option<Option<Duration>>,
        modified: Option<Option<Duration>>,
    ) -> Result<()> {
        let mut tree = self.lock();
        let (id, now) = (self.at(&tree, path)?, tree.now());
        let time = |time: Option<Option<Duration>>| time.map(|time| time.unwrap_or(now));
        tree.set_times(id, time(accessed), time(modified))
    }

    pub fn kind(&self) -> Result<DescriptorType> {
        Ok(kind(self.lock().is_folder(self.id)?))
    }

    pub fn flags(&self) -> Result<DescriptorFlags> {
        let given = [(self.read, DescriptorFlags::READ), (self.write, DescriptorFlags::WRITE)];
        if self.lock().is_folder(self.id)? {
            return Ok(DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY);
        }
        let given = given.into_iter().filter(|(given, _)| *given);
        Ok(given.fold(DescriptorFlags::empty(), |flags, (_, flag)| flags | flag))
    }

    /// Starts to list this folder.
    ///
    /// # Errors
    /// It is a file.
    pub fn list(&self) -> Result<ScratchList> {
        let mut tree = self.lock();
        match tree.is_folder(self.id)? {
            true => Ok(ScratchList {
                folder: self.scratch.handle(&mut tree, self.id, true, false),
                last: None,
            }),
            false => Err(ErrorCode::NotDirectory),
        }
    }
}

fn kind(is_folder: bool) -> DescriptorType {
    match is_folder {
        true => DescriptorType::Directory,
        false => DescriptorType::RegularFile,
    }
}

/// A folder that is being listed, sorted by name.
pub struct ScratchList {
    folder: ScratchFile,
    last: Option<Box<str>>,
}

impl ScratchList {
    /// The next entry; none at the end.
    pub fn next(&mut self) -> Result<Option<DirectoryEntry>> {
        let next = self.folder.lock().entry_after(self.folder.id, self.last.as_deref())?;
        Ok(next.map(|(name, is_folder)| {
            self.last = Some(name.clone());
            DirectoryEntry {
                type_: kind(is_folder),
                name: name.into(),
            }
        }))
    }
}
