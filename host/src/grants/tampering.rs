//! What guests could exchange: what a run, or the next one, takes for its own and what lies in a folder that is granted for
//! writing.

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

/// How many symbolic links a path may lead over. As Linux has it.
const LINKS_MAX: usize = 40;

/// The folders of a run that guests may write to.
#[derive(Debug)]
pub(crate) struct Tampering<'a> {
    writable: Vec<Writable<'a>>,
    mounts: Vec<Mount>,
}

#[derive(Debug)]
struct Writable<'a> {
    dir: &'a Dir,
    /// Its device and number there.
    id: Option<(u64, u64)>,
    /// Where it lies, and where what is mounted within it lies.
    places: Vec<Place>,
}

/// Where something lies on its file system, however that is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    device: OsString,
    path: PathBuf,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug)]
struct Mount {
    device: OsString,
    /// What of its file system is mounted.
    root: PathBuf,
    at: PathBuf,
}

impl<'a> Tampering<'a> {
    /// By guests with any of these grants.
    pub(crate) fn with(grants: impl IntoIterator<Item = &'a Grants>) -> Self {
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
        // Where it cannot be read, what is mounted in two places is told by its number alone.
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

    /// The folder in which guests could exchange what this path names, or a folder or a link on its way. It need not be there.
    pub(crate) fn exchange(&self, path: &Path) -> Option<&'a Dir> {
        if self.writable.is_empty() {
            return None;
        }
        let mut left: VecDeque<OsString> = parts(&std::path::absolute(path).ok()?);
        let mut links = 0;
        // Never has a link in it.
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
        // A file alone can be mounted too.
        self.around(&here)
    }

    /// The same of what lies in this folder, which need not be there.
    pub(crate) fn exchange_in(&self, folder: &Path) -> Option<&'a Dir> {
        self.exchange(&folder.join("file"))
    }

    /// The writable folder that this path without links is, or lies in.
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

/// What a path goes through, without the beginning of an absolute one.
fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

/// Where a path without links lies.
fn place(mounts: &[Mount], path: &Path) -> Option<Place> {
    // Of several at one place, the last covers the others.
    let mount = mounts.iter().filter(|mount| path.starts_with(&mount.at));
    let mount = mount.max_by_key(|mount| mount.at.components().count())?;
    let below = path.strip_prefix(&mount.at).ok()?;
    Some(Place {
        device: mount.device.clone(),
        // Without a slash at the end where there is nothing below.
        path: mount.root.components().chain(below.components()).collect(),
    })
}

/// Where all lies that can be reached in this folder.
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

/// With `\040` and its like as what they stand for.
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
    fn what_lies_in_a_writable_folder_can_be_exchanged_and_nothing_else() {
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
            // The link itself is what can be exchanged.
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
    fn a_part_of_a_file_system_is_found_wherever_it_is_mounted() {
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
