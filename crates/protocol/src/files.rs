//! Files in folders of unknown origin: read only if they are regular, of limited size and, unless the folder is
//! trusted, inside it.

use std::{
    cell::Cell,
    fs::{DirBuilder, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::units::Size;

/// The name of a project's manifest in its folder.
pub const MANIFEST: &str = "disperse.toml";

/// Reads a regular file of at most `max` bytes. Links are followed.
///
/// # Errors
/// It is not a regular file, is larger, or cannot be read. Never waits for a pipe or a device.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    regular(&std::fs::metadata(path)?)?;
    read_opened(path, max, OFlags::empty())
}

/// Reads a regular file of at most `max` bytes that is not a link.
///
/// # Errors
/// As [`read`], and for a link.
pub fn read_unlinked(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    regular(&std::fs::symlink_metadata(path)?)?;
    read_opened(path, max, OFlags::NOFOLLOW)
}

/// Reads a text as [`read`] does.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    text(read(path, max)?)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error.utf8_error()))
}

fn read_opened(path: &Path, max: u64, flags: OFlags) -> io::Result<Vec<u8>> {
    // The file may be replaced after it was checked: a pipe is opened without waiting, and checked again.
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    regular(&meta)?;
    let too_large = || {
        Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is larger than {}", Size(max)),
        ))
    };
    if meta.len() > max {
        return too_large();
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default());
    // It may grow, and files of the kernel have a length of 0.
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > max { too_large() } else { Ok(bytes) }
}

fn regular(meta: &Metadata) -> io::Result<()> {
    if meta.is_file() {
        Ok(())
    } else {
        let kind = if meta.is_symlink() {
            "a link"
        } else {
            "not a regular file"
        };
        Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {kind}")))
    }
}

/// The target of a path that leaves a folder: by `..`, as an absolute path or through a link. A relative path is
/// relative to the folder. None: it stays inside, also if it does not exist yet.
pub fn leads_out(folder: &Path, path: &Path) -> Option<PathBuf> {
    let whole = folder.join(path);
    let Ok(folder) = folder.canonicalize() else {
        return Some(whole);
    };
    let resolved = resolved(&whole);
    (!resolved.starts_with(folder)).then_some(resolved)
}

/// The canonical path, as far as it exists. A dangling link counts as its text.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let target = std::fs::read_link(path);
    let (Some(parent), Some(last)) = (path.parent(), path.components().next_back()) else {
        return path.to_owned();
    };
    let mut found = if parent.as_os_str().is_empty() {
        resolved(Path::new("."))
    } else {
        resolved(parent)
    };
    match (target, last) {
        // Its target does not exist, or the links form a cycle: it counts as outside of any folder.
        (Ok(target), _) => return target,
        (_, Component::ParentDir) => drop(found.pop()),
        (_, Component::Normal(name)) => found.push(name),
        _ => {}
    }
    found
}

/// Reads the files that scripts name: inside a folder, unless that is trusted, and of a limited total size.
pub struct FolderReader<'a> {
    /// The folder that all must be in. None: they may be anywhere.
    within: Option<PathBuf>,
    /// How many more bytes may be read, shared with other readers.
    left: &'a Cell<u64>,
}

impl<'a> FolderReader<'a> {
    /// `within`: the folder that all files must be in; none: they may be anywhere. `left`: how many bytes may be read
    /// in all, which reading decreases.
    pub fn new(within: Option<PathBuf>, left: &'a Cell<u64>) -> Self {
        Self { within, left }
    }

    /// Reads a file of at most `max` bytes.
    ///
    /// # Errors
    /// As [`read`]; if it is outside of the folder, or all of them together are too large.
    pub fn read(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        let absolute = std::path::absolute(path)?;
        if let Some(folder) = &self.within
            && let Some(target) = leads_out(folder, &absolute)
        {
            let why = format!(
                "it leads to `{}`, outside of `{}`, which is not trusted: see `disperse-host trust`, or give --trust-manifest",
                target.display(),
                folder.display()
            );
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        let left = self.left.get();
        let bytes = read(path, max.min(left)).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge if left < max => {
                io::Error::new(ErrorKind::FileTooLarge, "all files of the tests together are too large")
            }
            _ => error,
        })?;
        self.left.set(left.saturating_sub(bytes.len() as u64));
        Ok(bytes)
    }

    /// Reads a text as [`FolderReader::read`] does.
    ///
    /// # Errors
    /// As [`FolderReader::read`], and if it is not UTF-8.
    pub fn read_text(&self, path: &Path, max: u64) -> io::Result<String> {
        text(self.read(path, max)?)
    }
}

