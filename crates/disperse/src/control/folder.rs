//! The folder of run records: sockets of running runs, and records of ended ones.

use std::{
    io::{self, ErrorKind, Write},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use disperse_protocol::control::{Archive, RunId, VERSION, Version};
use rustix::fs::{Mode, OFlags};

use disperse_protocol::files;

/// The longest path in the address of a socket, in bytes: `sun_path` of Linux, without the zero byte.
const ADDRESS_MAX: usize = 107;

const SOCKET: &str = "sock";
const ENDED: &str = "ended";

/// The ending of the name of a run's journal.
pub const JOURNAL: &str = "journal";

/// How many ended runs are kept. Arbitrary: enough to compare a few.
const ENDED_MAX: usize = 10;

/// The largest record that is read, in bytes. Records are bounded far below it.
const FILE_MAX: u64 = 64 << 20;

/// How long a run may take to accept a probing connection. One that takes longer counts as running.
const PROBE: Duration = Duration::from_secs(1);

/// The folder in a project. A relative path, so that messages show it as the user sees it.
pub(super) const HERE: &str = ".disperse";

/// The folder, which is private to this user.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A run with a socket or a record in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    pub id: RunId,
    pub state: State,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was killed: its socket is left, no process listens on it, and there is no record.
    Killed,
    /// It has ended.
    Ended,
    /// It is running.
    Up,
}

impl Folder {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            // Keeps the folder out of version control. The folder works without it.
            Ok(()) if path == Path::new(HERE) => drop(std::fs::write(path.join(".gitignore"), "*\n")),
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let meta = Self::ours(path)?;
        if meta.mode() & 0o077 != 0 {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o700))?;
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder that may not exist, or not be this user's.
    pub(super) fn unchecked(path: PathBuf) -> Self {
        Self(path)
    }

    /// The runs in it, if it is this user's.
    ///
    /// # Errors
    /// It does not exist, or belongs to another user.
    pub(super) fn checked_runs(&self) -> io::Result<Vec<Known>> {
        Self::ours(&self.0)?;
        self.runs()
    }

    /// Checks that the folder is this user's. Does not follow a link, whose target its creator controls.
    fn ours(path: &Path) -> io::Result<std::fs::Metadata> {
        let meta = std::fs::symlink_metadata(path)?;
        let problem = if !meta.is_dir() {
            "is not a folder"
        } else if meta.uid() != rustix::process::geteuid().as_raw() {
            "belongs to another user"
        } else {
            return Ok(meta);
        };
        Err(io::Error::other(format!("`{}` {problem}", path.display())))
    }

    pub(super) fn socket(&self, id: &RunId) -> PathBuf {
        self.file(id, SOCKET)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file of a run, with this ending.
    pub fn file(&self, id: &RunId, what: &str) -> PathBuf {
        self.0.join(format!("{id}.{what}"))
    }

    /// The path of a socket until a process listens on it. A socket of the final name without a listener belongs to a
    /// killed run.
    pub(super) fn unfinished(&self, id: &RunId) -> PathBuf {
        self.0.join(format!(".{id}.new"))
    }

    /// The runs in the folder, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn runs(&self) -> io::Result<Vec<Known>> {
        Ok(self.look()?.0)
    }

    /// The runs in the folder, the newest first, and the files with the name of a run that are of another type: links,
    /// pipes, devices and folders, which are never opened.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn look(&self) -> io::Result<(Vec<Known>, Vec<PathBuf>)> {
        let (mut runs, mut foreign) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let path = entry.path();
            let name = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
            let Some(id) = name(path.file_stem()).as_deref().and_then(RunId::parse) else {
                continue;
            };
            // The type of the entry itself, not of a link's target.
            let kind = entry.file_type()?;
            let state = match name(path.extension()).as_deref() {
                Some(ENDED) if kind.is_file() => State::Ended,
                Some(SOCKET) if kind.is_socket() => match connect(&path, PROBE) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => State::Killed,
                    // It has ended just now.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    _ => State::Up,
                },
                Some(ENDED | SOCKET) => {
                    foreign.push(path);
                    continue;
                }
                _ => continue,
            };
            runs.push(Known { id, state });
        }
        foreign.sort();
        // A run that is ending has both; its record counts once it is there.
        runs.sort_by(|a, b| {
            b.id.cmp(&a.id)
                .then((a.state != State::Ended).cmp(&(b.state != State::Ended)))
        });
        runs.dedup_by(|later, first| later.id == first.id);
        Ok((runs, foreign))
    }

    /// Removes the socket of a run that was killed.
    pub fn forget(&self, id: &RunId) {
        // Another process may have removed it already.
        let _ = std::fs::remove_file(self.socket(id));
    }

    /// Writes the record of an ended run, atomically, and removes the oldest records beyond the limit.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write_record(&self, id: &RunId, archive: &Archive) -> io::Result<()> {
        let text = serde_json::to_vec(archive)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.0)?;
        file.write_all(&text)?;
        file.persist(self.file(id, ENDED))?;
        let ended = self.runs()?.into_iter().filter(|run| run.state == State::Ended);
        for old in ended.skip(ENDED_MAX) {
            // Another run that ends now may have removed it.
            let _ = std::fs::remove_file(self.file(&old.id, ENDED));
        }
        Ok(())
    }

    /// The record of an ended run. None: there is none.
    ///
    /// # Errors
    /// It cannot be read, or has the format of another version ([`UnreadableRecord`]).
    pub fn record(&self, id: &RunId) -> io::Result<Option<Archive>> {
        let text = match files::read_unlinked(&self.file(id, ENDED), FILE_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let unreadable = |version| io::Error::new(ErrorKind::InvalidData, UnreadableRecord { version });
        let version: Option<Version> = serde_json::from_slice(&text).ok();
        let version = version.map(|version| version.v);
        if version != Some(VERSION) {
            return Err(unreadable(version));
        }
        serde_json::from_slice(&text).map(Some).map_err(|_| unreadable(version))
    }
}

