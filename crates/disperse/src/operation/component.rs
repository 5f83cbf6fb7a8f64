//! An operation that is a component.

use std::sync::Arc;

use bytes::Bytes;
use disperse_scheduler::TaskId;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use super::Operation;
use disperse_protocol::{
    inbox::{
        Deliveries, Notice, PlannerCall, PlannerNotice, PlannerPort, PlannerStep, TaskPort, TaskRoom, deliveries, reap,
    },
    limits::{Budget, Charge, Limits},
    logger::Logger,
};
use disperse_sandbox::{
    DeficitCounter, Fault, GuestEnv, Input, LoadedComponent, Logical, PlannerInstance, Sandbox, Share, Starts,
    TaskSpec, not_begun, run_task,
};

/// The parts from which an operation is started.
pub struct ComponentOperation {
    sandbox: Arc<Sandbox>,
    task: TaskSpec,
    args: Arc<[String]>,
    began_unix_ms: u64,
    seed: u64,
    is_rehearsal: bool,
    logger: Logger,
    to_driver: UnboundedSender<Notice>,
    planner: UnboundedSender<(PlannerCall, TaskRoom, u64)>,
    /// The planner and the tasks. Dropping the operation ends them.
    running: JoinSet<()>,
}

/// The settings of an operation.
pub struct OperationSettings {
    pub args: Arc<[String]>,
    pub input: Option<Input>,
    pub task_limits: Limits,
    pub planner_limits: Limits,
    pub began_unix_ms: u64,
    pub seed: u64,
    /// Whether it is rehearsed: then tasks report when they rest, and time and memory of the machine do not end them.
    pub is_rehearsal: bool,
    /// Whether the run is recorded: then the planner reports each call before it begins.
    pub is_recorded: bool,
}

impl ComponentOperation {
    /// Starts the planner. If that fails, the first notice reports it.
    pub fn start(
        sandbox: Arc<Sandbox>,
        program: LoadedComponent,
        settings: OperationSettings,
        logger: Logger,
        to_driver: UnboundedSender<Notice>,
    ) -> Self {
        let (planner, calls) = unbounded_channel();
        let mut running = JoinSet::new();
        let mut port = PlannerPort::new(to_driver.clone());
        if settings.is_recorded {
            port = port.reporting_calls();
        }
        let env = GuestEnv {
            args: settings.args.clone(),
            stdin: settings.input.clone(),
            // The tasks' numbers begin at 1.
            logical: Some(Logical::new(settings.began_unix_ms, settings.seed, 0)),
            ..GuestEnv::default()
        };
        // Each has a share of its own, so that idle tasks do not keep the planner's memory.
        let (own, share) = (Share::of_one(&sandbox, &program), Share::new(&sandbox, &program));
        running.spawn({
            let (sandbox, program, logger) = (sandbox.clone(), program.clone(), logger.clone());
            let shortage = to_driver.clone();
            async move {
                let limits = settings.planner_limits;
                let mut starts = Starts::default();
                let started = loop {
                    let started = match own.admit_with(own.memory().empty()).await {
                        Ok(admission) => {
                            let (port, env) = (port.clone(), env.clone());
                            PlannerInstance::start(&sandbox, &program, admission, port, env, limits, &logger).await
                        }
                        Err(fault) => Err(fault),
                    };
                    match started {
                        Err(fault) if starts.again(&fault).await => {}
                        started => break started,
                    }
                };
                match started {
                    Ok(instance) => {
                        Planner {
                            budget: sandbox.budget().clone(),
                            instance,
                            port,
                            input: settings.input,
                            now_ms: 0,
                        }
                        .live(calls)
                        .await
                    }
                    // A rehearsal ends in another way.
                    Err(fault) if fault.is_of_machine() && !settings.is_rehearsal => {
                        let _ = shortage.send(Notice::Shortage(format!("the planner {fault}")));
                    }
                    Err(fault) => port.say(PlannerNotice::Failed(format!("the planner {fault}"))),
                }
            }
        });
        Self {
            sandbox,
            task: TaskSpec {
                program,
                limits: settings.task_limits,
                share,
                debt: DeficitCounter::default(),
            },
            args: settings.args,
            began_unix_ms: settings.began_unix_ms,
            seed: settings.seed,
            is_rehearsal: settings.is_rehearsal,
            logger,
            to_driver,
            planner,
            running,
        }
    }
}

