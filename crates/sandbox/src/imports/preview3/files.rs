//! `wasi:filesystem` of WASI 0.3, with the folders, limits and checks of WASI 0.2 in `wasi_files/`, which does the
//! work. Only the interface differs: functions that wait do not block the store, and content is read and written as a
//! stream of the component model.

use futures::future::Either;
use wasmtime::{
    Result,
    component::{Access, Accessor, HasData, Linker, Resource, StreamReader},
};
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        FsError,
        bindings::filesystem::types::{self as p2, HostDescriptor as _},
    },
    p3::{
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Filesize,
                MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
            },
        },
        filesystem::{FilesystemError, FilesystemResult},
    },
};

use super::convert::{DESCRIPTOR_FLAGS, error, path_flags, stat_of, time_of, type_of};
use super::streams::{EndFuture, Folder, read_from, write_to};
use crate::imports::{
    files::at_once,
    state::State,
    wasi_files::{View, view},
};

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    types::add_to_linker::<State, Linked>(linker, view)?;
    preopens::add_to_linker::<State, Linked>(linker, view)
}

struct Linked;

impl HasData for Linked {
    type Data<'a> = View<'a>;
}

/// Calls a function of WASI 0.2 with a descriptor: on a thread that may block, or at once if it is in the scratch
/// folder.
macro_rules! with {
    ($store:ident, $fd:ident, |$view:ident, $inner:ident| $work:expr) => {{
        let done = $store.with(|mut access| {
            let mut state = access.get();
            if state.is_scratch(&$fd) {
                let ($view, $inner) = (&mut state, Resource::new_borrow($fd.rep()));
                return Either::Left(std::future::ready(at_once($work)));
            }
            Either::Right(state.with(&$fd, move |$view, $inner| at_once($work)))
        });
        done.await.map_err(error)
    }};
}

/// The same with two descriptors.
macro_rules! with_both {
    ($store:ident, $fd:ident, $other:ident, |$view:ident, $inner:ident, $second:ident| $work:expr) => {{
        let done = $store.with(|mut access| {
            let mut state = access.get();
            if state.is_scratch(&$fd) {
                let ($view, $inner) = (&mut state, Resource::new_borrow($fd.rep()));
                let $second = Resource::new_borrow($other.rep());
                return Either::Left(std::future::ready(at_once($work)));
            }
            Either::Right(state.with_both(&$fd, &$other, move |$view, $inner, $second| at_once($work)))
        });
        done.await.map_err(error)
    }};
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> Result<ErrorCode> {
        error.downcast()
    }
}

impl types::HostDescriptor for View<'_> {
    fn drop(&mut self, fd: Resource<Descriptor>) -> Result<()> {
        self.close(&fd)
    }
}

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        self.preopened()
    }
}

