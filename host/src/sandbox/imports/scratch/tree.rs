//! The files of a scratch folder, and what they count.

use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::{limits::Reservation, sandbox::imports::files::How};

/// The number of a file or folder, which no other one of the same scratch folder ever has.
pub(super) type Id = u64;

pub(super) const ROOT: Id = 0;

/// What is allocated of a file at once, in bytes. A page, as tmpfs has it.
const BLOCK: u64 = 4 << 10;

/// What a file or folder counts beside its content, in bytes, and again each of its names. As much as tmpfs counts for an inode
/// (`BOGO_INODE_SIZE`), and more than either takes.
const ENTRY: u64 = 1 << 10;

/// The longest path and the longest name, in bytes: as Linux has them.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

type Result<T> = std::result::Result<T, ErrorCode>;

/// What time it is for the guest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileClock {
    System,
    /// Since 1970.
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

/// Since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) accessed: Duration,
    pub(super) modified: Duration,
}

/// All files and folders, in one table: there is nothing that recurses, however deep folders are nested.
pub(super) struct Tree {
    nodes: BTreeMap<Id, Node>,
    next: Id,
    /// Bytes that count, and the most that may.
    used: u64,
    most: u64,
    /// What is reserved for it.
    memory: Reservation,
    clock: FileClock,
    /// Whether something did not fit.
    was_full: bool,
}

struct Node {
    kind: Kind,
    /// How many names it has.
    links: u64,
    /// How many descriptors and streams use it.
    open: u64,
    times: Times,
}

enum Kind {
    Folder {
        entries: BTreeMap<Box<str>, Id>,
        parent: Id,
    },
    File(Content),
}

/// Zeros where there is no block.
#[derive(Default)]
struct Content {
    length: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
    /// What the file was made of, until it is first written to. Not counted: the host keeps it anyway.
    given: Option<Bytes>,
}

/// What a file or folder is, for `stat`.
pub(super) struct Stat {
    pub(super) is_folder: bool,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) times: Times,
}

/// Where a path leads.
enum Place<'a> {
    /// To a folder that the path passed through.
    Folder(Id),
    /// To a name in a folder, which may be there or not.
    Name {
        folder: Id,
        name: &'a str,
        /// Whether the path ends as that of a folder does.
        is_folder: bool,
    },
}

impl Tree {
    /// An empty one of at most so many bytes.
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

    fn count(&mut self, bytes: u64) -> Result<()> {
        let used = self.used.saturating_add(bytes);
        if used > self.most {
            self.was_full = true;
            return Err(ErrorCode::InsufficientSpace);
        }
        self.used = used;
        self.memory.note_used(used);
        Ok(())
    }

    fn uncount(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
        self.memory.note_used(self.used);
    }

    fn node(&self, id: Id) -> Result<&Node> {
        self.nodes.get(&id).ok_or(ErrorCode::NoEntry)
    }

