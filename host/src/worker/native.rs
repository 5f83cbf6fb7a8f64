//! The life of a worker that is a function of the program which has this host built in.
//!
//! Every attempt is a tokio task of its own, so that a panic ends that attempt and nothing else, and several attempts of one
//! worker run on several threads. An attempt that is stopped or too slow is dropped where it waits. A function that never
//! waits cannot be interrupted: its attempt is given up all the same, and until it comes back it keeps its place, so that no
//! more threads are lost to it. What the worker is given meanwhile goes elsewhere.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, WorkerId};
use futures::future::BoxFuture;
use rustc_hash::FxHashMap;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    task::{AbortHandle, Id, JoinError, JoinSet},
};

use crate::{
    inbox::{ActionName, AttemptEnded, Job, Notice, Order, Reported, Reports, Used, Words, panic_message},
    text::cut,
    units::{Size, Time},
};

/// How long an attempt that is dropped may take to come back before it is stuck. Arbitrary: what waits comes back at once,
/// on a machine that is busy a little later.
const GRACE: Duration = Duration::from_secs(1);

/// For how long a worker whose places are all taken by stuck attempts says that it is busy.
const STUCK_WAIT: Duration = Duration::from_secs(1);

/// What a function makes of an attempt: the result, or how it ended and why in words.
type NativeResult = Result<Bytes, (End, String)>;

/// A function that makes attempts.
pub(crate) type NativeCall = Arc<dyn Fn(NativeAttempt) -> BoxFuture<'static, NativeResult> + Send + Sync>;

/// One attempt, as the function is told it.
#[derive(Debug)]
pub(crate) struct NativeAttempt {
    pub(crate) id: AttemptId,
    pub(crate) action: ActionName,
    /// The run's name.
    pub(crate) run: Arc<str>,
    pub(crate) worker: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) payload: Bytes,
    /// When it is dropped.
    pub(crate) cut: Instant,
    reports: Arc<Reports>,
}

impl NativeAttempt {
    /// Takes note of what a service said about a quota.
    pub(crate) fn report(&self, bucket: &str, remaining: u32, resets: Duration) {
        let reported = Reported {
            bucket: bucket.into(),
            remaining,
            resets,
        };
        self.reports.note(self.id, reported);
    }
}

/// One such worker at work.
pub(crate) struct NativeWorker {
    pub(crate) id: WorkerId,
    /// The run's name.
    pub(crate) run: Arc<str>,
    /// For people: `pool/worker`.
    pub(crate) name: Arc<str>,
    pub(crate) call: NativeCall,
    /// How many attempts it makes at once, from 1.
    pub(crate) slots: u32,
    /// The largest result, in bytes.
    pub(crate) result_max: u64,
    pub(crate) to_driver: UnboundedSender<Notice>,
}

/// What goes on. Dropping it drops all of it.
#[derive(Default)]
struct Going {
    running: JoinSet<(Duration, NativeResult)>,
    /// One for each that runs.
    flights: FxHashMap<Id, Flight>,
    /// How many of them are stuck.
    stuck: usize,
    /// When to look again for some that are: not later than the first of them is overdue.
    look: Option<Instant>,
    reports: Arc<Reports>,
}

/// An attempt that runs, or has not come back since it was dropped.
struct Flight {
    /// None once its end was told.
    attempt: Option<AttemptId>,
    handle: AbortHandle,
    /// When it is stuck unless it has come back.
    overdue: Instant,
    is_stuck: bool,
}

impl Going {
    fn watch(&mut self, overdue: Instant) {
        self.look = Some(self.look.map_or(overdue, |look| look.min(overdue)));
    }
}

impl NativeWorker {
    /// Carries out orders until there will be none.
    pub(crate) async fn live(self, mut orders: UnboundedReceiver<Order>) {
        let mut hand = VecDeque::new();
        let mut going = Going::default();
        let look = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(look);
        loop {
            while going.flights.len() < self.slots as usize
                && let Some(job) = hand.pop_front()
            {
                self.begin(job, &mut going);
            }
            if going.stuck > 0 {
                for job in hand.drain(..) {
                    self.tell_failed(job.attempt, End::Busy { wait: STUCK_WAIT }, "busy", None);
                }
            }
            if let Some(at) = going.look
                && look.deadline() != at.into()
            {
                look.as_mut().reset(at.into());
            }
            tokio::select! {
                biased;
                Some(ended) = going.running.join_next_with_id() => self.land(ended, &mut going),
                order = orders.recv() => match order {
                    Some(Order::Run(job)) => hand.push_back(job),
                    Some(Order::Stop(attempt)) => self.stop(attempt, &mut hand, &mut going),
                    None => return,
                },
                () = &mut look, if going.look.is_some() => self.give_up(&mut going),
            }
        }
    }

