//! Creates and opens journals.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use rusqlite::Connection;

use crate::{
    check,
    commit::{self, Work},
    connect,
    error::{Fault, JournalError},
    history::JournalHistory,
    info::{Anchor, RunInfo, Status},
    lock::{Lock, Spare},
    log, log_check,
    message::Pace,
    network, place,
    progress::Progress,
    schema,
    shared::Shared,
    writer::JournalWriter,
};

/// Creates the journal of a run that begins, and the folder that it is in.
///
/// # Errors
/// The file exists, another process has its lock, it is on a network file system, or it cannot be written.
pub fn create(path: &Path, info: &RunInfo) -> Result<JournalWriter, JournalError> {
    create_with(
        path,
        info,
        Pace::NORMAL,
        #[cfg(test)]
        Default::default(),
    )
}

pub(crate) fn create_with(
    path: &Path,
    info: &RunInfo,
    pace: Pace,
    #[cfg(test)] test: crate::tests::Hooks,
) -> Result<JournalWriter, JournalError> {
    let io = |error: io::Error| JournalError::io(path, error);
    let made = std::path::absolute(path).and_then(|path| {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(place::folder(&path))?;
        place::resolve(&path)
    });
    let path = &*made.map_err(io)?;
    let io = |error: io::Error| JournalError::io(path, error);
    refuse_network(place::folder(path), path)?;
    let lock = Lock::take(path)?;
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    // The run's time begins with the run, also if nothing else is ever recorded.
    let mut progress = Progress::default();
    progress.anchor.unix_ms = info.began_unix_ms;
    let created = create_content(path, info, &progress);
    let (connection, spare) = created.inspect_err(|_| {
        // There is nothing in it.
        let _ = std::fs::remove_file(path);
    })?;
    let open = OpenJournal {
        path: path.to_owned(),
        connection,
        lock,
        info: info.clone(),
        progress,
    };
    open.write(
        spare,
        pace,
        #[cfg(test)]
        test,
    )
}

fn create_content(path: &Path, info: &RunInfo, progress: &Progress) -> Result<(Connection, Spare), JournalError> {
    let mut spare = Spare::of(path);
    spare.allocate()?;
    let connection = create_tables(path, info, progress).map_err(|fault| fault.at(path))?;
    // SQLite syncs what is in the file; this, that there is one, and that there is its folder.
    let sync = |folder: &Path| File::open(folder).and_then(|folder| folder.sync_all());
    let folder = place::folder(path);
    sync(folder)
        .and_then(|()| folder.parent().map_or(Ok(()), sync))
        .map_err(|error| JournalError::io(path, error))?;
    Ok((connection, spare))
}

fn create_tables(path: &Path, info: &RunInfo, progress: &Progress) -> Result<Connection, Fault> {
    let connection = connect::to_write(path)?;
    connect::use_log(&connection, log::LOG_MAX)?;
    // All or nothing.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    schema::create(&connection)?;
    info.store(&connection)?;
    progress.store(&mut Progress::statement(&connection)?)?;
    // In the file itself, whatever becomes of the log.
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(connection)
}

/// A journal that is opened to resume its run. Has the lock.
pub struct OpenJournal {
    path: PathBuf,
    connection: Connection,
    lock: Lock,
    info: RunInfo,
    progress: Progress,
}

/// Opens a journal to resume its run, and checks it as a whole.
///
/// # Errors
/// See [`JournalError`]; whatever the file holds, this is one of them or what is read is what was written.
pub fn open(path: &Path) -> Result<OpenJournal, JournalError> {
    let path = resolve(path)?;
    refuse_network(place::folder(&path), &path)?;
    path.metadata().map_err(|error| JournalError::io(&path, error))?;
    let lock = Lock::take(&path)?;
    // Nothing else in this process has it open, or it would have the lock: closing a file releases the locks of SQLite on it.
    check::header(&path)?;
    let damage = log_check::damage(&place::beside(&path, "-wal"));
    if let Some(what) = damage.map_err(|error| JournalError::io(&path, error))? {
        return Err(JournalError::damaged(&path, what));
    }
    let fault = |fault: Fault| fault.at(&path);
    let connection = connect::to_write(&path).map_err(|error| fault(error.into()))?;
    let version = check::version(&connection, &path)?;
    if version < schema::VERSION {
        schema::migrate(&connection, version).map_err(|error| fault(error.into()))?;
    }
    let (info, progress) = check::content(&connection).map_err(fault)?;
    Ok(OpenJournal {
        path,
        connection,
        lock,
        info,
        progress,
    })
}

