//! `wasi:filesystem` of WASI 0.3: the same folders, bounds and refusals as in `files.rs`, which does the work. Only the shape
//! differs: functions that wait do not keep the store, and what is read or written is a stream of the component model.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::{BoxFuture, Either};
use tokio::sync::oneshot;
use wasmtime::{
    Result, StoreContextMut,
    component::{
        Access, Accessor, Destination, FutureReader, HasData, Lift, Linker, Lower, Resource, Source, StreamConsumer,
        StreamProducer, StreamReader, StreamResult, WriteBuffer,
    },
};
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult, StreamError,
        bindings::filesystem::types::{self as p2, HostDescriptor as _},
    },
    p3::{
        bindings::{
            clocks::system_clock::Instant,
            filesystem::{
                preopens,
                types::{
                    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Filesize,
                    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
                },
            },
        },
        filesystem::{FilesystemError, FilesystemResult},
    },
};

use super::files::{Listing, View, view};
use crate::sandbox::{
    files::{PIECE, at_once},
    state::State,
};

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    types::add_to_linker::<State, Linked>(linker, view)?;
    preopens::add_to_linker::<State, Linked>(linker, view)
}

struct Linked;

impl HasData for Linked {
    type Data<'a> = View<'a>;
}

type Told = FutureReader<Result<(), ErrorCode>>;

/// What reads piece by piece.
trait Pieces: Send + Sized + Unpin + 'static {
    type Item: Send + Sync + 'static;
    type Buffer: WriteBuffer<Self::Item> + Default;

    /// The next piece; none at the end.
    fn next(self) -> impl Future<Output = (Self, FsResult<Option<Self::Buffer>>)> + Send;
}

impl Pieces for DynInputStream {
    type Item = u8;
    type Buffer = Bytes;

    async fn next(mut self) -> (Self, FsResult<Option<Bytes>>) {
        let piece = match self.blocking_read(PIECE).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StreamError::Closed) => Ok(None),
            Err(error) => Err(failed(error)),
        };
        (self, piece)
    }
}

/// A folder that is listed, from when it is opened.
enum Folder {
    Opening(BoxFuture<'static, FsResult<Listing>>),
    Open(Listing),
    Closed,
}

impl Pieces for Folder {
    type Item = DirectoryEntry;
    type Buffer = Option<DirectoryEntry>;

    async fn next(self) -> (Self, FsResult<Option<Self::Buffer>>) {
        let mut listing = match self {
            Self::Opening(opening) => match opening.await {
                Ok(listing) => listing,
                Err(error) => return (Self::Closed, Err(error)),
            },
            Self::Open(listing) => listing,
            Self::Closed => return (Self::Closed, Ok(None)),
        };
        match listing.next().await {
            Ok(Some(p2::DirectoryEntry { type_, name })) => {
                let entry = DirectoryEntry {
                    type_: type_of(type_),
                    name,
                };
                (Self::Open(listing), Ok(Some(Some(entry))))
            }
            Ok(None) => (Self::Closed, Ok(None)),
            Err(error) => (Self::Closed, Err(error)),
        }
    }
}

/// The end of a stream that the host has, which says at last how it ended.
struct HostEnd<S, T> {
    state: At<S, T>,
    told: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

enum At<S, T> {
    Idle(S),
    Busy(BoxFuture<'static, (S, FsResult<T>)>),
    Closed,
}

impl<S, T> HostEnd<S, T> {
    /// # Errors
    /// It is one that traps.
    fn close(&mut self, how: FsResult<()>) -> Result<StreamResult> {
        self.state = At::Closed;
        let how = match how {
            Ok(()) => Ok(()),
            Err(error) => Err(code(error.downcast()?)),
        };
        if let Some(told) = self.told.take() {
            // The guest may have no interest.
            let _ = told.send(how);
        }
        Ok(StreamResult::Dropped)
    }

