//! `wasi:filesystem`, once more: it begins at descriptors that were opened when the run began, opens nothing that could make a
//! thread wait, and has bounds; see [`files`](crate::sandbox::files). Paths are resolved by wasmtime-wasi.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource, ResourceTable},
    format_err,
};
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir, File, WasiFilesystemCtx, WasiFilesystemCtxView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::{
            clocks::wall_clock::Datetime,
            filesystem::{
                preopens,
                types::{
                    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
                    DirectoryEntryStream, ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream,
                    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
                },
            },
        },
    },
};

use super::{
    files::{Calls, Entries, Files, How, OpenError, OpenPermit, Opened, PIECE, Reader, Writer, at_once, open},
    scratch::{SCRATCH_FOLDER, Scratch, ScratchFile, ScratchList},
    state::{Role, State},
};
use crate::{
    grants::Denials,
    limits::{Shortage, UNREAD_MAX},
    units::Size,
};

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<State, Linked>(linker, view)?;
    preopens::add_to_linker::<State, Linked>(linker, view)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Linked;

impl HasData for Linked {
    type Data<'a> = View<'a>;
}

/// What these functions see of a store.
pub(super) struct View<'a> {
    table: &'a mut ResourceTable,
    /// None of a guest without granted folders.
    files: Option<&'a Files>,
    /// None of a guest without a scratch folder.
    scratch: Option<&'a Scratch>,
    /// Where the operator is told what was not done, and why.
    denials: Option<&'a Arc<Denials>>,
}

pub(super) fn view(state: &mut State) -> View<'_> {
    state.prepare_files();
    View {
        table: &mut state.table,
        files: state.files.as_ref(),
        scratch: state.world.scratch.as_ref(),
        denials: match &state.role {
            Role::Worker(worker) => Some(&worker.denials),
            _ => None,
        },
    }
}

/// A descriptor and leave to have it open, as the table has them.
fn key(fd: &Resource<Descriptor>) -> Resource<Opened> {
    Resource::new_borrow(fd.rep())
}

/// A folder that is being listed, as the table has it.
pub(super) enum Listing {
    Granted(Entries, Calls),
    Scratch(ScratchList),
}

impl Listing {
    /// The next entry; none at the end.
    pub(super) async fn next(&mut self) -> FsResult<Option<DirectoryEntry>> {
        match self {
            Self::Granted(entries, calls) => entries.next(calls).await,
            Self::Scratch(list) => Ok(list.next()?),
        }
    }
}

fn stream(of: &Resource<DirectoryEntryStream>) -> Resource<Listing> {
    Resource::new_borrow(of.rep())
}

