//! The rows of `quota_blocks`.

use disperse_engine::driver::{QuotaReserved, TurnNumber};
use disperse_scheduler::{Block, Moment, ReportedState};
use rusqlite::{Row, Statement, params};

use crate::{
    codec::Checksum,
    error::Fault,
    stored::{check, damaged, number, text},
};

pub(crate) const SELECT: &str = "SELECT id, turn, bucket, units, answered, reported, left_units, earliest_us, until_us, \
                                 resets_us, closed_until_us, recorded_ms, crc FROM quota_blocks";
pub(crate) const INSERT: &str = "INSERT INTO quota_blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// What a service has reported, in columns: which kind of report, and the numbers that it has.
#[derive(Clone, Copy, Default)]
struct Reported<'a> {
    kind: &'a str,
    left: u64,
    earliest: u64,
    until: u64,
    resets: u64,
}

impl Reported<'_> {
    fn of(state: ReportedState) -> Self {
        match state {
            ReportedState::None => Self {
                kind: "none",
                ..Self::default()
            },
            ReportedState::Window {
                left,
                earliest,
                latest,
                resets,
            } => Self {
                kind: "window",
                left,
                earliest: earliest.as_micros(),
                until: latest.as_micros(),
                resets: resets.as_micros(),
            },
            ReportedState::Cap { left, until, resets } => Self {
                kind: "cap",
                left,
                until: until.as_micros(),
                resets: resets.as_micros(),
                earliest: 0,
            },
            ReportedState::Debt { until } => Self {
                kind: "debt",
                until: until.as_micros(),
                ..Self::default()
            },
        }
    }

    /// None: there is no such kind.
    fn state(&self) -> Option<ReportedState> {
        let (left, until) = (self.left, Moment::from_micros(self.until));
        let resets = Moment::from_micros(self.resets);
        Some(match self.kind {
            "none" => ReportedState::None,
            "window" => ReportedState::Window {
                left,
                earliest: Moment::from_micros(self.earliest),
                latest: until,
                resets,
            },
            "cap" => ReportedState::Cap { left, until, resets },
            "debt" => ReportedState::Debt { until },
            _ => return None,
        })
    }
}

fn checksum((id, turn): (u64, TurnNumber), record: &QuotaReserved) -> u32 {
    let (block, reported) = (&record.block, Reported::of(record.block.reported));
    Checksum::of(9)
        .number(id)
        .number(turn)
        .bytes(record.bucket.as_bytes())
        .number(block.units)
        .number(block.answered)
        .bytes(reported.kind.as_bytes())
        .number(reported.left)
        .number(reported.earliest)
        .number(reported.until)
        .number(reported.resets)
        .number(block.closed_until.as_micros())
        .number(record.now_ms)
        .finish()
}

/// `place`: the number of the row, and the turn.
pub(crate) fn write(
    insert: &mut Statement<'_>,
    place: (u64, TurnNumber),
    record: &QuotaReserved,
) -> rusqlite::Result<usize> {
    let (block, reported) = (&record.block, Reported::of(record.block.reported));
    insert.execute(params![
        place.0.cast_signed(),
        place.1.cast_signed(),
        &*record.bucket,
        block.units.cast_signed(),
        block.answered.cast_signed(),
        reported.kind,
        reported.left.cast_signed(),
        reported.earliest.cast_signed(),
        reported.until.cast_signed(),
        reported.resets.cast_signed(),
        block.closed_until.as_micros().cast_signed(),
        record.now_ms.cast_signed(),
        checksum(place, record)
    ])
}

/// A row of [`SELECT`].
pub(crate) fn read(row: &Row<'_>) -> Result<QuotaReserved, Fault> {
    let place = (number(row, 0)?, number(row, 1)?);
    let what = || format!("block {} of a quota", place.0);
    let reported = Reported {
        kind: text(row, 5)?.unwrap_or_default(),
        left: number(row, 6)?,
        earliest: number(row, 7)?,
        until: number(row, 8)?,
        resets: number(row, 9)?,
    };
    let record = QuotaReserved {
        bucket: text(row, 2)?.unwrap_or_default().into(),
        block: Block {
            units: number(row, 3)?,
            answered: number(row, 4)?,
            reported: reported.state().ok_or_else(|| damaged(what()))?,
            closed_until: Moment::from_micros(number(row, 10)?),
        },
        now_ms: number(row, 11)?,
    };
    check(checksum(place, &record), row.get(12)?, what)?;
    Ok(record)
}
