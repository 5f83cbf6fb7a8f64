//! The driver's turns, with recording fakes on all sides: what a turn is told, and what leaves at its end.
//!
//! Time is what the test says. A [`Run`] has one kind, `k`, unless its pools list others; workers are `w0`, `w1` and so on in the
//! order of joining; actions `a1`, `a2`, tasks `t1`, `t2` in the order of asking and of handing out.

mod actions;
mod attempts;
mod failures;
mod journal;
mod restore;
mod resume;
mod tasks;
mod workers;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use disperse_scheduler::{ActionId, AttemptId, End, Moment, OwnerId, Policy, TaskId, WorkerId};
use futures::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    BucketSetup, Clock, Driver, Joining, PoolSetup, PoolWorker, Recruiter, Setup,
    halt::Halt,
    journal::{History, Journal, Record, TurnNumber},
};
use crate::{
    operation::Operation,
    sink::{Backlog, EventSink, Finished, Reporter, Wants},
    transport::{NewWorker, Transport, Vanished},
};
use disperse_protocol::{
    control::RunId,
    inbox::{
        Action, Ask, AttemptEnded, AttemptNumber, AttemptReport, Control, Deliveries, Guard, Notice, Numbered, Options,
        Order, OutputPiece, PlannerCall, PlannerNotice, Request, RequestNumber, RunEvent, TaskEnd, TaskRoom, Used,
        Words,
    },
    limits::{Budget, Limits},
    logger::{Level, Logger},
};

/// What the fakes have recorded since it was last taken.
#[derive(Default)]
struct Recorded {
    orders: Vec<(WorkerId, Order)>,
    /// Starts and deliveries of tasks, calls of the planner.
    tasks: Vec<String>,
    /// Workers that cannot be reached.
    unreachable: BTreeSet<WorkerId>,
    left: Vec<WorkerId>,
    records: Vec<(TurnNumber, Vec<Record>)>,
    /// Why nothing more can be recorded.
    journal_failure: Option<String>,
    /// Whether too much waits to be recorded.
    journal_is_behind: bool,
    /// The last turn that is durable. None: there is no journal.
    durable: Option<TurnNumber>,
    events: Vec<String>,
    /// The attempts that were reported.
    attempts: Vec<String>,
    /// Whether the sink takes nothing more.
    is_full: bool,
    /// Whether its reader has gone.
    is_lost: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Recorded>>);

impl Fake {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap()
    }
}

impl Transport for Fake {
    fn join(&mut self, _: WorkerId, _: NewWorker) {}

    fn send(&mut self, _: Moment, worker: WorkerId, order: Order) -> Result<(), Vanished> {
        let mut recorded = self.recorded();
        if recorded.unreachable.contains(&worker) {
            return Err(Vanished);
        }
        recorded.orders.push((worker, order));
        Ok(())
    }

    fn leave(&mut self, worker: WorkerId) {
        self.recorded().left.push(worker);
    }
}

impl Operation for Fake {
    fn call(&mut self, call: PlannerCall, _: TaskRoom, _: u64) {
        let text = match call {
            PlannerCall::Next(count) => format!("next {count}"),
            PlannerCall::Collect { task, outcome, .. } => match outcome {
                Ok(result) => format!("collect {task}: {}", text(&result)),
                Err(error) => format!("collect {task} failed: {error}"),
            },
            PlannerCall::Release => "release".to_owned(),
            PlannerCall::Finish => "finish".to_owned(),
        };
        self.recorded().tasks.push(text);
    }

    fn start(&mut self, task: TaskId, input: Bytes, _: u64) -> Deliveries {
        self.recorded().tasks.push(format!("start {task}: {}", text(&input)));
        let fake = self.clone();
        Deliveries::Handed(Box::new(move |parcel| {
            let delivery = parcel.delivery;
            let answers = delivery.answers.iter().map(|answer| match &answer.value {
                Ok(result) if result.is_empty() => format!("{}", answer.number),
                Ok(result) => format!("{} {}", answer.number, text(result)),
                Err(refusal) => format!("{} {}", answer.number, refusal.reason),
            });
            let answers: Vec<String> = answers.collect();
            let (number, now_ms) = (delivery.number, delivery.now_ms);
            let text = format!("{task} #{number} at {now_ms}: {}", answers.join(", "));
            fake.recorded().tasks.push(text);
        }))
    }

