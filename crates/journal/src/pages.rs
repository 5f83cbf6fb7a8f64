//! Reads rows in pages, so that no transaction stays open while a reader does something else.

use std::{collections::VecDeque, path::Path};

use rusqlite::{Connection, Row};

use crate::error::{Fault, JournalError};

/// How many rows of a table are examined in one transaction. Between them the write-ahead log can begin anew.
const ROWS: usize = 500;

/// After how many bytes a page ends, so that large values do not add up in memory.
const BYTES: usize = 1 << 20;

/// A table that is read in the order of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    TaskEnds,
    Settled,
}

impl Table {
    /// The last key of the page after this key. None: no row follows.
    pub(crate) fn end_of_page(self, connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
        let (name, key) = match self {
            Self::TaskEnds => ("task_ends", "task"),
            Self::Settled => ("settled", "id"),
        };
        let page = format!("SELECT {key} FROM {name} WHERE {key} > ? ORDER BY {key} LIMIT {ROWS}");
        let mut statement = connection.prepare_cached(&format!("SELECT max({key}) FROM ({page})"))?;
        statement.query_row([after], |row| row.get(0))
    }
}

/// What a reader reads rows as.
pub(crate) struct Reading<T> {
    /// The table that has the keys.
    pub(crate) table: Table,
    /// Selects the rows after the first parameter and up to the second one, in the order of their keys, which come first.
    pub(crate) sql: &'static str,
    /// Reads a row, and about how many bytes it has.
    pub(crate) read: fn(&Row<'_>) -> rusqlite::Result<(T, usize)>,
}

/// The rows that are there when their page is read.
pub struct Entries<'r, T> {
    path: &'r Path,
    connection: &'r Connection,
    reading: Reading<T>,
    /// The key up to which all is read.
    after: i64,
    page: VecDeque<T>,
    is_over: bool,
}

impl<'r, T> Entries<'r, T> {
    pub(crate) fn new(path: &'r Path, connection: &'r Connection, reading: Reading<T>) -> Self {
        Self {
            path,
            connection,
            reading,
            after: -1,
            page: VecDeque::new(),
            is_over: false,
        }
    }

    fn read_page(&mut self) -> Result<(), Fault> {
        let Some(end) = self.reading.table.end_of_page(self.connection, self.after)? else {
            self.is_over = true;
            return Ok(());
        };
        let mut statement = self.connection.prepare_cached(self.reading.sql)?;
        let mut rows = statement.query([self.after, end])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let (value, size) = (self.reading.read)(row)?;
            self.page.push_back(value);
            bytes += size;
            if bytes > BYTES {
                self.after = row.get(0)?;
                return Ok(());
            }
        }
        self.after = end;
        Ok(())
    }
}

impl<T> Iterator for Entries<'_, T> {
    type Item = Result<T, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.page.is_empty() && !self.is_over {
            if let Err(fault) = self.read_page() {
                self.is_over = true;
                return Some(Err(fault.at(self.path)));
            }
        }
        self.page.pop_front().map(Ok)
    }
}
