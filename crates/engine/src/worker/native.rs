//! A worker that is a function of the program which embeds this host.
//!
//! Every attempt is a tokio task of its own, so that a panic ends only that attempt, and attempts of one worker run on
//! several threads. An attempt that is stopped or too slow is dropped where it waits. A function that never waits
//! cannot be interrupted: its attempt fails, and it keeps its slot until it returns, so that no more threads are lost
//! to it. Further actions of the worker go to other workers meanwhile.

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

use disperse_protocol::{
    inbox::{ActionName, AttemptEnded, Job, Notice, Order, Reported, Reports, Used, Words, panic_message},
    text::cut,
    units::{Size, Time},
};

/// How long a dropped attempt may take to end before it counts as stuck. Arbitrary: a waiting future ends at once, on a
/// busy machine a little later.
const GRACE: Duration = Duration::from_secs(1);

/// For how long a worker whose slots are all taken by stuck attempts reports to be busy.
const STUCK_WAIT: Duration = Duration::from_secs(1);

/// The outcome of an attempt: the result, or how it ended and the reason as text.
type NativeResult = Result<Bytes, (End, String)>;

/// A function that makes attempts.
pub type NativeCall = Arc<dyn Fn(NativeAttempt) -> BoxFuture<'static, NativeResult> + Send + Sync>;

/// One attempt, as the function receives it.
#[derive(Debug)]
pub struct NativeAttempt {
    pub id: AttemptId,
    pub action: ActionName,
    /// The run's name.
    pub run: Arc<str>,
    pub worker: Arc<str>,
    pub kind: Arc<str>,
    pub payload: Bytes,
    /// Its deadline.
    pub cut: Instant,
    reports: Arc<Reports>,
}

impl NativeAttempt {
    /// Stores the report of a quota.
    pub fn report(&self, bucket: &str, remaining: u32, resets: Duration) {
        let reported = Reported {
            bucket: bucket.into(),
            remaining,
            resets,
        };
        self.reports.note(self.id, reported);
    }
}

/// A running native worker.
pub struct NativeWorker {
    pub id: WorkerId,
    /// The run's name.
    pub run: Arc<str>,
    /// For people: `pool/worker`.
    pub name: Arc<str>,
    pub call: NativeCall,
    /// How many attempts it makes at once, from 1.
    pub slots: u32,
    /// The largest result, in bytes.
    pub result_max: u64,
    pub to_driver: UnboundedSender<Notice>,
}

/// Its attempts. Dropping it drops all of them.
#[derive(Default)]
struct Attempts {
    running: JoinSet<(Duration, NativeResult)>,
    /// A task for each that runs.
    flights: FxHashMap<Id, Flight>,
    /// How many of them are stuck.
    stuck: usize,
    /// When to look for overdue ones: not after the first of them is overdue.
    look: Option<Instant>,
    reports: Arc<Reports>,
}

/// An attempt that runs, or has not ended since it was dropped.
struct Flight {
    /// None once its end was reported.
    attempt: Option<AttemptId>,
    handle: AbortHandle,
    /// When it becomes stuck unless it has ended.
    overdue: Instant,
    is_stuck: bool,
}

impl Attempts {
    fn watch(&mut self, overdue: Instant) {
        self.look = Some(self.look.map_or(overdue, |look| look.min(overdue)));
    }
}

impl NativeWorker {
    /// Carries out orders until there are no more.
    pub async fn live(self, mut orders: UnboundedReceiver<Order>) {
        let mut queue = VecDeque::new();
        let mut attempts = Attempts::default();
        let look = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(look);
        loop {
            while attempts.flights.len() < self.slots as usize
                && let Some(job) = queue.pop_front()
            {
                self.begin(job, &mut attempts);
            }
            if attempts.stuck > 0 {
                for job in queue.drain(..) {
                    self.report_failed(job.attempt, End::Busy { wait: STUCK_WAIT }, "busy", None);
                }
            }
            if let Some(at) = attempts.look
                && look.deadline() != at.into()
            {
                look.as_mut().reset(at.into());
            }
            tokio::select! {
                biased;
                Some(ended) = attempts.running.join_next_with_id() => self.finish(ended, &mut attempts),
                order = orders.recv() => match order {
                    Some(Order::Run(job)) => queue.push_back(job),
                    Some(Order::Stop(attempt)) => self.stop(attempt, &mut queue, &mut attempts),
                    None => return,
                },
                () = &mut look, if attempts.look.is_some() => self.fail_overdue(&mut attempts),
            }
        }
    }

