//! The lock that makes one process the writer of a journal, and the space that is kept for its last records.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use disperse_protocol::wall_clock::{Utc, since_1970};
use rustix::fs::{FallocateFlags, FlockOperation};

use crate::{
    error::JournalError,
    place::{self, companion},
};

/// How much of the text in a lock is read.
const TEXT_MAX: u64 = 1024;

/// How often a lock is tried that is taken, and how long after each other.
const PROBES: u32 = 5;
const PROBE: Duration = Duration::from_millis(2);

/// The file that is kept for the moment when the disk is full. The largest commit of records is of about this size.
const SPARE_BYTES: u64 = 4 << 20;

/// An exclusive lock on a file beside the journal, which says which process has it. Released with the process or when dropped.
pub(crate) struct Lock {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
}

impl Lock {
    /// Takes the lock of a journal.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be written.
    pub(crate) fn take(journal: &Path) -> Result<Self, JournalError> {
        let path = companion(journal, "lock");
        let error = |error: io::Error| JournalError::io(&path, error);
        let mut probes = 0;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(error)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // It may be another process that only asks; see `holder`.
                Err(rustix::io::Errno::WOULDBLOCK) if probes < PROBES => {
                    probes += 1;
                    std::thread::sleep(PROBE);
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(locked(journal, &mut file)),
                Err(errno) => return Err(error(errno.into())),
            }
            // It was removed by the one that had the lock before: another file may be there by now.
            if !is_at(&file, &path) {
                continue;
            }
            write_holder(&mut file).map_err(error)?;
            return Ok(Self { path, _file: file });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked, so that no other process has it open and believes it to be the lock.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The error that opening a journal would give because another process writes it. None: no process does. Takes the lock for a
/// moment.
///
/// # Errors
/// The lock cannot be examined.
pub fn holder(journal: &Path) -> io::Result<Option<JournalError>> {
    let journal = place::resolve(journal)?;
    let mut file = match File::open(companion(&journal, "lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(locked(&journal, &mut file))),
        Err(errno) => Err(errno.into()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(opened), Ok(found)) => (opened.dev(), opened.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = Utc::of(since_1970().as_secs());
    let text = format!("pid {}\nhost {}\nsince {now} UTC\n", std::process::id(), host.trim());
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn locked(journal: &Path, file: &mut File) -> JournalError {
    let mut text = String::new();
    // Also the beginning of a text that is being written is of use.
    let _ = file.take(TEXT_MAX).read_to_string(&mut text);
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.filter(|value| !value.is_empty()).unwrap_or("unknown").to_owned()
    };
    JournalError::Locked {
        path: journal.to_owned(),
        pid: value("pid"),
        host: value("host"),
        since: value("since"),
    }
}

/// Space on the disk that is given back when there is none left, so that the records of what is under way still fit.
pub(crate) struct Spare {
    path: PathBuf,
    file: Option<File>,
}

impl Spare {
    /// The spare file of a journal, not there yet.
    pub(crate) fn of(journal: &Path) -> Self {
        Self {
            path: companion(journal, "spare"),
            file: None,
        }
    }

    /// Allocates it, if it is not. Where a file system cannot allocate in advance, there is none.
    ///
    /// # Errors
    /// There is no space for it.
    pub(crate) fn allocate(&mut self) -> Result<(), JournalError> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options
            .open(&self.path)
            .map_err(|error| JournalError::io(&self.path, error))?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SPARE_BYTES) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {
                self.file = Some(file);
                Ok(())
            }
            Err(errno) => {
                self.free();
                Err(JournalError::io(&self.path, errno.into()))
            }
        }
    }

    /// Gives the space back. Returns whether there was any.
    pub(crate) fn free(&mut self) -> bool {
        let removed = std::fs::remove_file(&self.path).is_ok();
        self.file.take().is_some() && removed
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.free();
    }
}
