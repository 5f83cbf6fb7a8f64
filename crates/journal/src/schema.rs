//! The tables of a journal and its views for people.

use rusqlite::Connection;

/// Names the kind of file, at its offset 68: `DspJ`.
pub(crate) const APPLICATION_ID: i32 = 0x4473_704a;

/// The version of the schema that this version of the program writes. It reads all from 1.
pub(crate) const VERSION: i64 = 1;

/// What brings a file from version 1, 2 and so on to the next one.
const MIGRATIONS: [&str; VERSION as usize - 1] = [];

/// Values up to this size are stored in their row, larger ones once in `payloads`, by their digest. One page of SQLite.
pub(crate) const LARGE: usize = 4096;

/// The tables and views.
///
/// `turn` is the turn of the driver in which something happened, counted over all resumptions. `crc` is the checksum of its row;
/// see [`crate::codec::Checksum`]. Values of the type ANY are text where they are text. Numbers beyond 2^63 are stored as negative
/// ones. Rows of `planner_calls`,
/// `deliveries`, `settled`, `failed_attempts`, `quota_blocks` and `worker_changes` are numbered 1, 2, 3 and so on in the order in which they came, and
/// have no index: what is appended is written once, and tasks in flight, which alone are looked up when a run is resumed, are
/// found by reading all. With a key of task and number, writing took almost twice as much time of a core. A delivery of one answer
/// at the moment at which its action was settled, as most are, has no row of its own: `settled.delivery` is its number. `progress` holds how
/// many rows the tables have, so that rows that are lost are noticed.
const TABLES: &str = "
CREATE TABLE description (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    info TEXT NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE progress (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    turns INTEGER NOT NULL,
    run_ms INTEGER NOT NULL,
    unix_ms INTEGER NOT NULL,
    written_bytes INTEGER NOT NULL,
    planner_calls INTEGER NOT NULL,
    task_starts INTEGER NOT NULL,
    task_ends INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    payloads INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    quota_blocks INTEGER NOT NULL,
    worker_changes INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE planner_calls (
    call INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,
    step TEXT NOT NULL,
    task INTEGER,
    now_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE task_starts (
    task INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,
    input ANY,
    input_digest BLOB NOT NULL,
    started_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE task_ends (
    task INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    value ANY,
    value_digest BLOB,
    ended_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    number INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    requests BLOB NOT NULL,
    now_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE settled (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    request INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload_digest BLOB NOT NULL,
    payload_beginning ANY NOT NULL,
    reason TEXT,
    value ANY,
    value_digest BLOB,
    attempts INTEGER NOT NULL,
    settled_ms INTEGER NOT NULL,
    delivery INTEGER,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE failed_attempts (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    request INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    class TEXT NOT NULL,
    message ANY NOT NULL,
    failed_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE quota_blocks (
    id INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    units INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    reported TEXT NOT NULL,
    left_units INTEGER NOT NULL,
    earliest_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    resets_us INTEGER NOT NULL,
    closed_until_us INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE worker_changes (
    id INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,
    worker TEXT NOT NULL,
    health TEXT NOT NULL,
    until_us INTEGER NOT NULL,
    health_round INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    busy_until_us INTEGER NOT NULL,
    quarantines INTEGER NOT NULL,
    round INTEGER NOT NULL,
    unproved_quarantines INTEGER NOT NULL,
    score REAL NOT NULL,
    changed_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE payloads (
    digest BLOB NOT NULL PRIMARY KEY,
    bytes ANY NOT NULL
) STRICT;
CREATE VIEW run AS SELECT
    info ->> '$.id' AS id,
    info ->> '$.status' AS status,
    info ->> '$.reason' AS reason,
    info ->> '$.operation' AS operation,
    info ->> '$.\"operation-sha256\"' AS operation_sha256,
    info ->> '$.version' AS version,
    datetime((info ->> '$.\"created-unix-ms\"') / 1000, 'unixepoch') AS created,
    datetime((info ->> '$.\"ended-unix-ms\"') / 1000, 'unixepoch') AS ended,
    run_ms, written_bytes, task_starts AS tasks, task_ends AS tasks_ended, settled AS actions
FROM description JOIN progress USING (only_row);
CREATE VIEW results AS SELECT
    s.task AS task,
    coalesce(s.input, i.bytes) AS input,
    e.ok AS ok,
    iif(e.ok, coalesce(e.value, r.bytes), NULL) AS result,
    iif(e.ok, NULL, coalesce(e.value, r.bytes)) AS error,
    e.ended_ms - s.started_ms AS ms
FROM task_starts s
    JOIN task_ends e USING (task)
    LEFT JOIN payloads i ON s.input IS NULL AND i.digest = s.input_digest
    LEFT JOIN payloads r ON e.value IS NULL AND r.digest = e.value_digest;
CREATE VIEW actions AS SELECT
    s.id AS id,
    s.task AS task,
    s.request AS request,
    s.kind AS kind,
    s.reason IS NULL AS ok,
    s.reason AS reason,
    iif(s.reason IS NULL, NULL, coalesce(s.value, r.bytes)) AS message,
    iif(s.reason IS NULL, coalesce(s.value, r.bytes), NULL) AS result,
    s.attempts AS attempts,
    s.settled_ms AS settled_ms,
    s.payload_beginning AS payload_beginning,
    lower(hex(s.payload_digest)) AS payload_sha256
FROM settled s LEFT JOIN payloads r ON s.value IS NULL AND r.digest = s.value_digest;
CREATE VIEW dead AS SELECT id, task, request, kind, reason, message, attempts, settled_ms, payload_beginning, payload_sha256
FROM actions WHERE NOT ok;
CREATE VIEW attempts AS SELECT id, task, request, kind, number, worker, class, message, failed_ms FROM failed_attempts;
CREATE VIEW workers AS SELECT
    max(id) AS id,
    worker,
    health,
    iif(health = 'quarantined', until_us / 1000, NULL) AS quarantined_until_ms,
    iif(busy_until_us > 0, busy_until_us / 1000, NULL) AS busy_until_ms,
    quarantines,
    format('%.2f', score) AS score,
    changed_ms
FROM worker_changes GROUP BY worker;
";

/// Creates the tables, in the transaction that is open.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// Brings a file of an older version to the current one. All or nothing.
pub(crate) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    migrate_by(connection, from, &MIGRATIONS)
}

fn migrate_by(connection: &Connection, from: i64, migrations: &[&str]) -> rusqlite::Result<()> {
    let done = usize::try_from(from - 1).unwrap_or_default();
    let transaction = connection.unchecked_transaction()?;
    for (migration, version) in migrations.iter().skip(done).zip(from + 1..) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()
}

/// One table, index or view as SQLite keeps it: its type, name and statement.
type Item = (String, String, Option<String>);

fn items(connection: &Connection) -> rusqlite::Result<Vec<Item>> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// How the schema of a file differs from that of its version. None: it does not. Indexes and views may be added.
pub(crate) fn difference(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let expected = Connection::open_in_memory()?;
    create(&expected)?;
    let found = items(connection)?;
    for item in items(&expected)? {
        if !found.contains(&item) {
            return Ok(Some(format!("the {} `{}` is not as it was created", item.0, item.1)));
        }
    }
    let trigger = found.iter().find(|(kind, ..)| kind == "trigger");
    Ok(trigger.map(|(_, name, _)| format!("it has a trigger `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_file_is_brought_through_all_versions() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE a (x); PRAGMA user_version = 2")
            .unwrap();
        let version = || -> i64 {
            connection
                .query_row("PRAGMA user_version", (), |row| row.get(0))
                .unwrap()
        };
        let wrong = ["not run", "ALTER TABLE a RENAME TO b", "not SQL"];
        assert!(migrate_by(&connection, 2, &wrong).is_err());
        assert_eq!(version(), 2);
        let right = ["not run", "ALTER TABLE a RENAME TO b", "ALTER TABLE b RENAME TO c"];
        migrate_by(&connection, 2, &right).unwrap();
        assert_eq!(version(), 4);
        connection.execute_batch("SELECT x FROM c").unwrap();
    }
}