    fn begin(&self, job: Job, attempts: &mut Attempts) {
        let (attempt, overdue) = (job.attempt, Instant::now() + job.timeout + GRACE);
        let reports = attempts.reports.clone();
        let handle = attempts.running.spawn(made(
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
        attempts.flights.insert(handle.id(), flight);
        attempts.watch(overdue);
    }

    /// Fails overdue attempts.
    fn fail_overdue(&self, attempts: &mut Attempts) {
        let now = Instant::now();
        attempts.look = None;
        let mut next = None::<Instant>;
        for flight in attempts.flights.values_mut().filter(|flight| !flight.is_stuck) {
            if flight.overdue > now {
                next = Some(next.map_or(flight.overdue, |next| next.min(flight.overdue)));
                continue;
            }
            flight.is_stuck = true;
            flight.handle.abort();
            attempts.stuck += 1;
            if let Some(attempt) = flight.attempt.take() {
                let why = "was not done in its time, and cannot be interrupted because it does not wait";
                self.report_failed(attempt, End::Transient, why, attempts.reports.take(attempt));
            }
        }
        attempts.look = next;
    }

    /// Handles the end of an attempt's task.
    fn finish(&self, ended: Result<(Id, (Duration, NativeResult)), JoinError>, attempts: &mut Attempts) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(flight) = attempts.flights.remove(&id) else {
            return;
        };
        attempts.stuck -= usize::from(flight.is_stuck);
        // The end of a stopped or overdue attempt was reported before.
        let Some(attempt) = flight.attempt else { return };
        let (wall, result) = match ended {
            Ok((_, (wall, result))) => (wall, result),
            Err(error) => (Duration::ZERO, Err(panicked(error))),
        };
        let result = result.and_then(|bytes| match bytes.len() as u64 <= self.result_max {
            true => Ok(bytes),
            false => Err((End::Oversize, format!("returned more than {}", Size(self.result_max)))),
        });
        self.report(attempt, wall, result, attempts.reports.take(attempt));
    }

    fn stop(&self, attempt: AttemptId, queue: &mut VecDeque<Job>, attempts: &mut Attempts) {
        if let Some(at) = queue.iter().position(|job| job.attempt == attempt) {
            queue.remove(at);
        } else {
            let mut flights = attempts.flights.values_mut();
            // It may have ended meanwhile.
            let Some(flight) = flights.find(|flight| flight.attempt == Some(attempt)) else {
                return;
            };
            flight.attempt = None;
            flight.handle.abort();
            flight.overdue = Instant::now() + GRACE;
            let overdue = flight.overdue;
            attempts.watch(overdue);
        }
        self.report_failed(attempt, End::Stopped, "was stopped", attempts.reports.take(attempt));
    }

    /// Reports the end of an attempt without a result.
    fn report_failed(&self, attempt: AttemptId, end: End, why: &str, reports: Option<Box<[Reported]>>) {
        self.report(attempt, Duration::ZERO, Err((end, why.to_owned())), reports);
    }

    fn report(&self, attempt: AttemptId, wall: Duration, result: NativeResult, reports: Option<Box<[Reported]>>) {
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
        // Fails if the driver is gone.
        let _ = self.to_driver.send(Notice::AttemptEnded(ended));
    }
}

/// Makes one attempt, within its timeout.
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
    // Called here, so that a panic of the call itself belongs to this attempt too.
    let made = tokio::time::timeout(timeout, call(attempt)).await;
    let late = |_| Err((End::Transient, format!("was not done within {}", Time::from(timeout))));
    (began.elapsed(), made.unwrap_or_else(late))
}

/// A panic is like a trap of unknown location.
fn panicked(error: JoinError) -> (End, String) {
    match error.try_into_panic() {
        Ok(panic) => (
            End::Trap { fingerprint: 0 },
            format!("panicked: {}", panic_message(&*panic)),
        ),
        Err(_) => (End::Stopped, "was stopped".to_owned()),
    }
}