impl<U: 'static> types::HostDescriptorWithStore<U> for Linked {
    fn read_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> Result<(StreamReader<u8>, EndFuture)> {
        let reader = store.get().reader(&fd, offset);
        read_from(&mut store, reader)
    }

    fn write_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> Result<EndFuture> {
        let writer = store.get().writer(&fd, Some(offset));
        write_to(&mut store, data, writer)
    }

    fn append_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
    ) -> Result<EndFuture> {
        let writer = store.get().writer(&fd, None);
        write_to(&mut store, data, writer)
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
    ) -> Result<(StreamReader<DirectoryEntry>, EndFuture)> {
        let opening = store.get().list(&fd);
        read_from(&mut store, Ok(Folder::Opening(Box::pin(opening))))
    }

    async fn advise(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FilesystemResult<()> {
        let advice = match advice {
            Advice::Normal => p2::Advice::Normal,
            Advice::Sequential => p2::Advice::Sequential,
            Advice::Random => p2::Advice::Random,
            Advice::WillNeed => p2::Advice::WillNeed,
            Advice::DontNeed => p2::Advice::DontNeed,
            Advice::NoReuse => p2::Advice::NoReuse,
        };
        with!(store, fd, |view, fd| view.advise(fd, offset, length, advice))
    }

    async fn sync_data(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.sync_data(fd))
    }

    async fn get_flags(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<DescriptorFlags> {
        let flags: FilesystemResult<p2::DescriptorFlags> = with!(store, fd, |view, fd| view.get_flags(fd));
        let flags = flags?;
        let mut same = DescriptorFlags::empty();
        for (old, new) in DESCRIPTOR_FLAGS {
            if flags.contains(old) {
                same |= new;
            }
        }
        Ok(same)
    }

    async fn get_type(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<DescriptorType> {
        let kind: FilesystemResult<p2::DescriptorType> = with!(store, fd, |view, fd| view.get_type(fd));
        kind.map(type_of)
    }

    async fn set_size(store: &Accessor<U, Self>, fd: Resource<Descriptor>, size: Filesize) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.set_size(fd, size))
    }

    async fn set_times(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        let (accessed, modified) = (time_of(accessed)?, time_of(modified)?);
        with!(store, fd, |view, fd| view.set_times(fd, accessed, modified))
    }

    async fn sync(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.sync(fd))
    }

    async fn create_directory_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.create_directory_at(fd, path))
    }

    async fn stat(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<DescriptorStat> {
        let stat: FilesystemResult<p2::DescriptorStat> =
            with!(store, fd, |view, fd| p2::HostDescriptor::stat(view, fd));
        stat.map(stat_of)
    }

    async fn stat_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        let flags = path_flags(flags);
        let stat: FilesystemResult<p2::DescriptorStat> = with!(store, fd, |view, fd| view.stat_at(fd, flags, path));
        stat.map(stat_of)
    }

    async fn set_times_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        let (accessed, modified) = (time_of(accessed)?, time_of(modified)?);
        let set = store.with(|mut access| {
            let view = access.get();
            view.set_times_below(&fd, path_flags(flags), path, accessed, modified)
        });
        set.await.map_err(error)
    }

    async fn link_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        let flags = path_flags(flags);
        with_both!(store, fd, new, |view, fd, new| view
            .link_at(fd, flags, path, new, new_path))
    }

    async fn open_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        descriptor_flags: DescriptorFlags,
    ) -> FilesystemResult<Resource<Descriptor>> {
        let mut open = p2::OpenFlags::empty();
        for (new, old) in [
            (OpenFlags::CREATE, p2::OpenFlags::CREATE),
            (OpenFlags::DIRECTORY, p2::OpenFlags::DIRECTORY),
            (OpenFlags::EXCLUSIVE, p2::OpenFlags::EXCLUSIVE),
            (OpenFlags::TRUNCATE, p2::OpenFlags::TRUNCATE),
        ] {
            if open_flags.contains(new) {
                open |= old;
            }
        }
        let mut descriptor = p2::DescriptorFlags::empty();
        for (old, new) in DESCRIPTOR_FLAGS {
            if descriptor_flags.contains(new) {
                descriptor |= old;
            }
        }
        let opening = store.with(|mut access| {
            let view = access.get();
            view.open_below(&fd, path_flags(flags), path, open, descriptor)
        });
        let opened = opening.await.map_err(error)?;
        store.with(|mut access| access.get().put(opened)).map_err(error)
    }

    async fn readlink_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<String> {
        with!(store, fd, |view, fd| view.readlink_at(fd, path))
    }

    async fn remove_directory_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.remove_directory_at(fd, path))
    }

    async fn rename_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        with_both!(store, fd, new, |view, fd, new| view.rename_at(fd, path, new, new_path))
    }

    async fn symlink_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        to: String,
        path: String,
    ) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.symlink_at(fd, to, path))
    }

    async fn unlink_file_at(store: &Accessor<U, Self>, fd: Resource<Descriptor>, path: String) -> FilesystemResult<()> {
        with!(store, fd, |view, fd| view.unlink_file_at(fd, path))
    }

    async fn is_same_object(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> Result<bool> {
        let same: FilesystemResult<bool> = with_both!(store, fd, other, |view, fd, other| async {
            view.is_same_object(fd, other).await.map_err(FsError::trap)
        });
        // An error of the system counts as "not the same".
        match same {
            Ok(same) => Ok(same),
            Err(error) => error.downcast().map(|_| false),
        }
    }

    async fn metadata_hash(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<MetadataHashValue> {
        let hash: FilesystemResult<p2::MetadataHashValue> = with!(store, fd, |view, fd| view.metadata_hash(fd));
        hash.map(|hash| MetadataHashValue {
            lower: hash.lower,
            upper: hash.upper,
        })
    }

    async fn metadata_hash_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        let flags = path_flags(flags);
        let hash: FilesystemResult<p2::MetadataHashValue> =
            with!(store, fd, |view, fd| view.metadata_hash_at(fd, flags, path));
        hash.map(|hash| MetadataHashValue {
            lower: hash.lower,
            upper: hash.upper,
        })
    }
}
