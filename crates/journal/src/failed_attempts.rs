//! The rows of `failed_attempts`.

use disperse_engine::driver::{AttemptRecord, TurnNumber};
use disperse_protocol::inbox::{ActionName, FailureClass};
use disperse_scheduler::TaskId;
use rusqlite::{Row, Statement, params};

use crate::{
    codec::{Bytes, Checksum},
    error::Fault,
    stored::{bytes, check, damaged, number, text},
};

pub(crate) const SELECT: &str =
    "SELECT id, task, request, turn, kind, number, worker, class, message, failed_ms, crc FROM failed_attempts";
pub(crate) const INSERT: &str = "INSERT INTO failed_attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The classes, by their names in the file, which stay what they are whatever the program calls them.
const CLASSES: [(FailureClass, &str); 6] = [
    (FailureClass::Transient, "transient"),
    (FailureClass::Trap, "trap"),
    (FailureClass::Permanent, "permanent"),
    (FailureClass::WorkerFault, "worker-fault"),
    (FailureClass::Lost, "lost"),
    (FailureClass::Outvoted, "outvoted"),
];

fn class_name(class: FailureClass) -> &'static str {
    CLASSES
        .iter()
        .find(|(one, _)| *one == class)
        .map_or("", |(_, name)| name)
}

fn class_of(name: &str) -> Option<FailureClass> {
    CLASSES.iter().find(|(_, one)| *one == name).map(|(class, _)| *class)
}

fn checksum((id, turn): (u64, TurnNumber), attempt: &AttemptRecord) -> u32 {
    Checksum::of(8)
        .number(id)
        .number(turn)
        .number(attempt.action.task.0)
        .number(attempt.action.request.into())
        .bytes(attempt.kind.as_bytes())
        .number(attempt.number.into())
        .bytes(attempt.worker.as_bytes())
        .bytes(class_name(attempt.class).as_bytes())
        .bytes(attempt.message.as_bytes())
        .number(attempt.now_ms)
        .finish()
}

/// `place`: the number of the row, and the turn.
pub(crate) fn write(
    insert: &mut Statement<'_>,
    place: (u64, TurnNumber),
    attempt: &AttemptRecord,
) -> rusqlite::Result<usize> {
    insert.execute(params![
        place.0.cast_signed(),
        attempt.action.task.0.cast_signed(),
        attempt.action.request,
        place.1.cast_signed(),
        &*attempt.kind,
        attempt.number,
        &*attempt.worker,
        class_name(attempt.class),
        Bytes(attempt.message.as_bytes()),
        attempt.now_ms.cast_signed(),
        checksum(place, attempt)
    ])
}

/// A row of [`SELECT`].
pub(crate) fn read(row: &Row<'_>) -> Result<AttemptRecord, Fault> {
    let place = (number(row, 0)?, number(row, 3)?);
    let what = || format!("failed attempt {}", place.0);
    let (class, message) = (text(row, 7)?.unwrap_or_default(), bytes(row, 8)?.unwrap_or_default());
    let attempt = AttemptRecord {
        action: ActionName {
            task: TaskId(number(row, 1)?),
            request: row.get(2)?,
        },
        kind: text(row, 4)?.unwrap_or_default().into(),
        number: row.get(5)?,
        worker: text(row, 6)?.unwrap_or_default().into(),
        class: class_of(class).ok_or_else(|| damaged(what()))?,
        message: String::from_utf8(message.to_owned()).map_err(|_| damaged(what()))?,
        now_ms: number(row, 9)?,
    };
    check(checksum(place, &attempt), row.get(10)?, what)?;
    Ok(attempt)
}