    fn look(&mut self) {}
}

impl Journal for Fake {
    fn is_on(&self) -> bool {
        self.recorded().durable.is_some()
    }

    fn append(&mut self, turn: TurnNumber, records: Vec<Record>) {
        self.recorded().records.push((turn, records));
    }

    fn durable(&self) -> TurnNumber {
        self.recorded().durable.unwrap_or(TurnNumber::MAX)
    }

    fn advanced(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_behind(&self) -> bool {
        self.recorded().journal_is_behind
    }

    fn failure(&self) -> Option<String> {
        self.recorded().journal_failure.clone()
    }
}

impl EventSink for Fake {
    fn event(&mut self, event: &Numbered, output: Option<OutputPiece>) {
        let text = match (&event.event, output) {
            (_, Some(piece)) => format!("output: {}", text(&piece.bytes)),
            (RunEvent::TaskEnded { task, error: None, .. }, _) => format!("t{task} ended"),
            (RunEvent::TaskEnded { task, error, .. }, _) => {
                format!("t{task} failed: {}", error.as_deref().unwrap_or(""))
            }
            (RunEvent::AttemptFailed(failed), _) => {
                let AttemptNumber { action, number } = failed.attempt;
                format!("a{action}#{number} failed on {}: {}", failed.worker, failed.message)
            }
            (RunEvent::ActionFailed(failed), _) => format!("a{} failed: {:?}", failed.action, failed.reason),
            (RunEvent::HealthChanged { worker, health }, _) => format!("{worker} is {:?}", health.kind()),
            (RunEvent::Denied { worker, message }, _) => format!("{worker} was denied: {message}"),
            (RunEvent::Hedged { attempt, .. }, _) => format!("a{}#{} is slow", attempt.action, attempt.number),
            (RunEvent::Outvoted { worker, .. }, _) => format!("{worker} was outvoted"),
            (other, _) => format!("{other:?}"),
        };
        self.recorded().events.push(text);
    }

    fn wants(&self) -> Wants {
        Wants {
            attempts: true,
            results: false,
        }
    }

    fn attempt(&mut self, report: &AttemptReport) {
        let AttemptReport {
            attempt: AttemptNumber { action, number },
            task,
            worker,
            class,
            sent,
            received,
            ..
        } = report;
        let text = format!("a{action}#{number} of t{task} on {worker}: {class}, {sent} sent, {received} received");
        self.recorded().attempts.push(text);
    }

    fn backlog(&self) -> Backlog {
        if self.recorded().is_full {
            Backlog::Full
        } else {
            Backlog::None
        }
    }

    fn is_lost(&self) -> bool {
        self.recorded().is_lost
    }

    fn finish(self: Box<Self>, _: &dyn Fn() -> bool) -> std::io::Result<Finished> {
        Ok(Finished::Whole)
    }
}

/// Makes one more worker like the others.
impl Recruiter for Fake {
    fn one_more(&mut self, id: WorkerId) -> Option<Joining> {
        let buckets = Vec::new();
        let worker = new_worker(id.0, 1, None);
        Some(Joining { worker, buckets })
    }
}

fn new_worker(number: u32, slots: u32, owner: Option<u32>) -> NewWorker {
    NewWorker {
        name: format!("w{number}").into(),
        slots,
        owner: owner.map(OwnerId),
        life: None,
    }
}

/// A pool of the run: its kinds, none for all; the slots of its workers; their owners if they are untrusted.
#[derive(Clone, Copy)]
struct Pool {
    kinds: &'static [&'static str],
    slots: &'static [u32],
    untrusted: bool,
}

/// Workers with one slot each, for every kind.
const fn workers<const N: usize>(slots: &'static [u32; N]) -> Pool {
    Pool {
        kinds: &[],
        slots,
        untrusted: false,
    }
}

