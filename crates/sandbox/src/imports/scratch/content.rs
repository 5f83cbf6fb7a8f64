//! The content of files: reads, writes and sizes.

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::tree::{BLOCK, Id, Result, Tree};

impl Tree {
    /// Reads at most `most` bytes of a file from a position; empty at its end.
    pub(super) fn read(&self, file: Id, position: u64, most: usize) -> Result<Bytes> {
        let content = self.content(file)?;
        let left = content.length.saturating_sub(position).min(most as u64);
        let end = position + left;
        if let Some(given) = &content.given {
            // `given` is as long as the file.
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

    /// The whole content of a file. None: it is longer than `most` bytes.
    pub(super) fn whole(&self, start: Id, path: &str, most: u64) -> Result<Option<Bytes>> {
        let file = self.find(start, path)?;
        let length = self.content(file)?.length;
        match usize::try_from(length) {
            Ok(all) if length <= most => self.read(file, 0, all).map(Some),
            _ => Ok(None),
        }
    }

    /// Copies given content into the file's own blocks.
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

    /// Writes at a position, or at the end of the file. Writes all bytes or none.
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

    /// Truncates a file, or extends it with zeros.
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
