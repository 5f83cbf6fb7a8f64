//! A task's side of the conversation with the driver.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use disperse_scheduler::TaskId;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::UnboundedSender;

use super::{Action, Answer, Arrivals, Ask, Notice, Options, Parcel, Request, RequestNumber};
use crate::limits::Charge;

/// How many bytes of payload an async task may have asked to be handed on beyond what is in flight.
const BACKLOG_MAX: usize = 64 << 20;

/// A guest asks for more at once than is kept for it.
#[derive(Debug, thiserror::Error)]
#[error(
    "more than 64MiB of payloads wait beside {0} actions in flight; take some outcomes before asking for more, or raise it with \
     --actions-in-flight"
)]
pub struct TooMuch(NonZeroU32);

/// Where a task asks, and where answers wait until it may see them.
///
/// **Answers become visible only in deliveries, taken whole, and only while the task can do nothing else.** So the same
/// deliveries always lead the task down the same path, which is what lets a run be resumed. A blocking guest can do nothing else while it
/// is in a host function that waits; for an async one the caller has to find out.
#[derive(Debug)]
pub struct TaskPort {
    task: TaskId,
    to_driver: UnboundedSender<Notice>,
    from_driver: Arrivals,
    /// Every request that was not taken yet, with its answer once that is visible.
    open: FxHashMap<RequestNumber, Entry>,
    last_number: RequestNumber,
    unanswered: usize,
    /// Asked for by a guest that cannot wait for room, in order.
    backlog: VecDeque<Request>,
    /// Bytes of payload in the backlog.
    kept: usize,
    /// Requests whose futures were dropped where the port is out of reach.
    unwanted: Unwanted,
    /// What large results take in the host until they are taken.
    charges: FxHashMap<RequestNumber, Charge>,
    /// How many deliveries the task has taken.
    deliveries: u32,
    /// In a rehearsal: whether it has reported that it rests since the last delivery.
    rest: Option<IsReported>,
    now_ms: u64,
    /// How many requests may be unanswered at once.
    in_flight: NonZeroU32,
}

/// Whether a task has reported that it rests.
type IsReported = bool;

/// Numbers of requests whose answers are not wanted any more.
#[derive(Clone, Debug, Default)]
pub struct Unwanted(Arc<Mutex<Vec<RequestNumber>>>);

impl Unwanted {
    pub fn push(&self, number: RequestNumber) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    fn take(&self) -> Vec<RequestNumber> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
enum Entry {
    Waiting(Option<Waker>),
    Answered(Answer),
    /// The answer is not wanted any more.
    Dropped,
}

impl TaskPort {
    /// `in_flight`: how many requests may be unanswered at once, so that one task cannot fill the host.
    pub fn new(
        task: TaskId,
        now_ms: u64,
        in_flight: NonZeroU32,
        to_driver: UnboundedSender<Notice>,
        from_driver: Arrivals,
    ) -> Self {
        Self {
            task,
            to_driver,
            from_driver,
            open: FxHashMap::default(),
            last_number: 0,
            unanswered: 0,
            backlog: VecDeque::new(),
            kept: 0,
            unwanted: Unwanted::default(),
            charges: FxHashMap::default(),
            deliveries: 0,
            rest: None,
            now_ms,
            in_flight,
        }
    }

    /// Has it report when the task rests: see [`Notice::Resting`].
    pub fn reporting_rest(mut self) -> Self {
        self.rest = Some(false);
        self
    }

    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Whether it has asked for anything.
    pub fn has_asked(&self) -> bool {
        self.last_number > 0
    }

    /// The run's time as this task knows it: when the last delivery that it took was formed.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How many deliveries were taken; moves exactly when the task's fuel is to be refilled.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Whether one more request has to wait for an answer first.
    pub fn is_full(&self) -> bool {
        self.unanswered >= self.in_flight.get() as usize
    }

    /// Whether nothing is on its way to this task.
    pub fn is_idle(&self) -> bool {
        self.unanswered == 0
    }

    /// Makes sure that there is room for one more payload in the backlog: forgets what is not wanted any more.
    ///
    /// # Errors
    /// There is none; traps the guest, which cannot be made to wait.
    pub fn make_room(&mut self, payload: usize) -> Result<(), TooMuch> {
        self.cancel_unwanted();
        if self.backlog.is_empty() || self.kept + payload <= BACKLOG_MAX {
            Ok(())
        } else {
            Err(TooMuch(self.in_flight))
        }
    }