/// A run whose turns a test takes.
struct Run {
    driver: Driver<'static>,
    fake: Fake,
    now: Moment,
    #[allow(dead_code, reason = "the driver's inbox is open as long as this is")]
    to_driver: UnboundedSender<Notice>,
}

/// How a run is set up.
struct Set {
    pools: Vec<Pool>,
    policy: Policy,
    tasks_max: usize,
    ordered: bool,
    halt: Option<Halt>,
    buckets: Vec<BucketSetup>,
    has_journal: bool,
    history: Option<Box<dyn History>>,
    written: u64,
}

impl Set {
    fn pools(pools: &[Pool]) -> Self {
        Self {
            pools: pools.to_vec(),
            // What a worker has at most is what it has slots for.
            policy: Policy {
                prefetch: 0,
                ..Policy::default()
            },
            tasks_max: 10,
            halt: None,
            ordered: false,
            buckets: Vec::new(),
            has_journal: false,
            history: None,
            written: 0,
        }
    }

    fn run(self) -> Run {
        let mut run = self.run_without_turn();
        run.turn([]);
        run
    }

    fn run_without_turn(self) -> Run {
        let fake = Fake::default();
        fake.recorded().durable = self.has_journal.then_some(0);
        let mut number = 0;
        let mut pool = |(index, pool): (usize, &Pool)| {
            let mut worker = |slots: &u32| {
                number += 1;
                PoolWorker {
                    worker: new_worker(number - 1, *slots, pool.untrusted.then_some(number)),
                    buckets: (0..)
                        .map(disperse_scheduler::BucketId)
                        .take(self.buckets.len())
                        .collect(),
                }
            };
            PoolSetup {
                name: format!("p{index}"),
                kinds: pool.kinds.iter().map(|&kind| kind.to_owned()).collect(),
                limits: Limits::WORKER,
                workers: pool.slots.iter().map(&mut worker).collect(),
                recruiter: Some(Box::new(fake.clone())),
            }
        };
        let pools = self.pools.iter().enumerate().map(&mut pool).collect();
        let setup = Setup {
            id: RunId::new(),
            policy: self.policy,
            seed: 7,
            pools,
            buckets: self.buckets,
            transport: Box::new(fake.clone()),
            journal: Box::new(fake.clone()),
            history: self.history,
            written: self.written,
            clock: Clock::start(),
            tasks_max: self.tasks_max,
            tasks_each: (0, 0),
            ordered: self.ordered,
            halt: self.halt,
            counts: Arc::default(),
        };
        let report = Box::leak(Box::new(Reporter::new(Box::new(fake.clone()))));
        let (to_driver, inbox) = unbounded_channel();
        let (_, lines) = Logger::new(Level::Error, false);
        let operation = Box::new(fake.clone());
        let driver = Driver::new(setup, operation, inbox, lines, report, &Budget::new(1 << 40)).unwrap();
        Run {
            driver,
            fake,
            now: Moment::START,
            to_driver,
        }
    }
}

impl Run {
    /// With these workers, and a task `t1` that was handed out.
    fn with_task(pools: &[Pool]) -> Self {
        let mut run = Set::pools(pools).run();
        run.turn([handed("")]);
        run.tasks();
        run
    }

    /// Takes a turn now. Returns whether the run is over.
    fn turn(&mut self, notices: impl IntoIterator<Item = Notice>) -> bool {
        let mut batch = notices.into_iter().collect();
        self.driver.turn(self.now, &mut batch)
    }

