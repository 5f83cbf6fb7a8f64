//! How far a journal is: the last turn, the anchor of the run's time, and how many rows each table has.

use rusqlite::{Connection, Row, Statement};

use crate::{codec::Checksum, error::Fault, info::Anchor};

/// The number of the table in checksums.
const TABLE: u8 = 2;

/// The columns, in the order of [`Progress::values`].
const COLUMNS: &str = "turns, run_ms, unix_ms, written_bytes, planner_calls, task_starts, task_ends, deliveries, settled, payloads, \
     failed_attempts, quota_blocks, worker_changes, crc";

/// The tables that are counted, in the order of [`Progress::counts`].
const COUNTED: [&str; 9] = [
    "planner_calls",
    "task_starts",
    "task_ends",
    "deliveries",
    "settled",
    "payloads",
    "failed_attempts",
    "quota_blocks",
    "worker_changes",
];

/// The row of `progress`, which each commit writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Turns of the driver that are recorded, over all resumptions.
    pub turns: u64,
    /// The time of the last record.
    pub anchor: Anchor,
    /// Bytes of the output that are at their target.
    pub written_bytes: u64,
    pub planner_calls: u64,
    pub task_starts: u64,
    pub task_ends: u64,
    pub deliveries: u64,
    /// Actions that are settled.
    pub settled: u64,
    /// Values that are stored apart because they are large.
    pub payloads: u64,
    pub failed_attempts: u64,
    pub quota_blocks: u64,
    pub worker_changes: u64,
}

impl Progress {
    fn counts(&self) -> [u64; 9] {
        [
            self.planner_calls,
            self.task_starts,
            self.task_ends,
            self.deliveries,
            self.settled,
            self.payloads,
            self.failed_attempts,
            self.quota_blocks,
            self.worker_changes,
        ]
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        let Anchor { run_ms, unix_ms } = self.anchor;
        let all = [self.turns, run_ms, unix_ms, self.written_bytes];
        all.into_iter().chain(self.counts())
    }

    fn checksum(&self) -> u32 {
        self.values().fold(Checksum::of(TABLE), Checksum::number).finish()
    }

    /// The statement for [`Progress::store`].
    pub(crate) fn statement(connection: &Connection) -> rusqlite::Result<Statement<'_>> {
        let sql = format!(
            "INSERT OR REPLACE INTO progress (only_row, {COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        connection.prepare(&sql)
    }

    pub(crate) fn store(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        let values = self.values().map(u64::cast_signed);
        let values = values.chain([i64::from(self.checksum())]);
        statement.execute(rusqlite::params_from_iter(values)).map(drop)
    }

    pub(crate) fn load(connection: &Connection) -> Result<Self, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM progress");
        let number = |row: &Row<'_>, at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let read = |row: &Row<'_>| {
            let progress = Self {
                turns: number(row, 0)?,
                anchor: Anchor {
                    run_ms: number(row, 1)?,
                    unix_ms: number(row, 2)?,
                },
                written_bytes: number(row, 3)?,
                planner_calls: number(row, 4)?,
                task_starts: number(row, 5)?,
                task_ends: number(row, 6)?,
                deliveries: number(row, 7)?,
                settled: number(row, 8)?,
                payloads: number(row, 9)?,
                failed_attempts: number(row, 10)?,
                quota_blocks: number(row, 11)?,
                worker_changes: number(row, 12)?,
            };
            Ok((progress, row.get::<_, u32>(13)?))
        };
        let (progress, crc) = connection.query_row(&sql, (), read)?;
        if progress.checksum() != crc {
            return Err(Fault::Damaged("the row of `progress`".to_owned()));
        }
        Ok(progress)
    }

    /// Compares the tables with the numbers of their rows.
    pub(crate) fn check_counts(&self, connection: &Connection) -> Result<(), Fault> {
        for (table, expected) in COUNTED.into_iter().zip(self.counts()) {
            let sql = format!("SELECT count(*) FROM {table}");
            let found: i64 = connection.query_row(&sql, (), |row| row.get(0))?;
            if found.cast_unsigned() != expected {
                let what = format!("`{table}` has {found} rows of {expected}");
                return Err(Fault::Damaged(what));
            }
        }
        Ok(())
    }
}
