//! A run in progress.

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
    assembly::{self, Ended, Plan, Stopper},
    control::{ControlResponse, Query, Status},
    library::{LibrarySink, Reader},
    words,
};
use disperse_protocol::inbox::panic_message;
use disperse_sandbox::Sandbox;

/// A run in progress: a stream of [events](Event), and in the end a [summary](Run::finish).
///
/// **Dropping it cancels the run**, at once: attempts and tasks are dropped where they wait.
///
/// It advances on its own, as fast as its events are read. While 16 MiB of events are unread, no task starts, and
/// `output` of a component or a task waits. Tasks in flight go on, and events of their attempts and actions are only
/// counted, in [`Event::Missed`]. Outputs and ends of tasks are never left out. So a slow reader slows the run, and one
/// that never reads stops it without filling the memory.
pub struct Run {
    reader: Reader,
    running: JoinHandle<Result<Ended, assembly::RunError>>,
    stopper: Stopper,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_over = self.running.is_finished();
        f.debug_struct("Run").field("is_over", &is_over).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) fn start(
        runtime: &Handle,
        sandbox: Arc<Sandbox>,
        plan: Plan,
        (sink, reader): (LibrarySink, Reader),
    ) -> Self {
        let (stopper, wires) = assembly::wires();
        Self {
            reader,
            running: runtime.spawn(assembly::run_with(sandbox, plan, Box::new(sink), wires)),
            stopper,
        }
    }

    /// Waits for the next event. None: the run is over, and [`Run::finish`] returns its summary.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Waits until the run is over and returns its summary. Unread events are dropped.
    ///
    /// # Errors
    /// The run broke off. Failures of tasks, workers and of the operation are not errors but part of the summary.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run, which cancels it. To wait for something else at the same time, keep reading
    /// with [`Run::next`], or cancel with its [`Control`].
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

    /// Cancels the run now. Running attempts are dropped, and the state of tasks is lost; written output can still be
    /// read, and [`Run::finish`] returns what was done so far. Does not wait, and neither does `finish` for a native
    /// function that is running: its future is dropped when it next waits, which may be after the run is over.
    pub fn cancel(&self) {
        self.stopper.cancel();
    }

    /// Drains the run: no attempt starts any more, running ones end as usual, and their results reach the output.
    /// Waiting actions are cancelled, which their tasks learn. Once no attempt runs, tasks and the operation have two
    /// seconds to end; time in which they wait for a reader does not count. Does not wait.
    pub fn drain(&self) {
        self.stopper.stop();
    }

    /// Returns the progress of the run.
    ///
    /// # Errors
    /// The run is over.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn progress(&self) -> Result<Progress, ControlError> {
        self.control().progress().await
    }

    /// Returns a handle that queries and controls this run from elsewhere, also while another task waits for it.
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
        // Dropping the driver drops all that it owns. Does nothing if the run is over.
        self.running.abort();
    }
}

/// A handle that queries and controls a [`Run`]. Cheap to clone; dropping it does nothing.
#[derive(Clone, Debug)]
pub struct Control(Stopper);

impl Control {
    /// As [`Run::cancel`]. Does nothing if the run is over.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// As [`Run::drain`]. Does nothing if the run is over.
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

    /// Readmits a worker with a clean record, by its name, `pool/worker`. Returns what was done, for people.
    ///
    /// # Errors
    /// There is no such worker, it is gone for good, or the run is over.
    ///
    /// # Cancel safety
    /// The worker is readmitted even if the future is dropped.
    pub async fn readmit(&self, worker: impl Into<String>) -> Result<String, ControlError> {
        let worker = worker.into();
        self.change(Query::Readmit { worker }).await
    }

    /// Drains a worker: it gets no new action, and its running ones end as usual. Returns what was done, for people.
    ///
    /// # Errors
    /// There is no such worker, it is the last one of its kinds, or the run is over.
    ///
    /// # Cancel safety
    /// The worker is drained even if the future is dropped.
    pub async fn drain_worker(&self, worker: impl Into<String>) -> Result<String, ControlError> {
        let worker = Some(worker.into());
        self.change(Query::Drain { worker }).await
    }

    /// Adds `count` workers to a pool; they are like those of its [number](crate::Pool::workers). Returns what was
    /// done, for people.
    ///
    /// # Errors
    /// There is no such pool, each of its workers has settings of its own, there are too many workers, or the run is
    /// stopping or over.
    ///
    /// # Cancel safety
    /// The workers are added even if the future is dropped.
    pub async fn add_workers(&self, pool: impl Into<String>, count: u32) -> Result<String, ControlError> {
        let pool = pool.into();
        self.change(Query::Workers { pool, add: count }).await
    }

    async fn change(&self, query: Query) -> Result<String, ControlError> {
        let response = self.ask(query).await?;
        match response.status {
            Status::Changed(change) => Ok(words::change(&change, response.at_ms)),
            Status::Run(_) | Status::Action(_) | Status::Worker(_) => Ok(String::new()),
        }
    }

    async fn ask(&self, query: Query) -> Result<ControlResponse, ControlError> {
        let answer = self.0.ask(query).await.ok_or(ControlError::Over)?;
        answer.map_err(|problem| ControlError::Refused(problem.what))
    }
}