    /// Lets time pass, and takes a turn at each moment that the run waits for.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.driver.next_moment().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.turn([]);
        }
        self.now = until;
    }

    /// The orders since they were last asked for.
    fn orders(&self) -> Vec<String> {
        let orders = std::mem::take(&mut self.fake.recorded().orders);
        let text = |(worker, order): &(WorkerId, Order)| match order {
            Order::Run(job) => format!("{worker} run {}", job.attempt),
            Order::Stop(attempt) => format!("{worker} stop {attempt}"),
        };
        orders.iter().map(text).collect()
    }

    /// What tasks and planner were told since they were last asked for.
    fn tasks(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.recorded().tasks)
    }

    /// What was reported since it was last asked for.
    fn reported(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.recorded().events)
    }

    /// The attempts that were reported since they were last asked for.
    fn attempts(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.recorded().attempts)
    }

    /// Has the journal keep all turns so far.
    fn keep(&mut self) {
        let all = self.driver.effects.recorded();
        self.fake.recorded().durable = Some(all);
    }
}

/// The payload of all actions.
const PAYLOAD: Bytes = Bytes::from_static(b"payload");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attempt(action: u64, number: u32) -> AttemptId {
    AttemptId {
        action: ActionId(action),
        number,
    }
}

/// The planner hands out a task.
fn handed(input: &'static str) -> Notice {
    planner(PlannerNotice::Handed(input.into()))
}

fn planner(notice: PlannerNotice) -> Notice {
    Notice::Planner(notice, Guard::None)
}

fn output(bytes: &'static str) -> Notice {
    planner(PlannerNotice::Output {
        origin: None,
        bytes: bytes.into(),
    })
}

fn request(task: u64, number: RequestNumber, ask: Ask) -> Notice {
    Notice::Request(Request {
        task: TaskId(task),
        number,
        asked_ms: u64::MAX,
        ask,
    })
}

/// The same request at this time as the task knew it, instead of now.
fn asked_at(asked_ms: u64, notice: Notice) -> Notice {
    match notice {
        Notice::Request(request) => Notice::Request(Request { asked_ms, ..request }),
        other => other,
    }
}

/// A task asks for an action of kind `k`.
fn asks(task: u64, number: RequestNumber) -> Notice {
    asks_with(task, number, Options::default())
}

fn asks_with(task: u64, number: RequestNumber, options: Options) -> Notice {
    asks_for("k", task, number, options)
}

fn asks_for(kind: &str, task: u64, number: RequestNumber, options: Options) -> Notice {
    let action = Action {
        kind: kind.into(),
        payload: PAYLOAD,
    };
    request(task, number, Ask::Action(action, options))
}

fn cancels(task: u64, number: RequestNumber) -> Notice {
    request(task, number, Ask::Cancel)
}

fn sleeps(task: u64, number: RequestNumber, ms: u64) -> Notice {
    request(task, number, Ask::Sleep(Duration::from_millis(ms)))
}

/// An attempt ended like this; with a message if it has no result.
fn ended(attempt: AttemptId, worker: u32, end: End) -> Notice {
    let words = Words {
        message: format!("{end:?}"),
        ..Words::default()
    };
    Notice::AttemptEnded(AttemptEnded {
        attempt,
        worker: WorkerId(worker),
        end,
        result: Bytes::new(),
        words: (end != End::Ok).then(|| Box::new(words)),
        used: Used::default(),
        denied: None,
        reports: None,
    })
}

/// An attempt ended with a result.
fn done(attempt: AttemptId, worker: u32, result: &'static str) -> Notice {
    let mut notice = ended(attempt, worker, End::Ok);
    if let Notice::AttemptEnded(ended) = &mut notice {
        ended.result = result.into();
    }
    notice
}

/// What an order asks for was done, with this result.
fn carried_out(order: &str, result: &'static str) -> Notice {
    let (worker, name) = order.split_once(" run a").unwrap();
    let (action, number) = name.split_once('#').unwrap();
    let attempt = attempt(action.parse().unwrap(), number.parse().unwrap());
    done(attempt, worker[1..].parse().unwrap(), result)
}

fn task_ended(task: u64, result: &'static str) -> Notice {
    let end = TaskEnd {
        outcome: Ok(result.into()),
        ..TaskEnd::failed(String::new())
    };
    let (task, room) = (TaskId(task), TaskRoom::default());
    Notice::TaskEnded { task, end, room }
}

fn control(control: Control) -> Notice {
    Notice::Control(control)
}
