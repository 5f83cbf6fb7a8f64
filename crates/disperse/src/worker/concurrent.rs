//! A worker that makes several attempts at once.
//!
//! Its instance receives jobs and returns results, while this task keeps the time, because the instance's own loop
//! stops while a guest computes. When a fault spends the instance, one attempt is charged with it; the others in flight
//! are stopped, which costs them nothing, and are made again.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{CALLS_MAX, Worker};
use disperse_protocol::{
    inbox::{Job, Order, Used},
    limits::Deadline,
};
use disperse_sandbox::{Ended, Fault, FinalState, Handled, SharedInstance};

/// An attempt that the instance has received.
struct Flight {
    timeout: Duration,
    /// Its deadline.
    cut: Deadline,
    /// Whether its result is not needed any more. It goes on: ending it would end the others.
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
    /// A fault has spent it.
    Spent(Fault),
    /// This attempt exceeded its timeout, of this length.
    Late(AttemptId, Duration),
    /// There are no more orders.
    Closed,
}

impl Worker {
    /// Carries out orders until there are no more.
    pub(super) async fn run_concurrent(self, mut orders: UnboundedReceiver<Order>) {
        let mut queue = VecDeque::new();
        loop {
            while queue.is_empty() {
                match orders.recv().await {
                    Some(order) => self.note(order, &mut queue),
                    None => return,
                }
            }
            let goes_on = match self.start_shared(&mut orders, &mut queue).await {
                Some(Ok(instance)) => self.serve(instance, &mut orders, &mut queue).await,
                Some(Err(handled)) => {
                    self.cannot_start(handled, &mut queue);
                    true
                }
                None => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Queues an order while nothing is in flight.
    fn note(&self, order: Order, queue: &mut VecDeque<Job>) {
        match order {
            Order::Run(job) => queue.push_back(job),
            Order::Stop(attempt) => self.remove_queued(queue, attempt),
        }
    }

    /// Starts an instance, within the timeout of the first queued attempt. None: there are no more orders.
    async fn start_shared(
        &self,
        orders: &mut UnboundedReceiver<Order>,
        queue: &mut VecDeque<Job>,
    ) -> Option<Result<SharedInstance, Handled>> {
        let (timeout, action) = queue.front().map(|job| (job.timeout, job.action))?;
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
                order = orders.recv() => self.note(order?, queue),
            }
        }
    }

    /// Reports the failed start for one attempt; the others go to another worker.
    fn cannot_start(&self, handled: Handled, queue: &mut VecDeque<Job>) {
        if let Some(job) = queue.pop_front() {
            self.report(job.attempt, handled);
        }
        for job in queue.drain(..) {
            self.report(job.attempt, Handled::stopped());
        }
    }

    /// Makes attempts in an instance until it is not used any more. False: there are no more orders.
    async fn serve(
        &self,
        mut instance: SharedInstance,
        orders: &mut UnboundedReceiver<Order>,
        queue: &mut VecDeque<Job>,
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
                    && let Some(job) = queue.pop_front()
                {
                    calls += 1;
                    flights.insert(job.attempt, Flight::of(&job));
                    // The receiver lives as long as this function.
                    let _ = to_instance.send(job);
                }
                let in_the_way = || queue.is_empty() && self.is_in_the_way();
                if flights.is_empty() && (calls >= CALLS_MAX || in_the_way()) || all_stopped(&flights) {
                    break End::Idle;
                }
                let first = flights.iter().min_by_key(|(_, flight)| flight.cut.rank());
                let late = first.map(|(attempt, flight)| (*attempt, flight.timeout, flight.cut));
                tokio::select! {
                    biased;
                    Some(Ended { attempt, handled }) = ended.recv() => self.finish(&mut flights, attempt, handled),
                    fault = &mut run => break End::Spent(fault),
                    order = orders.recv() => match order {
                        Some(Order::Run(job)) => queue.push_back(job),
                        Some(Order::Stop(attempt)) => match flights.get_mut(&attempt) {
                            Some(flight) => flight.stopped = true,
                            None => self.remove_queued(queue, attempt),
                        },
                        None => break End::Closed,
                    },
                    Some((attempt, timeout)) = when_up(late) => break End::Late(attempt, timeout),
                    () = self.spec.share.in_the_way(), if flights.is_empty() && queue.is_empty() => break End::Idle,
                }
            }
        };
        while let Ok(Ended { attempt, handled }) = ended.try_recv() {
            self.finish(&mut flights, attempt, handled);
        }
        // Jobs that it had not received have not begun.
        while let Ok(job) = jobs.try_recv() {
            if matches!(end, End::Late(late, _) if late == job.attempt) {
                // The wait to begin counts as its time too.
            } else if flights.remove(&job.attempt).is_some_and(|flight| flight.stopped) {
                self.report(job.attempt, Handled::stopped());
            } else {
                queue.push_front(job);
            }
        }
        let remains = instance.remains();
        match end {
            End::Closed => return false,
            End::Idle => self.settle(flights, remains, &Fault::Stopped, |_, _| false),
            End::Spent(fault) => match remains.interrupted {
                Some(guilty) => self.settle(flights, remains, &fault, |attempt, _| attempt == guilty),
                // The cause cannot be attributed, so all are charged with it.
                None => self.settle(flights, remains, &fault, |_, _| true),
            },
            End::Late(late, timeout) => self.settle_late(late, timeout, flights, remains),
        }
        true
    }

    /// Ends the attempts in flight because one exceeded its timeout. That one is charged with it unless another one
    /// used most of its time.
    fn settle_late(&self, late: AttemptId, timeout: Duration, flights: Flights, remains: FinalState) {
        let held = remains.held;
        let over = Fault::Timeout { limit: timeout };
        match remains.interrupted.filter(|_| held > timeout / 2) {
            Some(longest) => {
                let is_up = flights.get(&longest).is_some_and(|flight| flight.cut.left().is_zero());
                let fault = if is_up { over } else { Fault::StarvedOthers { held } };
                self.settle(flights, remains, &fault, |attempt, _| attempt == longest);
            }
            None => self.settle(flights, remains, &over, |attempt, flight| {
                attempt == late || flight.cut.left().is_zero()
            }),
        }
    }

    /// Reports the end of all attempts in flight in an instance: of the guilty ones with the fault, of the others as
    /// stopped.
    fn settle(
        &self,
        flights: Flights,
        remains: FinalState,
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
            self.report(attempt, handled);
        }
    }

    /// Reports the end of an attempt whose instance goes on.
    fn finish(&self, flights: &mut Flights, attempt: AttemptId, handled: Handled) {
        let handled = match flights.remove(&attempt) {
            Some(flight) if flight.stopped => Handled::fault(&Fault::Stopped, handled.used),
            _ => self.excused(handled),
        };
        self.report(attempt, handled);
    }
}

/// Whether all attempts in flight are stopped ones.
fn all_stopped(flights: &Flights) -> bool {
    !flights.is_empty() && flights.values().all(|flight| flight.stopped)
}

/// Waits for the timeout of an attempt, if there is one.
async fn when_up(first: Option<(AttemptId, Duration, Deadline)>) -> Option<(AttemptId, Duration)> {
    let (attempt, timeout, cut) = first?;
    cut.over().await;
    Some((attempt, timeout))
}
