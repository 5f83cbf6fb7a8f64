//! Connections to a journal, and what is set on them.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::error::Fault;

/// How long a connection waits for another program's lock.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// What SQLite keeps of the file in memory: enough for the pages that one commit changes.
const CACHE_KIB: i64 = 16 * 1024;

/// What a reader keeps of it: the rows of one task are spread over many pages.
const READ_CACHE_KIB: i64 = 64 * 1024;

/// Opens a journal to write it. Does not create it.
pub(crate) fn to_write(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// Opens a journal to read it.
pub(crate) fn to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection stays on one thread at a time.
    let connection = Connection::open_with_flags(
        path,
        flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    connection.busy_timeout(BUSY)?;
    // The file may come from elsewhere: it must not make SQLite do more than read it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Switches to a write-ahead log whose commits are durable, and which is copied to the file only when asked.
pub(crate) fn use_log(connection: &Connection, log_max: i64) -> Result<(), Fault> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::NoLog);
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", log_max)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_synced_and_the_log_is_copied_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "").unwrap();
        let connection = to_write(&path).unwrap();
        use_log(&connection, 1 << 20).unwrap();
        let number = |name: &str| -> i64 {
            connection
                .query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
                .unwrap()
        };
        // 2 is FULL: the log is synced with each commit.
        assert_eq!((number("synchronous"), number("wal_autocheckpoint")), (2, 0));
        assert_eq!(number("journal_size_limit"), 1 << 20);
        // In memory there can be no log.
        let memory = Connection::open_in_memory().unwrap();
        assert!(matches!(use_log(&memory, 0), Err(Fault::NoLog)));
    }
}
