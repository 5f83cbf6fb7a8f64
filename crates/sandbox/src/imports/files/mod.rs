//! The files of workers: folders that are opened once, and limits on open files, running calls and unread bytes.
//!
//! wasmtime-wasi resolves paths. This module decides from which descriptors, what may be opened, on which thread, and
//! how much of it at a time.

mod access;
mod entries;
mod open;
mod streams;

pub use self::access::{Folders, folders};
pub(crate) use self::{
    access::{Calls, FileAccess, FileLimits, Files, OpenPermit, at_once},
    entries::Entries,
    open::{OpenError, OpenHow, open},
    streams::{PIECE, Reader, Writer},
};

#[cfg(test)]
mod tests {
    use std::{io::Write as _, sync::mpsc, time::Duration};

    use bytes::Bytes;
    use futures::FutureExt;
    use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

    use std::sync::Arc;
    use tokio::sync::Semaphore;

    use super::*;
    use disperse_protocol::limits::{Budget, UNREAD_MAX};

    fn files(open: usize) -> Files {
        let all = FileLimits {
            calls: Arc::new(Semaphore::new(2)),
            open: Arc::new(Semaphore::new(open)),
            open_all: open,
        };
        Files::new(FileAccess::new(&all, Arc::new([]), 1, 4096), Budget::new(u64::MAX))
    }

    #[tokio::test]
    async fn cancelled_call_counts_until_it_has_ended() {
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
    fn permit_is_held_until_the_last_user_is_dropped() {
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
    async fn file_is_written_and_read_in_the_background() {
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
    async fn bytes_read_ahead_are_limited() {
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
        // A blocking read buffers nothing.
        assert_eq!(one_more.blocking_read(5).await.unwrap().len(), 5);
        readers.pop();
        assert!(one_more.read(1).is_ok());
        drop((readers, one_more));
        assert_eq!(files.unread.left.available_permits(), UNREAD_MAX);
    }
}