    fn node_mut(&mut self, id: Id) -> Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or(ErrorCode::NoEntry)
    }

    fn entries(&self, folder: Id) -> Result<&BTreeMap<Box<str>, Id>> {
        match &self.node(folder)?.kind {
            Kind::Folder { entries, .. } => Ok(entries),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    fn entries_mut(&mut self, folder: Id) -> Result<&mut BTreeMap<Box<str>, Id>> {
        let now = self.clock.now();
        let node = self.node_mut(folder)?;
        node.times.modified = now;
        match &mut node.kind {
            Kind::Folder { entries, .. } => Ok(entries),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    fn content(&self, file: Id) -> Result<&Content> {
        match &self.node(file)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder { .. } => Err(ErrorCode::IsDirectory),
        }
    }

    fn content_mut(&mut self, file: Id) -> Result<&mut Content> {
        match &mut self.node_mut(file)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder { .. } => Err(ErrorCode::IsDirectory),
        }
    }

    pub(super) fn is_folder(&self, id: Id) -> Result<bool> {
        Ok(matches!(self.node(id)?.kind, Kind::Folder { .. }))
    }

    fn parent(&self, folder: Id) -> Result<Id> {
        match self.node(folder)?.kind {
            Kind::Folder { parent, .. } => Ok(parent),
            Kind::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    /// Where a path leads from a folder. It does not lead out of that folder.
    fn place<'a>(&self, start: Id, path: &'a str) -> Result<Place<'a>> {
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

    /// What a path leads to, which has to be there.
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

    /// A name that may be given to something new: its folder has not been removed and has no such name.
    fn vacant<'a>(&self, start: Id, path: &'a str) -> Result<(Id, &'a str, bool)> {
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

    fn insert(&mut self, folder: Id, name: &str, kind: Kind) -> Result<Id> {
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

    /// Makes a file of these bytes, which count nothing as long as nothing is written to it.
    pub(super) fn give(&mut self, name: &str, bytes: Bytes) -> Result<()> {
        let content = Content {
            length: bytes.len() as u64,
            blocks: BTreeMap::new(),
            given: Some(bytes),
        };
        self.insert(ROOT, name, Kind::File(content)).map(|_| ())
    }

    /// Opens something, or makes a file.
    pub(super) fn open(&mut self, start: Id, path: &str, how: How) -> Result<Id> {
        let id = match self.find(start, path) {
            Ok(_) if how.create && how.exclusive => return Err(ErrorCode::Exist),
            Ok(id) => id,
            Err(ErrorCode::NoEntry) if how.create => {
                let (folder, name, is_folder) = self.vacant(start, path)?;
                if is_folder {
                    return Err(ErrorCode::IsDirectory);
                }
                self.insert(folder, name, Kind::File(Content::default()))?
            }
            Err(error) => return Err(error),
        };
        match self.is_folder(id)? {
            true if how.write => return Err(ErrorCode::IsDirectory),
            false if how.folder => return Err(ErrorCode::NotDirectory),
            false if how.truncate => self.set_size(id, 0)?,
            _ => {}
        }
        Ok(id)
    }

    pub(super) fn make_folder(&mut self, start: Id, path: &str) -> Result<()> {
        let (parent, name, _) = self.vacant(start, path)?;
        let entries = BTreeMap::new();
        self.insert(parent, name, Kind::Folder { entries, parent }).map(|_| ())
    }

    /// One more descriptor or stream uses it.
    pub(super) fn hold(&mut self, id: Id) {
        if let Ok(node) = self.node_mut(id) {
            node.open += 1;
        }
    }

    /// One fewer does.
    pub(super) fn release(&mut self, id: Id) {
        if let Ok(node) = self.node_mut(id) {
            node.open = node.open.saturating_sub(1);
            self.drop_unused(id);
        }
    }

    fn drop_unused(&mut self, id: Id) {
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

    fn remove_name(&mut self, folder: Id, name: &str) -> Result<()> {
        let id = self.entries_mut(folder)?.remove(name).ok_or(ErrorCode::NoEntry)?;
        self.uncount(ENTRY);
        self.node_mut(id)?.links -= 1;
        self.drop_unused(id);
        Ok(())
    }

    /// Removes a file's name, or an empty folder.
    pub(super) fn remove(&mut self, start: Id, path: &str, wants_folder: bool) -> Result<()> {
        let Place::Name {
            folder,
            name,
            is_folder,
        } = self.place(start, path)?
        else {
            return Err(if wants_folder {
                ErrorCode::Invalid
            } else {
                ErrorCode::IsDirectory
            });
        };
        let id = *self.entries(folder)?.get(name).ok_or(ErrorCode::NoEntry)?;
        match (self.is_folder(id)?, wants_folder) {
            (true, false) => return Err(ErrorCode::IsDirectory),
            (false, true) => return Err(ErrorCode::NotDirectory),
            (false, false) if is_folder => return Err(ErrorCode::NotDirectory),
            (true, true) if !self.entries(id)?.is_empty() => return Err(ErrorCode::NotEmpty),
            _ => {}
        }
        self.remove_name(folder, name)
    }

    /// Gives a file one more name.
    pub(super) fn link(&mut self, start: Id, path: &str, new_start: Id, new_path: &str) -> Result<()> {
        let id = self.find(start, path)?;
        if self.is_folder(id)? {
            return Err(ErrorCode::NotPermitted);
        }
        let (folder, name, is_folder) = self.vacant(new_start, new_path)?;
        if is_folder {
            return Err(ErrorCode::NotDirectory);
        }
        self.count(ENTRY)?;
        self.entries_mut(folder)?.insert(name.into(), id);
        self.node_mut(id)?.links += 1;
        Ok(())
    }

    /// Renames a file or folder; a file, or an empty folder, that has the new name is replaced.
    pub(super) fn rename(&mut self, start: Id, path: &str, new_start: Id, new_path: &str) -> Result<()> {
        let Place::Name { folder, name, .. } = self.place(start, path)? else {
            return Err(ErrorCode::Busy);
        };
        let id = *self.entries(folder)?.get(name).ok_or(ErrorCode::NoEntry)?;
        let Place::Name {
            folder: new_folder,
            name: new_name,
            is_folder: wants_folder,
        } = self.place(new_start, new_path)?
        else {
            return Err(ErrorCode::Busy);
        };
        let moves_folder = self.is_folder(id)?;
        if wants_folder && !moves_folder {
            return Err(ErrorCode::NotDirectory);
        }
        if self.node(new_folder)?.links == 0 {
            return Err(ErrorCode::NoEntry);
        }
        if moves_folder && self.is_within(new_folder, id)? {
            return Err(ErrorCode::Invalid);
        }
        if let Some(&replaced) = self.entries(new_folder)?.get(new_name) {
            if replaced == id {
                return Ok(());
            }
            match (moves_folder, self.is_folder(replaced)?) {
                (true, false) => return Err(ErrorCode::NotDirectory),
                (false, true) => return Err(ErrorCode::IsDirectory),
                (true, true) if !self.entries(replaced)?.is_empty() => return Err(ErrorCode::NotEmpty),
                _ => self.remove_name(new_folder, new_name)?,
            }
        }
        self.entries_mut(folder)?.remove(name);
        self.entries_mut(new_folder)?.insert(new_name.into(), id);
        if let Kind::Folder { parent, .. } = &mut self.node_mut(id)?.kind {
            *parent = new_folder;
        }
        Ok(())
    }

    /// Whether a folder is another one or lies below it.
    fn is_within(&self, mut folder: Id, other: Id) -> Result<bool> {
        while folder != other {
            if folder == ROOT {
                return Ok(false);
            }
            folder = self.parent(folder)?;
        }
        Ok(true)
    }

    /// The entry of a folder that follows this name, or the first one: its name, and whether it is a folder.
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

    /// Sets what is given of its times.
    pub(super) fn set_times(&mut self, id: Id, accessed: Option<Duration>, modified: Option<Duration>) -> Result<()> {
        let times = &mut self.node_mut(id)?.times;
        times.accessed = accessed.unwrap_or(times.accessed);
        times.modified = modified.unwrap_or(times.modified);
        Ok(())
    }

    /// At most `most` bytes of a file from a position on; none at its end.
    pub(super) fn read(&self, file: Id, position: u64, most: usize) -> Result<Bytes> {
        let content = self.content(file)?;
        let left = content.length.saturating_sub(position).min(most as u64);
        let end = position + left;
        if let Some(given) = &content.given {
            // It is as long as the file.
            let (from, to) = (usize::try_from(position), usize::try_from(end));
            return Ok(match (from, to) {
                (Ok(from), Ok(to)) if from < to && to <= given.len() => given.slice(from..to),
                _ => Bytes::new(),
            });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(left).unwrap_or_default());
        let mut at = position;
        while at < end {
            let within = at % BLOCK;
            let count = (BLOCK - within).min(end - at);
            let part = content
                .blocks
                .get(&(at / BLOCK))
                .and_then(|block| block.get(usize::try_from(within).ok()?..usize::try_from(within + count).ok()?));
            match part {
                Some(part) => bytes.extend_from_slice(part),
                None => bytes.resize(bytes.len() + usize::try_from(count).unwrap_or_default(), 0),
            }
            at += count;
        }
        Ok(bytes.into())
    }

    /// The whole of a file. None: it is longer than `most`.
    pub(super) fn whole(&self, start: Id, path: &str, most: u64) -> Result<Option<Bytes>> {
        let file = self.find(start, path)?;
        let length = self.content(file)?.length;
        match usize::try_from(length) {
            Ok(all) if length <= most => self.read(file, 0, all).map(Some),
            _ => Ok(None),
        }
    }

    /// Sees to it that a file's bytes are its own.
    fn make_own(&mut self, file: Id) -> Result<()> {
        let Some(given) = self.content(file)?.given.clone() else {
            return Ok(());
        };
        self.count((given.len() as u64).div_ceil(BLOCK) * BLOCK)?;
        let content = self.content_mut(file)?;
        content.given = None;
        for (at, part) in given.chunks(BLOCK as usize).enumerate() {
            content.blocks.insert(at as u64, block(part));
        }
        Ok(())
    }

    /// Writes at a position, or at the end of the file; all or nothing.
    pub(super) fn write(&mut self, file: Id, position: Option<u64>, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = match position {
            Some(position) => position,
            None => self.content(file)?.length,
        };
        let end = start.checked_add(bytes.len() as u64).filter(|end| *end <= self.most);
        let Some(end) = end else {
            self.was_full = true;
            return Err(ErrorCode::InsufficientSpace);
        };
        self.make_own(file)?;
        let blocks = start / BLOCK..end.div_ceil(BLOCK);
        let content = self.content(file)?;
        let missing = blocks.clone().filter(|at| !content.blocks.contains_key(at)).count() as u64;
        self.count(missing * BLOCK)?;
        let now = self.clock.now();
        self.node_mut(file)?.times.modified = now;
        let content = self.content_mut(file)?;
        content.length = content.length.max(end);
        let (mut within, mut rest) = ((start % BLOCK) as usize, bytes);
        for at in blocks {
            let to = content.blocks.entry(at).or_insert_with(|| block(&[]));
            let (part, after) = rest.split_at(rest.len().min(to.len().saturating_sub(within)));
            if let Some(to) = to.get_mut(within..within + part.len()) {
                to.copy_from_slice(part);
            }
            (within, rest) = (0, after);
        }
        Ok(())
    }

    /// Cuts a file, or has zeros follow.
    pub(super) fn set_size(&mut self, file: Id, size: u64) -> Result<()> {
        if size > self.most {
            self.was_full = true;
            return Err(ErrorCode::InsufficientSpace);
        }
        if size == 0 {
            self.content_mut(file)?.given = None;
        }
        self.make_own(file)?;
        let now = self.clock.now();
        self.node_mut(file)?.times.modified = now;
        let content = self.content_mut(file)?;
        content.length = size;
        let spare = content.blocks.split_off(&size.div_ceil(BLOCK)).len() as u64;
        if let Some(last) = content.blocks.get_mut(&(size / BLOCK))
            && let Some(beyond) = last.get_mut((size % BLOCK) as usize..)
        {
            beyond.fill(0);
        }
        self.uncount(spare * BLOCK);
        Ok(())
    }
}

/// A block that begins with these bytes.
fn block(bytes: &[u8]) -> Box<[u8]> {
    let mut block = vec![0; BLOCK as usize].into_boxed_slice();
    if let Some(to) = block.get_mut(..bytes.len()) {
        to.copy_from_slice(bytes);
    }
    block
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limits::Budget;

    const NEW: How = How {
        follow: false,
        read: false,
        write: true,
        create: true,
        exclusive: false,
        truncate: false,
        folder: false,
    };

    fn tree(most: u64) -> Tree {
        let account = Budget::new(u64::MAX).memory().account(u64::MAX, Arc::default());
        Tree::new(most, account.empty(), FileClock::Stopped(Duration::from_secs(1)))
    }

    #[test]
    fn bytes_are_read_back_across_blocks_and_holes() {
        let mut tree = tree(1 << 20);
        let file = tree.open(ROOT, "a", NEW).unwrap();
        let text: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        tree.write(file, Some(9_000), &text).unwrap();
        assert_eq!(tree.read(file, 9_000, 1 << 16).unwrap(), text);
        assert_eq!(tree.read(file, 0, 9_000).unwrap(), vec![0; 9_000]);
        // What is cut away does not come back.
        tree.set_size(file, 9_001).unwrap();
        tree.set_size(file, 9_003).unwrap();
        tree.write(file, None, b"x").unwrap();
        assert_eq!(tree.read(file, 9_000, 9).unwrap(), &[text[0], 0, 0, b'x'][..]);
        assert_eq!(tree.read(file, 1 << 40, 9).unwrap(), Bytes::new());
    }

    #[test]
    fn all_that_is_removed_is_given_back() {
        let mut tree = tree(1 << 20);
        tree.make_folder(ROOT, "d").unwrap();
        let file = tree.open(ROOT, "d/a", NEW).unwrap();
        tree.hold(file);
        tree.write(file, None, &[1; 5000]).unwrap();
        tree.link(ROOT, "d/a", ROOT, "b").unwrap();
        assert_eq!(tree.used, 5 * ENTRY + 2 * BLOCK);
        tree.rename(ROOT, "b", ROOT, "d/a").unwrap();
        tree.remove(ROOT, "b", false).unwrap();
        tree.remove(ROOT, "d/a", false).unwrap();
        assert_eq!(tree.remove(ROOT, "d/", true), Ok(()));
        // A file that is open counts without a name.
        assert_eq!(tree.used, ENTRY + 2 * BLOCK);
        assert_eq!(tree.read(file, 4_999, 2).unwrap(), &[1][..]);
        tree.release(file);
        assert_eq!((tree.used, tree.nodes.len()), (0, 1));
    }

    #[test]
    fn what_is_given_counts_when_it_is_written_to() {
        let mut tree = tree(2 * ENTRY + BLOCK);
        tree.give("payload", Bytes::from(vec![7; 5000])).unwrap();
        assert_eq!(tree.used, 2 * ENTRY);
        let file = tree.find(ROOT, "payload").unwrap();
        assert_eq!(tree.read(file, 4_998, 10).unwrap(), &[7, 7][..]);
        assert_eq!(tree.write(file, Some(0), b"x"), Err(ErrorCode::InsufficientSpace));
        assert_eq!(tree.whole(ROOT, "payload", 4_999), Ok(None));
        tree.set_size(file, 0).unwrap();
        tree.write(file, None, b"x").unwrap();
        assert_eq!(tree.whole(ROOT, "payload", 9).unwrap().unwrap(), &b"x"[..]);
    }

    #[test]
    fn nothing_leads_out_and_nothing_is_moved_into_itself() {
        let mut tree = tree(1 << 20);
        tree.make_folder(ROOT, "a").unwrap();
        tree.make_folder(ROOT, "a/b").unwrap();
        let inner = tree.find(ROOT, "a").unwrap();
        for path in ["..", "b/../..", "/", "/a", "b/../../a"] {
            assert_eq!(tree.find(inner, path), Err(ErrorCode::NotPermitted), "{path}");
        }
        assert_eq!(tree.find(inner, "b/.././b/"), tree.find(ROOT, "a/b"));
        assert_eq!(tree.rename(ROOT, "a", ROOT, "a/b/c"), Err(ErrorCode::Invalid));
        assert_eq!(tree.rename(ROOT, "a/b", ROOT, "b"), Ok(()));
        assert_eq!(tree.find(ROOT, "b/../a"), Ok(inner));
        tree.hold(inner);
        tree.remove(ROOT, "a", true).unwrap();
        assert_eq!(tree.make_folder(inner, "x"), Err(ErrorCode::NoEntry));
        assert_eq!(tree.rename(ROOT, "b", inner, "x"), Err(ErrorCode::NoEntry));
        assert_eq!(tree.find(ROOT, &"x".repeat(NAME_MAX + 1)), Err(ErrorCode::NameTooLong));
        assert_eq!(tree.find(ROOT, &"x/".repeat(PATH_MAX)), Err(ErrorCode::NameTooLong));
    }

    #[test]
    fn bound_holds_for_bytes_files_names_and_holes() {
        let most = 64 << 10;
        let mut tree = tree(most);
        let file = tree.open(ROOT, "a", NEW).unwrap();
        assert_eq!(tree.set_size(file, most + 1), Err(ErrorCode::InsufficientSpace));
        assert_eq!(
            tree.write(file, Some(u64::MAX), b"xy"),
            Err(ErrorCode::InsufficientSpace)
        );
        tree.set_size(file, most).unwrap();
        assert_eq!(tree.used, 2 * ENTRY);
        let names = (0..)
            .take_while(|n| tree.link(ROOT, "a", ROOT, &format!("l{n}")).is_ok())
            .count();
        assert_eq!(names as u64, most / ENTRY - 2);
        assert_eq!(tree.write(file, Some(0), b"x"), Err(ErrorCode::InsufficientSpace));
        assert_eq!(tree.make_folder(ROOT, "d"), Err(ErrorCode::InsufficientSpace));
        assert!(tree.was_full());
    }

    #[test]
    fn folders_are_listed_by_name_also_while_they_change() {
        let mut tree = tree(1 << 20);
        for name in ["b", "a", "c"] {
            tree.open(ROOT, name, NEW).unwrap();
        }
        assert_eq!(tree.entry_after(ROOT, None).unwrap(), Some(("a".into(), false)));
        tree.remove(ROOT, "a", false).unwrap();
        assert_eq!(tree.entry_after(ROOT, Some("a")).unwrap(), Some(("b".into(), false)));
        assert_eq!(tree.entry_after(ROOT, Some("c")).unwrap(), None);
    }
}
