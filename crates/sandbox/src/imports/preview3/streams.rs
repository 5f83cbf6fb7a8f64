//! Files and folders as streams of the component model: one piece at a time, each on a thread that may block.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use wasmtime::{
    Result, StoreContextMut,
    component::{
        Access, Destination, FutureReader, HasData, Lift, Lower, Source, StreamConsumer, StreamProducer, StreamReader,
        StreamResult, WriteBuffer,
    },
};
use wasmtime_wasi::{
    p2::{DynInputStream, DynOutputStream, FsError, FsResult, StreamError, bindings::filesystem::types as p2},
    p3::bindings::filesystem::types::{DirectoryEntry, ErrorCode},
};

use super::convert::{code, type_of};
use crate::imports::{files::PIECE, wasi_files::Listing};

/// A future of how a stream ended.
pub(super) type EndFuture = FutureReader<Result<(), ErrorCode>>;

/// A source that is read in pieces.
pub(super) trait Pieces: Send + Sized + Unpin + 'static {
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

/// A folder that is opened and then listed.
pub(super) enum Folder {
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

/// The host's end of a stream. When it closes, it sends how the stream ended.
struct HostEnd<S, T> {
    state: At<S, T>,
    end_sender: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

enum At<S, T> {
    Idle(S),
    Busy(BoxFuture<'static, (S, FsResult<T>)>),
    Closed,
}

impl<S, T> HostEnd<S, T> {
    /// Closes the stream.
    ///
    /// # Errors
    /// `result` is an error that traps the guest.
    fn close(&mut self, result: FsResult<()>) -> Result<StreamResult> {
        self.state = At::Closed;
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(code(error.downcast()?)),
        };
        if let Some(sender) = self.end_sender.take() {
            // Fails if the guest has dropped the future.
            let _ = sender.send(result);
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
        if let Some(sender) = self.end_sender.take() {
            let _ = sender.send(Ok(()));
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
        // A read of zero items only asks whether reading is possible.
        if to.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let done = match self.poll(|pieces| Box::pin(pieces.next()), cx) {
            // The running operation continues for the next read.
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
        // A write that has begun is not cancelled: the guest gets its count when it is done.
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

/// A stream of the content of a source, and a future of how it ends.
pub(super) fn read_from<U: 'static, D: HasData, S: Pieces>(
    store: &mut Access<'_, U, D>,
    source: FsResult<S>,
) -> Result<(StreamReader<S::Item>, EndFuture)>
where
    S::Item: Lower + Lift,
{
    let (sender, receiver) = oneshot::channel();
    let mut end = HostEnd {
        state: At::Closed,
        end_sender: Some(sender),
    };
    match source {
        Ok(source) => end.state = At::Idle(source),
        Err(error) => _ = end.close(Err(error))?,
    }
    let stream = StreamReader::new(&mut *store, end)?;
    Ok((stream, FutureReader::new(&mut *store, receiver)?))
}

/// Writes the content of a stream. Returns a future of how that ends.
pub(super) fn write_to<U: 'static, D: HasData>(
    store: &mut Access<'_, U, D>,
    mut data: StreamReader<u8>,
    writer: FsResult<DynOutputStream>,
) -> Result<EndFuture> {
    let (sender, receiver) = oneshot::channel();
    let mut end = HostEnd {
        state: At::Closed,
        end_sender: Some(sender),
    };
    match writer {
        Ok(writer) => {
            end.state = At::Idle(writer);
            data.pipe(&mut *store, end)?;
        }
        Err(error) => {
            end.close(Err(error))?;
            data.close(&mut *store)?;
        }
    }
    FutureReader::new(&mut *store, receiver)
}
