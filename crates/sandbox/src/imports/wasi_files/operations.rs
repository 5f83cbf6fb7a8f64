//! File operations that WASI 0.2 and WASI 0.3 share.

use std::time::{Duration, SystemTime};

use wasmtime::{Result, component::Resource};
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir, File},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::{
            clocks::wall_clock::Datetime,
            filesystem::types::{
                DescriptorFlags, ErrorCode, Filesize, HostDescriptor, NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::view::{DescriptorEntry, Listing, View, note};
use crate::imports::{
    files::{Entries, OpenHow, Reader, Writer, at_once},
    scratch::SCRATCH_FOLDER,
};
use disperse_protocol::{limits::UNREAD_MAX, units::Size};

impl View<'_> {
    /// Opens the granted folders and the scratch folder for the guest.
    pub(crate) fn preopened(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        let folders = self.files.map(|files| files.access.folders.clone());
        let mut given = Vec::new();
        for (folder, name) in folders.iter().flat_map(|folders| folders.iter()) {
            let opened = self.table.push(DescriptorEntry::Granted {
                descriptor: Descriptor::Dir(folder.clone()),
                permit: None,
            })?;
            given.push((Resource::new_own(opened.rep()), name.clone()));
        }
        if let Some(scratch) = self.scratch {
            // It is also the current folder, unless a granted folder is.
            let is_current = given.iter().all(|(_, name)| !matches!(name.as_str(), "/" | "." | ""));
            for name in [Some(SCRATCH_FOLDER), is_current.then_some(".")].into_iter().flatten() {
                let opened = self.table.push(DescriptorEntry::Scratch(scratch.root()))?;
                given.push((Resource::new_own(opened.rep()), name.to_owned()));
            }
        }
        Ok(given)
    }

    /// Adds an opened file or folder to the table.
    pub(crate) fn put(&mut self, opened: DescriptorEntry) -> FsResult<Resource<Descriptor>> {
        Ok(Resource::new_own(self.table.push(opened)?.rep()))
    }

    pub(crate) fn close(&mut self, fd: &Resource<Descriptor>) -> Result<()> {
        self.table.delete(Resource::<DescriptorEntry>::new_own(fd.rep()))?;
        Ok(())
    }

    /// Opens a file or folder below a folder.
    pub(crate) fn open_below(
        &self,
        fd: &Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> impl Future<Output = FsResult<DescriptorEntry>> + Send + use<> {
        let begun = how_to_open(path_flags, open_flags, flags).and_then(|how| {
            if let Some(below) = self.scratch(fd)? {
                return Ok(Err(DescriptorEntry::Scratch(below.open(&path, how)?)));
            }
            let below = self.folder(fd)?;
            if how.write && below.perms.write_not_permitted() {
                return Err(ErrorCode::NotPermitted.into());
            }
            let permit = self.one_more()?;
            Ok(Ok((self.opened(&below, path, how), below, how, permit)))
        });
        async move {
            let (opening, below, how, permit) = match begun? {
                Ok(begun) => begun,
                Err(opened) => return Ok(opened),
            };
            let (file, is_folder) = opening.await?;
            let mut mode = OpenMode::empty();
            mode.set(OpenMode::READ, how.read);
            mode.set(OpenMode::WRITE, how.write);
            let descriptor = if is_folder {
                Descriptor::Dir(Dir::new(file, below.perms, mode, true))
            } else {
                Descriptor::File(File::new(file, below.perms, mode, true))
            };
            Ok(DescriptorEntry::Granted {
                descriptor,
                permit: Some(permit),
            })
        }
    }

    /// A stream that reads a file from a position.
    pub(crate) fn reader(&self, fd: &Resource<Descriptor>, offset: Filesize) -> FsResult<DynInputStream> {
        if let Some(file) = self.scratch(fd)? {
            return Ok(Box::new(file.reader(offset)?));
        }
        let (file, permit) = self.file(fd, false)?;
        Ok(Box::new(Reader::new(&file.file, permit, self.files()?, offset)))
    }

    /// A stream that writes a file from a position. `offset`: none for the end of the file.
    pub(crate) fn writer(&self, fd: &Resource<Descriptor>, offset: Option<Filesize>) -> FsResult<DynOutputStream> {
        if let Some(file) = self.scratch(fd)? {
            return Ok(Box::new(file.writer(offset)?));
        }
        let (file, permit) = self.file(fd, true)?;
        Ok(Box::new(Writer::new(&file.file, permit, self.files()?, offset)))
    }

    /// Sets the times of a file or folder below a folder.
    pub(crate) fn set_times_below(
        &self,
        fd: &Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> impl Future<Output = FsResult<()>> + Send + use<> {
        let done = self.scratch(fd).and_then(|folder| match folder {
            Some(folder) => Ok(Some(folder.set_times(
                Some(&path),
                since_of(accessed)?,
                since_of(modified)?,
            )?)),
            None => Ok(None),
        });
        let follow = path_flags.contains(PathFlags::SYMLINK_FOLLOW);
        let of_link = (!follow).then(|| {
            let path = path.clone();
            self.with(fd, move |view, fd| {
                at_once(view.set_times_at(fd, path_flags, path, accessed, modified))
            })
        });
        // wasmtime-wasi would open files of any kind.
        let of_file = follow.then(|| -> FsResult<_> {
            let below = self.folder(fd)?;
            if below.perms == FsPerms::ReadOnly {
                return Err(ErrorCode::NotPermitted.into());
            }
            let mut times = std::fs::FileTimes::new();
            if let Some(time) = time_of(accessed)? {
                times = times.set_accessed(time);
            }
            if let Some(time) = time_of(modified)? {
                times = times.set_modified(time);
            }
            let how = OpenHow {
                follow: true,
                read: true,
                ..OpenHow::default()
            };
            Ok((self.opened(&below, path, how), times, self.files()?.calls().clone()))
        });
        async move {
            if let Some(done) = done? {
                return Ok(done);
            }
            if let Some(of_link) = of_link {
                return of_link.await;
            }
            let Some(of_file) = of_file else { return Ok(()) };
            let (opening, times, calls) = of_file?;
            let (file, _) = opening.await?;
            let set = calls.run(move || file.set_times(times)).await;
            Ok(set.map_err(FsError::trap)??)
        }
    }

    /// Starts to list a folder.
    pub(crate) fn list(&self, fd: &Resource<Descriptor>) -> impl Future<Output = FsResult<Listing>> + Send + use<> {
        let begun = self.scratch(fd).and_then(|folder| {
            if let Some(folder) = folder {
                return Ok(Err(Listing::Scratch(folder.list()?)));
            }
            let (folder, files) = (self.folder(fd)?, self.files()?);
            let (calls, unread) = (files.calls().clone(), files.unread.clone());
            Ok(Ok((folder.dir, self.one_more()?, calls, unread)))
        });
        let denials = self.denials.cloned();
        async move {
            let (folder, permit, calls, unread) = match begun? {
                Ok(begun) => begun,
                Err(listing) => return Ok(listing),
            };
            let opened = calls.run(move || Entries::open(&folder)).await;
            let entries = Entries::new(opened.map_err(FsError::trap)??, permit, &unread);
            let entries = entries.ok_or_else(|| {
                let most = Size(UNREAD_MAX as u64);
                let what = format!("more than {most} of files and folders read ahead");
                note(denials.as_ref(), &what);
                FsError::from(ErrorCode::InsufficientMemory)
            })?;
            Ok(Listing::Granted(entries, calls))
        }
    }
}

/// Converts the flags of an open.
///
/// # Errors
/// The combination of flags is not supported.
pub(super) fn how_to_open(path_flags: PathFlags, open_flags: OpenFlags, flags: DescriptorFlags) -> FsResult<OpenHow> {
    let unsupported = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(unsupported) {
        return Err(ErrorCode::Unsupported.into());
    }
    let how = OpenHow {
        follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        // Without either flag the file is opened for reading, because the system needs one of them.
        read: flags.contains(DescriptorFlags::READ) || !flags.contains(DescriptorFlags::WRITE),
        write: flags.contains(DescriptorFlags::WRITE) || open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE),
        create: open_flags.contains(OpenFlags::CREATE),
        exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
        truncate: open_flags.contains(OpenFlags::TRUNCATE),
        folder: open_flags.contains(OpenFlags::DIRECTORY),
    };
    match how.folder && (how.create || how.exclusive || how.truncate) {
        true => Err(ErrorCode::Invalid.into()),
        false => Ok(how),
    }
}

/// A time to set, as a duration since 1970, for a file of a scratch folder. None: unchanged. An inner none is now, by
/// the folder's clock.
///
/// # Errors
/// The time is out of range.
pub(super) fn since_of(time: NewTimestamp) -> FsResult<Option<Option<Duration>>> {
    match time {
        NewTimestamp::Now => Ok(Some(None)),
        time => {
            let time = time_of(time)?;
            let since = time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
            Ok(since.map(Some))
        }
    }
}

/// A time to set. None: unchanged.
///
/// # Errors
/// The time is out of range.
pub(super) fn time_of(time: NewTimestamp) -> FsResult<Option<SystemTime>> {
    match time {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
            let since = Duration::new(seconds, 0).checked_add(Duration::from_nanos(nanoseconds.into()));
            let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            time.map(Some).ok_or_else(|| ErrorCode::Overflow.into())
        }
    }
}
