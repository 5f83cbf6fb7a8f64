//! A worker's instance that runs several attempts at once: concurrent calls of `handle`.
//!
//! All calls are in one store, so they share its memory and its time: a guest that computes delays the others. A single
//! call cannot be cancelled either; wasmtime ends it only with the whole store. So a fault ends all attempts in flight,
//! and then it matters which of them caused it: see [`FinalState`].

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use disperse_scheduler::AttemptId;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use wasmtime::{
    AsContextMut, Result, StoreContextMut,
    component::{Accessor, GuestTaskId, TypedFunc, TypedFuncCallConcurrent},
};

use super::{
    fault::Fault,
    instance::Running,
    worker::{Handled, Return, WorkerInstance},
};
use crate::{
    chain::chain,
    imports::{
        abi::OwnedAction,
        calls::Calls,
        state::{Role, State},
    },
};
use disperse_protocol::{
    inbox::{Job, LogSource, Used},
    logger::Level,
};

type Handle = TypedFunc<(OwnedAction,), Return>;

/// A running worker component that runs several attempts at once.
pub struct SharedInstance {
    running: Running,
    handle: Handle,
    /// The largest result, in bytes.
    result_max: u64,
    /// Whether the interrupted attempt can be determined.
    tells: bool,
}

/// An attempt that has ended while its instance continues.
pub struct Ended {
    pub attempt: AttemptId,
    pub handled: Handled,
}

/// The final state of an instance that ended with attempts in flight.
pub struct FinalState {
    /// The attempt whose guest was running, if any and if known.
    pub interrupted: Option<AttemptId>,
    /// How long the instance had run without yielding.
    pub held: Duration,
    /// The attempts in flight, with the resources that each used.
    pub used: BTreeMap<AttemptId, Used>,
    /// The end of its stderr.
    pub stderr: String,
}

impl SharedInstance {
    /// Converts an instance without calls so far into one for several attempts at once.
    ///
    /// # Errors
    /// Its `handle` cannot be called in this way.
    pub fn new(instance: WorkerInstance, composed: bool) -> std::result::Result<Self, Fault> {
        let WorkerInstance {
            mut running,
            handle,
            limits,
            ..
        } = instance;
        let handle = handle
            .typed(&running.store)
            .map_err(|error| Fault::Start(chain(&error)))?;
        if let Role::Worker(worker) = &mut running.store.data_mut().role {
            worker.calls = Some(Box::new(Calls::new()));
        }
        running.set_fuel(0);
        Ok(Self {
            running,
            handle,
            result_max: limits.result,
            tells: !composed,
        })
    }

    /// Runs incoming attempts concurrently, and sends the outcome of each. Returns when the instance cannot be used any
    /// more. **Not cancel safe**: if it is cancelled, the instance cannot be used any more.
    pub async fn run(&mut self, jobs: &mut UnboundedReceiver<Job>, ended: &UnboundedSender<Ended>) -> Fault {
        let Self {
            running: Running { store, pace, .. },
            handle,
            result_max,
            ..
        } = self;
        let calls = ConcurrentCalls {
            handle: *handle,
            result_max: *result_max,
            ended,
        };
        let work = store.run_concurrent(async |accessor| calls.work(accessor, jobs).await);
        let error = match pace.run(Instant::now(), work).await {
            Ok(Err(error)) | Err(error) => error,
            Ok(Ok(())) => return Fault::Stopped,
        };
        let all = self.running.store.data_mut().calls().map_or(0, |calls| calls.fuel());
        match self.running.fault(&error) {
            Fault::Fuel { .. } => Fault::Fuel { limit: all },
            fault => fault,
        }
    }

    /// The final state, after [`SharedInstance::run`] has returned or was cancelled.
    pub fn remains(mut self) -> FinalState {
        let left = self.running.store.get_fuel().unwrap_or_default();
        let state = self.running.store.data_mut();
        let (memory, stderr) = (state.limiter.peak(), state.stderr.take());
        state.stderr.end_attempt();
        let (held, used) = state.calls().map_or_else(Default::default, |calls| {
            (calls.since_yield(), calls.used(left, memory))
        });
        let interrupted = match self.tells {
            true => Calls::interrupted(&mut self.running.store.as_context_mut()),
            false => None,
        };
        FinalState {
            interrupted,
            held,
            used,
            stderr,
        }
    }
}

/// Starts and ends calls, inside the store's event loop.
struct ConcurrentCalls<'a> {
    handle: Handle,
    result_max: u64,
    ended: &'a UnboundedSender<Ended>,
}

impl ConcurrentCalls<'_> {
    async fn work(&self, accessor: &Accessor<State>, jobs: &mut UnboundedReceiver<Job>) -> Result<()> {
        let mut open = FuturesUnordered::new();
        let mut work = pin!(async {
            loop {
                tokio::select! {
                    biased;
                    Some((attempt, task, answer)) = open.next() => {
                        let handled = accessor.with(|mut access| self.end(access.as_context_mut(), task, answer))?;
                        // Fails if the worker is gone, which needs no answer.
                        let _ = self.ended.send(Ended { attempt, handled });
                    }
                    job = jobs.recv() => match job {
                        Some(job) => {
                            let attempt = job.attempt;
                            let call = accessor.with(|mut access| self.begin(access.as_context_mut(), job))?;
                            let (handle, task) = (self.handle, call.task());
                            open.push(async move {
                                (attempt, task, handle.finish_call_concurrent(accessor, call).await)
                            });
                        }
                        None => return Ok(()),
                    }
                }
            }
        });
        std::future::poll_fn(|cx| {
            accessor.with(|mut access| {
                if let Some(calls) = access.data_mut().calls() {
                    calls.note_yield();
                }
            });
            work.as_mut().poll(cx)
        })
        .await
    }

    fn begin(
        &self,
        mut store: StoreContextMut<'_, State>,
        job: Job,
    ) -> Result<TypedFuncCallConcurrent<State, (OwnedAction,), Return>> {
        let action = OwnedAction {
            kind: job.kind.clone(),
            payload: job.payload.to_vec(),
        };
        let call = self.handle.start_call_concurrent(&mut store, (action,))?;
        Calls::begin(&mut store, call.task(), &job)?;
        Ok(call)
    }

    fn end(&self, mut store: StoreContextMut<'_, State>, task: GuestTaskId, answer: Result<Return>) -> Result<Handled> {
        let used = Calls::end(&mut store, task)?;
        let mut handled = Handled::answered(answer?, self.result_max, used);
        let state = store.data_mut();
        if let Some(words) = &mut handled.words {
            words.stderr = state.stderr.take();
        }
        let dropped = match state.calls().is_some_and(|calls| calls.is_empty()) {
            true => state.stderr.end_attempt().and_then(|talk| talk.dropped),
            false => state.stderr.end_shared_attempt(),
        };
        if let (Some(text), Role::Worker(worker)) = (dropped, &state.role) {
            let source = LogSource::Worker(worker.name.clone(), None);
            state.logger.guest(&source, Level::Warning, &text);
        }
        Ok(handled)
    }
}
