//! Lists a folder in pieces, because it may have any number of entries.

use std::{collections::VecDeque, fs::File, io, mem::MaybeUninit, sync::Arc};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat};
use wasmtime_wasi::p2::{
    FsError, FsResult,
    bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode},
};

use super::access::{Buffered, Calls, OpenPermit, Unread};

/// The bytes of entries that are read at a time: more than the longest name takes.
const PIECE: usize = 4 << 10;

/// The memory for the entries of a piece, in bytes. An entry takes at least 24 bytes of the piece, and up to four times
/// that as a separate string.
const PIECE_KEPT: usize = 4 * PIECE;

/// A folder that is being listed.
pub(crate) struct Entries {
    /// None after the end.
    from: Option<Arc<File>>,
    read: VecDeque<FsResult<DirectoryEntry>>,
    _permit: Arc<OpenPermit>,
    _kept: Buffered,
}

impl Entries {
    /// Lists this folder from the beginning. None: too many bytes are unread already.
    pub(crate) fn new(from: File, permit: Arc<OpenPermit>, unread: &Unread) -> Option<Self> {
        Some(Self {
            from: Some(Arc::new(from)),
            read: VecDeque::new(),
            _permit: permit,
            _kept: unread.keep(PIECE_KEPT)?,
        })
    }

    /// Opens a folder again, for a separate position in it. Blocks.
    ///
    /// # Errors
    /// It cannot be opened for listing.
    pub(crate) fn open(folder: &File) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(folder, ".", flags, Mode::empty())?.into())
    }

    /// The next entry; none at the end.
    ///
    /// # Errors
    /// The folder cannot be read, or the name is not UTF-8.
    pub(crate) async fn next(&mut self, calls: &Calls) -> FsResult<Option<DirectoryEntry>> {
        while self.read.is_empty() {
            let Some(from) = self.from.clone() else {
                return Ok(None);
            };
            let piece = calls.run(move || piece(&from)).await.map_err(FsError::trap)?;
            match piece {
                Ok(Some(piece)) => self.read = piece,
                Ok(None) => self.from = None,
                Err(error) => {
                    self.from = None;
                    return Err(error.into());
                }
            }
        }
        self.read.pop_front().transpose()
    }
}

/// The next piece of entries, without `.` and `..`, so possibly empty. None: the end. Blocks.
fn piece(folder: &File) -> io::Result<Option<VecDeque<FsResult<DirectoryEntry>>>> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); PIECE];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut piece = VecDeque::new();
    let mut any = false;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        any = true;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    // If the entry is gone meanwhile, it is listed with an unknown type.
                    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
                    stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
                }
                known => known,
            };
            piece.push_back(match name.to_str() {
                Ok(name) => Ok(DirectoryEntry {
                    type_: type_of(kind),
                    name: name.to_owned(),
                }),
                Err(_) => Err(ErrorCode::IllegalByteSequence.into()),
            });
        }
        // A further entry would need another read.
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(any.then_some(piece))
}

fn type_of(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::Fifo | FileType::Socket | FileType::Unknown => DescriptorType::Unknown,
    }
}
