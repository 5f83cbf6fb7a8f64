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

use super::{Action, Answer, Arrivals, Ask, Notice, Options, Request, RequestNumber};

/// How many answers are taken at once. Arbitrary.
const ANSWERS_MAX: usize = 1024;

/// How many bytes of payload an async task may have asked to be handed on beyond what is in flight.
const BACKLOG_MAX: usize = 64 << 20;

/// A guest asks for more at once than is kept for it.
#[derive(Debug, thiserror::Error)]
#[error(
    "more than 64MiB of payloads wait beside {0} actions in flight; take some outcomes before asking for more, or raise it with \
     --actions-in-flight"
)]
pub(crate) struct TooMuch(NonZeroU32);

/// Where a task asks, and where answers wait until it may see them.
///
/// **Answers become visible only in batches, and only while the task can do nothing else.** So the same batches always
/// lead the task down the same path, which is what lets a run be resumed. A blocking guest can do nothing else while it
/// is in a host function that waits; for an async one the caller has to find out.
#[derive(Debug)]
pub(crate) struct TaskPort {
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
    batch: Vec<Answer>,
    /// How many batches the task has seen.
    deliveries: u64,
    now_ms: u64,
    /// How many requests may be unanswered at once.
    in_flight: NonZeroU32,
}

/// Numbers of requests that nobody wants any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unwanted(Arc<Mutex<Vec<RequestNumber>>>);

impl Unwanted {
    pub(crate) fn push(&self, number: RequestNumber) {
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
    /// Nobody wants the answer any more.
    Dropped,
}

impl TaskPort {
    /// `in_flight`: how many requests may be unanswered at once, so that one task cannot fill the host.
    pub(crate) fn new(
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
            batch: Vec::new(),
            deliveries: 0,
            now_ms,
            in_flight,
        }
    }

    pub(crate) fn task(&self) -> TaskId {
        self.task
    }

    /// Whether it has asked for anything.
    pub(crate) fn has_asked(&self) -> bool {
        self.last_number > 0
    }

    /// The run's time as this task knows it: when the last batch that it saw was released.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How many batches were released; moves exactly when the task's fuel is to be refilled.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Whether one more request has to wait for an answer first.
    pub(crate) fn is_full(&self) -> bool {
        self.unanswered >= self.in_flight.get() as usize
    }

    /// Whether nothing is on its way to this task.
    pub(crate) fn is_idle(&self) -> bool {
        self.unanswered == 0
    }

    /// Makes sure that there is room for one more payload in the backlog: forgets what is not wanted any more.
    ///
    /// # Errors
    /// There is none; traps the guest, which cannot be made to wait.
    pub(crate) fn make_room(&mut self, payload: usize) -> Result<(), TooMuch> {
        self.cancel_unwanted();
        if self.backlog.is_empty() || self.kept + payload <= BACKLOG_MAX {
            Ok(())
        } else {
            Err(TooMuch(self.in_flight))
        }
    }

    /// Asks for an action. Over what may be in flight, and if the host is short of memory (`hold`) while other requests are
    /// unanswered, it is kept here and goes out when one of them is answered.
    pub(crate) fn submit(&mut self, action: Action, options: Options, hold: bool) -> RequestNumber {
        self.ask(Ask::Action(action, options), hold)
    }

    /// Asks for an action that is too large: it is answered with that. Counts as a request like any other.
    pub(crate) fn oversize(&mut self, kind: Arc<str>, message: String) -> RequestNumber {
        self.ask(Ask::Oversize { kind, message }, false)
    }

    /// Asks to be woken. Counts as a request like any other.
    pub(crate) fn sleep(&mut self, duration: Duration) -> RequestNumber {
        self.ask(Ask::Sleep(duration), false)
    }

    fn ask(&mut self, ask: Ask, hold: bool) -> RequestNumber {
        self.last_number += 1;
        let number = self.last_number;
        self.open.insert(number, Entry::Waiting(None));
        let request = Request {
            task: self.task,
            number,
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
    pub(crate) fn unwanted(&self) -> Unwanted {
        self.unwanted.clone()
    }

    /// Drops the requests that were put there.
    pub(crate) fn cancel_unwanted(&mut self) {
        for number in self.unwanted.take() {
            self.cancel(number);
        }
    }

    /// Drops a request, whether answered or not. Never waits.
    pub(crate) fn cancel(&mut self, number: RequestNumber) {
        match self.open.get_mut(&number) {
            Some(Entry::Answered(_)) => drop(self.open.remove(&number)),
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
                        ask: Ask::Cancel,
                    };
                    let _ = self.to_driver.send(Notice::Request(cancel));
                }
            }
            Some(Entry::Dropped) | None => {}
        }
    }

    /// Whether a request's answer is visible and not taken.
    pub(crate) fn is_answered(&self, number: RequestNumber) -> bool {
        matches!(self.open.get(&number), Some(Entry::Answered(_)))
    }

    /// Whether a request was made and its answer not taken yet.
    pub(crate) fn is_open(&self, number: RequestNumber) -> bool {
        matches!(self.open.get(&number), Some(Entry::Answered(_) | Entry::Waiting(_)))
    }

    /// Takes an answer that is visible.
    pub(crate) fn take(&mut self, number: RequestNumber) -> Option<Answer> {
        if !self.is_answered(number) {
            return None;
        }
        match self.open.remove(&number) {
            Some(Entry::Answered(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Takes an answer, or has the caller woken when a batch makes it visible.
    pub(crate) fn poll_take(&mut self, number: RequestNumber, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        match self.open.get_mut(&number) {
            Some(Entry::Waiting(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(self.take(number)),
        }
    }

    /// Waits for answers and makes all that have come visible, as one batch. Call it only while the task can do nothing
    /// else. False if none will ever come.
    ///
    /// Cancel safe: a batch is released whole or not at all.
    pub(crate) async fn next_batch(&mut self) -> bool {
        std::future::poll_fn(|cx| self.poll_next_batch(cx)).await
    }

    /// See [`TaskPort::next_batch`].
    pub(crate) fn poll_next_batch(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut batch = std::mem::take(&mut self.batch);
        let received = self.from_driver.poll(cx, &mut batch, ANSWERS_MAX);
        let Poll::Ready(count) = received else {
            self.batch = batch;
            if let Some(taken) = self.from_driver.rests() {
                let task = self.task;
                let _ = self.to_driver.send(Notice::Resting { task, taken });
            }
            return Poll::Pending;
        };
        self.deliveries += 1;
        self.unanswered -= count.min(self.unanswered);
        batch.sort_unstable_by_key(|answer| answer.number);
        for answer in batch.drain(..) {
            self.now_ms = self.now_ms.max(answer.at_ms);
            match self.open.get_mut(&answer.number) {
                Some(entry @ Entry::Waiting(_)) => {
                    if let Entry::Waiting(Some(waker)) = std::mem::replace(entry, Entry::Answered(answer)) {
                        waker.wake();
                    }
                }
                _ => drop(self.open.remove(&answer.number)),
            }
        }
        self.batch = batch;
        for _ in 0..count {
            let Some(request) = self.backlog.pop_front() else { break };
            self.kept -= request.size().min(self.kept);
            self.send(request);
        }
        Poll::Ready(count > 0)
    }
}
