//! How orders reach workers. In one process that is a channel to each.

use disperse_scheduler::WorkerId;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use crate::{inbox::Order, worker::Worker};

/// The workers of this process. Dropping it stops them all at once.
#[derive(Debug, Default)]
pub(crate) struct InProcess {
    /// By number: workers are numbered from zero in the order of joining.
    workers: Vec<UnboundedSender<Order>>,
    running: JoinSet<()>,
}

impl InProcess {
    /// Sets a worker to work.
    pub(crate) fn add(&mut self, worker: Worker) {
        let (orders, inbox) = unbounded_channel();
        self.workers.push(orders);
        self.running.spawn(worker.live(inbox));
    }

    /// Sends an order. False if there is no such worker or it has died.
    pub(crate) fn send(&self, worker: WorkerId, order: Order) -> bool {
        self.workers
            .get(worker.0 as usize)
            .is_some_and(|orders| orders.send(order).is_ok())
    }
}
