//! `map`: an operation without a component. Every line of the input is a task with one action. With `--files` a line is
//! the path of a file, which is read when its turn comes: one that cannot be read is a task that fails without an
//! action.

mod options;
mod planned;
mod read;
mod write;

use std::{
    io::{self, BufRead},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_protocol::{
    inbox::{
        Action, Ask, Deliveries, Held, Notice, Options, Parcel, PlannerCall, PlannerNotice, PlannerPort, Request,
        RequestNumber, TaskEnd, TaskRoom, panic_message, reap,
    },
    limits::{Charge, OUTPUT_ROOM},
};
use disperse_scheduler::TaskId;
use rustc_hash::FxHashMap;
use tokio::{
    runtime::Handle,
    sync::{
        Semaphore,
        mpsc::{self, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
};

pub use self::options::{Files, LineWriting, LinesOptions};
use self::{
    options::AHEAD_BYTES,
    planned::{Planned, Shared},
    read::{Piece, count_rest, read_lines},
};
use super::{Operation, in_order::InOrder, take};

/// The number of the only request of a task.
const REQUEST: RequestNumber = 1;

/// How many lines, or batches of lines, are read ahead.
const AHEAD: usize = 1024;

/// The smallest result, in bytes, that takes a permit for it. Shorter ones make a megabyte at most.
const COUNTED_MIN: usize = 1 << 10;

/// How long the rest of the input of a stopped run is counted. Arbitrary: some 10 GB, and short for an operator who
/// pressed Ctrl-C.
pub const COUNTING: Duration = Duration::from_secs(1);

/// The lines of an input as an operation.
pub struct Lines {
    options: LinesOptions,
    to_driver: UnboundedSender<Notice>,
    planner: UnboundedSender<(PlannerCall, TaskRoom)>,
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

impl Lines {
    /// Starts to read.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        mut input: impl BufRead + Send + 'static,
        options: LinesOptions,
        to_driver: UnboundedSender<Notice>,
    ) -> io::Result<Self> {
        let (lines, read) = mpsc::channel(AHEAD);
        let (room, runtime) = (Arc::new(Semaphore::new(AHEAD_BYTES)), Handle::current());
        let port = PlannerPort::new(to_driver.clone());
        let shared = Arc::<Shared>::default();
        std::thread::Builder::new().name("input".into()).spawn({
            let (options, port, shared) = (options.clone(), port.clone(), shared.clone());
            move || {
                let read = AssertUnwindSafe(|| {
                    let ended = read_lines(&mut input, &options, &shared.long_lines, |piece| {
                        let is_task = !matches!(piece, Piece::Broken(_));
                        shared.read.fetch_add(is_task.into(), Ordering::Relaxed);
                        let size = piece.size();
                        let wait = || runtime.block_on(take(&room, size, AHEAD_BYTES));
                        let room = (size >= COUNTED_MIN).then(wait).flatten();
                        lines.blocking_send((piece, room)).is_ok()
                    });
                    let is_counted = !ended && options.is_file && shared.is_stopped.load(Ordering::Relaxed);
                    let read = || shared.read.load(Ordering::Relaxed);
                    match is_counted {
                        true => count_rest(input, &options, &shared.read, Instant::now() + COUNTING).then(read),
                        false => ended.then(read),
                    }
                });
                // The reader may be a program's own. Without a message a panic would count as the end of the input.
                match catch_unwind(read) {
                    Ok(Some(total)) => port.say(PlannerNotice::Total(total)),
                    Ok(None) => {}
                    Err(panic) => {
                        let message = format!("the input panicked: {}", panic_message(&*panic));
                        // Fails if the run is over.
                        let _ = lines.blocking_send((Piece::Broken(message), None));
                    }
                }
            }
        })?;
        let (planner, calls) = unbounded_channel();
        let mut running = JoinSet::new();
        let planned = Planned {
            port,
            to_driver: to_driver.clone(),
            room: Arc::new(Semaphore::new(OUTPUT_ROOM)),
            order: options.ordered.map(InOrder::new),
            shared: shared.clone(),
            handed: 0,
            texts: FxHashMap::default(),
            batch: options.batch,
            end: options.end,
            writing: options.writing,
        };
        running.spawn(planned.plan(calls, read));
        Ok(Self {
            options,
            to_driver,
            planner,
            shared,
            running,
        })
    }
}

impl Operation for Lines {
    fn call(&mut self, call: PlannerCall, room: TaskRoom, _: u64) {
        let _ = self.planner.send((call, room));
    }

    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Deliveries {
        let rejected = self
            .shared
            .rejected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&task.0);
        let notice = match rejected {
            Some(message) => ended(task, Err(message), None),
            None => Notice::Request(Request {
                task,
                number: REQUEST,
                asked_ms: now_ms,
                ask: Ask::Action(
                    Action {
                        kind: self.options.kind.clone(),
                        payload: input,
                    },
                    Options {
                        idempotent: self.options.idempotent,
                        ..Options::default()
                    },
                ),
            }),
        };
        // Fails if the driver is gone, as below.
        let _ = self.to_driver.send(notice);
        // The only delivery has the only answer, which ends the task.
        let to_driver = self.to_driver.clone();
        Deliveries::Handed(Box::new(move |Parcel { delivery, mut charges }| {
            let charge = charges.pop().map(|(_, charge)| charge);
            if let Some(answer) = delivery.answers.into_iter().next() {
                let outcome = answer.value.map_err(|refusal| refusal.message);
                let _ = to_driver.send(ended(task, outcome, charge));
            }
        }))
    }

    fn stop(&mut self) -> bool {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        self.shared.stop.notify_one();
        self.options.is_file
    }

    fn tasks_read(&self) -> u64 {
        self.shared.read.load(Ordering::Relaxed)
    }

    fn held(&self) -> Option<Held> {
        let results = self.shared.waiting.load(Ordering::Relaxed);
        let task = self.shared.due.load(Ordering::Relaxed);
        (results > 0).then(|| Held {
            results,
            line: task.saturating_sub(1) * self.options.batch as u64 + 1,
        })
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

/// The end of a task. `charge`: of its result.
fn ended(task: TaskId, outcome: Result<Bytes, String>, charge: Option<Charge>) -> Notice {
    Notice::TaskEnded {
        task,
        end: TaskEnd::free(outcome),
        room: TaskRoom {
            result: charge,
            ..TaskRoom::default()
        },
    }
}
