//! An operation that is functions of the program which embeds this host.
//!
//! The planner is a stream of inputs, a task is a future made from one of them. Nothing here is deterministic: a task
//! receives an answer as soon as it arrives, and has the real clock and all else that its program has.

use std::{
    num::NonZeroU32,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use disperse_scheduler::{Reason, TaskId};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::JoinSet,
};

use super::{Operation, output_room};
use disperse_protocol::{
    inbox::{
        Action, Answer, Ask, Deliveries, Notice, Options, Origin, Parcel, PlannerCall, PlannerNotice, PlannerPort,
        Refusal, Request, RequestNumber, TaskEnd, TaskRoom, Used, panic_message, reap,
    },
    limits::{Account, Budget, Charge, OUTPUT_ROOM},
};

/// The code of a task: from its port, which holds its input, to the output to write, or the text of an error.
pub type NativeTask = Arc<dyn Fn(NativePort) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// The parts from which an operation is started.
pub struct NativeTasks {
    pub inputs: BoxStream<'static, Bytes>,
    pub run: NativeTask,
    /// The most unanswered actions of one task.
    pub in_flight: NonZeroU32,
}

/// Functions as an operation.
pub struct Native {
    run: NativeTask,
    in_flight: NonZeroU32,
    budget: Arc<Budget>,
    /// The share of running tasks in the memory.
    account: Arc<Account>,
    output: Output,
    to_driver: UnboundedSender<Notice>,
    planner: UnboundedSender<(PlannerCall, TaskRoom)>,
    /// The planner and the tasks. Dropping the operation ends them.
    running: JoinSet<()>,
}

impl Native {
    /// Starts to wait for calls.
    pub fn start(tasks: NativeTasks, budget: Arc<Budget>, to_driver: UnboundedSender<Notice>) -> Self {
        let (planner, calls) = unbounded_channel();
        let mut running = JoinSet::new();
        let output = Output {
            port: PlannerPort::new(to_driver.clone()),
            room: Arc::new(Semaphore::new(OUTPUT_ROOM)),
        };
        running.spawn(plan(calls, tasks.inputs, output.clone(), budget.clone()));
        Self {
            run: tasks.run,
            in_flight: tasks.in_flight,
            account: budget.memory().account(u64::MAX, Arc::default()),
            budget,
            output,
            to_driver,
            planner,
            running,
        }
    }
}

impl Operation for Native {
    fn call(&mut self, call: PlannerCall, room: TaskRoom, _: u64) {
        // A planner that failed has reported it.
        let _ = self.planner.send((call, room));
    }

    fn start(&mut self, task: TaskId, input: Bytes, started_ms: u64) -> Deliveries {
        reap(&mut self.running);
        let port = NativePort(Arc::new(Port {
            task,
            started_ms,
            input,
            to_driver: self.to_driver.clone(),
            output: self.output.clone(),
            budget: self.budget.clone(),
            in_flight: Arc::new(Semaphore::new(self.in_flight.get() as usize)),
            asked: Mutex::default(),
        }));
        // Also for a task that is stuck in its function, and so is not dropped: its waiting ends with the run.
        let over = Over(port.0.clone());
        let deliveries = Deliveries::Handed(Box::new(move |parcel| over.0.deliver(parcel)));
        let (run, budget, to_driver) = (self.run.clone(), self.budget.clone(), self.to_driver.clone());
        let account = self.account.clone();
        self.running.spawn(async move {
            let begun = budget.begin(&account, 0).await;
            let began = Instant::now();
            let outcome = task_to_its_end(run, port).await;
            let result = outcome.as_ref().map_or(0, Bytes::len);
            let end = TaskEnd {
                is_of_machine: false,
                used: Used {
                    wall: began.elapsed(),
                    ..Used::default()
                },
                outcome,
            };
            let room = TaskRoom {
                begun: Some(begun.ended()),
                result: Charge::of(&budget, result),
                ..TaskRoom::default()
            };
            let _ = to_driver.send(Notice::TaskEnded { task, end, room });
        });
        deliveries
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

/// Runs one task. A panic ends it with an error.
async fn task_to_its_end(run: NativeTask, port: NativePort) -> Result<Bytes, String> {
    // Also when the task is dropped: a thread that still has a handle of it must not wait for ever.
    let _over = Over(port.0.clone());
    // Called within the future, so that a panic of the call itself is caught too.
    let outcome = AssertUnwindSafe(async move { run(port).await }).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_message(&*panic))))
}

/// The channel of a task to the driver. Clones are the same one.
#[derive(Clone)]
pub struct NativePort(Arc<Port>);

struct Port {
    task: TaskId,
    /// The run's time, which is all that the task knows of it.
    started_ms: u64,
    input: Bytes,
    to_driver: UnboundedSender<Notice>,
    output: Output,
    budget: Arc<Budget>,
    in_flight: Arc<Semaphore>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    last: RequestNumber,
    over: bool,
    waiting: FxHashMap<RequestNumber, Waiting>,
}

