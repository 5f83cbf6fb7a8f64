//! A run that goes on.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Event, RunError, Summary};
use crate::{
    inbox::panic_message,
    report::Reader,
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
    /// [`Run::next`], or cancel with a [`Canceller`].
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
    /// function of yours that is in the middle of something: its future is dropped when it next waits.
    pub fn cancel(&self) {
        self.stopper.cancel();
    }

    /// Ends the run gently: no attempt is begun any more, those that run go on to their end, and their results reach the
    /// output. Actions that are still waiting are cancelled, which their tasks are told. Does not wait.
    pub fn drain(&self) {
        self.stopper.stop();
    }

    /// What ends this run from elsewhere, also while it is being waited for.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.stopper.clone())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.reader.poll_next(cx).map(|told| told.map(Event::of))
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

/// Ends a [`Run`] from elsewhere. Cheap to clone. Does nothing to a run that is over, and dropping it does nothing.
#[derive(Clone, Debug)]
pub struct Canceller(Stopper);

impl Canceller {
    /// As [`Run::cancel`].
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// As [`Run::drain`].
    pub fn drain(&self) {
        self.0.stop();
    }
}
