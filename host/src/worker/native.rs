//! The life of a worker that is a function of the program which has this host built in.
//!
//! Every attempt is a tokio task of its own, so that a panic ends that attempt and nothing else, and several attempts of one
//! worker run on several threads. An attempt that is stopped or too slow is dropped where it waits; a function that never
//! waits cannot be interrupted.

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
    inbox::{AttemptEnded, Job, Notice, Order, Used, Words, panic_message},
    units::{Size, Time},
};

/// The longest message of a failure that is kept, in bytes.
const MESSAGE_MAX: usize = 4 << 10;

/// What a function makes of an attempt: the result, or how it ended and why in words.
type NativeResult = Result<Bytes, (End, String)>;

/// A function that makes attempts.
pub(crate) type NativeCall = Arc<dyn Fn(NativeAttempt) -> BoxFuture<'static, NativeResult> + Send + Sync>;

/// One attempt, as the function is told it.
#[derive(Debug)]
pub(crate) struct NativeAttempt {
    pub(crate) id: AttemptId,
    pub(crate) worker: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) payload: Bytes,
    /// When it is dropped.
    pub(crate) cut: Instant,
}

/// One such worker at work.
pub(crate) struct NativeWorker {
    pub(crate) id: WorkerId,
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
    /// Without those that were stopped.
    flights: FxHashMap<Id, (AttemptId, AbortHandle)>,
}

impl NativeWorker {
    /// Carries out orders until there will be none.
    pub(crate) async fn live(self, mut orders: UnboundedReceiver<Order>) {
        let mut hand = VecDeque::new();
        let mut going = Going::default();
        loop {
            while going.flights.len() < self.slots as usize
                && let Some(job) = hand.pop_front()
            {
                self.begin(job, &mut going);
            }
            tokio::select! {
                biased;
                Some(ended) = going.running.join_next_with_id() => self.land(ended, &mut going),
                order = orders.recv() => match order {
                    Some(Order::Run(job)) => hand.push_back(job),
                    Some(Order::Stop(attempt)) => self.stop(attempt, &mut hand, &mut going),
                    None => return,
                },
            }
        }
    }

    fn begin(&self, job: Job, going: &mut Going) {
        let attempt = job.attempt;
        let started = going.running.spawn(made(self.call.clone(), self.name.clone(), job));
        going.flights.insert(started.id(), (attempt, started));
    }

    /// Takes the end of an attempt, however that came.
    fn land(&self, ended: Result<(Id, (Duration, NativeResult)), JoinError>, going: &mut Going) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        // Of one that was stopped the end was told.
        let Some((attempt, _)) = going.flights.remove(&id) else {
            return;
        };
        let (wall, result) = match ended {
            Ok((_, (wall, result))) => (wall, result),
            Err(error) => (Duration::ZERO, Err(panicked(error))),
        };
        let result = result.and_then(|bytes| match bytes.len() as u64 <= self.result_max {
            true => Ok(bytes),
            false => Err((End::Oversize, format!("returned more than {}", Size(self.result_max)))),
        });
        self.tell(attempt, wall, result);
    }

    fn stop(&self, attempt: AttemptId, hand: &mut VecDeque<Job>, going: &mut Going) {
        if let Some(at) = hand.iter().position(|job| job.attempt == attempt) {
            hand.remove(at);
        } else {
            let flight = going.flights.iter().find(|(_, (going_on, _))| *going_on == attempt);
            // It may have ended meanwhile.
            let Some(id) = flight.map(|(id, _)| *id) else { return };
            if let Some((_, handle)) = going.flights.remove(&id) {
                handle.abort();
            }
        }
        self.tell(attempt, Duration::ZERO, Err((End::Stopped, "was stopped".to_owned())));
    }

    fn tell(&self, attempt: AttemptId, wall: Duration, result: NativeResult) {
        let (end, result, words) = match result {
            Ok(result) => (End::Ok, result, None),
            Err((end, mut message)) => {
                message.truncate(message.floor_char_boundary(MESSAGE_MAX));
                let words = Words {
                    message,
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
            reports: None,
        };
        // A driver that is gone needs no answer.
        let _ = self.to_driver.send(Notice::AttemptEnded(ended));
    }
}

/// Makes one attempt, in its time.
async fn made(call: NativeCall, worker: Arc<str>, job: Job) -> (Duration, NativeResult) {
    let (began, timeout) = (Instant::now(), job.timeout);
    let attempt = NativeAttempt {
        id: job.attempt,
        worker,
        kind: job.kind,
        payload: job.payload,
        cut: began + timeout,
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
