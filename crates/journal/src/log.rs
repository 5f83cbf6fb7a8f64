//! The write-ahead log: how long it is, and when it is copied to the file.

use std::time::Duration;

use rusqlite::{Connection, Row, Statement};

/// Bytes of a page, SQLite's default, and of the header that it has in the log.
const FRAME: u64 = 4096 + 24;

/// Frames that are not yet copied to the file at which they are: 16 MiB. Fewer, and pages that are written over and over are
/// copied more often; more, and resuming a killed run reads more.
const DUE: u64 = 4096;

/// Frames at which the log begins anew even if readers have to be waited for: 64 MiB.
const LONG: u64 = 4 * DUE;

/// How long those are waited for.
const WAIT: Duration = Duration::from_millis(100);

/// The size to which the log is cut when it begins anew: larger than it usually gets, so that its blocks are written over.
pub(crate) const LOG_MAX: i64 = (2 * DUE * FRAME).cast_signed();

/// Decides on checkpoints.
pub(crate) struct Log<'c> {
    connection: &'c Connection,
    /// Reads the length of the log and copies nothing.
    length: Statement<'c>,
    due: u64,
}

/// Frames in the log, and how many of them are in the file too.
fn frames(row: &Row<'_>) -> rusqlite::Result<(u64, u64)> {
    let number = |at| {
        row.get::<_, i64>(at)
            .map(|number| u64::try_from(number).unwrap_or_default())
    };
    Ok((number(1)?, number(2)?))
}

impl<'c> Log<'c> {
    pub(crate) fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            length: connection.prepare("PRAGMA wal_checkpoint(NOOP)")?,
            due: DUE,
        })
    }

    /// With a log that begins anew after so many frames.
    #[cfg(test)]
    pub(crate) fn set_due(&mut self, frames: u64) {
        self.due = frames;
    }

    /// Copies the log to the file if enough has come together. Returns its length in bytes.
    pub(crate) fn tend(&mut self) -> rusqlite::Result<u64> {
        let (mut length, copied) = self.length.query_row((), frames)?;
        if length - copied.min(length) >= self.due {
            let long = LONG / DUE * self.due;
            (length, _) = if length >= long {
                // No reader may be left in it, so that the next commit writes at its beginning.
                self.waiting("PRAGMA wal_checkpoint(RESTART)", WAIT)?
            } else {
                self.waiting("PRAGMA wal_checkpoint(PASSIVE)", WAIT)?
            };
        }
        Ok(length * FRAME)
    }

    /// Copies all of the log and cuts it to nothing, if no reader is in it.
    pub(crate) fn empty(&self) -> rusqlite::Result<()> {
        self.waiting("PRAGMA wal_checkpoint(TRUNCATE)", WAIT).map(drop)
    }

    /// Turns the file into one that has no log, which any tool can read without leaving files beside it. Not done while
    /// others have it open.
    pub(crate) fn remove(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(WAIT)?;
        let done = self
            .connection
            .query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()));
        self.connection.busy_timeout(crate::connect::BUSY)?;
        done
    }

    fn waiting(&self, sql: &str, wait: Duration) -> rusqlite::Result<(u64, u64)> {
        self.connection.busy_timeout(wait)?;
        let done = self.connection.query_row(sql, (), frames);
        self.connection.busy_timeout(crate::connect::BUSY)?;
        done
    }
}
