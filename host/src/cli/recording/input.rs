//! The input of a run that is recorded: it has to be the same when the run is resumed.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use disperse_journal::companion;
use serde::{Deserialize, Serialize};

use crate::{cli::console::Failure, digest::Digest, run::InputSource};

/// What a journal says of the input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(super) enum Recorded {
    Nothing,
    File {
        path: PathBuf,
        sha256: Digest,
    },
    /// It was stdin. What was read of it is in a file beside the journal.
    Copied,
}

impl Recorded {
    /// What is recorded of an input. `path`: that of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn of(input: &mut InputSource, path: Option<&Path>) -> Result<Self, Failure> {
        match (input, path) {
            (InputSource::File(file), Some(path)) => {
                let unreadable = |error| Failure::unread(format!("cannot read the input `{}`", path.display()), &error);
                let sha256 = Digest::read(&mut *file).map_err(unreadable)?;
                file.rewind().map_err(unreadable)?;
                let path = path.to_owned();
                Ok(Self::File { path, sha256 })
            }
            (InputSource::Stdin, _) => Ok(Self::Copied),
            _ => Ok(Self::Nothing),
        }
    }

    /// Has the input copied as it is read, if it cannot be read a second time.
    pub(super) fn keep(&self, input: &mut InputSource, journal: &Path) {
        if matches!(self, Self::Copied) {
            *input = InputSource::Reader(Box::new(Copying {
                copy: None,
                journal: journal.to_owned(),
                is_over: false,
            }));
        }
    }

    /// Whether an earlier run, with this journal, is known to have had the same input.
    pub(super) fn is_as(&self, earlier: &Self, journal: &Path) -> bool {
        match (self, earlier) {
            (Self::Nothing, Self::Nothing) => true,
            // It read none.
            (Self::Copied, Self::Copied) => ![FINISHED, UNFINISHED]
                .iter()
                .any(|copy| companion(journal, copy).exists()),
            (Self::File { sha256, .. }, Self::File { sha256: others, .. }) => sha256 == others,
            _ => false,
        }
    }

    /// Opens the input again.
    ///
    /// # Errors
    /// It is not the same, or cannot be read.
    pub(super) fn reopen(&self, input: &mut InputSource, journal: &Path) -> Result<(), Failure> {
        *input = match self {
            Self::Nothing => InputSource::Nothing,
            Self::File { path, sha256 } => {
                let what = || format!("cannot read the input `{}`", path.display());
                let unreadable = |error| Failure::unread(what(), &error);
                let mut file = File::open(path).map_err(unreadable)?;
                if Digest::read(&mut file).map_err(unreadable)? != *sha256 {
                    return Err(Failure::usage(format!(
                        "the input `{}` has changed since the run began",
                        path.display()
                    ))
                    .hint("restore it, or start a new run"));
                }
                file.rewind().map_err(unreadable)?;
                InputSource::File(file)
            }
            Self::Copied => {
                let unreadable = |error| Failure::unread("cannot read the copy of the input", &error);
                match File::open(companion(journal, FINISHED)) {
                    Ok(whole) => InputSource::File(whole),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        match File::open(companion(journal, UNFINISHED)) {
                            Ok(part) => InputSource::Reader(Box::new(part.chain(BrokenOff))),
                            // Nothing was read.
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                                InputSource::Reader(Box::new(BrokenOff))
                            }
                            Err(error) => return Err(unreadable(error)),
                        }
                    }
                    Err(error) => return Err(unreadable(error)),
                }
            }
        };
        Ok(())
    }
}

/// The ending of the copy of a whole input.
const FINISHED: &str = "input";
/// The ending of the copy of an input whose end was not read.
const UNFINISHED: &str = "input-part";

/// The files that may hold the copy of a journal's input.
pub(super) fn copies(journal: &Path) -> [PathBuf; 2] {
    [FINISHED, UNFINISHED].map(|ending| companion(journal, ending))
}

/// What follows the copy of an input whose end was not read: an operation that needs no more of it can be resumed.
struct BrokenOff;

impl Read for BrokenOff {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(
            "it came from a pipe that was not read to its end when the run was stopped; start a new run with --input FILE",
        ))
    }
}

/// Copies stdin to a file as it is read.
struct Copying {
    /// Created by the first read.
    copy: Option<File>,
    journal: PathBuf,
    is_over: bool,
}

impl Read for Copying {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = io::stdin().read(buffer)?;
        let copy = match &mut self.copy {
            Some(copy) => copy,
            None => self.copy.insert(File::create(companion(&self.journal, UNFINISHED))?),
        };
        copy.write_all(buffer.get(..read).unwrap_or_default())?;
        if read == 0 && !buffer.is_empty() && !self.is_over {
            copy.sync_all()?;
            std::fs::rename(companion(&self.journal, UNFINISHED), companion(&self.journal, FINISHED))?;
            self.is_over = true;
        }
        Ok(read)
    }
}
