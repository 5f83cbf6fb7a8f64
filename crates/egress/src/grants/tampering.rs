//! Protection from guests that replace files: whether programs and folders that a run, or the next one, trusts lie in a
//! folder that is granted for writing.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Component, Path, PathBuf},
};

use super::{Dir, Grants};

/// The most symbolic links on a path, as in Linux.
const LINKS_MAX: usize = 40;

/// The folders of a run that guests may write to.
#[derive(Debug)]
pub struct Tampering<'a> {
    writable: Vec<Writable<'a>>,
    mounts: Vec<Mount>,
}

#[derive(Debug)]
struct Writable<'a> {
    dir: &'a Dir,
    /// Its device and inode there.
    id: Option<(u64, u64)>,
    /// Its position, and those of the mounts in it.
    places: Vec<Place>,
}

/// A position in a file system, independent of mounts.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    device: OsString,
    path: PathBuf,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug)]
struct Mount {
    device: OsString,
    /// The part of its file system that is mounted.
    root: PathBuf,
    at: PathBuf,
}

impl<'a> Tampering<'a> {
    /// For guests with any of these grants.
    pub fn with(grants: impl IntoIterator<Item = &'a Grants>) -> Self {
        let writable: Vec<&Dir> = grants
            .into_iter()
            .flat_map(|grants| &grants.dirs)
            .filter(|dir| dir.writable)
            .collect();
        if writable.is_empty() {
            return Self {
                writable: Vec::new(),
                mounts: Vec::new(),
            };
        }
        // If it cannot be read, bind mounts are recognized only by device and inode.
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mounts: Vec<Mount> = mounts.split(|&byte| byte == b'\n').filter_map(mount).collect();
        let writable = writable.into_iter().map(|dir| Writable {
            dir,
            id: dir.folder.metadata().ok().map(|meta| (meta.dev(), meta.ino())),
            places: places(&mounts, &dir.host),
        });
        Self {
            writable: writable.collect(),
            mounts,
        }
    }

    /// The folder in which guests could replace the file of this path, or a folder or a link on its way. It need not
    /// exist.
    pub fn exchange(&self, path: &Path) -> Option<&'a Dir> {
        if self.writable.is_empty() {
            return None;
        }
        let mut left: VecDeque<OsString> = parts(&std::path::absolute(path).ok()?);
        let mut links = 0;
        // Never contains a link.
        let mut here = PathBuf::from("/");
        while let Some(part) = left.pop_front() {
            if part == ".." {
                here.pop();
                continue;
            }
            if let Some(dir) = self.around(&here) {
                return Some(dir);
            }
            here.push(&part);
            if let Ok(to) = std::fs::read_link(&here) {
                links += 1;
                if links > LINKS_MAX {
                    return None;
                }
                here.pop();
                if to.is_absolute() {
                    here = PathBuf::from("/");
                }
                for part in parts(&to).into_iter().rev() {
                    left.push_front(part);
                }
            }
        }
        // A single file can be a mount point too.
        self.around(&here)
    }

    /// The same for files in this folder, which need not exist.
    pub fn exchange_in(&self, folder: &Path) -> Option<&'a Dir> {
        self.exchange(&folder.join("file"))
    }

    /// The writable folder that this path without links is, or is in.
    fn around(&self, path: &Path) -> Option<&'a Dir> {
        let mut ids = path.ancestors().filter_map(|folder| {
            let meta = std::fs::symlink_metadata(folder).ok()?;
            Some((meta.dev(), meta.ino()))
        });
        let by_id = ids.find_map(|id| self.writable.iter().find(|folder| folder.id == Some(id)));
        let by_place = || {
            let place = place(&self.mounts, path)?;
            let mut writable = self.writable.iter();
            writable.find(|folder| folder.places.iter().any(|around| place.is_in(around)))
        };
        by_id.or_else(by_place).map(|folder| folder.dir)
    }
}

impl Place {
    fn is_in(&self, other: &Self) -> bool {
        self.device == other.device && self.path.starts_with(&other.path)
    }
}

/// The components of a path, without the root.
fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

