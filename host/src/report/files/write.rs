//! The thread that writes the files beside the output.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{atomic::Ordering, mpsc::Receiver},
};

use bytes::Bytes;

use super::{super::lane::Pending, job_log::HEADER, paths::SideFiles};
use crate::inbox::Guard;

/// What is written.
pub(super) enum Piece {
    FailedLines(Bytes, #[allow(dead_code, reason = "held for what its drop does")] Guard),
    /// A row of the job log.
    Attempt(String),
    /// How the line of this number ended.
    Result(u64, Result<Bytes, String>),
}

impl Piece {
    /// How many bytes wait with it.
    pub(super) fn size(&self) -> usize {
        match self {
            // These are charged already.
            Self::FailedLines(..) => 0,
            Self::Attempt(row) => row.len(),
            Self::Result(_, Ok(result)) => result.len(),
            Self::Result(_, Err(error)) => error.len(),
        }
    }
}

/// Writes what comes until there is no more. After an error nothing more is written.
///
/// # Errors
/// The first one, with the file.
pub(super) fn write(files: &SideFiles, inbox: &Receiver<Vec<Piece>>, pending: &Pending) -> io::Result<()> {
    let mut outcome = Open::create(files);
    loop {
        if outcome.is_err() {
            pending.lost.store(true, Ordering::Relaxed);
        }
        let Ok(batch) = inbox.recv() else {
            return outcome.map(drop);
        };
        outcome = outcome.and_then(|mut open| open.write(&batch).map(|()| open));
        for piece in batch {
            pending.wrote(piece.size());
        }
    }
}

/// The files that are written.
struct Open {
    failed: Option<Log>,
    job_log: Option<Log>,
    results: Option<PathBuf>,
}

impl Open {
    fn create(files: &SideFiles) -> io::Result<Self> {
        let create = |path: &Option<PathBuf>| {
            path.as_deref()
                .map(|path| Log::create(path, files.is_resumed))
                .transpose()
        };
        let mut open = Self {
            failed: create(&files.failed)?,
            job_log: create(&files.job_log)?,
            results: files.results.clone(),
        };
        if let Some(log) = open.job_log.as_mut().filter(|log| log.is_new) {
            log.rows.extend_from_slice(HEADER.as_bytes());
            log.flush()?;
        }
        Ok(open)
    }

    /// Writes whole pieces at once, so that what is in a log is there in whole lines.
    fn write(&mut self, batch: &[Piece]) -> io::Result<()> {
        for piece in batch {
            match (piece, &mut self.failed, &mut self.job_log, &self.results) {
                (Piece::FailedLines(bytes, _), Some(log), ..) => log.rows.extend_from_slice(bytes),
                (Piece::Attempt(row), _, Some(log), _) => log.rows.extend_from_slice(row.as_bytes()),
                (Piece::Result(line, outcome), .., Some(folder)) => write_result(folder, *line, outcome)?,
                _ => {}
            }
        }
        for log in [&mut self.failed, &mut self.job_log].into_iter().flatten() {
            log.flush()?;
        }
        Ok(())
    }
}

/// A file of lines.
struct Log {
    path: PathBuf,
    file: File,
    /// Whether nothing was there before.
    is_new: bool,
    /// What is to be written at once.
    rows: Vec<u8>,
}

impl Log {
    /// `appends`: whether what is there stays.
    fn create(path: &Path, appends: bool) -> io::Result<Self> {
        let open = || {
            let options = File::options()
                .write(true)
                .create(true)
                .truncate(!appends)
                .append(appends)
                .clone();
            let file = options.open(path)?;
            let is_new = file.metadata()?.len() == 0;
            io::Result::Ok((file, is_new))
        };
        let (file, is_new) = open().map_err(|error| with_path(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
            rows: Vec::new(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.rows);
        self.rows.clear();
        written.map_err(|error| with_path(&self.path, &error))
    }
}

/// Writes the result of a line, or why it has none. Nine digits: files are listed in the order of a billion lines.
fn write_result(folder: &Path, line: u64, outcome: &Result<Bytes, String>) -> io::Result<()> {
    let (path, written) = match outcome {
        Ok(result) => {
            let path = folder.join(format!("{line:09}"));
            let written = fs::write(&path, result);
            (path, written)
        }
        Err(error) => {
            let path = folder.join(format!("{line:09}.err"));
            let written = fs::write(&path, format!("{error}\n"));
            (path, written)
        }
    };
    written.map_err(|error| with_path(&path, &error))
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
