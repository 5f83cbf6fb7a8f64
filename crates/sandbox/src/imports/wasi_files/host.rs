//! `wasi:filesystem` of WASI 0.2.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
                ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
                OpenFlags, PathFlags,
            },
        },
    },
};

use super::{
    operations::since_of,
    view::{Listing, View, stream, view},
};
use crate::imports::{
    files::{PIECE, at_once},
    state::State,
};
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
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
        // A write may always be partial. This limits the bytes that wait for a slow disk.
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
        // An error of the system counts as "not the same".
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