    /// Asks for an action. Over what may be in flight, and if the host is short of memory (`hold`) while other requests are
    /// unanswered, it is kept here and goes out when one of them is answered.
    pub fn submit(&mut self, action: Action, options: Options, hold: bool) -> RequestNumber {
        self.ask(Ask::Action(action, options), hold)
    }

    /// Asks for an action that is too large: it is answered with that. Counts as a request like any other.
    pub fn oversize(&mut self, kind: Arc<str>, message: String) -> RequestNumber {
        self.ask(Ask::Oversize { kind, message }, false)
    }

    /// Asks to be woken. Counts as a request like any other.
    pub fn sleep(&mut self, duration: Duration) -> RequestNumber {
        self.ask(Ask::Sleep(duration), false)
    }

    fn ask(&mut self, ask: Ask, hold: bool) -> RequestNumber {
        self.last_number += 1;
        let number = self.last_number;
        self.open.insert(number, Entry::Waiting(None));
        let request = Request {
            task: self.task,
            number,
            asked_ms: self.now_ms,
            ask,
        };
        if self.is_full() || (hold && !self.is_idle()) {
            self.kept += request.size();
            self.backlog.push_back(request);
        } else {
            self.send(request);
        }
        number
    }

    fn send(&mut self, request: Request) {
        self.unanswered += 1;
        // A driver that is gone answers nothing, and the task is dropped with the run.
        let _ = self.to_driver.send(Notice::Request(request));
    }

    /// Where to put the numbers of requests that are not wanted any more, for those who have no access to the port.
    pub fn unwanted(&self) -> Unwanted {
        self.unwanted.clone()
    }

    /// Drops the requests that were put there.
    pub fn cancel_unwanted(&mut self) {
        for number in self.unwanted.take() {
            self.cancel(number);
        }
    }

    /// Drops a request, whether answered or not. Never waits.
    pub fn cancel(&mut self, number: RequestNumber) {
        match self.open.get_mut(&number) {
            Some(Entry::Answered(_)) => drop((self.open.remove(&number), self.charges.remove(&number))),
            Some(entry @ Entry::Waiting(_)) => {
                *entry = Entry::Dropped;
                if let Some(at) = self.backlog.iter().position(|request| request.number == number) {
                    let request = self.backlog.remove(at);
                    self.kept -= request.map_or(0, |request| request.size()).min(self.kept);
                    self.open.remove(&number);
                } else {
                    let cancel = Request {
                        task: self.task,
                        number,
                        asked_ms: self.now_ms,
                        ask: Ask::Cancel,
                    };
                    let _ = self.to_driver.send(Notice::Request(cancel));
                }
            }
            Some(Entry::Dropped) | None => {}
        }
    }

    /// Whether a request's answer is visible and not taken.
    pub fn is_answered(&self, number: RequestNumber) -> bool {
        matches!(self.open.get(&number), Some(Entry::Answered(_)))
    }

    /// Whether a request was made and its answer not taken yet.
    pub fn is_open(&self, number: RequestNumber) -> bool {
        matches!(self.open.get(&number), Some(Entry::Answered(_) | Entry::Waiting(_)))
    }

    /// Takes an answer that is visible.
    pub fn take(&mut self, number: RequestNumber) -> Option<Answer> {
        self.take_charged(number).map(|(answer, _)| answer)
    }

    /// Takes an answer that is visible, and what it takes in the host.
    pub fn take_charged(&mut self, number: RequestNumber) -> Option<(Answer, Option<Charge>)> {
        if !self.is_answered(number) {
            return None;
        }
        match self.open.remove(&number) {
            Some(Entry::Answered(answer)) => Some((answer, self.charges.remove(&number))),
            _ => None,
        }
    }

