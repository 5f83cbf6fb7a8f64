//! Writes records as rows.

use disperse_engine::driver::{BEGINNING, Delivered, PlannerCalled, Record, Settled, TurnNumber};
use disperse_protocol::{digest::Digest, inbox::PlannerStep};
use rusqlite::{Connection, Statement, params};

use crate::{
    codec::{self, Bytes},
    failed_attempts,
    progress::Progress,
    quota_blocks,
    schema::LARGE,
    sums, worker_changes,
};

/// The statements that write, prepared once.
pub(crate) struct Rows<'c> {
    call: Statement<'c>,
    start: Statement<'c>,
    end: Statement<'c>,
    delivery: Statement<'c>,
    settled: Statement<'c>,
    payload: Statement<'c>,
    failed: Statement<'c>,
    block: Statement<'c>,
    worker: Statement<'c>,
    /// For numbers of requests.
    numbers: Vec<u8>,
}

/// A value as its row has it: itself, or the digest of one in `payloads`.
struct Stored<'a> {
    value: Option<Bytes<'a>>,
    digest: Option<Digest>,
}

/// The number of a delivery that has the answer of an action alone, at the moment at which it was settled. None: the record is another
/// one.
fn delivery_of(settled: &Settled, next: &Record) -> Option<u32> {
    let Record::Delivered(delivered) = next else {
        return None;
    };
    let is_its = delivered.task == settled.action.task && delivered.requests == [settled.action.request];
    (is_its && delivered.now_ms == settled.now_ms).then_some(delivered.number)
}

impl Stored<'_> {
    fn digest(&self) -> Option<&[u8]> {
        self.digest.as_ref().map(Digest::as_bytes)
    }
}