impl<'a> View<'a> {
    /// # Errors
    /// The guest has no folders, and so no descriptors either; traps it.
    fn files(&self) -> FsResult<&'a Files> {
        let files = self.files;
        files.ok_or_else(|| FsError::trap(format_err!("it has no descriptors")))
    }

    fn get(&self, fd: &Resource<Descriptor>) -> FsResult<&Opened> {
        Ok(self.table.get(&key(fd))?)
    }

    /// A descriptor of the machine's.
    ///
    /// # Errors
    /// It is one of the scratch folder, with which the machine's have nothing in common.
    fn granted(&self, fd: &Resource<Descriptor>) -> FsResult<(&Descriptor, Option<&Arc<OpenPermit>>)> {
        match self.get(fd)? {
            Opened::Granted { descriptor, permit } => Ok((descriptor, permit.as_ref())),
            Opened::Scratch(_) => Err(ErrorCode::CrossDevice.into()),
        }
    }

    /// A descriptor of the scratch folder, if it is one.
    fn scratch(&self, fd: &Resource<Descriptor>) -> FsResult<Option<&ScratchFile>> {
        match self.get(fd)? {
            Opened::Granted { .. } => Ok(None),
            Opened::Scratch(file) => Ok(Some(file)),
        }
    }

    pub(super) fn is_scratch(&self, fd: &Resource<Descriptor>) -> bool {
        matches!(self.scratch(fd), Ok(Some(_)))
    }

    /// Two descriptors of the scratch folder, if the first is one.
    ///
    /// # Errors
    /// Only the first is.
    fn scratches(
        &self,
        one: &Resource<Descriptor>,
        other: &Resource<Descriptor>,
    ) -> FsResult<Option<(&ScratchFile, &ScratchFile)>> {
        let Some(one) = self.scratch(one)? else {
            return Ok(None);
        };
        match self.scratch(other)? {
            Some(other) => Ok(Some((one, other))),
            None => Err(ErrorCode::CrossDevice.into()),
        }
    }

    fn folder(&self, fd: &Resource<Descriptor>) -> FsResult<Dir> {
        match self.granted(fd)?.0 {
            Descriptor::Dir(folder) => Ok(folder.clone()),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// A file that is to be written, if `write`, and leave to have it open.
    fn file(&self, fd: &Resource<Descriptor>, write: bool) -> FsResult<(File, Option<Arc<OpenPermit>>)> {
        let (descriptor, permit) = self.granted(fd)?;
        match descriptor {
            Descriptor::File(file) if write && file.perms.write_not_permitted() => Err(ErrorCode::NotPermitted.into()),
            Descriptor::File(file) => Ok((file.clone(), permit.cloned())),
            Descriptor::Dir(_) if write => Err(ErrorCode::BadDescriptor.into()),
            Descriptor::Dir(_) => Err(ErrorCode::IsDirectory.into()),
        }
    }

    /// Has wasmtime-wasi do something with a descriptor, in a thread that may block.
    pub(super) fn with<R, W>(
        &self,
        fd: &Resource<Descriptor>,
        work: W,
    ) -> impl Future<Output = FsResult<R>> + Send + use<R, W>
    where
        R: Send + 'static,
        W: FnOnce(&mut WasiFilesystemCtxView<'_>, Resource<Descriptor>) -> FsResult<R> + Send + 'static,
    {
        let known = self.known(fd);
        async move {
            let (descriptor, calls) = known?;
            let work = move || {
                let (mut ctx, mut table) = (WasiFilesystemCtx::default(), ResourceTable::new());
                let fd = table.push(descriptor)?;
                let mut view = WasiFilesystemCtxView {
                    ctx: &mut ctx,
                    table: &mut table,
                };
                work(&mut view, fd)
            };
            calls.run(work).await.map_err(FsError::trap)?
        }
    }

    /// The same with two.
    pub(super) fn with_both<R, W>(
        &self,
        fd: &Resource<Descriptor>,
        other: &Resource<Descriptor>,
        work: W,
    ) -> impl Future<Output = FsResult<R>> + Send + use<R, W>
    where
        R: Send + 'static,
        W: FnOnce(&mut WasiFilesystemCtxView<'_>, Resource<Descriptor>, Resource<Descriptor>) -> FsResult<R>
            + Send
            + 'static,
    {
        let other = self.known(other);
        self.with(fd, move |view, fd| {
            let other = view.table.push(other?.0)?;
            work(view, fd, other)
        })
    }

    fn known(&self, fd: &Resource<Descriptor>) -> FsResult<(Descriptor, Calls)> {
        let descriptor = self.granted(fd)?.0.clone();
        Ok((descriptor, self.files()?.calls().clone()))
    }

    /// Leave to have one more file open.
    ///
    /// # Errors
    /// There is none; the operator is told.
    fn one_more(&self) -> FsResult<Arc<OpenPermit>> {
        let files = self.files()?;
        files.one_more().ok_or_else(|| {
            note(self.denials, &format!(
                "more than {} files open at once; half of what the process may have open (`ulimit -n`) is shared by all workers",
                files.access.open_max
            ));
            ErrorCode::InsufficientMemory.into()
        })
    }

    /// Opens a file below a folder, in a thread that may block. Says whether it is a folder itself.
    fn opened(
        &self,
        below: &Dir,
        path: String,
        how: How,
    ) -> impl Future<Output = FsResult<(std::fs::File, bool)>> + Send + use<> {
        let calls = self.files().map(|files| files.calls().clone());
        let (below, denials) = (below.dir.clone(), self.denials.cloned());
        async move {
            let work = move || open(&below, &path, how).map_err(|error| (error, path));
            let done = calls?.run(work).await.map_err(FsError::trap)?;
            done.map_err(|(error, path)| match error {
                OpenError::System(error) => {
                    if let (Some(shortage), Some(denials)) = (Shortage::of(&error), &denials) {
                        denials.note_shortage(shortage, &error);
                    }
                    error.into()
                }
                OpenError::Refused(why) => {
                    note(denials.as_ref(), &format!("`{path}` cannot be opened: {why}"));
                    ErrorCode::NotPermitted.into()
                }
            })
        }
    }
}

/// Tells the operator what was not done, and why.
fn note(denials: Option<&Arc<Denials>>, what: &str) {
    if let Some(denials) = denials {
        denials.note(what);
    }
}

impl View<'_> {
    /// The granted folders and the scratch folder, each opened once more.
    pub(super) fn preopened(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        let folders = self.files.map(|files| files.access.folders.clone());
        let mut given = Vec::new();
        for (folder, name) in folders.iter().flat_map(|folders| folders.iter()) {
            let opened = self.table.push(Opened::Granted {
                descriptor: Descriptor::Dir(folder.clone()),
                permit: None,
            })?;
            given.push((Resource::new_own(opened.rep()), name.clone()));
        }
        if let Some(scratch) = self.scratch {
            // It is also where paths begin that say nothing else, unless a granted folder is.
            let is_current = given.iter().all(|(_, name)| !matches!(name.as_str(), "/" | "." | ""));
            for name in [Some(SCRATCH_FOLDER), is_current.then_some(".")].into_iter().flatten() {
                let opened = self.table.push(Opened::Scratch(scratch.root()))?;
                given.push((Resource::new_own(opened.rep()), name.to_owned()));
            }
        }
        Ok(given)
    }

    /// Puts what was opened into the table.
    pub(super) fn put(&mut self, opened: Opened) -> FsResult<Resource<Descriptor>> {
        Ok(Resource::new_own(self.table.push(opened)?.rep()))
    }

    pub(super) fn close(&mut self, fd: &Resource<Descriptor>) -> Result<()> {
        self.table.delete(Resource::<Opened>::new_own(fd.rep()))?;
        Ok(())
    }

    /// Opens what there is below a folder.
    pub(super) fn open_below(
        &self,
        fd: &Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> impl Future<Output = FsResult<Opened>> + Send + use<> {
        let begun = how_to_open(path_flags, open_flags, flags).and_then(|how| {
            if let Some(below) = self.scratch(fd)? {
                return Ok(Err(Opened::Scratch(below.open(&path, how)?)));
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
            Ok(Opened::Granted {
                descriptor,
                permit: Some(permit),
            })
        }
    }

    /// What a file is read through, from a position on.
    pub(super) fn reader(&self, fd: &Resource<Descriptor>, offset: Filesize) -> FsResult<DynInputStream> {
        if let Some(file) = self.scratch(fd)? {
            return Ok(Box::new(file.reader(offset)?));
        }
        let (file, permit) = self.file(fd, false)?;
        Ok(Box::new(Reader::new(&file.file, permit, self.files()?, offset)))
    }

    /// What a file is written through, from a position on; none: at its end.
    pub(super) fn writer(&self, fd: &Resource<Descriptor>, offset: Option<Filesize>) -> FsResult<DynOutputStream> {
        if let Some(file) = self.scratch(fd)? {
            return Ok(Box::new(file.writer(offset)?));
        }
        let (file, permit) = self.file(fd, true)?;
        Ok(Box::new(Writer::new(&file.file, permit, self.files()?, offset)))
    }

    /// Sets the times of what there is below a folder.
    pub(super) fn set_times_below(
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
        // wasmtime-wasi would open it, whatever it is.
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
            let how = How {
                follow: true,
                read: true,
                ..How::default()
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

    /// Begins to list a folder.
    pub(super) fn list(&self, fd: &Resource<Descriptor>) -> impl Future<Output = FsResult<Listing>> + Send + use<> {
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

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        self.preopened()
    }
}

impl Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl HostDescriptor for View<'_> {
    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let opened = self.open_below(&fd, path_flags, path, open_flags, flags).await?;
        self.put(opened)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> Result<()> {
        self.close(&fd)
    }

    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let reader = self.reader(&fd, offset)?;
        Ok(self.table.push(reader)?)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let writer = self.writer(&fd, Some(offset))?;
        Ok(self.table.push(writer)?)
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let writer = self.writer(&fd, None)?;
        Ok(self.table.push(writer)?)
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let listing = self.list(&fd).await?;
        let listing = self.table.push(listing)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.set_times_below(&fd, path_flags, path, accessed, modified).await
    }

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        len: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        if self.scratch(&fd)?.is_some() {
            return Ok(());
        }
        self.with(&fd, move |view, fd| at_once(view.advise(fd, offset, len, advice)))
            .await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        if self.scratch(&fd)?.is_some() {
            return Ok(());
        }
        self.with(&fd, |view, fd| at_once(view.sync_data(fd))).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.flags()?);
        }
        self.with(&fd, |view, fd| at_once(view.get_flags(fd))).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.kind()?);
        }
        self.with(&fd, |view, fd| at_once(view.get_type(fd))).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.set_size(size)?);
        }
        self.with(&fd, move |view, fd| at_once(view.set_size(fd, size))).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.set_times(None, since_of(accessed)?, since_of(modified)?)?);
        }
        self.with(&fd, move |view, fd| at_once(view.set_times(fd, accessed, modified)))
            .await
    }

    async fn read(&mut self, fd: Resource<Descriptor>, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        if let Some(file) = self.scratch(&fd)? {
            let bytes = file.read(offset, usize::try_from(len).unwrap_or(PIECE).min(PIECE))?;
            let is_end = bytes.is_empty() && len > 0;
            return Ok((bytes.into(), is_end));
        }
        self.with(&fd, move |view, fd| at_once(view.read(fd, len, offset)))
            .await
    }

    async fn write(&mut self, fd: Resource<Descriptor>, mut bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        // It may always be less than was wanted. What a disk keeps waiting is not to be much.
        bytes.truncate(PIECE);
        if let Some(file) = self.scratch(&fd)? {
            file.write(Some(offset), &bytes)?;
            return Ok(bytes.len() as u64);
        }
        bytes.shrink_to_fit();
        self.with(&fd, move |view, fd| at_once(view.write(fd, bytes, offset)))
            .await
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        if self.scratch(&fd)?.is_some() {
            return Ok(());
        }
        self.with(&fd, |view, fd| at_once(view.sync(fd))).await
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.make_folder(&path)?);
        }
        self.with(&fd, |view, fd| at_once(view.create_directory_at(fd, path)))
            .await
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.stat(None)?);
        }
        self.with(&fd, |view, fd| at_once(HostDescriptor::stat(view, fd))).await
    }

    async fn stat_at(&mut self, fd: Resource<Descriptor>, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.stat(Some(&path))?);
        }
        self.with(&fd, move |view, fd| at_once(view.stat_at(fd, flags, path)))
            .await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        if let Some((fd, new)) = self.scratches(&fd, &new)? {
            return Ok(fd.link(&path, new, &new_path)?);
        }
        self.with_both(&fd, &new, move |view, fd, new| {
            at_once(view.link_at(fd, flags, path, new, new_path))
        })
        .await
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        if let Some(folder) = self.scratch(&fd)? {
            folder.stat(Some(&path))?;
            return Err(ErrorCode::Invalid.into());
        }
        self.with(&fd, |view, fd| at_once(view.readlink_at(fd, path))).await
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.remove(&path, true)?);
        }
        self.with(&fd, |view, fd| at_once(view.remove_directory_at(fd, path)))
            .await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        if let Some((fd, new)) = self.scratches(&fd, &new)? {
            return Ok(fd.rename(&path, new, &new_path)?);
        }
        self.with_both(&fd, &new, |view, fd, new| {
            at_once(view.rename_at(fd, path, new, new_path))
        })
        .await
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, to: String, path: String) -> FsResult<()> {
        if self.scratch(&fd)?.is_some() {
            return Err(ErrorCode::Unsupported.into());
        }
        self.with(&fd, |view, fd| at_once(view.symlink_at(fd, to, path))).await
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.remove(&path, false)?);
        }
        self.with(&fd, |view, fd| at_once(view.unlink_file_at(fd, path))).await
    }

    async fn is_same_object(&mut self, one: Resource<Descriptor>, other: Resource<Descriptor>) -> Result<bool> {
        match self.scratches(&one, &other) {
            Ok(Some((one, other))) => return Ok(one.is_same(other)),
            Ok(None) => {}
            Err(error) => return error.downcast().map(|_| false),
        }
        let same = self.with_both(&one, &other, |view, one, other| {
            at_once(async { view.is_same_object(one, other).await.map_err(FsError::trap) })
        });
        // What the system does not say is no.
        match same.await {
            Ok(same) => Ok(same),
            Err(error) => error.downcast().map(|_| false),
        }
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        if let Some(file) = self.scratch(&fd)? {
            return Ok(file.hash(None)?);
        }
        self.with(&fd, |view, fd| at_once(view.metadata_hash(fd))).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        if let Some(folder) = self.scratch(&fd)? {
            return Ok(folder.hash(Some(&path))?);
        }
        self.with(&fd, move |view, fd| at_once(view.metadata_hash_at(fd, flags, path)))
            .await
    }
}

