//! The life of one worker: an identity with, most of the time, an instance.
//!
//! An instance is started when there is first something to do, kept from one attempt to the next, and dropped when it is
//! spent by a failure, when it has made [`CALLS_MAX`] calls, when the host is short of room, or after every attempt if fresh
//! instances are wanted. The worker stays: its name, its settings and what the scheduler thinks of it.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Instant};

use disperse_scheduler::{AttemptId, WorkerId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::{
    inbox::{AttemptEnded, Job, Notice, Order, Used},
    logger::Logger,
    sandbox::{Fault, Handled, Sandbox, WorkerInstance, WorkerSpec},
};

/// After how many calls an instance is replaced, so that what leaks in a guest does not leak for ever.
const CALLS_MAX: u32 = 10_000;

/// One worker at work. Lives in a tokio task of its own, because a guest may be in the middle of a call for long.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) spec: WorkerSpec,
    /// Whether every attempt gets a new instance.
    pub(crate) fresh: bool,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) logger: Logger,
    pub(crate) to_driver: UnboundedSender<Notice>,
}

impl Worker {
    /// Carries out orders until there will be none.
    pub(crate) async fn live(self, mut orders: UnboundedReceiver<Order>) {
        let mut hand = VecDeque::new();
        let mut instance = None;
        loop {
            let job = match hand.pop_front() {
                Some(job) => job,
                None => match orders.recv().await {
                    Some(Order::Run(job)) => job,
                    // What it means has ended meanwhile.
                    Some(Order::Stop(_)) => continue,
                    None => return,
                },
            };
            let attempt = job.attempt;
            let mut work = pin!(self.attempt(job, instance.take()));
            let handled = loop {
                tokio::select! {
                    biased;
                    (handled, kept) = &mut work => {
                        instance = kept;
                        break handled;
                    }
                    order = orders.recv() => match order {
                        Some(Order::Run(job)) => hand.push_back(job),
                        // Giving up the call spends the instance, which goes with it.
                        Some(Order::Stop(stopped)) if stopped == attempt => break stopped_attempt(),
                        Some(Order::Stop(stopped)) => self.give_up(&mut hand, stopped),
                        None => return,
                    }
                }
            };
            self.tell(attempt, handled);
            if hand.is_empty() && (self.sandbox.budget().is_over() || self.spec.program.is_crowded()) {
                instance = None;
            }
        }
    }

    /// Makes one attempt, with the instance that is there or a new one; says which instance is left.
    async fn attempt(&self, job: Job, instance: Option<WorkerInstance>) -> (Handled, Option<WorkerInstance>) {
        let mut instance = match instance {
            Some(instance) => instance,
            None => {
                let began = Instant::now();
                let start = WorkerInstance::start(&self.sandbox, &self.spec, &self.logger);
                let failed = |fault: &Fault| {
                    let used = Used {
                        wall: began.elapsed(),
                        ..Used::default()
                    };
                    (Handled::fault(fault, used, String::new()), None)
                };
                match tokio::time::timeout(job.timeout, start).await {
                    Ok(Ok(instance)) => instance,
                    Ok(Err(fault)) => return failed(&fault),
                    Err(_) => return failed(&Fault::Start(Fault::Timeout { limit: job.timeout }.to_string())),
                }
            }
        };
        let handled = instance.handle(job).await;
        let keep = !handled.spent && !self.fresh && instance.calls() < CALLS_MAX;
        (handled, keep.then_some(instance))
    }

    /// Takes an attempt that has not begun out of the hand.
    fn give_up(&self, hand: &mut VecDeque<Job>, attempt: AttemptId) {
        if let Some(at) = hand.iter().position(|job| job.attempt == attempt) {
            hand.remove(at);
            self.tell(attempt, stopped_attempt());
        }
    }

    fn tell(&self, attempt: AttemptId, handled: Handled) {
        let Handled {
            end,
            result,
            message,
            stderr,
            used,
            spent: _,
        } = handled;
        let ended = AttemptEnded {
            attempt,
            worker: self.id,
            end,
            result,
            message,
            stderr,
            used,
        };
        // A driver that is gone needs no answer.
        let _ = self.to_driver.send(Notice::AttemptEnded(ended));
    }
}

fn stopped_attempt() -> Handled {
    Handled::fault(&Fault::Stopped, Used::default(), String::new())
}
