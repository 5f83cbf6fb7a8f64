//! What a journal has of tasks and actions, for people. Read from the views, whose columns are in `schema.rs`.

use disperse_protocol::inbox::ActionName;
use disperse_scheduler::TaskId;
use rusqlite::Row;

use crate::{
    pages::{Reading, Table},
    stored::{bytes, number},
};

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTask {
    pub task: TaskId,
    pub input: Vec<u8>,
    /// Its result, or why it failed.
    pub outcome: Result<Vec<u8>, String>,
    /// From its start to its end.
    pub ms: u64,
}

/// An action that is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledAction {
    pub name: ActionName,
    pub kind: String,
    /// The first 64 bytes of its payload.
    pub payload_beginning: Vec<u8>,
    /// SHA-256 of the whole payload, in hexadecimal.
    pub payload_sha256: String,
    pub outcome: Result<Vec<u8>, FailedAction>,
    /// How many attempts it took.
    pub attempts: u32,
    /// The run's time.
    pub settled_ms: u64,
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAction {
    /// `permanent`, `exhausted`, `poison`, `unroutable`, `cancelled`, `deadline` or `oversize`.
    pub reason: String,
    pub message: String,
}

/// The tasks that have ended, by their numbers.
pub(crate) const RESULTS: Reading<EndedTask> = Reading {
    table: Table::TaskEnds,
    sql: "SELECT task, input, ok, coalesce(result, error), ms FROM results WHERE task > ? AND task <= ? ORDER BY task",
    read: |row| {
        let task = EndedTask {
            task: TaskId(number(row, 0)?),
            input: value(row, 1)?,
            outcome: if row.get(2)? {
                Ok(value(row, 3)?)
            } else {
                Err(text(row, 3)?)
            },
            ms: number(row, 4)?,
        };
        let size = task.input.len() + task.outcome.as_ref().map_or_else(String::len, Vec::len);
        Ok((task, size))
    },
};

/// The actions that are settled, in the order in which they were.
pub(crate) const ACTIONS: Reading<SettledAction> = Reading {
    table: Table::Settled,
    sql: "SELECT id, task, request, kind, payload_beginning, payload_sha256, reason, coalesce(result, message), attempts, settled_ms \
          FROM actions WHERE id > ? AND id <= ? ORDER BY id",
    read: settled,
};

/// Those of them that failed.
pub(crate) const DEAD: Reading<SettledAction> = Reading {
    sql: "SELECT id, task, request, kind, payload_beginning, payload_sha256, reason, message, attempts, settled_ms \
          FROM dead WHERE id > ? AND id <= ? ORDER BY id",
    ..ACTIONS
};

fn settled(row: &Row<'_>) -> rusqlite::Result<(SettledAction, usize)> {
    let reason: Option<String> = row.get(6)?;
    let action = SettledAction {
        name: ActionName {
            task: TaskId(number(row, 1)?),
            request: row.get(2)?,
        },
        kind: row.get(3)?,
        payload_beginning: value(row, 4)?,
        payload_sha256: row.get(5)?,
        outcome: match reason {
            None => Ok(value(row, 7)?),
            Some(reason) => Err(FailedAction {
                reason,
                message: text(row, 7)?,
            }),
        },
        attempts: row.get(8)?,
        settled_ms: number(row, 9)?,
    };
    let size = action
        .outcome
        .as_ref()
        .map_or_else(|failed| failed.message.len(), Vec::len);
    Ok((action, size))
}

/// A value, stored as text or as a blob. Empty if it is gone, as from a file that was repaired.
fn value(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(bytes(row, at)?.unwrap_or_default().to_owned())
}

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(bytes(row, at)?.unwrap_or_default()).into_owned())
}