struct Waiting {
    to_asker: oneshot::Sender<Answer>,
    #[allow(dead_code, reason = "held until there is an answer, wanted or not")]
    place: OwnedSemaphorePermit,
}

impl Port {
    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes each answer to the call that waits for it.
    fn deliver(&self, parcel: Parcel) {
        let mut asked = self.asked();
        for answer in parcel.delivery.answers {
            if let Some(waiting) = asked.waiting.remove(&answer.number) {
                // A caller that does not need it any more has dropped the receiver.
                let _ = waiting.to_asker.send(answer);
            }
        }
    }
}

/// Ends all waiting calls when a task is over.
struct Over(Arc<Port>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.in_flight.close();
        let mut asked = self.0.asked();
        asked.over = true;
        asked.waiting.clear();
    }
}

impl NativePort {
    pub fn task(&self) -> TaskId {
        self.0.task
    }

    pub fn input(&self) -> &Bytes {
        &self.0.input
    }

    /// Sends an action and waits for its result.
    ///
    /// # Errors
    /// It ended without a result, or the task is over.
    ///
    /// Cancel safe: dropping it cancels the action.
    pub async fn perform(&self, action: Action, options: Options) -> Result<Bytes, Refusal> {
        let over = || Refusal {
            reason: Reason::Cancelled,
            message: "the task that asked for it is over".into(),
        };
        self.0.budget.room().await;
        let Ok(place) = self.0.in_flight.clone().acquire_owned().await else {
            return Err(over());
        };
        let (to_asker, answer) = oneshot::channel();
        let number = {
            let mut asked = self.0.asked();
            if asked.over {
                return Err(over());
            }
            asked.last = asked.last.wrapping_add(1);
            let number = asked.last;
            asked.waiting.insert(number, Waiting { to_asker, place });
            number
        };
        self.ask(number, Ask::Action(action, options));
        let mut wanted = Wanted {
            port: self,
            number,
            answered: false,
        };
        let answer = answer.await;
        wanted.answered = true;
        answer.map_or_else(|_| Err(over()), |answer| answer.value)
    }

    /// Writes to the run's output; waits while the output is slow.
    ///
    /// Cancel safe: the bytes are written whole or not at all.
    pub async fn output(&self, bytes: Bytes) {
        let origin = Origin {
            task: self.0.task,
            performed: None,
        };
        self.0.output.write(origin, bytes).await;
    }

    fn ask(&self, number: RequestNumber, ask: Ask) {
        let request = Request {
            task: self.0.task,
            number,
            asked_ms: self.0.started_ms,
            ask,
        };
        // A driver that is gone has ended this task too.
        let _ = self.0.to_driver.send(Notice::Request(request));
    }
}

/// An action that a call waits for.
struct Wanted<'a> {
    port: &'a NativePort,
    number: RequestNumber,
    answered: bool,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.port.ask(self.number, Ask::Cancel);
        }
    }
}

/// The run's output.
#[derive(Clone)]
struct Output {
    port: PlannerPort,
    room: Arc<Semaphore>,
}

impl Output {
    async fn write(&self, origin: Origin, bytes: Bytes) {
        let room = output_room(&self.room, bytes.len()).await;
        self.port.output_of(Some(origin), bytes, room);
    }
}

/// Hands out inputs and writes results.
async fn plan(
    mut calls: UnboundedReceiver<(PlannerCall, TaskRoom)>,
    inputs: BoxStream<'static, Bytes>,
    output: Output,
    budget: Arc<Budget>,
) {
    let mut inputs = inputs.fuse();
    let mut wanted = 0;
    loop {
        tokio::select! {
            biased;
            call = calls.recv() => match call {
                None => return,
                Some((PlannerCall::Next(count), _)) => wanted = count,
                Some((PlannerCall::Collect { task, outcome, performed, .. }, room)) => {
                    if let Some(result) = outcome.ok().filter(|result| !result.is_empty()) {
                        output.write(Origin { task, performed }, result).await;
                    }
                    drop(room);
                    output.port.say(PlannerNotice::Collected);
                }
                // Nothing waits here.
                Some((PlannerCall::Release, _)) => output.port.say(PlannerNotice::Collected),
                Some((PlannerCall::Finish, _)) => output.port.say(PlannerNotice::Finished(Ok(()))),
            },
            input = AssertUnwindSafe(inputs.next()).catch_unwind(), if wanted > 0 => match input {
                Ok(Some(input)) => {
                    let room = Charge::of(&budget, input.len());
                    output.port.hand_out(input, room);
                    // The driver asks again when there is memory.
                    wanted = if budget.is_over() { 0 } else { wanted - 1 };
                    if wanted == 0 {
                        output.port.say(PlannerNotice::Paused { none: false });
                    }
                }
                Ok(None) => {
                    wanted = 0;
                    output.port.say(PlannerNotice::Paused { none: true });
                }
                Err(panic) => {
                    let message = panic_message(&*panic);
                    output.port.say(PlannerNotice::Failed(format!("the inputs panicked: {message}")));
                    return;
                }
            },
        }
    }
}
