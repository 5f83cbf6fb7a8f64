//! Why a journal cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why a journal cannot be created, opened, read or written. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no such file.
    #[error("there is no journal `{}`", path.display())]
    Missing { path: PathBuf },
    /// A file of this name exists, so that none can be created.
    #[error("`{}` exists already: resume that run, or remove the file or choose another one", path.display())]
    Exists { path: PathBuf },
    /// It is a file of another kind.
    #[error("`{}` is not a journal of a run ({what}): check the path", path.display())]
    NotAJournal { path: PathBuf, what: &'static str },
    /// Its creation was interrupted.
    #[error("`{}` holds no run: its creation was interrupted. Remove it and start the run again", path.display())]
    Empty { path: PathBuf },
    /// A newer version of this program wrote it.
    #[error(
        "`{}` has the schema {schema} of version {version} of this program, and this version reads schemas up to {known}: \
         use that version, or a newer one",
        path.display()
    )]
    Newer {
        path: PathBuf,
        schema: i64,
        /// As far as it can be read, else `unknown`.
        version: String,
        known: i64,
    },
    /// It is truncated, or its contents are not what was written.
    #[error(
        "the journal `{}` is damaged ({what}), so the run cannot be resumed: restore the file from a copy, or start the run again. \
         `sqlite3 FILE .recover` shows what is left",
        path.display()
    )]
    Damaged { path: PathBuf, what: String },
    /// Another process writes it.
    #[error(
        "the journal `{}` is in use by process {pid} on {host} since {since}: wait until that run has ended, or stop it",
        path.display()
    )]
    Locked {
        path: PathBuf,
        pid: String,
        host: String,
        /// UTC.
        since: String,
    },
    /// Another program has a transaction open on it.
    #[error("another program is writing to the journal `{}`, such as `sqlite3`: close it", path.display())]
    Busy { path: PathBuf },
    /// It lies on a network file system, whose locks cannot be relied on.
    #[error(
        "`{}` is on a network file system ({name}), where a journal is not safe: put it on a local disk with --journal",
        path.display()
    )]
    NetworkFileSystem { path: PathBuf, name: String },
    /// There is no space left.
    #[error("the disk of `{}` is full: free some space", path.display())]
    DiskFull { path: PathBuf },
    /// The records contradict each other.
    #[error("the journal `{}` was given a record twice ({what}): this is a bug", path.display())]
    Twice { path: PathBuf, what: String },
    /// Anything else.
    #[error("the journal `{}`: {what}", path.display())]
    Io { path: PathBuf, what: String },
}

impl JournalError {
    /// An error of SQLite.
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let (path, what) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            // A text that is wrong, a column that is missing, or a value of another type: the schema has been compared.
            Some(
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TypeMismatch,
            )
            | None => Self::Damaged { path, what },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::ConstraintViolation) => Self::Twice { path, what },
            Some(_) => Self::Io { path, what },
        }
    }

    /// An error of the system.
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io {
                path,
                what: error.to_string(),
            },
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// Whether the same might work a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Busy { .. } | Self::Io { .. })
    }
}

/// What is wrong with a journal, whose path is known further out.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// Rows are not what was written.
    Damaged(String),
    /// There can be no write-ahead log.
    NoLog,
}

impl Fault {
    pub(crate) fn at(self, path: &Path) -> JournalError {
        match self {
            Self::Sqlite(error) => JournalError::sqlite(path, error),
            Self::Damaged(what) => JournalError::damaged(path, what),
            Self::NoLog => JournalError::Io {
                path: path.to_owned(),
                what: "its file system cannot share memory between processes: put it on another one with --journal"
                    .to_owned(),
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JournalError> for io::Error {
    fn from(error: JournalError) -> Self {
        let kind = match &error {
            JournalError::Missing { .. } => io::ErrorKind::NotFound,
            JournalError::Exists { .. } => io::ErrorKind::AlreadyExists,
            JournalError::DiskFull { .. } => io::ErrorKind::StorageFull,
            JournalError::Locked { .. } | JournalError::Busy { .. } => io::ErrorKind::ResourceBusy,
            JournalError::NetworkFileSystem { .. } => io::ErrorKind::Unsupported,
            JournalError::Io { .. } => io::ErrorKind::Other,
            JournalError::NotAJournal { .. }
            | JournalError::Empty { .. }
            | JournalError::Newer { .. }
            | JournalError::Damaged { .. }
            | JournalError::Twice { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