    fn begin(&self, job: Job, going: &mut Going) {
        let (attempt, overdue) = (job.attempt, Instant::now() + job.timeout + GRACE);
        let reports = going.reports.clone();
        let handle = going.running.spawn(made(
            self.call.clone(),
            self.run.clone(),
            self.name.clone(),
            job,
            reports,
        ));
        let flight = Flight {
            attempt: Some(attempt),
            handle: handle.clone(),
            overdue,
            is_stuck: false,
        };
        going.flights.insert(handle.id(), flight);
        going.watch(overdue);
    }

    /// Gives up what is overdue.
    fn give_up(&self, going: &mut Going) {
        let now = Instant::now();
        going.look = None;
        let mut next = None::<Instant>;
        for flight in going.flights.values_mut().filter(|flight| !flight.is_stuck) {
            if flight.overdue > now {
                next = Some(next.map_or(flight.overdue, |next| next.min(flight.overdue)));
                continue;
            }
            flight.is_stuck = true;
            flight.handle.abort();
            going.stuck += 1;
            if let Some(attempt) = flight.attempt.take() {
                let why = "was not done in its time, and does not wait for anything, so that it cannot be interrupted";
                self.tell_failed(attempt, End::Transient, why, going.reports.take(attempt));
            }
        }
        going.look = next;
    }

    /// Takes the end of an attempt, however that came.
    fn land(&self, ended: Result<(Id, (Duration, NativeResult)), JoinError>, going: &mut Going) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(flight) = going.flights.remove(&id) else {
            return;
        };
        going.stuck -= usize::from(flight.is_stuck);
        // Of one that was stopped or given up the end was told.
        let Some(attempt) = flight.attempt else { return };
        let (wall, result) = match ended {
            Ok((_, (wall, result))) => (wall, result),
            Err(error) => (Duration::ZERO, Err(panicked(error))),
        };
        let result = result.and_then(|bytes| match bytes.len() as u64 <= self.result_max {
            true => Ok(bytes),
            false => Err((End::Oversize, format!("returned more than {}", Size(self.result_max)))),
        });
        self.tell(attempt, wall, result, going.reports.take(attempt));
    }

    fn stop(&self, attempt: AttemptId, hand: &mut VecDeque<Job>, going: &mut Going) {
        if let Some(at) = hand.iter().position(|job| job.attempt == attempt) {
            hand.remove(at);
        } else {
            let mut flights = going.flights.values_mut();
            // It may have ended meanwhile.
            let Some(flight) = flights.find(|flight| flight.attempt == Some(attempt)) else {
                return;
            };
            flight.attempt = None;
            flight.handle.abort();
            flight.overdue = Instant::now() + GRACE;
            let overdue = flight.overdue;
            going.watch(overdue);
        }
        self.tell_failed(attempt, End::Stopped, "was stopped", going.reports.take(attempt));
    }

    /// The end of an attempt of which there is nothing but why it ended.
    fn tell_failed(&self, attempt: AttemptId, end: End, why: &str, reports: Option<Box<[Reported]>>) {
        self.tell(attempt, Duration::ZERO, Err((end, why.to_owned())), reports);
    }

    fn tell(&self, attempt: AttemptId, wall: Duration, result: NativeResult, reports: Option<Box<[Reported]>>) {
        let (end, result, words) = match result {
            Ok(result) => (End::Ok, result, None),
            Err((end, message)) => {
                let words = Words {
                    message: cut(message),
                    ..Words::default()
                };
                (end, Bytes::new(), Some(Box::new(words)))
            }
        };
        let ended = AttemptEnded {
            attempt,
            worker: self.id,
            end,
            result,
            words,
            used: Used {
                wall,
                ..Used::default()
            },
            denied: None,
            reports,
        };
        // A driver that is gone needs no answer.
        let _ = self.to_driver.send(Notice::AttemptEnded(ended));
    }
}

/// Makes one attempt, in its time.
async fn made(
    call: NativeCall,
    run: Arc<str>,
    worker: Arc<str>,
    job: Job,
    reports: Arc<Reports>,
) -> (Duration, NativeResult) {
    let (began, timeout) = (Instant::now(), job.timeout);
    let attempt = NativeAttempt {
        id: job.attempt,
        action: job.action,
        run,
        worker,
        kind: job.kind,
        payload: job.payload,
        cut: began + timeout,
        reports,
    };
    // Called here, so that a panic of the call itself is this attempt's too.
    let made = tokio::time::timeout(timeout, call(attempt)).await;
    let late = |_| Err((End::Transient, format!("was not done within {}", Time::from(timeout))));
    (began.elapsed(), made.unwrap_or_else(late))
}

/// A panic is like a trap of which nobody knows the place.
fn panicked(error: JoinError) -> (End, String) {
    match error.try_into_panic() {
        Ok(panic) => (
            End::Trap { fingerprint: 0 },
            format!("panicked: {}", panic_message(&*panic)),
        ),
        Err(_) => (End::Stopped, "was stopped".to_owned()),
    }
}
