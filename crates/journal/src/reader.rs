//! Reads a journal for people: also while its run goes on, and without its lock.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::{
    RunInfo,
    entries::{ACTIONS, DEAD, EndedTask, RESULTS, SettledAction},
    error::{Fault, JournalError},
    open,
    pages::{Entries, Reading, Table},
    progress::Progress,
};

/// A journal that is read.
pub struct JournalReader {
    path: PathBuf,
    connection: Connection,
}

/// How many tasks and actions of a run failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub tasks: u64,
    /// By reason; see [`crate::FailedAction`].
    pub actions: BTreeMap<String, u64>,
}

impl JournalReader {
    /// Opens a journal to read it.
    ///
    /// # Errors
    /// It is not a journal, a newer one, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (path, connection) = open::to_read(path)?;
        Ok(Self { path, connection })
    }

    fn at<T>(&self, result: Result<T, Fault>) -> Result<T, JournalError> {
        result.map_err(|fault| fault.at(&self.path))
    }

    /// The description of the run.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn info(&self) -> Result<RunInfo, JournalError> {
        self.at(RunInfo::load(&self.connection))
    }

    /// How far the run is.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn progress(&self) -> Result<Progress, JournalError> {
        self.at(Progress::load(&self.connection))
    }

    /// The tasks that have ended, by their numbers.
    pub fn results(&self) -> Entries<'_, EndedTask> {
        self.entries(RESULTS)
    }

    /// The actions that are settled, in the order in which they were.
    pub fn actions(&self) -> Entries<'_, SettledAction> {
        self.entries(ACTIONS)
    }

    /// Those of them that failed.
    pub fn dead(&self) -> Entries<'_, SettledAction> {
        self.entries(DEAD)
    }

    fn entries<T>(&self, reading: Reading<T>) -> Entries<'_, T> {
        Entries::new(&self.path, &self.connection, reading)
    }

    /// How many tasks and actions failed.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn failures(&self) -> Result<Failures, JournalError> {
        self.at(self.count_failures())
    }

    fn count_failures(&self) -> Result<Failures, Fault> {
        let mut failures = Failures::default();
        let sql = "SELECT count(*) FROM task_ends WHERE task > ? AND task <= ? AND NOT ok";
        let mut count = self.connection.prepare(sql)?;
        let mut after = -1;
        while let Some(end) = Table::TaskEnds.end_of_page(&self.connection, after)? {
            failures.tasks += count
                .query_row([after, end], |row| row.get::<_, u32>(0))
                .map(u64::from)?;
            after = end;
        }
        let sql =
            "SELECT reason, count(*) FROM settled WHERE id > ? AND id <= ? AND reason IS NOT NULL GROUP BY reason";
        let mut count = self.connection.prepare(sql)?;
        let mut after = -1;
        while let Some(end) = Table::Settled.end_of_page(&self.connection, after)? {
            let mut rows = count.query([after, end])?;
            while let Some(row) = rows.next()? {
                *failures.actions.entry(row.get(0)?).or_default() += u64::from(row.get::<_, u32>(1)?);
            }
            after = end;
        }
        Ok(failures)
    }
}