    fn poll(
        &mut self,
        begin: impl FnOnce(S) -> BoxFuture<'static, (S, FsResult<T>)>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<FsResult<T>>> {
        let mut going = match std::mem::replace(&mut self.state, At::Closed) {
            At::Idle(state) => begin(state),
            At::Busy(going) => going,
            At::Closed => return Poll::Ready(None),
        };
        match going.as_mut().poll(cx) {
            Poll::Pending => {
                self.state = At::Busy(going);
                Poll::Pending
            }
            Poll::Ready((state, done)) => {
                self.state = At::Idle(state);
                Poll::Ready(Some(done))
            }
        }
    }
}

impl<S, T> Drop for HostEnd<S, T> {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            let _ = told.send(Ok(()));
        }
    }
}

impl<D, S: Pieces> StreamProducer<D> for HostEnd<S, Option<S::Buffer>> {
    type Item = S::Item;
    type Buffer = S::Buffer;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut to: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        // A guest that asks whether it could read.
        if to.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let done = match self.poll(|pieces| Box::pin(pieces.next()), cx) {
            // What is under way is there for the next read.
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(done) => done,
        };
        Poll::Ready(match done {
            Some(Ok(Some(piece))) => {
                to.set_buffer(piece);
                Ok(StreamResult::Completed)
            }
            Some(Ok(None)) | None => self.close(Ok(())),
            Some(Err(error)) => self.close(Err(error)),
        })
    }
}

impl<D: 'static> StreamConsumer<D> for HostEnd<DynOutputStream, usize> {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        from: Source<'_, u8>,
        _: bool,
    ) -> Poll<Result<StreamResult>> {
        let mut from = from.as_direct(store);
        let piece = from.remaining();
        if piece.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let piece = piece.get(..PIECE).unwrap_or(piece);
        let write = |mut writer: DynOutputStream| -> BoxFuture<'static, _> {
            let bytes = Bytes::copy_from_slice(piece);
            let count = bytes.len();
            Box::pin(async move {
                let written = writer.blocking_write_and_flush(bytes).await;
                (writer, written.map(|()| count).map_err(failed))
            })
        };
        // A write that was begun is not taken back: the guest is told what it took when it is done.
        let Poll::Ready(done) = self.poll(write, cx) else {
            return Poll::Pending;
        };
        Poll::Ready(match done {
            Some(Ok(count)) => {
                from.mark_read(count);
                Ok(StreamResult::Completed)
            }
            Some(Err(error)) => self.close(Err(error)),
            None => Ok(StreamResult::Dropped),
        })
    }
}

fn failed(error: StreamError) -> FsError {
    match error {
        StreamError::Closed => p2::ErrorCode::Pipe.into(),
        StreamError::Trap(error) => FsError::trap(error),
        StreamError::LastOperationFailed(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => error.into(),
            Err(error) => FsError::trap(error),
        },
    }
}

/// A stream of what a source has, and how that ends.
fn read_from<U: 'static, S: Pieces>(
    store: &mut Access<'_, U, Linked>,
    source: FsResult<S>,
) -> Result<(StreamReader<S::Item>, Told)>
where
    S::Item: Lower + Lift,
{
    let (tell, told) = oneshot::channel();
    let mut end = HostEnd {
        state: At::Closed,
        told: Some(tell),
    };
    match source {
        Ok(source) => end.state = At::Idle(source),
        Err(error) => _ = end.close(Err(error))?,
    }
    let stream = StreamReader::new(&mut *store, end)?;
    Ok((stream, FutureReader::new(&mut *store, told)?))
}

fn write_to<U: 'static>(
    mut store: Access<'_, U, Linked>,
    fd: &Resource<Descriptor>,
    mut data: StreamReader<u8>,
    position: Option<u64>,
) -> Result<Told> {
    let (tell, told) = oneshot::channel();
    let mut end = HostEnd {
        state: At::Closed,
        told: Some(tell),
    };
    let writer = store.get().writer(fd, position);
    match writer {
        Ok(writer) => {
            end.state = At::Idle(writer);
            data.pipe(&mut store, end)?;
        }
        Err(error) => {
            end.close(Err(error))?;
            data.close(&mut store)?;
        }
    }
    FutureReader::new(&mut store, told)
}

/// Does this with a descriptor, as WASI 0.2 has it: in a thread that may block, or at once if it is of the scratch folder.
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

