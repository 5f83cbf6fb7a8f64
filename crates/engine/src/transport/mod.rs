//! The transport of orders to workers; results come back as notices to the driver.
//!
//! The driver knows workers by number and sends orders through a [`Transport`]. In one process that is a channel to
//! each worker ([`InProcess`]); in a rehearsal a script answers ([`Scripted`]).

mod scripted;

use std::sync::Arc;

use disperse_scheduler::{Moment, OwnerId, WorkerId};
use futures::future::BoxFuture;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

pub use scripted::Scripted;

use disperse_protocol::inbox::{Notice, Order, reap};

/// A worker that joins a run.
pub struct NewWorker {
    /// For people: `pool/worker`.
    pub name: Arc<str>,
    /// How many attempts it makes at once, from 1.
    pub slots: u32,
    /// The owner, if its results count only when workers of other owners confirm them.
    pub owner: Option<OwnerId>,
    /// The function that carries out its orders in this process. None: the transport runs it elsewhere.
    pub life: Option<Life>,
}

/// Carries out the orders of one worker until there are no more.
pub type Life = Box<dyn FnOnce(UnboundedReceiver<Order>) -> BoxFuture<'static, ()> + Send>;

/// The worker of an order has left, or never joined: its attempts are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vanished;

/// The connection to the workers of a run. Nothing in it waits.
///
/// Workers are numbered from 0 in the order of joining, and a number is never reused. The end of an attempt comes back
/// as [`Notice::AttemptEnded`], the departure of a worker as [`Notice::WorkerLeft`]; after that all of the worker is
/// ignored.
pub trait Transport: Send {
    /// Starts the next worker.
    fn join(&mut self, worker: WorkerId, new: NewWorker);

    /// Sends an order, which reaches the worker at `now` or later, after earlier orders.
    ///
    /// # Errors
    /// The worker has left.
    fn send(&mut self, now: Moment, worker: WorkerId, order: Order) -> Result<(), Vanished>;

    /// Closes the channel of a worker: it gets no more orders.
    fn leave(&mut self, worker: WorkerId);

    /// Checks regularly that no worker has panicked.
    ///
    /// # Panics
    /// A worker of this process has panicked, which is a bug of the host.
    fn look(&mut self) {}

    /// With virtual time: the time of the next event.
    fn next_moment(&self) -> Option<Moment> {
        None
    }

    /// With virtual time: the notices of events up to now, in order.
    fn take_due(&mut self, _now: Moment) -> Vec<Notice> {
        Vec::new()
    }

    /// Why it cannot go on, if it cannot.
    fn take_trouble(&mut self) -> Option<String> {
        None
    }
}

/// The workers of this process. Dropping it stops them all at once.
#[derive(Debug, Default)]
pub struct InProcess {
    /// By number. None: it has left.
    workers: Vec<Option<UnboundedSender<Order>>>,
    running: JoinSet<()>,
}

impl Transport for InProcess {
    fn join(&mut self, worker: WorkerId, new: NewWorker) {
        let (orders, inbox) = unbounded_channel();
        let index = worker.0 as usize;
        if self.workers.len() <= index {
            self.workers.resize_with(index + 1, || None);
        }
        if let (Some(place), Some(life)) = (self.workers.get_mut(index), new.life) {
            *place = Some(orders);
            self.running.spawn(life(inbox));
        }
    }

    fn send(&mut self, _: Moment, worker: WorkerId, order: Order) -> Result<(), Vanished> {
        let orders = self.workers.get(worker.0 as usize).and_then(Option::as_ref);
        orders.ok_or(Vanished)?.send(order).map_err(|_| Vanished)
    }

    fn leave(&mut self, worker: WorkerId) {
        if let Some(orders) = self.workers.get_mut(worker.0 as usize) {
            *orders = None;
        }
    }

    fn look(&mut self) {
        reap(&mut self.running);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use disperse_scheduler::{ActionId, AttemptId};

    use super::*;

    fn new_worker(life: Life) -> NewWorker {
        NewWorker {
            name: "w".into(),
            slots: 1,
            owner: None,
            life: Some(life),
        }
    }

    fn stop() -> Order {
        Order::Stop(AttemptId {
            action: ActionId(1),
            number: 1,
        })
    }

    #[tokio::test]
    async fn panic_of_a_worker_is_noticed() {
        let mut workers = InProcess::default();
        workers.join(
            WorkerId(0),
            new_worker(Box::new(|_| Box::pin(async { panic!("a bug") }))),
        );
        while catch_unwind(AssertUnwindSafe(|| workers.look())).is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn orders_for_workers_that_left_are_errors() {
        let mut workers = InProcess::default();
        for worker in [0, 1] {
            let life = |mut orders: UnboundedReceiver<Order>| -> BoxFuture<'static, ()> {
                Box::pin(async move { while orders.recv().await.is_some() {} })
            };
            workers.join(WorkerId(worker), new_worker(Box::new(life)));
        }
        assert_eq!(workers.send(Moment::START, WorkerId(1), stop()), Ok(()));
        workers.leave(WorkerId(1));
        for gone in [1, 2] {
            assert_eq!(workers.send(Moment::START, WorkerId(gone), stop()), Err(Vanished));
        }
        assert_eq!(workers.send(Moment::START, WorkerId(0), stop()), Ok(()));
    }
}
