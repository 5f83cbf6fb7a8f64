//! Reads what a run did before it is resumed.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use disperse_engine::driver::{
    Delivered, History, PlannerCalled, QuotaReserved, SettledBefore, StartedBefore, TaskHistory, WorkerChanged,
};
use disperse_protocol::inbox::Refusal;
use disperse_scheduler::TaskId;
use rusqlite::{Connection, Row, Statement, params};
use rustc_hash::FxHashMap;

use crate::{
    error::Fault,
    failed_attempts,
    progress::Progress,
    quota_blocks,
    stored::{self, Value, damaged, number},
    sums, worker_changes,
};

/// How many calls of the planner are read at once.
const CALLS: u64 = 1024;

/// After how many look-ups another transaction begins. Each look-up in one of its own takes three times as long; with one for all,
/// the write-ahead log could not begin anew.
const LOOKUPS: u32 = 1024;

/// How many statements stay prepared: one for each kind of look-up.
const STATEMENTS: usize = 16;

/// The numbers of the rows of each task that has not ended, rising.
type Rows = FxHashMap<TaskId, Vec<i64>>;

/// What a run did until its journal was opened, also while the run goes on and more is recorded.
pub struct JournalHistory {
    connection: Connection,
    path: PathBuf,
    /// How far the journal was when it was opened.
    progress: Progress,
    calls: VecDeque<PlannerCalled>,
    /// How many calls have been read.
    calls_read: u64,
    /// How many look-ups this transaction has had.
    lookups: u32,
    deliveries: Rows,
    settled: Rows,
    failed: Rows,
    sql: Sql,
}

/// The statements of look-ups.
struct Sql {
    calls: String,
    start: String,
    end: String,
    delivery: String,
    settled: String,
    failed: String,
}