impl HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(&mut self, of: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        self.table.get_mut(&stream(&of))?.next().await
    }

    fn drop(&mut self, of: Resource<DirectoryEntryStream>) -> Result<()> {
        self.table.delete(Resource::<Listing>::new_own(of.rep()))?;
        Ok(())
    }
}

/// How something is to be opened.
///
/// # Errors
/// Not in a way that is supported.
fn how_to_open(path_flags: PathFlags, open_flags: OpenFlags, flags: DescriptorFlags) -> FsResult<How> {
    let unsupported = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(unsupported) {
        return Err(ErrorCode::Unsupported.into());
    }
    let how = How {
        follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        // What is not opened for writing is opened for reading, or the system would not open it.
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

/// The same since 1970, for a file of a scratch folder; none within: now, by its clock.
///
/// # Errors
/// There is no such time.
fn since_of(time: NewTimestamp) -> FsResult<Option<Option<Duration>>> {
    match time {
        NewTimestamp::Now => Ok(Some(None)),
        time => {
            let time = time_of(time)?;
            let since = time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
            Ok(since.map(Some))
        }
    }
}

/// When that is; none: it stays as it is.
///
/// # Errors
/// There is no such time.
fn time_of(time: NewTimestamp) -> FsResult<Option<SystemTime>> {
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