impl<'c> Rows<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            call: connection.prepare("INSERT INTO planner_calls VALUES (?, ?, ?, ?, ?, ?)")?,
            start: connection.prepare("INSERT INTO task_starts VALUES (?, ?, ?, ?, ?, ?)")?,
            end: connection.prepare("INSERT INTO task_ends VALUES (?, ?, ?, ?, ?, ?, ?)")?,
            delivery: connection.prepare("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)")?,
            settled: connection.prepare("INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            payload: connection.prepare("INSERT OR IGNORE INTO payloads VALUES (?, ?)")?,
            failed: connection.prepare(failed_attempts::INSERT)?,
            block: connection.prepare(quota_blocks::INSERT)?,
            worker: connection.prepare(worker_changes::INSERT)?,
            numbers: Vec::new(),
        })
    }

    /// Writes the records of a turn and counts them. Returns the last of the run's times that they have.
    pub(crate) fn write_all(
        &mut self,
        records: &[Record],
        turn: TurnNumber,
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        let mut last = None;
        let mut records = records.iter().peekable();
        while let Some(record) = records.next() {
            let now_ms = match record {
                Record::Settled(settled) => {
                    let delivery = records.peek().and_then(|next| delivery_of(settled, next));
                    if delivery.is_some() {
                        records.next();
                    }
                    self.write_settled(settled, delivery, turn, progress)?
                }
                record => self.write(record, turn, progress)?,
            };
            last = last.max(now_ms);
        }
        Ok(last)
    }

    /// Writes a record of a turn and counts it. Returns the run's time of it, if it has one.
    fn write(&mut self, record: &Record, turn: TurnNumber, progress: &mut Progress) -> rusqlite::Result<Option<u64>> {
        match record {
            Record::PlannerCalled(call) => self.write_call(*call, turn, progress),
            Record::TaskStarted { task, input, now_ms } => self.write_start(task.0, input, (turn, *now_ms), progress),
            Record::Delivered(delivered) => self.write_delivery(delivered, turn, progress),
            Record::Settled(settled) => self.write_settled(settled, None, turn, progress),
            Record::TaskEnded { task, outcome, now_ms } => {
                let (ok, value) = match outcome {
                    Ok(result) => (true, &**result),
                    Err(message) => (false, message.as_bytes()),
                };
                self.write_end(task.0, ok, value, (turn, *now_ms), progress)
            }
            Record::AttemptFailed(failed) => {
                progress.failed_attempts += 1;
                failed_attempts::write(&mut self.failed, (progress.failed_attempts, turn), failed)?;
                Ok(Some(failed.now_ms))
            }
            Record::QuotaReserved(reserved) => {
                progress.quota_blocks += 1;
                quota_blocks::write(&mut self.block, (progress.quota_blocks, turn), reserved)?;
                Ok(Some(reserved.now_ms))
            }
            Record::WorkerChanged(changed) => {
                progress.worker_changes += 1;
                worker_changes::write(&mut self.worker, (progress.worker_changes, turn), changed)?;
                Ok(Some(changed.now_ms))
            }
            Record::Written { bytes } => {
                progress.written_bytes = *bytes;
                Ok(None)
            }
        }
    }

    fn write_call(
        &mut self,
        call: PlannerCalled,
        turn: TurnNumber,
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        progress.planner_calls += 1;
        let number = progress.planner_calls;
        let (step, task) = match call.step {
            PlannerStep::Next => ("next", None),
            PlannerStep::Collect(task) => ("collect", Some(task.0)),
            PlannerStep::Finish => ("finish", None),
        };
        let crc = sums::call(number, turn, step, task, call.now_ms);
        self.call.execute(params![
            number.cast_signed(),
            turn.cast_signed(),
            step,
            task.map(u64::cast_signed),
            call.now_ms.cast_signed(),
            crc
        ])?;
        Ok(Some(call.now_ms))
    }

    fn write_start(
        &mut self,
        task: u64,
        input: &[u8],
        (turn, now_ms): (TurnNumber, u64),
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        progress.task_starts += 1;
        let digest = Digest::of(input);
        let value = if input.len() > LARGE {
            self.write_payload(&digest, input, progress)?;
            None
        } else {
            Some(input)
        };
        let crc = sums::start(task, turn, value, digest.as_bytes(), now_ms);
        self.start.execute(params![
            task.cast_signed(),
            turn.cast_signed(),
            value.map(Bytes),
            digest.as_bytes(),
            now_ms.cast_signed(),
            crc
        ])?;
        Ok(Some(now_ms))
    }

    fn write_end(
        &mut self,
        task: u64,
        ok: bool,
        value: &[u8],
        (turn, now_ms): (TurnNumber, u64),
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        progress.task_ends += 1;
        let stored = self.stored(value, progress)?;
        let crc = sums::end(
            task,
            turn,
            ok,
            stored.value.as_ref().map(|value| value.0),
            stored.digest(),
            now_ms,
        );
        self.end.execute(params![
            task.cast_signed(),
            turn.cast_signed(),
            ok,
            stored.value,
            stored.digest(),
            now_ms.cast_signed(),
            crc
        ])?;
        Ok(Some(now_ms))
    }

    fn write_delivery(
        &mut self,
        delivered: &Delivered,
        turn: TurnNumber,
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        progress.deliveries += 1;
        let Delivered {
            task,
            number,
            now_ms,
            requests,
        } = delivered;
        codec::encode(requests, &mut self.numbers);
        let id = progress.deliveries;
        let crc = sums::delivery((id, task.0), *number, turn, &self.numbers, *now_ms);
        self.delivery.execute(params![
            id.cast_signed(),
            task.0.cast_signed(),
            number,
            turn.cast_signed(),
            self.numbers,
            now_ms.cast_signed(),
            crc
        ])?;
        Ok(Some(*now_ms))
    }

    fn write_settled(
        &mut self,
        settled: &Settled,
        delivery: Option<u32>,
        turn: TurnNumber,
        progress: &mut Progress,
    ) -> rusqlite::Result<Option<u64>> {
        progress.settled += 1;
        let digest = Digest::of(&settled.payload);
        let (reason, value) = match &settled.value {
            Ok(result) => (None, &**result),
            Err(refusal) => (Some(sums::reason_name(refusal.reason)), refusal.message.as_bytes()),
        };
        let stored = self.stored(value, progress)?;
        let row = sums::SettledRow {
            id: progress.settled,
            task: settled.action.task.0,
            request: settled.action.request,
            turn,
            kind: &settled.kind,
            payload_digest: digest.as_bytes(),
            beginning: settled.payload.get(..BEGINNING).unwrap_or(&settled.payload),
            reason,
            value: stored.value.as_ref().map(|value| value.0),
            value_digest: stored.digest(),
            attempts: settled.attempts,
            settled_ms: settled.now_ms,
            delivery,
        };
        self.settled.execute(params![
            row.id.cast_signed(),
            row.task.cast_signed(),
            row.request,
            turn.cast_signed(),
            row.kind,
            row.payload_digest,
            Bytes(row.beginning),
            row.reason,
            stored.value,
            row.value_digest,
            row.attempts,
            row.settled_ms.cast_signed(),
            row.delivery,
            row.checksum()
        ])?;
        Ok(Some(settled.now_ms))
    }

    fn stored<'a>(&mut self, value: &'a [u8], progress: &mut Progress) -> rusqlite::Result<Stored<'a>> {
        if value.len() <= LARGE {
            return Ok(Stored {
                value: Some(Bytes(value)),
                digest: None,
            });
        }
        let digest = Digest::of(value);
        self.write_payload(&digest, value, progress)?;
        Ok(Stored {
            value: None,
            digest: Some(digest),
        })
    }

    /// Stores a large value, unless an equal one is.
    fn write_payload(&mut self, digest: &Digest, value: &[u8], progress: &mut Progress) -> rusqlite::Result<()> {
        let inserted = self.payload.execute(params![digest.as_bytes(), Bytes(value)])?;
        progress.payloads += inserted as u64;
        Ok(())
    }
}