impl JournalHistory {
    pub(crate) fn new(path: &Path, connection: Connection, progress: Progress) -> Result<Self, Fault> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut history = Self {
            connection,
            path: path.to_owned(),
            progress,
            calls: VecDeque::new(),
            calls_read: 0,
            lookups: 0,
            deliveries: Rows::default(),
            settled: Rows::default(),
            failed: Rows::default(),
            sql: Sql {
                calls: format!("{} WHERE call > ? AND call <= ? ORDER BY call", stored::CALLS),
                start: format!("{} WHERE task = ? AND turn <= ?", stored::STARTS),
                end: format!("{} WHERE task = ? AND turn <= ?", stored::ENDS),
                delivery: format!("{} WHERE id = ?", stored::DELIVERIES),
                settled: format!("{} WHERE id = ?", stored::SETTLED),
                failed: format!("{} WHERE id = ?", failed_attempts::SELECT),
            },
        };
        history.deliveries = history.rows_of_tasks("deliveries", progress.deliveries)?;
        history.settled = history.rows_of_tasks("settled", progress.settled)?;
        history.failed = history.rows_of_tasks("failed_attempts", progress.failed_attempts)?;
        Ok(history)
    }

    fn turns(&self) -> i64 {
        self.progress.turns.cast_signed()
    }

    /// Finds the first so many rows of tasks that have not ended.
    fn rows_of_tasks(&self, table: &str, count: u64) -> Result<Rows, Fault> {
        let sql = format!(
            "SELECT id, task FROM {table} r WHERE id <= ? AND NOT EXISTS \
             (SELECT 1 FROM task_ends e WHERE e.task = r.task AND e.turn <= ?) ORDER BY id"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params![count.cast_signed(), self.turns()])?;
        let mut found = Rows::default();
        while let Some(row) = rows.next()? {
            found.entry(TaskId(number(row, 1)?)).or_default().push(row.get(0)?);
        }
        Ok(found)
    }

    /// The rows of a task, also of one that has ended: then all are read for it.
    fn rows_of(&self, table: &str, of_tasks: &Rows, task: TaskId, count: u64) -> Result<Vec<i64>, Fault> {
        if let Some(rows) = of_tasks.get(&task) {
            return Ok(rows.clone());
        }
        let ended = "SELECT 1 FROM task_ends WHERE task = ? AND turn <= ?";
        let mut ended = self.connection.prepare_cached(ended)?;
        if !ended.exists(params![task.0.cast_signed(), self.turns()])? {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT id FROM {table} WHERE task = ? AND id <= ? ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![task.0.cast_signed(), count.cast_signed()], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Begins another transaction now and then.
    fn renew(&mut self) -> Result<(), Fault> {
        if self.lookups == LOOKUPS {
            self.connection.prepare_cached("COMMIT")?.execute(())?;
            self.lookups = 0;
        }
        if self.lookups == 0 {
            self.connection.prepare_cached("BEGIN")?.execute(())?;
        }
        self.lookups += 1;
        Ok(())
    }

    fn look<T>(&mut self, read: impl FnOnce(&Self) -> Result<T, Fault>) -> io::Result<T> {
        let found = self.renew().and_then(|()| read(self));
        found.map_err(|fault| fault.at(&self.path).into())
    }

    /// Reads more calls of the planner.
    fn read_calls(&mut self) -> Result<(), Fault> {
        let last = self.progress.planner_calls.min(self.calls_read.saturating_add(CALLS));
        let mut statement = self.connection.prepare_cached(&self.sql.calls)?;
        let mut rows = statement.query(params![self.calls_read.cast_signed(), last.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let (_, call) = stored::call(row)?;
            self.calls.push_back(call);
            self.calls_read += 1;
        }
        if self.calls_read == last {
            Ok(())
        } else {
            Err(damaged("calls of the planner are missing".to_owned()))
        }
    }

    fn read_start(&self, task: TaskId) -> Result<Option<StartedBefore>, Fault> {
        let mut statement = self.connection.prepare_cached(&self.sql.start)?;
        let mut rows = statement.query(params![task.0.cast_signed(), self.turns()])?;
        rows.next()?.map(stored::start).transpose()
    }

    fn read_end(&self, task: TaskId) -> Result<Option<Result<Bytes, String>>, Fault> {
        let mut statement = self.connection.prepare_cached(&self.sql.end)?;
        let mut rows = statement.query(params![task.0.cast_signed(), self.turns()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (ok, value) = stored::end(row)?;
        let value = value.read(&self.connection)?;
        Ok(Some(if ok { Ok(value) } else { Err(message(value)?) }))
    }

    fn read_task(&self, task: TaskId) -> Result<TaskHistory, Fault> {
        let mut history = TaskHistory::default();
        let mut statement = self.connection.prepare_cached(&self.sql.delivery)?;
        for id in self.rows_of("deliveries", &self.deliveries, task, self.progress.deliveries)? {
            history.deliveries.push(one(&mut statement, id, stored::delivery)?);
        }
        let mut statement = self.connection.prepare_cached(&self.sql.settled)?;
        for id in self.rows_of("settled", &self.settled, task, self.progress.settled)? {
            let (request, delivery, before) = one(&mut statement, id, |row| self.settled_before(task, row))?;
            history.deliveries.extend(delivery);
            if history.settled.insert(request, before).is_some() {
                return Err(damaged(format!("action {}-{request} was recorded twice", task.0)));
            }
        }
        history.deliveries.sort_unstable_by_key(|delivery| delivery.number);
        let mut statement = self.connection.prepare_cached(&self.sql.failed)?;
        for id in self.rows_of("failed_attempts", &self.failed, task, self.progress.failed_attempts)? {
            history.failed.push(one(&mut statement, id, failed_attempts::read)?);
        }
        Ok(history)
    }

    /// Reads the first so many rows of a table.
    fn first<T>(&self, select: &str, count: u64, read: impl Fn(&Row<'_>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let mut statement = self
            .connection
            .prepare(&format!("{select} WHERE id <= ? ORDER BY id"))?;
        let mut rows = statement.query([count.cast_signed()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// An action that was settled: its request, the delivery that had its answer alone, and the rest.
    fn settled_before(&self, task: TaskId, row: &Row<'_>) -> Result<(u32, Option<Delivered>, SettledBefore), Fault> {
        let stored = stored::settled(row)?;
        let value = Value {
            inline: stored.value,
            digest: stored.value_digest,
        };
        let value = value.read(&self.connection)?;
        let value = match stored.reason {
            None => Ok(value),
            Some(name) => Err(Refusal {
                reason: sums::reason_of(name).ok_or_else(|| damaged(format!("the reason `{name}`")))?,
                message: message(value)?,
            }),
        };
        let before = SettledBefore {
            kind: stored.kind.to_owned(),
            digest: stored::digest(stored.payload_digest)?,
            beginning: Bytes::copy_from_slice(stored.beginning),
            value,
        };
        let delivery = stored.delivery.map(|number| Delivered {
            task,
            number,
            now_ms: stored.settled_ms,
            requests: vec![stored.request],
        });
        Ok((stored.request, delivery, before))
    }
}

fn message(value: Bytes) -> Result<String, Fault> {
    String::from_utf8(value.into()).map_err(|_| damaged("a message".to_owned()))
}

/// Reads the row with this number.
fn one<T>(statement: &mut Statement<'_>, id: i64, read: impl FnOnce(&Row<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
    let mut rows = statement.query([id])?;
    let row = rows.next()?;
    read(row.ok_or_else(|| damaged(format!("row {id} is missing")))?)
}

impl History for JournalHistory {
    fn next_call(&mut self) -> io::Result<Option<PlannerCalled>> {
        if self.calls.is_empty() && self.calls_read < self.progress.planner_calls {
            self.read_calls().map_err(|fault| fault.at(&self.path))?;
        }
        Ok(self.calls.pop_front())
    }

    fn started(&mut self, task: TaskId) -> io::Result<Option<StartedBefore>> {
        self.look(|history| history.read_start(task))
    }

    fn outcome(&mut self, task: TaskId) -> io::Result<Option<Result<Bytes, String>>> {
        self.look(|history| history.read_end(task))
    }

    fn quotas(&mut self) -> io::Result<Vec<QuotaReserved>> {
        self.look(|history| history.first(quota_blocks::SELECT, history.progress.quota_blocks, quota_blocks::read))
    }

    fn workers(&mut self) -> io::Result<Vec<WorkerChanged>> {
        let all = |history: &Self| {
            history.first(
                worker_changes::SELECT,
                history.progress.worker_changes,
                worker_changes::read,
            )
        };
        let mut last = BTreeMap::new();
        for changed in self.look(all)? {
            last.insert(changed.worker.clone(), changed);
        }
        Ok(last.into_values().collect())
    }

    fn task(&mut self, task: TaskId) -> io::Result<TaskHistory> {
        self.look(|history| history.read_task(task))
    }
}
