//! The life of a worker that takes several attempts at once.
//!
//! Its instance takes them in and gives them out while this side keeps the time, because the instance's own loop stands still
//! while a guest computes. When something spends the instance, one attempt has to answer for it; those that were in flight
//! beside it are stopped, which costs them nothing, and are made anew.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{CALLS_MAX, Worker};
use crate::{
    inbox::{Job, Order, Used},
    limits::Deadline,
    sandbox::{Ended, Fault, Handled, Remains, SharedInstance},
};

/// An attempt that the instance has been given.
struct Flight {
    timeout: Duration,
    /// When its time is up.
    cut: Deadline,
    /// Whether nobody wants it any more. It goes on all the same: ending it would end the others.
    stopped: bool,
}

impl Flight {
    fn of(job: &Job) -> Self {
        Self {
            timeout: job.timeout,
            cut: Deadline::after(Instant::now(), job.timeout),
            stopped: false,
        }
    }
}

type Flights = BTreeMap<AttemptId, Flight>;

/// Why an instance is not used any more.
enum End {
    /// Nothing is in flight in it.
    Idle,
    /// It is spent.
    Spent(Fault),
    /// The time of this attempt, which was so long, is up.
    Late(AttemptId, Duration),
    /// There will be no more orders.
    Closed,
}

