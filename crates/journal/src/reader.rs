//! Reads a journal for people: also while its run goes on, and without its lock.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, types::ValueRef};

use crate::{RunInfo, error::Fault, error::JournalError, open, progress::Progress};

/// How many rows are read in one transaction. Between them the write-ahead log can begin anew.
const ROWS: usize = 500;

/// A journal that is read.
pub struct JournalReader {
    path: PathBuf,
    connection: Connection,
}

/// A view of the file; `schema.rs` has their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The tasks that have ended, by their numbers.
    Results,
    /// The actions that are settled, in the order in which they were.
    Actions,
    /// Those of them that failed.
    Dead,
}

impl View {
    fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Actions => "actions",
            Self::Dead => "dead",
        }
    }

    /// The first column, which rises from row to row.
    fn key(self) -> &'static str {
        match self {
            Self::Results => "task",
            Self::Actions | Self::Dead => "id",
        }
    }
}

/// A value in a row of a view.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Missing,
    Number(i64),
    /// Bytes that are text are always this.
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    fn of(value: ValueRef<'_>) -> rusqlite::Result<Self> {
        Ok(match value {
            ValueRef::Null | ValueRef::Real(_) => Self::Missing,
            ValueRef::Integer(number) => Self::Number(number),
            ValueRef::Text(_) => Self::Text(value.as_str()?.to_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_owned()),
        })
    }
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

    /// The names of a view's columns.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn columns(&self, view: View) -> Result<Vec<String>, JournalError> {
        let sql = format!("SELECT * FROM {}", view.name());
        let names = |connection: &Connection| -> Result<Vec<String>, Fault> {
            let statement = connection.prepare(&sql)?;
            Ok(statement.column_names().map(str::to_owned).collect())
        };
        self.at(names(&self.connection))
    }

    /// The rows of a view that are there when each of them is read.
    pub fn rows(&self, view: View) -> ViewRows<'_> {
        let (name, key) = (view.name(), view.key());
        ViewRows {
            reader: self,
            sql: format!("SELECT * FROM {name} WHERE {key} > ? ORDER BY {key} LIMIT {ROWS}"),
            after: -1,
            rows: VecDeque::new(),
            is_over: false,
        }
    }
}

/// The rows of a view.
pub struct ViewRows<'r> {
    reader: &'r JournalReader,
    sql: String,
    /// The key of the last row.
    after: i64,
    rows: VecDeque<Vec<Value>>,
    is_over: bool,
}

impl ViewRows<'_> {
    /// Reads more rows.
    fn read(&mut self) -> Result<(), Fault> {
        let mut statement = self.reader.connection.prepare_cached(&self.sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([self.after])?;
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|at| Value::of(row.get_ref(at)?));
            self.rows.push_back(values.collect::<rusqlite::Result<_>>()?);
            self.after = row.get(0)?;
        }
        self.is_over = self.rows.len() < ROWS;
        Ok(())
    }
}

impl Iterator for ViewRows<'_> {
    type Item = Result<Vec<Value>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() && !self.is_over {
            let read = self.read();
            if let Err(error) = self.reader.at(read) {
                self.is_over = true;
                return Some(Err(error));
            }
        }
        self.rows.pop_front().map(Ok)
    }
}
