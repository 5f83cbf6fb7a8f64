//! The part of a store that the functions of `wasi:filesystem` use.

use std::sync::Arc;

use wasmtime::{
    component::{Resource, ResourceTable},
    format_err,
};
use wasmtime_wasi::{
    filesystem::{Descriptor, Dir, File, WasiFilesystemCtx, WasiFilesystemCtxView},
    p2::{
        FsError, FsResult,
        bindings::filesystem::types::{DirectoryEntry, DirectoryEntryStream, ErrorCode},
    },
};

use crate::imports::{
    files::{Calls, Entries, Files, OpenError, OpenHow, OpenPermit, open},
    scratch::{Scratch, ScratchFile, ScratchList},
    state::{Role, State},
};
use disperse_egress::grants::Denials;
use disperse_protocol::limits::Shortage;

/// The part of a store that the functions of `wasi:filesystem` use.
pub(crate) struct View<'a> {
    pub(super) table: &'a mut ResourceTable,
    /// None: the guest has no granted folders.
    pub(super) files: Option<&'a Files>,
    /// None: the guest has no scratch folder.
    pub(super) scratch: Option<&'a Scratch>,
    /// Where denied operations are noted for the operator.
    pub(super) denials: Option<&'a Arc<Denials>>,
}

pub(crate) fn view(state: &mut State) -> View<'_> {
    state.prepare_files();
    View {
        table: &mut state.table,
        files: state.files.as_ref(),
        scratch: state.env.scratch.as_ref(),
        denials: match &state.role {
            Role::Worker(worker) => Some(&worker.denials),
            _ => None,
        },
    }
}

/// The table entry of a guest's descriptor.
pub(crate) enum DescriptorEntry {
    /// A file or folder of the machine.
    Granted {
        descriptor: Descriptor,
        /// None for a granted folder, which is open anyway.
        permit: Option<Arc<OpenPermit>>,
    },
    Scratch(ScratchFile),
}

/// The table key of a descriptor.
pub(super) fn key(fd: &Resource<Descriptor>) -> Resource<DescriptorEntry> {
    Resource::new_borrow(fd.rep())
}

/// The table entry of a folder that is being listed.
pub(crate) enum Listing {
    Granted(Entries, Calls),
    Scratch(ScratchList),
}

impl Listing {
    /// The next entry; none at the end.
    pub(crate) async fn next(&mut self) -> FsResult<Option<DirectoryEntry>> {
        match self {
            Self::Granted(entries, calls) => entries.next(calls).await,
            Self::Scratch(list) => Ok(list.next()?),
        }
    }
}

pub(super) fn stream(of: &Resource<DirectoryEntryStream>) -> Resource<Listing> {
    Resource::new_borrow(of.rep())
}

impl<'a> View<'a> {
    /// The file state of the guest.
    ///
    /// # Errors
    /// The guest has no folders, and so no descriptors; traps it.
    pub(super) fn files(&self) -> FsResult<&'a Files> {
        let files = self.files;
        files.ok_or_else(|| FsError::trap(format_err!("it has no descriptors")))
    }

    pub(super) fn get(&self, fd: &Resource<Descriptor>) -> FsResult<&DescriptorEntry> {
        Ok(self.table.get(&key(fd))?)
    }

    /// A descriptor of a file or folder of the machine.
    ///
    /// # Errors
    /// It is in the scratch folder, so the operation is across devices.
    pub(super) fn granted(&self, fd: &Resource<Descriptor>) -> FsResult<(&Descriptor, Option<&Arc<OpenPermit>>)> {
        match self.get(fd)? {
            DescriptorEntry::Granted { descriptor, permit } => Ok((descriptor, permit.as_ref())),
            DescriptorEntry::Scratch(_) => Err(ErrorCode::CrossDevice.into()),
        }
    }

    /// A descriptor in the scratch folder, if it is one.
    pub(super) fn scratch(&self, fd: &Resource<Descriptor>) -> FsResult<Option<&ScratchFile>> {
        match self.get(fd)? {
            DescriptorEntry::Granted { .. } => Ok(None),
            DescriptorEntry::Scratch(file) => Ok(Some(file)),
        }
    }

    pub(crate) fn is_scratch(&self, fd: &Resource<Descriptor>) -> bool {
        matches!(self.scratch(fd), Ok(Some(_)))
    }

    /// Two descriptors in the scratch folder, if the first is in it.
    ///
    /// # Errors
    /// Only the first is in it.
    pub(super) fn scratches(
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

    pub(super) fn folder(&self, fd: &Resource<Descriptor>) -> FsResult<Dir> {
        match self.granted(fd)?.0 {
            Descriptor::Dir(folder) => Ok(folder.clone()),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// A file for reading, or for writing if `write`, and its permit.
    pub(super) fn file(&self, fd: &Resource<Descriptor>, write: bool) -> FsResult<(File, Option<Arc<OpenPermit>>)> {
        let (descriptor, permit) = self.granted(fd)?;
        match descriptor {
            Descriptor::File(file) if write && file.perms.write_not_permitted() => Err(ErrorCode::NotPermitted.into()),
            Descriptor::File(file) => Ok((file.clone(), permit.cloned())),
            Descriptor::Dir(_) if write => Err(ErrorCode::BadDescriptor.into()),
            Descriptor::Dir(_) => Err(ErrorCode::IsDirectory.into()),
        }
    }

    /// Runs an operation of wasmtime-wasi on a descriptor, on a thread that may block.
    pub(crate) fn with<R, W>(
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

    /// The same with two descriptors.
    pub(crate) fn with_both<R, W>(
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

    pub(super) fn known(&self, fd: &Resource<Descriptor>) -> FsResult<(Descriptor, Calls)> {
        let descriptor = self.granted(fd)?.0.clone();
        Ok((descriptor, self.files()?.calls().clone()))
    }

    /// A permit for one more open file.
    ///
    /// # Errors
    /// The limit is reached; noted for the operator.
    pub(super) fn one_more(&self) -> FsResult<Arc<OpenPermit>> {
        let files = self.files()?;
        files.one_more().ok_or_else(|| {
            note(self.denials, &format!(
                "more than {} files open at once; half of what the process may have open (`ulimit -n`) is shared by all workers",
                files.access.open_max
            ));
            ErrorCode::InsufficientMemory.into()
        })
    }

    /// Opens a file below a folder, on a thread that may block. Returns whether it is a folder itself.
    pub(super) fn opened(
        &self,
        below: &Dir,
        path: String,
        how: OpenHow,
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
                OpenError::Unsupported(why) => {
                    note(denials.as_ref(), &format!("`{path}` cannot be opened: {why}"));
                    ErrorCode::NotPermitted.into()
                }
            })
        }
    }
}

/// Notes a denied operation and the reason for the operator.
pub(super) fn note(denials: Option<&Arc<Denials>>, what: &str) {
    if let Some(denials) = denials {
        denials.note(what);
    }
}