impl Worker {
    /// Carries out orders until there will be none.
    pub(super) async fn live_with_many(self, mut orders: UnboundedReceiver<Order>) {
        let mut hand = VecDeque::new();
        loop {
            while hand.is_empty() {
                match orders.recv().await {
                    Some(order) => self.note(order, &mut hand),
                    None => return,
                }
            }
            let goes_on = match self.start_shared(&mut orders, &mut hand).await {
                Some(Ok(instance)) => self.serve(instance, &mut orders, &mut hand).await,
                Some(Err(handled)) => {
                    self.cannot_start(handled, &mut hand);
                    true
                }
                None => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Takes an order while nothing is in flight.
    fn note(&self, order: Order, hand: &mut VecDeque<Job>) {
        match order {
            Order::Run(job) => hand.push_back(job),
            Order::Stop(attempt) => self.give_up(hand, attempt),
        }
    }

    /// Starts an instance, with the time that the first attempt in hand has. None: there will be no more orders.
    async fn start_shared(
        &self,
        orders: &mut UnboundedReceiver<Order>,
        hand: &mut VecDeque<Job>,
    ) -> Option<Result<SharedInstance, Handled>> {
        let (timeout, action) = hand.front().map(|job| (job.timeout, job.action))?;
        let mut start = pin!(self.start(timeout, action));
        loop {
            tokio::select! {
                biased;
                started = &mut start => {
                    let composed = self.spec.program.contract().composed;
                    let shared = |instance| {
                        SharedInstance::new(instance, composed).map_err(|fault| Handled::fault(&fault, Used::default()))
                    };
                    return Some(started.and_then(shared));
                }
                order = orders.recv() => self.note(order?, hand),
            }
        }
    }

    /// One attempt says what is wrong with the worker; the others go elsewhere.
    fn cannot_start(&self, handled: Handled, hand: &mut VecDeque<Job>) {
        if let Some(job) = hand.pop_front() {
            self.tell(job.attempt, handled);
        }
        for job in hand.drain(..) {
            self.tell(job.attempt, Handled::stopped());
        }
    }

    /// Makes attempts in an instance until that is not used any more. False: there will be no more orders.
    async fn serve(
        &self,
        mut instance: SharedInstance,
        orders: &mut UnboundedReceiver<Order>,
        hand: &mut VecDeque<Job>,
    ) -> bool {
        let (to_instance, mut jobs) = unbounded_channel();
        let (to_me, mut ended) = unbounded_channel();
        let mut flights = Flights::new();
        let mut calls = 0;
        let end = {
            let mut run = pin!(instance.run(&mut jobs, &to_me));
            loop {
                while flights.len() < self.spec.slots as usize
                    && calls < CALLS_MAX
                    && let Some(job) = hand.pop_front()
                {
                    calls += 1;
                    flights.insert(job.attempt, Flight::of(&job));
                    // Whoever takes them is held here.
                    let _ = to_instance.send(job);
                }
                let in_the_way = || hand.is_empty() && self.is_in_the_way();
                if flights.is_empty() && (calls >= CALLS_MAX || in_the_way()) || all_stopped(&flights) {
                    break End::Idle;
                }
                let first = flights.iter().min_by_key(|(_, flight)| flight.cut.rank());
                let late = first.map(|(attempt, flight)| (*attempt, flight.timeout, flight.cut));
                tokio::select! {
                    biased;
                    Some(Ended { attempt, handled }) = ended.recv() => self.land(&mut flights, attempt, handled),
                    fault = &mut run => break End::Spent(fault),
                    order = orders.recv() => match order {
                        Some(Order::Run(job)) => hand.push_back(job),
                        Some(Order::Stop(attempt)) => match flights.get_mut(&attempt) {
                            Some(flight) => flight.stopped = true,
                            None => self.give_up(hand, attempt),
                        },
                        None => break End::Closed,
                    },
                    Some((attempt, timeout)) = when_up(late) => break End::Late(attempt, timeout),
                    () = self.spec.share.in_the_way(), if flights.is_empty() && hand.is_empty() => break End::Idle,
                }
            }
        };
        while let Ok(Ended { attempt, handled }) = ended.try_recv() {
            self.land(&mut flights, attempt, handled);
        }
        // What it had not taken yet has not begun.
        while let Ok(job) = jobs.try_recv() {
            if matches!(end, End::Late(late, _) if late == job.attempt) {
                // Waiting to begin takes its time too.
            } else if flights.remove(&job.attempt).is_some_and(|flight| flight.stopped) {
                self.tell(job.attempt, Handled::stopped());
            } else {
                hand.push_front(job);
            }
        }
        let remains = instance.remains();
        match end {
            End::Closed => return false,
            End::Idle => self.settle(flights, remains, &Fault::Stopped, |_, _| false),
            End::Spent(fault) => match remains.interrupted {
                Some(guilty) => self.settle(flights, remains, &fault, |attempt, _| attempt == guilty),
                // Nobody can be told apart, so all answer for it.
                None => self.settle(flights, remains, &fault, |_, _| true),
            },
            End::Late(late, timeout) => self.settle_late(late, timeout, flights, remains),
        }
        true
    }

    /// Ends what is in flight because the time of one is up. It is that one's own fault unless another one took most of its
    /// time.
    fn settle_late(&self, late: AttemptId, timeout: Duration, flights: Flights, remains: Remains) {
        let held = remains.held;
        let over = Fault::Timeout { limit: timeout };
        match remains.interrupted.filter(|_| held > timeout / 2) {
            Some(hog) => {
                let is_up = flights.get(&hog).is_some_and(|flight| flight.cut.left().is_zero());
                let fault = if is_up { over } else { Fault::Hog { held } };
                self.settle(flights, remains, &fault, |attempt, _| attempt == hog);
            }
            None => self.settle(flights, remains, &over, |attempt, flight| {
                attempt == late || flight.cut.left().is_zero()
            }),
        }
    }

    /// Tells the end of everything that was in flight in an instance: of the guilty with the fault, of the others that they
    /// were stopped.
    fn settle(
        &self,
        flights: Flights,
        remains: Remains,
        fault: &Fault,
        is_guilty: impl Fn(AttemptId, &Flight) -> bool,
    ) {
        for (attempt, flight) in flights {
            let used = remains.used.get(&attempt).copied().unwrap_or_default();
            let is_guilty = !flight.stopped && is_guilty(attempt, &flight);
            let handled = match is_guilty {
                true => Handled::fault_after(fault, used, remains.stderr.clone()),
                false => Handled::fault(&Fault::Stopped, used),
            };
            self.tell(attempt, handled);
        }
    }

    /// Tells the end of an attempt whose instance goes on.
    fn land(&self, flights: &mut Flights, attempt: AttemptId, handled: Handled) {
        let handled = match flights.remove(&attempt) {
            Some(flight) if flight.stopped => Handled::fault(&Fault::Stopped, handled.used),
            _ => self.excused(handled),
        };
        self.tell(attempt, handled);
    }
}

/// Whether there is nothing but what nobody wants any more.
fn all_stopped(flights: &Flights) -> bool {
    !flights.is_empty() && flights.values().all(|flight| flight.stopped)
}

/// Waits until the time of an attempt is up, if there is one.
async fn when_up(first: Option<(AttemptId, Duration, Deadline)>) -> Option<(AttemptId, Duration)> {
    let (attempt, timeout, cut) = first?;
    cut.over().await;
    Some((attempt, timeout))
}
