//! Deliveries: the answers to the requests of one task, in the batches in which the task sees them.
//!
//! Which answers a task sees together decides its path, so the driver forms the batches: one [`Delivery`] for each task and
//! notice. A task takes a delivery whole, and only when it can do nothing else. The same deliveries therefore lead it down the
//! same path, in a run, in a rehearsal, and when it is run again.

use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Answer, RequestNumber};
use crate::limits::Charge;

/// The answers that one task sees together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// 1, 2, 3 and so on within the task, in the order of taking.
    pub number: u32,
    /// The run's time when it was formed, in ms. Never less than that of the delivery before.
    pub now_ms: u64,
    /// By number of the request. Not empty; nearly always one.
    pub answers: SmallVec<[Answer; 1]>,
}

/// A delivery on its way within this process, and what large results in it take in the host until they are taken.
#[derive(Debug, Default)]
pub struct Parcel {
    pub delivery: Delivery,
    pub charges: Vec<(RequestNumber, Charge)>,
}

/// The way for the deliveries of one task.
pub fn deliveries() -> (Deliveries, Arrivals) {
    let (to_task, from_driver) = unbounded_channel();
    (Deliveries::ToTask(to_task), Arrivals(from_driver))
}

/// The driver's end. A task that still waits when it is dropped gets no more answers.
pub enum Deliveries {
    /// To a task that takes one when it can do nothing else.
    ToTask(UnboundedSender<Parcel>),
    /// To a function that hands the answers out at once. It is called by the driver and must not wait.
    Handed(Box<dyn FnMut(Parcel) + Send>),
}

impl Deliveries {
    /// Sends one. A task that is just ending has dropped its end.
    pub fn send(&mut self, parcel: Parcel) {
        match self {
            Self::ToTask(to_task) => drop(to_task.send(parcel)),
            Self::Handed(hand) => hand(parcel),
        }
    }
}

/// The task's end.
#[derive(Debug)]
pub struct Arrivals(UnboundedReceiver<Parcel>);

impl Arrivals {
    /// Takes the next delivery. None: there will be none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Parcel>> {
        self.0.poll_recv(cx)
    }
}