    /// Takes an answer, or has the caller woken when a batch makes it visible.
    pub fn poll_take(&mut self, number: RequestNumber, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        match self.open.get_mut(&number) {
            Some(Entry::Waiting(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(self.take(number)),
        }
    }

    /// Waits for the next delivery and makes its answers visible. Call it only while the task can do nothing else. False if
    /// none will ever come.
    ///
    /// Cancel safe: a delivery is taken whole or not at all.
    pub async fn next_delivery(&mut self) -> bool {
        std::future::poll_fn(|cx| self.poll_next_delivery(cx)).await
    }

    /// See [`TaskPort::next_delivery`].
    pub fn poll_next_delivery(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match self.from_driver.poll(cx) {
            Poll::Ready(None) => Poll::Ready(false),
            Poll::Ready(Some(parcel)) => {
                self.deliver(parcel);
                Poll::Ready(true)
            }
            Poll::Pending => {
                if let Some(is_reported @ false) = &mut self.rest {
                    *is_reported = true;
                    let (task, taken) = (self.task, self.deliveries);
                    let _ = self.to_driver.send(Notice::Resting { task, taken });
                }
                Poll::Pending
            }
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        let Parcel { delivery, charges } = parcel;
        self.deliveries += 1;
        self.rest = self.rest.map(|_| false);
        self.now_ms = self.now_ms.max(delivery.now_ms);
        self.charges.extend(charges);
        let count = delivery.answers.len();
        self.unanswered -= count.min(self.unanswered);
        for answer in delivery.answers {
            match self.open.get_mut(&answer.number) {
                Some(entry @ Entry::Waiting(_)) => {
                    if let Entry::Waiting(Some(waker)) = std::mem::replace(entry, Entry::Answered(answer)) {
                        waker.wake();
                    }
                }
                _ => drop((self.open.remove(&answer.number), self.charges.remove(&answer.number))),
            }
        }
        for _ in 0..count {
            let Some(request) = self.backlog.pop_front() else { break };
            self.kept -= request.size().min(self.kept);
            self.send(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::inbox::{Delivery, deliveries};

    fn parcel(number: u32, requests: &[RequestNumber]) -> Parcel {
        let answer = |number: &RequestNumber| Answer {
            number: *number,
            value: Ok(Bytes::new()),
        };
        let delivery = Delivery {
            number,
            now_ms: u64::from(number) * 10,
            answers: requests.iter().map(answer).collect(),
        };
        Parcel {
            delivery,
            charges: Vec::new(),
        }
    }

    #[test]
    fn deliveries_are_taken_whole_and_rest_is_reported_once_for_each() {
        let (to_driver, mut inbox) = unbounded_channel();
        let (mut to_task, arrivals) = deliveries();
        let mut port = TaskPort::new(TaskId(1), 0, NonZeroU32::MAX, to_driver, arrivals).reporting_rest();
        let action = || Action {
            kind: "k".into(),
            payload: Bytes::new(),
        };
        for _ in 0..3 {
            port.submit(action(), Options::default(), false);
        }
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert_eq!(port.poll_next_delivery(&mut cx), Poll::Pending);
        }
        to_task.send(parcel(1, &[1, 3]));
        to_task.send(parcel(2, &[2]));
        assert_eq!(port.poll_next_delivery(&mut cx), Poll::Ready(true));
        assert_eq!([1, 2, 3].map(|number| port.is_answered(number)), [true, false, true]);
        assert_eq!((port.deliveries(), port.now_ms()), (1, 10));
        assert_eq!(port.poll_next_delivery(&mut cx), Poll::Ready(true));
        assert_eq!(port.poll_next_delivery(&mut cx), Poll::Pending);
        let mut rests = Vec::new();
        while let Ok(notice) = inbox.try_recv() {
            if let Notice::Resting { taken, .. } = notice {
                rests.push(taken);
            }
        }
        assert_eq!(rests, [0, 2]);
        drop(to_task);
        assert_eq!(port.poll_next_delivery(&mut cx), Poll::Ready(false));
    }

    #[test]
    fn request_has_the_time_that_its_task_knew() {
        let (to_driver, mut inbox) = unbounded_channel();
        let (mut to_task, arrivals) = deliveries();
        let mut port = TaskPort::new(TaskId(1), 3, NonZeroU32::MAX, to_driver, arrivals);
        port.sleep(Duration::from_millis(1));
        to_task.send(parcel(1, &[1]));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(port.poll_next_delivery(&mut cx), Poll::Ready(true));
        port.sleep(Duration::from_millis(1));
        let mut asked = Vec::new();
        while let Ok(Notice::Request(request)) = inbox.try_recv() {
            asked.push(request.asked_ms);
        }
        assert_eq!(asked, [3, 10]);
    }
}