impl Operation for ComponentOperation {
    fn call(&mut self, call: PlannerCall, room: TaskRoom, now_ms: u64) {
        // A planner that failed has reported it.
        let _ = self.planner.send((call, room, now_ms));
    }

    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Deliveries {
        reap(&mut self.running);
        let (deliveries, from_driver) = deliveries();
        let mut port = TaskPort::new(
            task,
            now_ms,
            self.task.limits.in_flight,
            self.to_driver.clone(),
            from_driver,
        );
        if self.is_rehearsal {
            port = port.reporting_rest();
        }
        let logical = Logical::new(self.began_unix_ms, self.seed, task.0 + 1);
        logical.now_ms.store(now_ms, std::sync::atomic::Ordering::Relaxed);
        let env = GuestEnv {
            args: self.args.clone(),
            logical: Some(logical),
            ..GuestEnv::default()
        };
        let (sandbox, spec, logger, to_driver) = (
            self.sandbox.clone(),
            self.task.clone(),
            self.logger.clone(),
            self.to_driver.clone(),
        );
        let is_rehearsal = self.is_rehearsal;
        self.running.spawn(async move {
            let mut begun = sandbox.budget().begin(spec.share.memory(), spec.share.expected()).await;
            let memory = begun.reservation().unwrap_or_else(|| spec.share.memory().empty());
            let (mut end, mut room) = match spec.share.admit_with(memory).await {
                Ok(admission) => run_task(&sandbox, &spec, admission, port, input, env, &logger).await,
                Err(fault) => (not_begun(&fault), TaskRoom::default()),
            };
            room.begun = Some(begun.ended());
            // A rehearsal ends in another way.
            end.is_of_machine &= !is_rehearsal;
            let _ = to_driver.send(Notice::TaskEnded { task, end, room });
        });
        deliveries
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

/// The running planner.
struct Planner {
    budget: Arc<Budget>,
    instance: PlannerInstance,
    port: PlannerPort,
    input: Option<Input>,
    /// The run's time at the last call of the driver.
    now_ms: u64,
}

impl Planner {
    /// Answers calls until there are no more or the planner fails.
    async fn live(mut self, mut calls: UnboundedReceiver<(PlannerCall, TaskRoom, u64)>) {
        // How many tasks are still requested. They wait for input; ends of tasks do not wait behind them.
        let mut wanted = 0;
        loop {
            let done = tokio::select! {
                biased;
                call = calls.recv() => match call {
                    None => return,
                    Some((call, room, now_ms)) => {
                        self.instance.set_now(now_ms);
                        self.now_ms = now_ms;
                        self.call(call, room, &mut wanted).await
                    }
                },
                ready = ready(self.input.as_ref()), if wanted > 0 => match ready {
                    Ok(()) => self.next(&mut wanted).await,
                    Err(error) => Err(format!("the input broke off: {error}")),
                },
            };
            if let Err(message) = done {
                self.port.say(PlannerNotice::Failed(message));
                return;
            }
        }
    }

    async fn call(&mut self, call: PlannerCall, room: TaskRoom, wanted: &mut u32) -> Result<(), String> {
        match call {
            PlannerCall::Next(count) => *wanted = count,
            PlannerCall::Collect {
                task,
                input,
                outcome,
                performed,
            } => {
                let outcome = outcome.as_ref().map(|bytes| &**bytes).map_err(String::as_str);
                self.port.begins(PlannerStep::Collect(task), performed, self.now_ms);
                let collected = self.instance.collect(&input, outcome).await;
                self.port.ended();
                collected.map_err(|fault| failed("collect", Some(task), &fault))?;
                drop(room);
                self.port.say(PlannerNotice::Collected);
            }
            // Nothing waits here.
            PlannerCall::Release => self.port.say(PlannerNotice::Collected),
            PlannerCall::Finish => {
                self.begins(PlannerStep::Finish);
                let end = self
                    .instance
                    .finish()
                    .await
                    .map_err(|fault| failed("finish", None, &fault))?;
                self.port.say(PlannerNotice::Finished(end));
            }
        }
        Ok(())
    }

    /// It calls a function of the guest that collects nothing.
    fn begins(&self, step: PlannerStep) {
        self.port.begins(step, None, self.now_ms);
    }

    async fn next(&mut self, wanted: &mut u32) -> Result<(), String> {
        self.begins(PlannerStep::Next);
        match self
            .instance
            .next()
            .await
            .map_err(|fault| failed("next", None, &fault))?
        {
            Some(task) => {
                let room = Charge::of(&self.budget, task.len());
                self.port.hand_out(task, room);
                // The driver asks again when there is memory.
                *wanted = if self.budget.is_over() { 0 } else { *wanted - 1 };
                if *wanted == 0 {
                    self.port.say(PlannerNotice::Paused { none: false });
                }
            }
            None => {
                *wanted = 0;
                self.port.say(PlannerNotice::Paused { none: true });
            }
        }
        Ok(())
    }
}

async fn ready(input: Option<&Input>) -> Result<(), String> {
    match input {
        Some(input) => input.ready().await,
        None => Ok(()),
    }
}

fn failed(function: &str, task: Option<TaskId>, fault: &Fault) -> String {
    match task {
        Some(task) => format!("the planner's `{function}` for task {} {fault}", task.0),
        None => format!("the planner's `{function}` {fault}"),
    }
}