/// The position of a path without links.
fn place(mounts: &[Mount], path: &Path) -> Option<Place> {
    // Of several mounts at one path, the last covers the others.
    let mount = mounts.iter().filter(|mount| path.starts_with(&mount.at));
    let mount = mount.max_by_key(|mount| mount.at.components().count())?;
    let below = path.strip_prefix(&mount.at).ok()?;
    Some(Place {
        device: mount.device.clone(),
        // Without a slash at the end if the rest is empty.
        path: mount.root.components().chain(below.components()).collect(),
    })
}

/// The positions that can be reached in this folder.
fn places(mounts: &[Mount], folder: &Path) -> Vec<Place> {
    let within = mounts.iter().filter(|mount| mount.at.starts_with(folder));
    let within = within.map(|mount| Place {
        device: mount.device.clone(),
        path: mount.root.clone(),
    });
    place(mounts, folder).into_iter().chain(within).collect()
}

/// `ID PARENT DEVICE ROOT PLACE ...`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let (device, root, at) = (words.next()?, words.next()?, words.next()?);
    Some(Mount {
        device: OsStr::from_bytes(device).to_owned(),
        root: unescaped(root).into(),
        at: unescaped(at).into(),
    })
}

/// Replaces `\040` and the like by their bytes.
fn unescaped(mut text: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        let digits = rest.get(..3).filter(|_| byte == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(byte));
        text = match code {
            Some(_) => rest.get(3..).unwrap_or_default(),
            None => rest,
        };
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writable(root: &Path) -> Grants {
        Grants {
            dirs: vec![Dir::parse("open:rw", root).unwrap(), Dir::parse("read", root).unwrap()],
            ..Grants::default()
        }
    }

    #[test]
    fn only_files_in_writable_folders_can_be_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["open/in", "read", "else"] {
            std::fs::create_dir_all(path(folder)).unwrap();
        }
        for file in ["open/a", "open/in/a", "read/a", "else/a"] {
            std::fs::write(path(file), "").unwrap();
        }
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(path(to), path(name)).unwrap();
        link("open", "link");
        link("else/a", "open/link");
        link("open/link", "else/link");
        link("else/loop", "else/loop");
        let grants = writable(root.path());
        let tampering = Tampering::with([&grants]);
        for name in [
            "open/a",
            "open/in/a",
            "open/in/../../open/in/new",
            "link/a",
            // The link itself can be replaced.
            "open/link",
            "else/link",
        ] {
            assert!(tampering.exchange(&path(name)).is_some(), "{name}");
        }
        for name in ["read/a", "else/a", "else/new", "else/loop", "open/../else/a"] {
            assert!(tampering.exchange(&path(name)).is_none(), "{name}");
        }
        assert!(tampering.exchange_in(&path("open")).is_some());
        assert!(tampering.exchange_in(&path("else")).is_none());
        assert!(Tampering::with([]).exchange(&path("open/a")).is_none());
    }

    #[test]
    fn bind_mounts_of_a_file_system_are_found() {
        let lines = [
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
            "30 22 8:1 /data/open\\040one/sub /bind rw - ext4 /dev/sda1 rw",
            "31 22 8:1 /data/open\\040one/tool /usr/bin/tool rw - ext4 /dev/sda1 rw",
            "32 22 8:2 / /data/open\\040one/other rw - ext4 /dev/sda2 rw",
            "33 22 8:1 /opt/tools /data/open\\040one/tools rw - ext4 /dev/sda1 rw",
        ];
        let mounts: Vec<Mount> = lines.iter().filter_map(|line| mount(line.as_bytes())).collect();
        let open = places(&mounts, Path::new("/data/open one"));
        let is_in = |path: &str| {
            let place = place(&mounts, Path::new(path)).unwrap();
            open.iter().any(|around| place.is_in(around))
        };
        for path in [
            "/data/open one",
            "/data/open one/a",
            "/data/open one/other/a",
            "/bind",
            "/bind/a",
            "/usr/bin/tool",
            "/opt/tools/a",
        ] {
            assert!(is_in(path), "{path}");
        }
        for path in ["/data", "/bin/a", "/usr/bin/tool2", "/opt/a"] {
            assert!(!is_in(path), "{path}");
        }
    }
}
