//! The tree of files and folders of a scratch folder, and its size.

use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use disperse_protocol::limits::Reservation;

/// The number of a file or folder. Never reused in the same scratch folder.
pub(super) type Id = u64;

pub(super) const ROOT: Id = 0;

/// The unit of allocation of a file, in bytes: a page, as in tmpfs.
pub(super) const BLOCK: u64 = 4 << 10;

/// The bytes that a file or folder counts in addition to its content, and that each of its names counts. As much as
/// tmpfs counts for an inode (`BOGO_INODE_SIZE`), and more than either takes.
pub(super) const ENTRY: u64 = 1 << 10;

/// The longest path and the longest name, in bytes: the limits of Linux.
pub(super) const PATH_MAX: usize = 4096;
pub(super) const NAME_MAX: usize = 255;

pub(super) type Result<T> = std::result::Result<T, ErrorCode>;

/// The clock for the times of files.
#[derive(Clone, Copy, Debug)]
pub enum FileClock {
    System,
    /// Stopped at this time since 1970.
    Stopped(Duration),
}

impl FileClock {
    pub(super) fn now(self) -> Duration {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Self::Stopped(time) => time,
        }
    }
}

/// The times of a file or folder, since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) accessed: Duration,
    pub(super) modified: Duration,
}

/// All files and folders, in one table. Nothing recurses, however deep folders are nested.
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<Id, Node>,
    pub(super) next: Id,
    /// The bytes that count, and the limit on them.
    pub(super) used: u64,
    pub(super) most: u64,
    /// The reservation for the largest size.
    pub(super) memory: Reservation,
    pub(super) clock: FileClock,
    /// Whether something did not fit.
    pub(super) was_full: bool,
}

pub(super) struct Node {
    pub(super) kind: Kind,
    /// The number of its names.
    pub(super) links: u64,
    /// The number of descriptors and streams that use it.
    pub(super) open: u64,
    pub(super) times: Times,
}

pub(super) enum Kind {
    Folder {
        entries: BTreeMap<Box<str>, Id>,
        parent: Id,
    },
    File(Content),
}

/// The content of a file. A missing block is all zeros.
#[derive(Default)]
pub(super) struct Content {
    pub(super) length: u64,
    pub(super) blocks: BTreeMap<u64, Box<[u8]>>,
    /// The content that the file was created with, until it is first written to. Not counted: the host keeps these
    /// bytes anyway.
    pub(super) given: Option<Bytes>,
}

/// The properties of a file or folder, for `stat`.
pub(super) struct Stat {
    pub(super) is_folder: bool,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) times: Times,
}

/// The target of a path.
pub(super) enum Place<'a> {
    /// A folder that the path passed through.
    Folder(Id),
    /// A name in a folder, which may be missing.
    Name {
        folder: Id,
        name: &'a str,
        /// Whether the path ends like a folder's: in `/` or `/.`.
        is_folder: bool,
    },
}

