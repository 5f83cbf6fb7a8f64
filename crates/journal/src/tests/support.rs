//! Records, and journals in temporary folders.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use disperse_engine::driver::{
    AttemptRecord, Delivered, Journal as _, PlannerCalled, QuotaReserved, Record, Settled, TurnNumber, WorkerChanged,
};
use disperse_protocol::inbox::{ActionName, FailureClass, PlannerStep, Refusal};
use disperse_scheduler::{Block, Health, Moment, Reason, ReportedState, TaskId, WorkerCheckpoint};
use tempfile::TempDir;

use crate::{JournalWriter, RunInfo, Status};

pub(super) fn info() -> RunInfo {
    RunInfo {
        id: "20261124-162024-kqztb".to_owned(),
        version: "0.1.0".to_owned(),
        created_unix_ms: 1_795_537_224_000,
        seed: u64::MAX,
        began_unix_ms: 1_795_537_224_001,
        operation: "examples/word-count".to_owned(),
        operation_sha256: "ab".repeat(32),
        arguments: vec!["--top".to_owned(), "1\u{1f}é".to_owned()],
        command: serde_json::json!({ "cwd": "/x" }),
        status: Status::Running,
        reason: None,
        ended_unix_ms: None,
    }
}

/// A temporary folder and the path of a journal in it.
pub(super) struct Place {
    pub(super) folder: TempDir,
    pub(super) path: PathBuf,
}

/// A temporary folder in memory, if that is possible: most of what is tested does not depend on a disk, which may be slow.
pub(super) fn folder() -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).unwrap()
}

impl Place {
    pub(super) fn new() -> Self {
        Self::of(folder())
    }

    /// On a disk, to measure it.
    #[cfg(feature = "soak")]
    pub(super) fn on_disk() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    fn of(folder: TempDir) -> Self {
        let path = folder.path().join("runs/20261124-162024-kqztb.journal");
        Self { folder, path }
    }
}

pub(super) fn started(task: u64, input: &[u8], now_ms: u64) -> Record {
    Record::TaskStarted {
        task: TaskId(task),
        input: Bytes::copy_from_slice(input),
        now_ms,
    }
}

pub(super) fn ended(task: u64, outcome: Result<&[u8], &str>, now_ms: u64) -> Record {
    Record::TaskEnded {
        task: TaskId(task),
        outcome: outcome.map(Bytes::copy_from_slice).map_err(str::to_owned),
        now_ms,
    }
}

pub(super) fn called(step: PlannerStep, now_ms: u64) -> Record {
    Record::PlannerCalled(PlannerCalled { step, now_ms })
}

pub(super) fn delivered(task: u64, number: u32, requests: &[u32], now_ms: u64) -> Record {
    Record::Delivered(Delivered {
        task: TaskId(task),
        number,
        now_ms,
        requests: requests.to_vec(),
    })
}

pub(super) fn settled(task: u64, request: u32, payload: &[u8], value: Result<&[u8], (Reason, &str)>) -> Record {
    Record::Settled(Settled {
        action: ActionName {
            task: TaskId(task),
            request,
        },
        kind: Arc::from("fetch"),
        payload: Bytes::copy_from_slice(payload),
        value: value.map(Bytes::copy_from_slice).map_err(|(reason, message)| Refusal {
            reason,
            message: message.to_owned(),
        }),
        attempts: 1,
        now_ms: 7,
    })
}

pub(super) fn attempt_failed(task: u64, request: u32, class: FailureClass, message: &str) -> AttemptRecord {
    AttemptRecord {
        action: ActionName {
            task: TaskId(task),
            request,
        },
        kind: Arc::from("fetch"),
        number: 2,
        worker: Arc::from("pool/1"),
        class,
        message: message.to_owned(),
        now_ms: 7,
    }
}

pub(super) fn reserved(units: u64, reported: ReportedState) -> QuotaReserved {
    QuotaReserved {
        bucket: Arc::from("pool/1:requests"),
        block: Block {
            units,
            answered: units / 2,
            reported,
            closed_until: Moment::from_micros(units * 3),
        },
        now_ms: 7,
    }
}

pub(super) fn worker_changed(worker: &str, health: Health, score: f64) -> WorkerChanged {
    WorkerChanged {
        worker: Arc::from(worker),
        checkpoint: WorkerCheckpoint {
            health,
            judged: true,
            busy_until: Moment::from_micros(u64::MAX),
            quarantines: 3,
            round: 2,
            unproved_quarantines: 1,
            score,
        },
        now_ms: 7,
    }
}

/// Waits until a turn is durable.
pub(super) async fn durable(writer: &mut JournalWriter, turn: TurnNumber) {
    while writer.durable() < turn {
        assert_eq!(writer.failure(), None);
        writer.advanced().await;
    }
}