/// Opens a journal to read it. Returns its absolute path too.
pub(crate) fn to_read(path: &Path) -> Result<(PathBuf, Connection), JournalError> {
    let path = resolve(path)?;
    path.metadata().map_err(|error| JournalError::io(&path, error))?;
    let connection = connect::to_read(&path).map_err(|error| JournalError::sqlite(&path, error))?;
    check::version(&connection, &path)?;
    Ok((path, connection))
}

impl OpenJournal {
    /// The description of the run.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// From now on this is the operation that the run began with, by its SHA-256 in hexadecimal digits.
    pub fn accept_operation(&mut self, sha256: String) {
        self.info.operation_sha256 = sha256;
    }

    /// Goes on with the run: what records the rest, what the run did before, and the run's time when that was recorded.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn resume(self) -> Result<(JournalWriter, JournalHistory, Anchor), JournalError> {
        self.resume_with(
            Pace::NORMAL,
            #[cfg(test)]
            Default::default(),
        )
    }

    /// What the run did before, without going on with it.
    #[cfg(test)]
    pub(crate) fn into_history(self) -> Result<JournalHistory, JournalError> {
        JournalHistory::new(&self.path, self.connection, self.progress).map_err(|fault| fault.at(&self.path))
    }

    pub(crate) fn resume_with(
        mut self,
        pace: Pace,
        #[cfg(test)] test: crate::tests::Hooks,
    ) -> Result<(JournalWriter, JournalHistory, Anchor), JournalError> {
        let fault = |fault: Fault| fault.at(&self.path);
        self.info.status = Status::Running;
        self.info.reason = None;
        self.info.ended_unix_ms = None;
        let mut spare = Spare::of(&self.path);
        spare.allocate()?;
        connect::use_log(&self.connection, log::LOG_MAX).map_err(fault)?;
        self.info.store(&self.connection).map_err(fault)?;
        let reading = connect::to_read(&self.path).map_err(|error| fault(error.into()))?;
        let history = JournalHistory::new(&self.path, reading, self.progress).map_err(fault)?;
        let anchor = self.progress.anchor;
        let writer = self.write(
            spare,
            pace,
            #[cfg(test)]
            test,
        )?;
        Ok((writer, history, anchor))
    }

    fn write(
        self,
        spare: Spare,
        pace: Pace,
        #[cfg(test)] test: crate::tests::Hooks,
    ) -> Result<JournalWriter, JournalError> {
        let Self {
            path,
            connection,
            lock,
            info,
            progress,
        } = self;
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let work = Work {
            path: path.clone(),
            connection,
            lock,
            spare,
            info,
            progress,
            receiver,
            shared: Arc::clone(&shared),
            pace,
            #[cfg(test)]
            test,
        };
        let builder = std::thread::Builder::new().name("journal".to_owned());
        let thread = builder.spawn(|| commit::run(work));
        let thread = thread.map_err(|error| JournalError::io(&path, error))?;
        Ok(JournalWriter::new(&path, sender, shared, thread))
    }
}

fn resolve(path: &Path) -> Result<PathBuf, JournalError> {
    place::resolve(path).map_err(|error| JournalError::io(path, error))
}

fn refuse_network(folder: &Path, path: &Path) -> Result<(), JournalError> {
    match network::name(folder) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(JournalError::NetworkFileSystem {
            path: path.to_owned(),
            name,
        }),
        Err(error) => Err(JournalError::io(path, error)),
    }
}
