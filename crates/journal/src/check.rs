//! Tells journals that are as they were written from all other files.

use std::{fs::File, io::Read as _, path::Path};

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{
    error::{Fault, JournalError},
    failed_attempts,
    info::RunInfo,
    log_check,
    place::beside,
    progress::Progress,
    quota_blocks, schema, stored, worker_changes,
};

/// The first bytes of every file of SQLite.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where its header has the kind of file.
const APPLICATION_ID_AT: usize = 68;

/// Where it has whether there is a write-ahead log (2) or not (1), for writers and for readers.
const MODE_AT: usize = 18;

/// Where it has the number of pages.
const PAGES_AT: usize = 28;

/// How long it is.
const HEADER: u64 = 100;

/// Tells files of other kinds from journals that are damaged.
pub(crate) fn header(path: &Path) -> Result<(), JournalError> {
    let mut header = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        (&mut file).take(HEADER).read_to_end(&mut header)?;
        Ok(file.metadata()?.len())
    });
    let length = read.map_err(|error| JournalError::io(path, error))?;
    if header.is_empty() {
        return Err(JournalError::Empty { path: path.to_owned() });
    }
    let is_sqlite = header.starts_with(MAGIC);
    let id = header.get(APPLICATION_ID_AT..APPLICATION_ID_AT + 4);
    let is_journal = id == Some(&schema::APPLICATION_ID.to_be_bytes()[..]);
    let is_text = |what| JournalError::NotAJournal {
        path: path.to_owned(),
        what,
    };
    match (is_sqlite, is_journal) {
        (false, false) => Err(is_text("it is no SQLite file")),
        (false, true) => Err(JournalError::damaged(path, "its header")),
        (true, _) => check_length(&header, length, path),
    }
}

/// Checks that the file is as long as its header says, unless the rest is in its write-ahead log, and whether it has one.
fn check_length(header: &[u8], length: u64, path: &Path) -> Result<(), JournalError> {
    let has_log = beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0);
    let mode = header.get(MODE_AT..MODE_AT + 2);
    if has_log {
        let agrees = mode == Some(&[2, 2]);
        return if agrees {
            Ok(())
        } else {
            Err(JournalError::damaged(path, "its header"))
        };
    }
    let pages = header.get(PAGES_AT..).and_then(<[u8]>::first_chunk);
    let expected = u64::from(pages.copied().map_or(0, u32::from_be_bytes)) * log_check::PAGE as u64;
    if length < expected {
        let what = format!("it is truncated: {length} of {expected} bytes");
        return Err(JournalError::damaged(path, what));
    }
    Ok(())
}

/// Returns the version of the schema.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<i64, JournalError> {
    let sqlite = |error| JournalError::sqlite(path, error);
    let number = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(sqlite)
    };
    let schema = number("user_version")?;
    if number("application_id")? != i64::from(schema::APPLICATION_ID) {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0));
        let path = path.to_owned();
        return Err(match tables {
            Ok(0) => JournalError::Empty { path },
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                JournalError::sqlite(&path, error)
            }
            _ => JournalError::NotAJournal {
                path,
                what: "it is an SQLite file of another program",
            },
        });
    }
    match schema {
        1..=schema::VERSION => Ok(schema),
        ..=0 => Err(JournalError::damaged(path, format!("its schema is {schema}"))),
        _ => Err(JournalError::Newer {
            path: path.to_owned(),
            schema,
            version: program(connection).unwrap_or_else(|| "unknown".to_owned()),
            known: schema::VERSION,
        }),
    }
}

/// The version of the program that wrote a newer journal. The place of it in the file stays.
fn program(connection: &Connection) -> Option<String> {
    let sql = "SELECT info ->> '$.version' FROM description";
    let version = connection.query_row(sql, (), |row| row.get(0)).optional();
    version.ok().flatten()
}

/// Checks that all of the file is as it was written.
pub(crate) fn content(connection: &Connection) -> Result<(RunInfo, Progress), Fault> {
    if let Some(difference) = schema::difference(connection)? {
        return Err(Fault::Damaged(difference));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    let progress = Progress::load(connection)?;
    progress.check_counts(connection)?;
    check_rows(connection)?;
    Ok((RunInfo::load(connection)?, progress))
}

/// Checks all rows. Values that are stored apart are checked when they are read.
fn check_rows(connection: &Connection) -> Result<(), Fault> {
    for_each(connection, stored::CALLS, |row| stored::call(row).map(drop))?;
    for_each(connection, stored::STARTS, |row| stored::start(row).map(drop))?;
    for_each(connection, stored::ENDS, |row| stored::end(row).map(drop))?;
    for_each(connection, stored::DELIVERIES, |row| stored::delivery(row).map(drop))?;
    for_each(connection, stored::SETTLED, |row| stored::settled(row).map(drop))?;
    for_each(connection, failed_attempts::SELECT, |row| {
        failed_attempts::read(row).map(drop)
    })?;
    for_each(connection, quota_blocks::SELECT, |row| {
        quota_blocks::read(row).map(drop)
    })?;
    for_each(connection, worker_changes::SELECT, |row| {
        worker_changes::read(row).map(drop)
    })
}

fn for_each(connection: &Connection, sql: &str, check: impl Fn(&Row<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        check(row)?;
    }
    Ok(())
}