impl Tree {
    /// An empty tree of at most `most` bytes.
    pub(super) fn new(most: u64, memory: Reservation, clock: FileClock) -> Self {
        let now = clock.now();
        let root = Node {
            kind: Kind::Folder {
                entries: BTreeMap::new(),
                parent: ROOT,
            },
            links: 1,
            open: 0,
            times: Times {
                accessed: now,
                modified: now,
            },
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            used: 0,
            most,
            memory,
            clock,
            was_full: false,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Whether something did not fit.
    pub(super) fn was_full(&self) -> bool {
        self.was_full
    }

    pub(super) fn count(&mut self, bytes: u64) -> Result<()> {
        let used = self.used.saturating_add(bytes);
        if used > self.most {
            self.was_full = true;
            return Err(ErrorCode::InsufficientSpace);
        }
        self.used = used;
        self.memory.note_used(used);
        Ok(())
    }

    pub(super) fn uncount(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
        self.memory.note_used(self.used);
    }

    pub(super) fn node(&self, id: Id) -> Result<&Node> {
        self.nodes.get(&id).ok_or(ErrorCode::NoEntry)
    }

    pub(super) fn node_mut(&mut self, id: Id) -> Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or(ErrorCode::NoEntry)
    }

    pub(super) fn entries(&self, folder: Id) -> Result<&BTreeMap<Box<str>, Id>> {
        match &self.node(folder)?.kind {
            Kind::Folder { entries, .. } => Ok(entries),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    pub(super) fn entries_mut(&mut self, folder: Id) -> Result<&mut BTreeMap<Box<str>, Id>> {
        let now = self.clock.now();
        let node = self.node_mut(folder)?;
        node.times.modified = now;
        match &mut node.kind {
            Kind::Folder { entries, .. } => Ok(entries),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    pub(super) fn content(&self, file: Id) -> Result<&Content> {
        match &self.node(file)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder { .. } => Err(ErrorCode::IsDirectory),
        }
    }

    pub(super) fn content_mut(&mut self, file: Id) -> Result<&mut Content> {
        match &mut self.node_mut(file)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder { .. } => Err(ErrorCode::IsDirectory),
        }
    }

    pub(super) fn is_folder(&self, id: Id) -> Result<bool> {
        Ok(matches!(self.node(id)?.kind, Kind::Folder { .. }))
    }

    pub(super) fn parent(&self, folder: Id) -> Result<Id> {
        match self.node(folder)?.kind {
            Kind::Folder { parent, .. } => Ok(parent),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    /// Resolves a path from a folder. It must not lead out of that folder.
    pub(super) fn place<'a>(&self, start: Id, path: &'a str) -> Result<Place<'a>> {
        if path.is_empty() {
            return Err(ErrorCode::NoEntry);
        }
        if path.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        if path.len() > PATH_MAX {
            return Err(ErrorCode::NameTooLong);
        }
        let (mut at, mut depth, mut last) = (start, 0_usize, None);
        for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if let Some(name) = last.take() {
                at = *self.entries(at)?.get(name).ok_or(ErrorCode::NoEntry)?;
                depth += 1;
            }
            if part == ".." {
                depth = depth.checked_sub(1).ok_or(ErrorCode::NotPermitted)?;
                at = self.parent(at)?;
            } else if part.len() > NAME_MAX {
                return Err(ErrorCode::NameTooLong);
            } else {
                last = Some(part);
            }
        }
        if !self.is_folder(at)? {
            return Err(ErrorCode::NotDirectory);
        }
        Ok(match last {
            None => Place::Folder(at),
            Some(name) => Place::Name {
                folder: at,
                name,
                is_folder: path.ends_with('/') || path.ends_with("/."),
            },
        })
    }

    /// Resolves a path to an existing file or folder.
    pub(super) fn find(&self, start: Id, path: &str) -> Result<Id> {
        match self.place(start, path)? {
            Place::Folder(id) => Ok(id),
            Place::Name {
                folder,
                name,
                is_folder,
            } => {
                let id = *self.entries(folder)?.get(name).ok_or(ErrorCode::NoEntry)?;
                match is_folder && !self.is_folder(id)? {
                    true => Err(ErrorCode::NotDirectory),
                    false => Ok(id),
                }
            }
        }
    }

    /// Resolves a path to a free name: its folder has not been removed and has no such name.
    pub(super) fn vacant<'a>(&self, start: Id, path: &'a str) -> Result<(Id, &'a str, bool)> {
        match self.place(start, path)? {
            Place::Folder(_) => Err(ErrorCode::Exist),
            Place::Name { folder, name, .. } if self.entries(folder)?.contains_key(name) => Err(ErrorCode::Exist),
            Place::Name { folder, .. } if self.node(folder)?.links == 0 => Err(ErrorCode::NoEntry),
            Place::Name {
                folder,
                name,
                is_folder,
            } => Ok((folder, name, is_folder)),
        }
    }

    pub(super) fn insert(&mut self, folder: Id, name: &str, kind: Kind) -> Result<Id> {
        self.count(2 * ENTRY)?;
        let (id, now) = (self.next, self.clock.now());
        self.next += 1;
        self.entries_mut(folder)?.insert(name.into(), id);
        self.nodes.insert(
            id,
            Node {
                kind,
                links: 1,
                open: 0,
                times: Times {
                    accessed: now,
                    modified: now,
                },
            },
        );
        Ok(id)
    }

    /// Notes that one more descriptor or stream uses it.
    pub(super) fn hold(&mut self, id: Id) {
        if let Ok(node) = self.node_mut(id) {
            node.open += 1;
        }
    }

    /// Notes that one descriptor or stream fewer uses it.
    pub(super) fn release(&mut self, id: Id) {
        if let Ok(node) = self.node_mut(id) {
            node.open = node.open.saturating_sub(1);
            self.drop_unused(id);
        }
    }

    pub(super) fn drop_unused(&mut self, id: Id) {
        if self.node(id).is_ok_and(|node| node.links == 0 && node.open == 0)
            && let Some(node) = self.nodes.remove(&id)
        {
            let blocks = match &node.kind {
                Kind::File(content) => content.blocks.len() as u64,
                Kind::Folder { .. } => 0,
            };
            self.uncount(ENTRY + blocks * BLOCK);
        }
    }

    pub(super) fn remove_name(&mut self, folder: Id, name: &str) -> Result<()> {
        let id = self.entries_mut(folder)?.remove(name).ok_or(ErrorCode::NoEntry)?;
        self.uncount(ENTRY);
        self.node_mut(id)?.links -= 1;
        self.drop_unused(id);
        Ok(())
    }

    /// The entry of a folder after this name, or the first one: its name, and whether it is a folder.
    pub(super) fn entry_after(&self, folder: Id, name: Option<&str>) -> Result<Option<(Box<str>, bool)>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.entries(folder)?.range::<str, _>((from, Bound::Unbounded));
        rest.next()
            .map(|(name, id)| Ok((name.clone(), self.is_folder(*id)?)))
            .transpose()
    }

    pub(super) fn stat(&self, id: Id) -> Result<Stat> {
        let node = self.node(id)?;
        Ok(Stat {
            is_folder: matches!(node.kind, Kind::Folder { .. }),
            links: node.links,
            size: match &node.kind {
                Kind::File(content) => content.length,
                Kind::Folder { .. } => 0,
            },
            times: node.times,
        })
    }

    /// Sets the given times.
    pub(super) fn set_times(&mut self, id: Id, accessed: Option<Duration>, modified: Option<Duration>) -> Result<()> {
        let times = &mut self.node_mut(id)?.times;
        times.accessed = accessed.unwrap_or(times.accessed);
        times.modified = modified.unwrap_or(times.modified);
        Ok(())
    }
}
