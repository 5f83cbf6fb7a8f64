//! A run that goes on.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::Stream;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{ControlError, Event, Progress, RunError, Summary};
use crate::{
    control::{ControlResponse, Query, Status},
    inbox::panic_message,
    report::{Reader, change_words},
    run::{self, Ended, Plan, Stopper},
    sandbox::Sandbox,
};

/// A run that goes on: a stream of [events](Event), and in the end a [summary](Run::finish).
///
/// **Dropping it cancels the run**, at once: attempts and tasks are dropped where they wait.
///
/// It goes on by itself, as fast as it is read. While 16 MiB of events are unread, no new tasks are begun, and `output` of a
/// component or a task waits; tasks that are in flight go on meanwhile, and what would be told of their attempts and actions is
/// counted instead, in [`Event::Missed`]. Outputs and ends of tasks are never left out. So a slow reader slows the run, and
/// one that never reads stands it still without filling the memory.
pub struct Run {
    reader: Reader,
    running: JoinHandle<Result<Ended, run::RunError>>,
    stopper: Stopper,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_over = self.running.is_finished();
        f.debug_struct("Run").field("is_over", &is_over).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) fn start(runtime: &Handle, sandbox: Arc<Sandbox>, plan: Plan, reader: Reader) -> Self {
        let (stopper, wires) = run::wires();
        Self {
            reader,
            running: runtime.spawn(run::run_with(sandbox, plan, wires)),
            stopper,
        }
    }

    /// Waits for the next event. None: the run is over, and [`Run::finish`] says how it went.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Waits until the run is over and says how it went. Events that were not read are read and dropped.
    ///
    /// # Errors
    /// The run broke off. Failures of tasks, workers and of the operation are no errors but part of the summary.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run, which cancels it. To wait for the end of something else meanwhile, keep reading with
    /// [`Run::next`], or cancel with its [`Control`].
    pub async fn finish(mut self) -> Result<Summary, RunError> {
        while self.next().await.is_some() {}
        match (&mut self.running).await {
            Ok(Ok(ended)) => Ok(Summary::of(ended.summary)),
            Ok(Err(error)) => Err(RunError::of(error)),
            Err(error) => Err(match error.try_into_panic() {
                Ok(panic) => RunError::Bug(panic_message(&*panic).to_owned()),
                Err(_) => RunError::Runtime,
            }),
        }
    }

    /// Ends the run now. Attempts that run are dropped, and what tasks were at is lost; what was written to the output is
    /// still there to be read, and [`Run::finish`] says how far the run came. Does not wait, and neither does `finish` for a
    /// function of yours that is in the middle of something: its future is dropped when it next waits, which may be after the
    /// run is over.
    pub fn cancel(&self) {
        self.stopper.cancel();
    }

    /// Ends the run gently: no attempt is begun any more, those that run go on to their end, and their results reach the
    /// output. Actions that are still waiting are cancelled, which their tasks are told. What tasks and the operation are still
    /// at once no attempt runs has two seconds, in which nothing counts that waits for you to read. Does not wait.
    pub fn drain(&self) {
        self.stopper.stop();
    }

    /// How the run is going.
    ///
    /// # Errors
    /// It is over.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn progress(&self) -> Result<Progress, ControlError> {
        self.control().progress().await
    }

    /// What asks and steers this run from elsewhere, also while it is being waited for.
    pub fn control(&self) -> Control {
        Control(self.stopper.clone())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match ready!(self.reader.poll_next(cx)) {
                Some(heard) => {
                    if let Some(event) = Event::of(heard) {
                        return Poll::Ready(Some(event));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for Run {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The driver owns all that goes on and is dropped with it. Nothing to a run that is over.
        self.running.abort();
    }
}

/// Asks and steers a [`Run`] from elsewhere. Cheap to clone; dropping it does nothing.
#[derive(Clone, Debug)]
pub struct Control(Stopper);

impl Control {
    /// As [`Run::cancel`]. Nothing to a run that is over.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// As [`Run::drain`]. Nothing to a run that is over.
    pub fn drain(&self) {
        self.0.stop();
    }

    /// As [`Run::progress`].
    ///
    /// # Errors
    /// The run is over.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn progress(&self) -> Result<Progress, ControlError> {
        Progress::of(self.ask(Query::Run).await?).ok_or(ControlError::Over)
    }

    /// Gives a worker work again, with a clean record; by its name, `pool/worker`. Says what was done, for people.
    ///
    /// # Errors
    /// There is no such worker, it is gone for good, or the run is over.
    ///
    /// # Cancel safety
    /// It is done all the same if the future is dropped.
    pub async fn readmit(&self, worker: impl Into<String>) -> Result<String, ControlError> {
        let worker = worker.into();
        self.change(Query::Readmit { worker }).await
    }

    /// Gives a worker nothing more; what it is at goes on to its end. Says what was done, for people.
    ///
    /// # Errors
    /// There is no such worker, it is the last one for what it does, or the run is over.
    ///
    /// # Cancel safety
    /// It is done all the same if the future is dropped.
    pub async fn drain_worker(&self, worker: impl Into<String>) -> Result<String, ControlError> {
        let worker = Some(worker.into());
        self.change(Query::Drain { worker }).await
    }

    /// Lets so many more workers join a pool; they are as those that the pool was given a [number](crate::Pool::workers) of. Says what was
    /// done, for people.
    ///
    /// # Errors
    /// There is no such pool, each of its workers has settings of its own, there are too many workers, or the run is being stopped
    /// or over.
    ///
    /// # Cancel safety
    /// It is done all the same if the future is dropped.
    pub async fn add_workers(&self, pool: impl Into<String>, count: u32) -> Result<String, ControlError> {
        let pool = pool.into();
        self.change(Query::Workers { pool, add: count }).await
    }

    async fn change(&self, query: Query) -> Result<String, ControlError> {
        let response = self.ask(query).await?;
        match response.status {
            Status::Changed(change) => Ok(change_words(&change, response.at_ms)),
            Status::Run(_) | Status::Action(_) | Status::Worker(_) => Ok(String::new()),
        }
    }

    async fn ask(&self, query: Query) -> Result<ControlResponse, ControlError> {
        let answer = self.0.ask(query).await.ok_or(ControlError::Over)?;
        answer.map_err(|problem| ControlError::Refused(problem.what))
    }
}
