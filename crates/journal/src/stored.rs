//! Reads rows and checks them.

use bytes::Bytes;
use disperse_engine::driver::{Delivered, PlannerCalled, StartedBefore};
use disperse_protocol::{digest::Digest, inbox::PlannerStep};
use disperse_scheduler::TaskId;
use rusqlite::{Connection, OptionalExtension as _, Row, types::ValueRef};

use crate::{
    codec,
    error::Fault,
    sums::{self, SettledRow},
};

pub(crate) const CALLS: &str = "SELECT call, turn, step, task, now_ms, crc FROM planner_calls";
pub(crate) const STARTS: &str = "SELECT task, turn, input, input_digest, started_ms, crc FROM task_starts";
pub(crate) const ENDS: &str = "SELECT task, turn, ok, value, value_digest, ended_ms, crc FROM task_ends";
pub(crate) const DELIVERIES: &str = "SELECT id, task, number, turn, requests, now_ms, crc FROM deliveries";
pub(crate) const SETTLED: &str = "SELECT id, task, request, turn, kind, payload_digest, payload_beginning, reason, value, \
                                  value_digest, attempts, settled_ms, delivery, crc FROM settled";

/// Reads a number, stored as a negative one from 2^63.
pub(crate) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

/// Reads bytes, stored as text or as a blob. None: the value is missing.
pub(crate) fn bytes<'r>(row: &'r Row<'_>, at: usize) -> rusqlite::Result<Option<&'r [u8]>> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_bytes()?)),
    }
}

pub(crate) fn text<'r>(row: &'r Row<'_>, at: usize) -> rusqlite::Result<Option<&'r str>> {
    Ok(row.get_ref(at)?.as_str_or_null()?)
}

pub(crate) fn damaged(what: String) -> Fault {
    Fault::Damaged(what)
}

pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, Fault> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| damaged("a digest".to_owned()))?;
    Ok(bytes.into())
}

/// Compares a row's checksum. `what`: the row, for people.
pub(crate) fn check(found: u32, stored: u32, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if found == stored { Ok(()) } else { Err(damaged(what())) }
}

/// A row of [`CALLS`]: its number and the call.
pub(crate) fn call(row: &Row<'_>) -> Result<(u64, PlannerCalled), Fault> {
    let (call, turn, now_ms) = (number(row, 0)?, number(row, 1)?, number(row, 4)?);
    let what = || format!("call {call} of the planner");
    let step = text(row, 2)?.unwrap_or_default();
    let task = row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned);
    check(sums::call(call, turn, step, task, now_ms), row.get(5)?, what)?;
    let step = match (step, task) {
        ("next", None) => PlannerStep::Next,
        ("collect", Some(task)) => PlannerStep::Collect(TaskId(task)),
        ("finish", None) => PlannerStep::Finish,
        _ => return Err(damaged(what())),
    };
    Ok((call, PlannerCalled { step, now_ms }))
}

/// A row of [`STARTS`].
pub(crate) fn start(row: &Row<'_>) -> Result<StartedBefore, Fault> {
    let (task, turn, now_ms) = (number(row, 0)?, number(row, 1)?, number(row, 4)?);
    let input = bytes(row, 3)?.unwrap_or_default();
    let crc = sums::start(task, turn, bytes(row, 2)?, input, now_ms);
    check(crc, row.get(5)?, || format!("the start of task {task}"))?;
    let input = digest(input)?;
    Ok(StartedBefore { input, now_ms })
}

/// A value of a row: there, or the digest of one in `payloads`.
pub(crate) struct Value<'r> {
    pub(crate) inline: Option<&'r [u8]>,
    pub(crate) digest: Option<&'r [u8]>,
}

impl Value<'_> {
    pub(crate) fn read(&self, connection: &Connection) -> Result<Bytes, Fault> {
        match (self.inline, self.digest) {
            (Some(inline), _) => Ok(Bytes::copy_from_slice(inline)),
            (None, Some(digest)) => payload(connection, self::digest(digest)?),
            (None, None) => Err(damaged("a row without its value".to_owned())),
        }
    }
}

/// Reads a value that is stored apart and compares it with its digest.
fn payload(connection: &Connection, digest: Digest) -> Result<Bytes, Fault> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM payloads WHERE digest = ?")?;
    let read = |row: &Row<'_>| Ok(Bytes::copy_from_slice(bytes(row, 0)?.unwrap_or_default()));
    let found = statement.query_row([digest.as_bytes()], read).optional()?;
    let is_it = |bytes: &Bytes| Digest::of(bytes) == digest;
    let what = || damaged(format!("the value with the digest {digest}"));
    found.filter(is_it).ok_or_else(what)
}

/// A row of [`ENDS`]: whether the task has a result, and that or the error.
pub(crate) fn end<'r>(row: &'r Row<'_>) -> Result<(bool, Value<'r>), Fault> {
    let (task, turn, ok, now_ms) = (number(row, 0)?, number(row, 1)?, row.get(2)?, number(row, 5)?);
    let (inline, digest) = (bytes(row, 3)?, bytes(row, 4)?);
    let crc = sums::end(task, turn, ok, inline, digest, now_ms);
    check(crc, row.get(6)?, || format!("the end of task {task}"))?;
    Ok((ok, Value { inline, digest }))
}

/// A row of [`DELIVERIES`].
pub(crate) fn delivery(row: &Row<'_>) -> Result<Delivered, Fault> {
    let (id, task, turn, now_ms) = (number(row, 0)?, number(row, 1)?, number(row, 3)?, number(row, 5)?);
    let number = row.get(2)?;
    let what = || format!("delivery {number} to task {task}");
    let requests = bytes(row, 4)?.unwrap_or_default();
    let crc = sums::delivery((id, task), number, turn, requests, now_ms);
    check(crc, row.get(6)?, what)?;
    Ok(Delivered {
        task: TaskId(task),
        number,
        now_ms,
        requests: codec::decode(requests).ok_or_else(|| damaged(what()))?,
    })
}

/// A row of [`SETTLED`].
pub(crate) fn settled<'r>(row: &'r Row<'_>) -> Result<SettledRow<'r>, Fault> {
    let stored = SettledRow {
        id: number(row, 0)?,
        task: number(row, 1)?,
        request: row.get(2)?,
        turn: number(row, 3)?,
        kind: text(row, 4)?.unwrap_or_default(),
        payload_digest: bytes(row, 5)?.unwrap_or_default(),
        beginning: bytes(row, 6)?.unwrap_or_default(),
        reason: text(row, 7)?,
        value: bytes(row, 8)?,
        value_digest: bytes(row, 9)?,
        attempts: row.get(10)?,
        settled_ms: number(row, 11)?,
        delivery: row.get(12)?,
    };
    let what = || format!("action {}-{}", stored.task, stored.request);
    check(stored.checksum(), row.get(13)?, what)?;
    Ok(stored)
}
