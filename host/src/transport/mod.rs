//! How orders reach workers. In one process that is a channel to each; where a run is rehearsed, a script.

mod scripted;

use disperse_scheduler::{Moment, WorkerId};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

pub(crate) use scripted::Scripted;

use crate::{
    inbox::{Order, reap},
    worker::{NativeWorker, Worker},
};

/// The workers of a run.
#[derive(Debug)]
pub(crate) enum Workers {
    /// Those of this process.
    InProcess(InProcess),
    /// Those of a script.
    Scripted(Box<Scripted>),
}

/// Somebody who is to work.
pub(crate) enum Member {
    /// A component.
    Guest(Box<Worker>),
    /// A function of the program that has this host built in.
    Native(Box<NativeWorker>),
    /// A part of a script.
    Scripted { worker: WorkerId, name: String, slots: u32 },
}

impl Member {
    pub(crate) fn id(&self) -> WorkerId {
        match self {
            Self::Guest(worker) => worker.id,
            Self::Native(worker) => worker.id,
            Self::Scripted { worker, .. } => *worker,
        }
    }

    /// For people.
    pub(crate) fn name(&self) -> std::sync::Arc<str> {
        match self {
            Self::Guest(worker) => worker.spec.name.clone(),
            Self::Native(worker) => worker.name.clone(),
            Self::Scripted { name, .. } => name.as_str().into(),
        }
    }

    /// How many attempts it takes at once.
    pub(crate) fn slots(&self) -> u32 {
        match self {
            Self::Guest(worker) => worker.spec.slots,
            Self::Native(worker) => worker.slots,
            Self::Scripted { slots, .. } => *slots,
        }
    }
}

impl Workers {
    /// Sets a worker to work; in the order of their numbers, from 0. One that is not for here does nothing.
    pub(crate) fn add(&mut self, member: Member) {
        match (self, member) {
            (Self::InProcess(workers), Member::Guest(worker)) => workers.add(|orders| worker.live(orders)),
            (Self::InProcess(workers), Member::Native(worker)) => workers.add(|orders| worker.live(orders)),
            (Self::Scripted(workers), Member::Scripted { name, slots, .. }) => workers.add(name, slots),
            (Self::InProcess(_), Member::Scripted { .. })
            | (Self::Scripted(_), Member::Guest(_) | Member::Native(_)) => {}
        }
    }

    /// Looks now and then whether everything is well.
    ///
    /// # Panics
    /// A worker has panicked.
    pub(crate) fn look(&mut self) {
        if let Self::InProcess(workers) = self {
            reap(&mut workers.running);
        }
    }

    /// Sends an order, which reaches the worker `now`. False if there is no such worker or it has died.
    pub(crate) fn send(&mut self, now: Moment, worker: WorkerId, order: Order) -> bool {
        match self {
            Self::InProcess(workers) => workers.send(worker, order),
            Self::Scripted(workers) => workers.send(now, worker, order),
        }
    }
}

/// The workers of this process. Dropping it stops them all at once.
#[derive(Debug, Default)]
pub(crate) struct InProcess {
    /// By number: workers are numbered from zero in the order of joining.
    workers: Vec<UnboundedSender<Order>>,
    running: JoinSet<()>,
}

impl InProcess {
    fn add<L: Future<Output = ()> + Send + 'static>(&mut self, life: impl FnOnce(UnboundedReceiver<Order>) -> L) {
        let (orders, inbox) = unbounded_channel();
        self.workers.push(orders);
        self.running.spawn(life(inbox));
    }

    fn send(&self, worker: WorkerId, order: Order) -> bool {
        self.workers
            .get(worker.0 as usize)
            .is_some_and(|orders| orders.send(order).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_noticed() {
        let mut workers = InProcess::default();
        workers.add(|_| async { panic!("a bug") });
        let mut workers = Workers::InProcess(workers);
        while catch_unwind(AssertUnwindSafe(|| workers.look())).is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
