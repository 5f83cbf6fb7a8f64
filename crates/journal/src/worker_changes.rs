//! The rows of `worker_changes`.

use disperse_engine::driver::{TurnNumber, WorkerChanged};
use disperse_scheduler::{Evicted, Health, Moment, WorkerCheckpoint};
use rusqlite::{Row, Statement, params};

use crate::{
    codec::Checksum,
    error::Fault,
    stored::{check, damaged, number, text},
};

pub(crate) const SELECT: &str = "SELECT id, turn, worker, health, until_us, health_round, judged, busy_until_us, quarantines, \
                                 round, unproved_quarantines, score, changed_ms, crc FROM worker_changes";
pub(crate) const INSERT: &str = "INSERT INTO worker_changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A health, in columns: its name, until when it is that, and the number that it has.
struct HealthRow<'a> {
    name: &'a str,
    until: u64,
    round: u32,
}

impl HealthRow<'_> {
    fn of(health: Health) -> Self {
        let (name, until, round) = match health {
            Health::Healthy | Health::Suspect | Health::Busy { .. } => ("healthy", Moment::START, 0),
            Health::Quarantined { until, round } => ("quarantined", until, round),
            Health::Probation { round } => ("probation", Moment::START, round),
            Health::Draining => ("draining", Moment::START, 0),
            Health::Evicted(Evicted::Unfit) => ("evicted: unfit", Moment::START, 0),
            Health::Evicted(Evicted::Unreliable { quarantines }) => ("evicted: unreliable", Moment::START, quarantines),
            Health::Gone => ("gone", Moment::START, 0),
        };
        let until = until.as_micros();
        Self { name, until, round }
    }

    /// None: there is no such health.
    fn health(&self) -> Option<Health> {
        let (until, round) = (Moment::from_micros(self.until), self.round);
        Some(match self.name {
            "healthy" => Health::Healthy,
            "quarantined" => Health::Quarantined { until, round },
            "probation" => Health::Probation { round },
            "draining" => Health::Draining,
            "evicted: unfit" => Health::Evicted(Evicted::Unfit),
            "evicted: unreliable" => Health::Evicted(Evicted::Unreliable { quarantines: round }),
            "gone" => Health::Gone,
            _ => return None,
        })
    }
}

fn checksum((id, turn): (u64, TurnNumber), changed: &WorkerChanged) -> u32 {
    let (checkpoint, health) = (&changed.checkpoint, HealthRow::of(changed.checkpoint.health));
    Checksum::of(10)
        .number(id)
        .number(turn)
        .bytes(changed.worker.as_bytes())
        .bytes(health.name.as_bytes())
        .number(health.until)
        .number(health.round.into())
        .number(checkpoint.judged.into())
        .number(checkpoint.busy_until.as_micros())
        .number(checkpoint.quarantines.into())
        .number(checkpoint.round.into())
        .number(checkpoint.unproved_quarantines.into())
        .number(checkpoint.score.to_bits())
        .number(changed.now_ms)
        .finish()
}

/// `place`: the number of the row, and the turn.
pub(crate) fn write(
    insert: &mut Statement<'_>,
    place: (u64, TurnNumber),
    changed: &WorkerChanged,
) -> rusqlite::Result<usize> {
    let (checkpoint, health) = (&changed.checkpoint, HealthRow::of(changed.checkpoint.health));
    insert.execute(params![
        place.0.cast_signed(),
        place.1.cast_signed(),
        &*changed.worker,
        health.name,
        health.until.cast_signed(),
        health.round,
        checkpoint.judged,
        checkpoint.busy_until.as_micros().cast_signed(),
        checkpoint.quarantines,
        checkpoint.round,
        checkpoint.unproved_quarantines,
        checkpoint.score,
        changed.now_ms.cast_signed(),
        checksum(place, changed)
    ])
}

/// A row of [`SELECT`].
pub(crate) fn read(row: &Row<'_>) -> Result<WorkerChanged, Fault> {
    let place = (number(row, 0)?, number(row, 1)?);
    let what = || format!("change {} of a worker", place.0);
    let health = HealthRow {
        name: text(row, 3)?.unwrap_or_default(),
        until: number(row, 4)?,
        round: row.get(5)?,
    };
    let changed = WorkerChanged {
        worker: text(row, 2)?.unwrap_or_default().into(),
        checkpoint: WorkerCheckpoint {
            health: health.health().ok_or_else(|| damaged(what()))?,
            judged: row.get(6)?,
            busy_until: Moment::from_micros(number(row, 7)?),
            quarantines: row.get(8)?,
            round: row.get(9)?,
            unproved_quarantines: row.get(10)?,
            score: row.get(11)?,
        },
        now_ms: number(row, 12)?,
    };
    check(checksum(place, &changed), row.get(13)?, what)?;
    Ok(changed)
}
