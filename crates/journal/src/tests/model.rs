//! What a journal should hold, and random turns for it.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use disperse_engine::driver::{
    Delivered, History, PlannerCalled, QuotaReserved, Record, Settled, SettledBefore, StartedBefore, TaskHistory,
    WorkerChanged,
};
use disperse_protocol::{
    digest::Digest,
    inbox::{FailureClass, PlannerStep},
};
use disperse_scheduler::{Health, Moment, Reason, ReportedState, TaskId};

use super::support::{attempt_failed, called, delivered, ended, reserved, settled, started, worker_changed};

/// The content of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    calls: Vec<PlannerCalled>,
    starts: BTreeMap<u64, StartedBefore>,
    ends: BTreeMap<u64, Result<Bytes, String>>,
    tasks: BTreeMap<u64, TaskHistory>,
    quotas: Vec<QuotaReserved>,
    workers: BTreeMap<String, WorkerChanged>,
    written: u64,
}

impl Model {
    pub(super) fn apply(&mut self, records: &[Record]) {
        for record in records {
            match record.clone() {
                Record::PlannerCalled(call) => self.calls.push(call),
                Record::TaskStarted { task, input, now_ms } => {
                    let input = Digest::of(&input);
                    self.starts.insert(task.0, StartedBefore { input, now_ms });
                }
                Record::Delivered(delivered) => self.delivered(delivered),
                Record::Settled(settled) => self.settled(&settled),
                Record::TaskEnded { task, outcome, .. } => {
                    self.ends.insert(task.0, outcome);
                }
                Record::Written { bytes } => self.written = bytes,
                Record::AttemptFailed(failed) => {
                    let task = self.tasks.entry(failed.action.task.0).or_default();
                    task.failed.push(failed);
                }
                Record::QuotaReserved(reserved) => self.quotas.push(reserved),
                Record::WorkerChanged(changed) => {
                    self.workers.insert(changed.worker.to_string(), changed);
                }
            }
        }
    }

    fn delivered(&mut self, delivered: Delivered) {
        let task = self.tasks.entry(delivered.task.0).or_default();
        task.deliveries.push(delivered);
    }

    fn settled(&mut self, settled: &Settled) {
        let task = self.tasks.entry(settled.action.task.0).or_default();
        let before = SettledBefore {
            kind: settled.kind.to_string(),
            digest: Digest::of(&settled.payload),
            beginning: settled.payload.slice(..settled.payload.len().min(64)),
            value: settled.value.clone(),
        };
        task.settled.insert(settled.action.request, before);
    }

    /// Reads a journal. `tasks`: the highest number of a task; `written`: what it says of the output.
    pub(super) fn read(history: &mut dyn History, tasks: u64, written: u64) -> std::io::Result<Self> {
        let mut model = Self {
            written,
            ..Self::default()
        };
        model.quotas = history.quotas()?;
        let workers = history.workers()?.into_iter();
        model.workers = workers.map(|changed| (changed.worker.to_string(), changed)).collect();
        while let Some(call) = history.next_call()? {
            model.calls.push(call);
        }
        for number in 0..=tasks {
            let task = TaskId(number);
            if let Some(start) = history.started(task)? {
                model.starts.insert(number, start);
            }
            if let Some(outcome) = history.outcome(task)? {
                model.ends.insert(number, outcome);
            }
            let found = history.task(task)?;
            if found != TaskHistory::default() {
                model.tasks.insert(number, found);
            }
        }
        Ok(model)
    }

    /// Opens a journal. Returns it and its turns.
    pub(super) fn open(path: &Path, tasks: u64) -> Result<(u64, Self), String> {
        let open = crate::open(path).map_err(|error| error.to_string())?;
        let (turns, written) = (open.progress().turns, open.progress().written_bytes);
        let mut history = open.into_history().map_err(|error| error.to_string())?;
        let model = Self::read(&mut history, tasks, written).map_err(|error| error.to_string())?;
        Ok((turns, model))
    }
}

/// Random numbers by xorshift (Marsaglia, "Xorshift RNGs", 2003).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.below(20) {
            0 => 5_000 + self.below(10_000),
            1 => 0,
            _ => self.below(200),
        };
        let fill = self.below(256) as u8;
        vec![fill; length as usize]
    }
}

/// Makes turns as a run would have them.
pub(super) struct Turns {
    pub(super) random: Random,
    /// How many requests and deliveries each task has had, and whether it has ended.
    tasks: Vec<(u32, u32, bool)>,
    now_ms: u64,
    written: u64,
}

impl Turns {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            tasks: Vec::new(),
            now_ms: 0,
            written: 0,
        }
    }

    pub(super) fn tasks(&self) -> u64 {
        self.tasks.len() as u64
    }

    pub(super) fn next(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..1 + self.random.below(6) {
            let record = self.record();
            let delivery = self.delivery(&record);
            records.push(record);
            records.extend(delivery);
        }
        records
    }

    /// The delivery of the answer of an action alone: at once, later, or not yet.
    fn delivery(&mut self, record: &Record) -> Option<Record> {
        let Record::Settled(settled) = record else { return None };
        let later = self.random.below(3);
        let task = self.tasks.get_mut(settled.action.task.0 as usize)?;
        if later == 2 {
            return None;
        }
        task.1 += 1;
        let requests = [settled.action.request];
        Some(delivered(
            settled.action.task.0,
            task.1,
            &requests,
            settled.now_ms + later,
        ))
    }

    fn record(&mut self) -> Record {
        self.now_ms += self.random.below(3);
        let now_ms = self.now_ms;
        let bytes = self.random.bytes();
        let at = self.random.below(self.tasks().max(1));
        let task = self.tasks.get_mut(at as usize);
        match (self.random.below(15), task) {
            (0, _) => called(PlannerStep::Next, now_ms),
            (1, _) => called(PlannerStep::Collect(TaskId(at)), now_ms),
            (2, _) => {
                self.written += bytes.len() as u64;
                Record::Written { bytes: self.written }
            }
            (3, Some(task)) if !task.2 => {
                task.2 = true;
                let outcome = if at.is_multiple_of(3) { Err("trap") } else { Ok(&*bytes) };
                ended(at, outcome, now_ms)
            }
            (4 | 5, Some(task)) => {
                task.1 += 1;
                delivered(at, task.1, &[task.0, task.0 + 3, u32::MAX], now_ms)
            }
            (6..=10, Some(task)) => {
                task.0 += 1;
                let value = if bytes.len() == 7 {
                    Err((Reason::Deadline, "late"))
                } else {
                    Ok(&*bytes)
                };
                settled(at, task.0, &bytes, value)
            }
            (11, Some(_)) => Record::AttemptFailed(attempt_failed(at, 3, FailureClass::Trap, "ü\0")),
            (12, _) => {
                let until = Moment::from_micros(self.random.below(u64::MAX));
                let (left, resets) = (self.random.below(9), Moment::NEVER);
                let reported = match left {
                    0 => ReportedState::None,
                    1 => ReportedState::Debt { until },
                    2 => ReportedState::Cap { left, until, resets },
                    _ => ReportedState::Window {
                        left,
                        earliest: Moment::START,
                        latest: until,
                        resets,
                    },
                };
                Record::QuotaReserved(reserved(left, reported))
            }
            (13, _) => {
                let score = self.random.below(9) as f64 / 7.0;
                let health = if at == 1 { Health::Draining } else { Health::Healthy };
                Record::WorkerChanged(worker_changed(&format!("pool/{at}"), health, score))
            }
            _ => {
                self.tasks.push((0, 0, false));
                started(self.tasks() - 1, &bytes, now_ms)
            }
        }
    }
}