/// A folder in the user's home for files of this program: under a variable of the XDG base directories, else under this
/// folder. None: neither is an absolute path.
pub fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(in_home)))?;
    Some(base.join("disperse"))
}

/// Makes a folder, and those above it, that only this user can enter. Returns whether it is one: not a link, owned by
/// this user and closed to others.
///
/// # Errors
/// It cannot be made.
pub fn make_private(path: &Path) -> io::Result<bool> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    is_private(path)
}

/// Whether only this user can enter a folder; see [`make_private`].
///
/// # Errors
/// It does not exist.
pub fn is_private(path: &Path) -> io::Result<bool> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok(meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0)
}

/// Writes a file atomically, replacing the one of that name. A link is replaced, and its target stays as it is.
///
/// # Errors
/// It cannot be written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_of_limited_size_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::write(at("file"), "four").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let kind = |result: io::Result<Vec<u8>>| result.unwrap_err().kind();
        assert_eq!(read(&at("file"), 4).unwrap(), b"four");
        assert_eq!(read(&at("link"), 4).unwrap(), b"four");
        assert_eq!(kind(read(&at("file"), 3)), ErrorKind::FileTooLarge);
        // The kernel reports a length of 0 for its own files.
        assert_eq!(kind(read(Path::new("/proc/self/status"), 3)), ErrorKind::FileTooLarge);
        for name in ["zero", "pipe", "."] {
            assert_eq!(kind(read(&at(name), 4)), ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(read_unlinked(&at("file"), 4).unwrap(), b"four");
        assert_eq!(kind(read_unlinked(&at("link"), 4)), ErrorKind::InvalidInput);
        // As if it had been replaced in between.
        assert_eq!(
            kind(read_opened(&at("pipe"), 4, OFlags::empty())),
            ErrorKind::InvalidInput
        );
        assert!(read_opened(&at("link"), 4, OFlags::NOFOLLOW).is_err());
    }

    #[test]
    fn path_leaves_a_folder_by_dots_links_or_root() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("folder");
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        for (name, target) in [
            ("in", "file"),
            ("up", ".."),
            ("etc", "/etc/passwd"),
            ("nowhere", "no-such-file"),
            ("circle", "circle"),
            ("deep/in", "../file"),
        ] {
            symlink(target, folder.join(name)).unwrap();
        }
        let out = |path: &str| leads_out(&folder, Path::new(path));
        for path in [
            "file",
            "new",
            "new/deep",
            "deep/../file",
            "in",
            "deep/in",
            ".",
            "new/../file",
        ] {
            assert_eq!(out(path), None, "{path}");
        }
        assert_eq!(out(folder.join("file").to_str().unwrap()), None);
        for path in [
            "..",
            "../x",
            "up",
            "up/x",
            "etc",
            "/etc/passwd",
            "/x",
            "new/../../x",
            "nowhere",
            "nowhere/x",
            "circle",
        ] {
            assert!(out(path).is_some(), "{path}");
        }
    }

    #[test]
    fn total_size_of_a_readers_files_is_limited() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "four").unwrap();
        let left = Cell::new(6);
        let reader = FolderReader::new(Some(temp.path().to_owned()), &left);
        assert_eq!(reader.read(&path, 4).unwrap(), b"four");
        assert!(reader.read(&path, 4).unwrap_err().to_string().contains("together"));
        let denied = reader.read(Path::new("/etc/passwd"), 1 << 20).unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        let left = Cell::new(1 << 20);
        assert!(
            FolderReader::new(None, &left)
                .read(Path::new("/proc/self/status"), 1 << 20)
                .is_ok()
        );
    }

    #[test]
    fn replace_does_not_write_through_links() {
        let temp = tempfile::tempdir().unwrap();
        let (link, target) = (temp.path().join("link"), temp.path().join("target"));
        std::fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        replace(&link, b"new", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(read_unlinked(&link, 3).unwrap(), b"new");
    }
}