/// The same with two.
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
    ) -> Result<(StreamReader<u8>, Told)> {
        let reader = store.get().reader(&fd, offset);
        read_from(&mut store, reader)
    }

    fn write_via_stream(
        store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> Result<Told> {
        write_to(store, &fd, data, Some(offset))
    }

    fn append_via_stream(store: Access<'_, U, Self>, fd: Resource<Descriptor>, data: StreamReader<u8>) -> Result<Told> {
        write_to(store, &fd, data, None)
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
    ) -> Result<(StreamReader<DirectoryEntry>, Told)> {
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
        let mut how = p2::OpenFlags::empty();
        for (new, old) in [
            (OpenFlags::CREATE, p2::OpenFlags::CREATE),
            (OpenFlags::DIRECTORY, p2::OpenFlags::DIRECTORY),
            (OpenFlags::EXCLUSIVE, p2::OpenFlags::EXCLUSIVE),
            (OpenFlags::TRUNCATE, p2::OpenFlags::TRUNCATE),
        ] {
            if open_flags.contains(new) {
                how |= old;
            }
        }
        let mut what = p2::DescriptorFlags::empty();
        for (old, new) in DESCRIPTOR_FLAGS {
            if descriptor_flags.contains(new) {
                what |= old;
            }
        }
        let opening = store.with(|mut access| {
            let view = access.get();
            view.open_below(&fd, path_flags(flags), path, how, what)
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
        // What the system does not say is no.
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

/// Each flag, as WASI 0.2 and as WASI 0.3 has it.
const DESCRIPTOR_FLAGS: [(p2::DescriptorFlags, DescriptorFlags); 6] = [
    (p2::DescriptorFlags::READ, DescriptorFlags::READ),
    (p2::DescriptorFlags::WRITE, DescriptorFlags::WRITE),
    (
        p2::DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::FILE_INTEGRITY_SYNC,
    ),
    (
        p2::DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
    ),
    (
        p2::DescriptorFlags::REQUESTED_WRITE_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ),
    (p2::DescriptorFlags::MUTATE_DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY),
];

fn path_flags(flags: PathFlags) -> p2::PathFlags {
    match flags.contains(PathFlags::SYMLINK_FOLLOW) {
        true => p2::PathFlags::SYMLINK_FOLLOW,
        false => p2::PathFlags::empty(),
    }
}

/// # Errors
/// It is before 1970, which WASI 0.2 does not know.
fn time_of(time: NewTimestamp) -> FilesystemResult<p2::NewTimestamp> {
    Ok(match time {
        NewTimestamp::NoChange => p2::NewTimestamp::NoChange,
        NewTimestamp::Now => p2::NewTimestamp::Now,
        NewTimestamp::Timestamp(Instant { seconds, nanoseconds }) => p2::NewTimestamp::Timestamp(p2::Datetime {
            seconds: seconds.try_into().map_err(|_| ErrorCode::Overflow)?,
            nanoseconds,
        }),
    })
}

fn stat_of(stat: p2::DescriptorStat) -> DescriptorStat {
    let instant = |time: Option<p2::Datetime>| {
        time.map(|time| Instant {
            seconds: time.seconds.try_into().unwrap_or(i64::MAX),
            nanoseconds: time.nanoseconds,
        })
    };
    DescriptorStat {
        type_: type_of(stat.type_),
        link_count: stat.link_count,
        size: stat.size,
        data_access_timestamp: instant(stat.data_access_timestamp),
        data_modification_timestamp: instant(stat.data_modification_timestamp),
        status_change_timestamp: instant(stat.status_change_timestamp),
    }
}

fn type_of(kind: p2::DescriptorType) -> DescriptorType {
    match kind {
        p2::DescriptorType::Unknown => DescriptorType::Other(None),
        p2::DescriptorType::BlockDevice => DescriptorType::BlockDevice,
        p2::DescriptorType::CharacterDevice => DescriptorType::CharacterDevice,
        p2::DescriptorType::Directory => DescriptorType::Directory,
        p2::DescriptorType::Fifo => DescriptorType::Fifo,
        p2::DescriptorType::SymbolicLink => DescriptorType::SymbolicLink,
        p2::DescriptorType::RegularFile => DescriptorType::RegularFile,
        p2::DescriptorType::Socket => DescriptorType::Socket,
    }
}

fn error(error: FsError) -> FilesystemError {
    match error.downcast() {
        Ok(old) => code(old).into(),
        Err(trap) => FilesystemError::trap(trap),
    }
}

/// The same error of WASI 0.3.
fn code(old: p2::ErrorCode) -> ErrorCode {
    macro_rules! same {
        ($($name:ident)*) => {
            match old {
                $(p2::ErrorCode::$name => ErrorCode::$name,)*
                p2::ErrorCode::WouldBlock => ErrorCode::Other(Some("would block".to_owned())),
            }
        };
    }
    same!(Access Already BadDescriptor Busy Deadlock Quota Exist FileTooLarge IllegalByteSequence InProgress Interrupted
        Invalid Io IsDirectory Loop TooManyLinks MessageSize NameTooLong NoDevice NoEntry NoLock InsufficientMemory
        InsufficientSpace NotDirectory NotEmpty NotRecoverable Unsupported NoTty NoSuchDevice Overflow NotPermitted Pipe
        ReadOnly InvalidSeek TextFileBusy CrossDevice)
}
