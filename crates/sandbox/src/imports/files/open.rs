//! Opens regular files and folders only, without waiting for other processes.

use std::{fs::File, io};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fcntl_getfl, fcntl_setfl, fstat, openat2},
    io::Errno,
};

use disperse_egress::grants::is_proc;

/// The number of times a path is resolved before a concurrent rename makes it fail. The same number as in
/// wasmtime-wasi.
const TRIES: usize = 4;

/// How to open a file. At least one of `read` and `write` is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// Whether a symbolic link at the end is followed. It never leads out of the folder.
    pub follow: bool,
    pub read: bool,
    pub write: bool,
    pub create: bool,
    /// With `create`: the file must not exist.
    pub exclusive: bool,
    pub truncate: bool,
    /// The file must be a folder.
    pub folder: bool,
}

/// Files that are not opened because of their kind, with the message for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsupported {
    #[error("it is a pipe, a socket or a device, and only regular files and folders are opened")]
    Kind,
    #[error("it belongs to a proc file system, which shows the host itself")]
    Proc,
}

/// Errors of opening a file.
pub(crate) enum OpenError {
    Unsupported(Unsupported),
    System(io::Error),
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        // The path leads out of the folder.
        let error = if error == Errno::XDEV { Errno::PERM } else { error };
        Self::System(error.into())
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Opens `path` below a folder, and returns whether it is a folder itself. Waits only for the disk, and not for a lease
/// or the other end of a pipe.
///
/// # Errors
/// It does not exist, leads out of the folder, or is neither a regular file nor a folder.
pub(crate) fn open(below: &File, path: &str, how: OpenHow) -> Result<(File, bool), OpenError> {
    let link = if how.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let always = OFlags::CLOEXEC | link;
    // Checked before it is opened, because opening some devices has effects. A file that is created exclusively is a
    // regular file.
    if !(how.create && how.exclusive) {
        match resolve(below, path, OFlags::PATH | always) {
            Ok(found) => {
                check(&found)?;
            }
            Err(Errno::NOENT) if how.create => {}
            Err(error) => return Err(error.into()),
        }
    }
    let access = match (how.read, how.write) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    let mut flags = always | access | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::CREATE, how.create);
    flags.set(OFlags::EXCL, how.create && how.exclusive);
    flags.set(OFlags::TRUNC, how.truncate);
    flags.set(OFlags::DIRECTORY, how.folder);
    let file = resolve(below, path, flags)?;
    // Checked again: another instance may have replaced it meanwhile.
    let is_folder = check(&file)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok((file, is_folder))
}

fn resolve(below: &File, path: &str, flags: OFlags) -> Result<File, Errno> {
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::from_raw_mode(0o666)
    } else {
        Mode::empty()
    };
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match openat2(below, path, flags, mode, confined) {
            Ok(file) => return Ok(file.into()),
            Err(Errno::AGAIN) => last = Errno::BUSY,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Checks that a file may be opened, and returns whether it is a folder.
///
/// # Errors
/// It may not be opened.
fn check(file: &File) -> Result<bool, OpenError> {
    if is_proc(file)? {
        return Err(OpenError::Unsupported(Unsupported::Proc));
    }
    match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile => Ok(false),
        FileType::Directory => Ok(true),
        // If links are not followed, this is the link itself.
        FileType::Symlink => Err(Errno::LOOP.into()),
        _ => Err(OpenError::Unsupported(Unsupported::Kind)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc::{RecvTimeoutError, channel},
        },
        time::Duration,
    };

    use rustix::fs::{CWD, RenameFlags, mknodat, renameat_with};

    use super::*;

    static OVER: AtomicBool = AtomicBool::new(false);

    /// Far longer than it takes, unless an `open` waits.
    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn pipe_that_replaces_a_file_between_two_checks_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        std::fs::write(&file, "regular").unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let below = File::open(folder.path()).unwrap();
        let (tell, told) = channel();
        // Not scoped, so that the test ends even if an `open` waits.
        std::thread::spawn(move || {
            while !OVER.load(Ordering::Relaxed) {
                renameat_with(CWD, &file, CWD, &pipe, RenameFlags::EXCHANGE).unwrap();
            }
        });
        std::thread::spawn(move || {
            let how = OpenHow {
                read: true,
                ..OpenHow::default()
            };
            // Until both outcomes are frequent enough for the race to have happened.
            let (mut opened, mut refused) = (0, 0);
            while opened < 5000 || refused < 5000 {
                match open(&below, "file", how) {
                    Ok((file, _)) => {
                        assert!(file.metadata().unwrap().is_file());
                        opened += 1;
                    }
                    Err(OpenError::Unsupported(Unsupported::Kind)) => refused += 1,
                    // Too many renames at once.
                    Err(OpenError::System(_)) => {}
                    Err(OpenError::Unsupported(other)) => panic!("{other}"),
                }
            }
            let _ = tell.send(());
        });
        let done = told.recv_timeout(DEADLINE);
        OVER.store(true, Ordering::Relaxed);
        assert_eq!(
            done,
            Ok::<(), RecvTimeoutError>(()),
            "an open waits, or has returned a pipe"
        );
    }
}