/// Why the record of a run cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .version {
    Some(version) if *version != VERSION => format!(
        "its record has the format {version}, and this disperse-host reads the format {VERSION}; explain it with the version that wrote it"
    ),
    _ => "its record is damaged".to_owned(),
})]
struct UnreadableRecord {
    /// The record's version. None: it has none.
    version: Option<u32>,
}

/// Connects to a socket that is not a link, with a timeout. Without one, the system would wait for ever for a stopped
/// process whose backlog is full.
///
/// # Errors
/// The connection fails, or is not accepted in time.
pub(super) fn connect(path: &Path, within: Duration) -> io::Result<UnixStream> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a socket"));
    }
    let (done, connected) = mpsc::channel();
    let path = path.to_owned();
    // The thread is left behind if it is late. It holds only a descriptor.
    std::thread::Builder::new().spawn(move || done.send(at_address(&path, UnixStream::connect)))?;
    let too_late = |_| Err(io::Error::new(ErrorKind::TimedOut, "the connection is not accepted"));
    connected.recv_timeout(within).unwrap_or_else(too_late)
}

/// Calls this with a path to the same file that fits into the address of a socket: the path itself, or a short one
/// through an open descriptor of its folder.
///
/// # Errors
/// The call failed, or the folder cannot be opened.
/// As the call, or its folder cannot be opened.
pub(super) fn at_address<T>(path: &Path, call: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return call(path.to_owned());
    };
    if path.as_os_str().len() <= ADDRESS_MAX {
        return call(path.to_owned());
    }
    let folder = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    call(
        Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(name),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::control::RunStatus;

    fn id(text: &str) -> RunId {
        RunId::parse(text).unwrap()
    }

    fn archive() -> Archive {
        Archive::new(7, 3, RunStatus::default(), Vec::new(), Vec::new())
    }

    #[test]
    fn folder_is_private_to_its_user() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Folder::at(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Folder::at(&link).is_err());
    }

    #[test]
    fn socket_is_reached_however_long_its_path_is() {
        let temp = tempfile::tempdir().unwrap();
        let deep = temp.path().join("deep".repeat(50));
        let folder = Folder::at(&deep).unwrap();
        let socket = folder.socket(&id("20260101-000000-aaaaa"));
        assert!(UnixListener::bind(&socket).is_err(), "the path fits");
        let listener = at_address(&socket, UnixListener::bind).unwrap();
        connect(&socket, PROBE).unwrap();
        drop(listener);
        assert_eq!(
            connect(&socket, PROBE).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }

    #[test]
    fn runs_are_listed_by_state_and_the_oldest_removed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("d")).unwrap();
        for n in 10..25 {
            folder
                .write_record(&id(&format!("202601{n}-000000-aaaaa")), &archive())
                .unwrap();
        }
        let up = UnixListener::bind(folder.socket(&id("20260201-000000-aaaaa"))).unwrap();
        drop(UnixListener::bind(folder.socket(&id("20260202-000000-aaaaa"))).unwrap());
        // It is ending.
        let ending = UnixListener::bind(folder.socket(&id("20260124-000000-aaaaa"))).unwrap();
        std::fs::write(temp.path().join("d/notes.sock"), "").unwrap();
        let runs = folder.runs().unwrap();
        assert_eq!(runs.len(), 2 + ENDED_MAX);
        let states: Vec<State> = runs.iter().map(|run| run.state).take(3).collect();
        assert_eq!(states, [State::Killed, State::Up, State::Ended]);
        assert_eq!(runs.last().unwrap().id, id("20260115-000000-aaaaa"));
        assert_eq!(folder.record(&runs[2].id).unwrap(), Some(archive()));
        assert_eq!(folder.record(&runs[1].id).unwrap(), None);
        folder.forget(&runs[0].id);
        assert_eq!(folder.runs().unwrap().len(), 1 + ENDED_MAX);
        drop((up, ending));
    }

    #[test]
    fn foreign_files_in_the_folder_are_never_opened() {
        use std::os::unix::fs::symlink;

        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("d")).unwrap();
        let at = |name: &str| temp.path().join("d").join(name);
        let elsewhere = temp.path().join("other.sock");
        let other = UnixListener::bind(&elsewhere).unwrap();
        other.set_nonblocking(true).unwrap();
        symlink(&elsewhere, at("20260101-000000-aaaaa.sock")).unwrap();
        symlink("/dev/zero", at("20260102-000000-aaaaa.ended")).unwrap();
        let pipe = at("20260103-000000-aaaaa.ended");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RWXU).unwrap();
        std::fs::create_dir(at("20260104-000000-aaaaa.ended")).unwrap();
        std::fs::write(at("20260105-000000-aaaaa.sock"), "").unwrap();
        folder.write_record(&id("20260106-000000-aaaaa"), &archive()).unwrap();
        let (runs, foreign) = folder.look().unwrap();
        assert_eq!(runs.len(), 1, "{runs:?}");
        assert_eq!(foreign.len(), 5, "{foreign:?}");
        for number in 2..=4 {
            assert!(
                folder.record(&id(&format!("2026010{number}-000000-aaaaa"))).is_err(),
                "{number}"
            );
        }
        assert!(connect(&at("20260101-000000-aaaaa.sock"), PROBE).is_err());
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
