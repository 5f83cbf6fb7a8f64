//! One worker: an identity with, most of the time, an instance.
//!
//! An instance is started for the first attempt, kept from one attempt to the next, and dropped when a failure has
//! spent it, when it has made [`CALLS_MAX`] calls, when the host is short of memory, or after every attempt if fresh
//! instances are configured. The worker stays: its name, its settings and its record in the scheduler. Workers that
//! make several attempts at once are in `concurrent.rs`, functions in `crates/engine/src/worker/native.rs`.

mod concurrent;

use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use disperse_scheduler::{AttemptId, Class, WorkerId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use disperse_protocol::{
    inbox::{ActionName, AttemptEnded, Job, LogSource, Notice, Order, Used},
    limits::Deadline,
    logger::{Level, Logger},
};
use disperse_sandbox::{Admission, Fault, Handled, Sandbox, WorkerInstance, WorkerSpec, run_program};

pub(crate) use disperse_engine::worker::{NativeAttempt, NativeCall, NativeWorker};

/// After how many calls an instance is replaced, which bounds leaks of guests.
const CALLS_MAX: u32 = 10_000;

/// A running worker. It has a tokio task of its own, because a guest's call may take long.
pub(crate) struct Worker {
    pub id: WorkerId,
    pub spec: WorkerSpec,
    /// Whether every attempt gets a new instance.
    pub fresh: bool,
    pub sandbox: Arc<Sandbox>,
    pub logger: Logger,
    pub to_driver: UnboundedSender<Notice>,
}

impl Worker {
    /// Carries out orders until there are no more.
    pub(crate) async fn live(self, mut orders: UnboundedReceiver<Order>) {
        if self.spec.slots > 1 {
            // Boxed, so that the future is not as large as the larger of the two.
            return Box::pin(self.run_concurrent(orders)).await;
        }
        let mut queue = VecDeque::new();
        let mut instance = None;
        loop {
            let job = match queue.pop_front() {
                Some(job) => job,
                None => {
                    let order = tokio::select! {
                        biased;
                        order = orders.recv() => order,
                        () = self.spec.share.in_the_way(), if instance.is_some() => {
                            instance = None;
                            continue;
                        }
                    };
                    match order {
                        Some(Order::Run(job)) => job,
                        // The attempt has ended meanwhile.
                        Some(Order::Stop(_)) => continue,
                        None => return,
                    }
                }
            };
            let attempt = job.attempt;
            let handled = {
                let mut work = pin!(self.attempt(job, &mut instance));
                loop {
                    tokio::select! {
                        biased;
                        handled = &mut work => break handled,
                        order = orders.recv() => match order {
                            Some(Order::Run(job)) => queue.push_back(job),
                            // Dropping the call spends the instance.
                            Some(Order::Stop(stopped)) if stopped == attempt => break Handled::stopped(),
                            Some(Order::Stop(stopped)) => self.remove_queued(&mut queue, stopped),
                            None => return,
                        }
                    }
                }
            };
            let spent = handled.spent || self.fresh;
            self.report(attempt, handled);
            let aged = instance.as_ref().is_none_or(|instance| instance.calls() >= CALLS_MAX);
            let idle = || queue.is_empty() && self.is_in_the_way();
            if spent || aged || idle() {
                instance = None;
            }
        }
    }

    /// Makes one attempt, with the instance that is there or a new one.
    async fn attempt(&self, job: Job, instance: &mut Option<WorkerInstance>) -> Handled {
        let handled = self.excused(self.attempted(job, instance).await);
        if handled.end.class() == Class::Host {
            // Others wait for the memory that it holds.
            *instance = None;
        }
        handled
    }

    /// Turns a failure into a stop if the machine, not the guest, ran out of something.
    fn excused(&self, handled: Handled) -> Handled {
        let shortage = self.spec.denials.take_shortage();
        match (handled.end.class(), shortage) {
            (Class::Permanent | Class::Transient | Class::Trap | Class::WorkerFault, Some(shortage)) => {
                handled.for_shortage(shortage)
            }
            _ => handled,
        }
    }

    /// As [`Worker::attempt`], without the report.
    async fn attempted(&self, job: Job, instance: &mut Option<WorkerInstance>) -> Handled {
        if self.spec.program.contract().program.is_some() {
            // Boxed, as below.
            return Box::pin(self.run(job)).await;
        }
        let instance = match instance {
            Some(instance) => instance,
            None => match self.start(job.timeout, job.action).await {
                Ok(started) => instance.insert(started),
                Err(handled) => return handled,
            },
        };
        instance.handle(job).await
    }

    /// Makes one attempt with a program.
    async fn run(&self, job: Job) -> Handled {
        match self.admit(job.timeout).await {
            Ok(admission) => run_program(&self.sandbox, &self.spec, admission, &self.logger, job).await,
            Err(handled) => handled,
        }
    }

    /// Waits until an instance may start. The wait is charged to neither the guest nor the worker.
    ///
    /// # Errors
    /// It took longer than an attempt may: the attempt is stopped, and made again.
    async fn admit(&self, timeout: Duration) -> Result<Admission, Handled> {
        let began = Instant::now();
        let fault = match self
            .spec
            .share
            .admit(&self.spec.need, self.spec.invocation.scratch(), timeout)
            .await
        {
            Ok(admission) => return Ok(admission),
            Err(fault) => fault,
        };
        let used = Used {
            wall: began.elapsed(),
            ..Used::default()
        };
        Err(Handled::fault(&fault, used))
    }

    /// Starts an instance.
    ///
    /// # Errors
    /// It could not be started, or not in time: its attempt has ended.
    async fn start(&self, timeout: Duration, action: ActionName) -> Result<WorkerInstance, Handled> {
        let admission = Box::pin(self.admit(timeout)).await?;
        let began = Instant::now();
        // Boxed: it is large, and most attempts find an instance.
        let start = Box::pin(WorkerInstance::start(
            &self.sandbox,
            &self.spec,
            admission,
            &self.logger,
            action,
        ));
        let fault = match Deadline::after(began, timeout).bound(start).await {
            Ok(Ok(instance)) => return Ok(instance),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Start(Fault::Timeout { limit: timeout }.to_string()),
        };
        let used = Used {
            wall: began.elapsed(),
            ..Used::default()
        };
        Err(Handled::fault(&fault, used))
    }

    /// Whether an idle instance should be dropped.
    fn is_in_the_way(&self) -> bool {
        self.spec.share.is_in_the_way()
    }

    /// Removes an attempt that has not begun from the queue.
    fn remove_queued(&self, queue: &mut VecDeque<Job>, attempt: AttemptId) {
        if let Some(at) = queue.iter().position(|job| job.attempt == attempt) {
            queue.remove(at);
            self.report(attempt, Handled::stopped());
        }
    }

    fn report(&self, attempt: AttemptId, handled: Handled) {
        if handled.end.class() == Class::Host
            && let Some(words) = handled.words.as_ref().filter(|_| self.spec.share.report_once())
        {
            // Only the pool's first report; the driver reports the consequences.
            let source = LogSource::Worker(self.spec.name.clone(), None);
            self.logger.guest(&source, Level::Warning, &words.message);
        }
        let Handled {
            end,
            result,
            words,
            used,
            spent: _,
        } = handled;
        let ended = AttemptEnded {
            attempt,
            worker: self.id,
            end,
            result,
            words,
            used,
            denied: self.spec.denials.take(),
            reports: self.spec.reports.take(attempt),
        };
        // Fails if the driver is gone.
        let _ = self.to_driver.send(Notice::AttemptEnded(ended));
    }
}
