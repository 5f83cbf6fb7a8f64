//! Names in folders: opens, creates, removes, links and renames them.

use std::collections::BTreeMap;

use bytes::Bytes;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::tree::{Content, ENTRY, Id, Kind, Place, ROOT, Result, Tree};
use crate::imports::files::OpenHow;

impl Tree {
    /// Opens a file or folder, or creates a file.
    pub(super) fn open(&mut self, start: Id, path: &str, how: OpenHow) -> Result<Id> {
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

    /// Creates a file with these bytes, which do not count until the file is written to.
    pub(super) fn give(&mut self, name: &str, bytes: Bytes) -> Result<()> {
        let content = Content {
            length: bytes.len() as u64,
            blocks: BTreeMap::new(),
            given: Some(bytes),
        };
        self.insert(ROOT, name, Kind::File(content)).map(|_| ())
    }

    pub(super) fn make_folder(&mut self, start: Id, path: &str) -> Result<()> {
        let (parent, name, _) = self.vacant(start, path)?;
        let entries = BTreeMap::new();
        self.insert(parent, name, Kind::Folder { entries, parent }).map(|_| ())
    }

    /// Removes a name of a file, or an empty folder.
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

    /// Adds another name to a file.
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

    /// Renames a file or folder. A file or an empty folder of the new name is replaced.
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

    /// Whether `folder` is `other` or lies below it.
    fn is_within(&self, mut folder: Id, other: Id) -> Result<bool> {
        while folder != other {
            if folder == ROOT {
                return Ok(false);
            }
            folder = self.parent(folder)?;
        }
        Ok(true)
    }
}
