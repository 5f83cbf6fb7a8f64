//! When an async task can do nothing else.
//!
//! A task may see answers only while it is blocked, or the moment at which an answer happens to arrive would change its
//! path. A blocking guest is blocked exactly while it is in a host function that waits. An async one is blocked when its
//! store, polled, is pending *and nothing has asked for it to be polled again*: every future in it then waits for the host.
//! So the call is polled with a waker that notes whether it was used, and a *pump* inside the store, which alone can reach
//! the port, releases the next batch when told that all is quiet.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use wasmtime::{
    AsContextMut, Result,
    component::{Accessor, AccessorTask},
    format_err,
};

use crate::sandbox::imports::{answers::refill, state::State};

/// Shared by the call and the pump inside its store.
pub(crate) struct Quiet {
    /// Set by the call when nothing is left to run; cleared by the pump when it has released a batch.
    quiet: AtomicBool,
    /// Whether anything wants to be polled again.
    woken: AtomicBool,
    /// Whether the guest waits for memory: it has more to do as soon as it has that.
    grows: Arc<AtomicBool>,
    pump: AtomicWaker,
    call: AtomicWaker,
}

impl Quiet {
    /// `grows`: whether the guest waits for memory.
    pub(crate) fn new(grows: Arc<AtomicBool>) -> Self {
        Self {
            quiet: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            grows,
            pump: AtomicWaker::new(),
            call: AtomicWaker::new(),
        }
    }
}

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.call.wake();
    }
}

/// Polls a call into an async task to its end and has the pump release answers whenever the task is quiet.
pub(crate) async fn run<T>(quiet: Arc<Quiet>, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let waker = Waker::from(quiet.clone());
    std::future::poll_fn(|cx| {
        quiet.call.register(cx.waker());
        loop {
            quiet.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(value) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(value);
            }
            // Asked to be polled again, for instance because a slice of fuel is used up: others first.
            if quiet.woken.load(Ordering::SeqCst) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if quiet.grows.load(Ordering::SeqCst) || quiet.quiet.swap(true, Ordering::SeqCst) {
                return Poll::Pending;
            }
            quiet.pump.wake();
        }
    })
    .await
}

/// Runs inside the store beside the task.
pub(crate) struct Pump(pub(crate) Arc<Quiet>);

impl AccessorTask<State> for Pump {
    async fn run(self, accessor: &Accessor<State>) -> Result<()> {
        loop {
            std::future::poll_fn(|cx| {
                self.0.pump.register(cx.waker());
                if !self.0.quiet.load(Ordering::SeqCst) {
                    return Poll::Pending;
                }
                accessor.with(|mut access| {
                    let mut store = access.as_context_mut();
                    let port = store.data_mut().task()?;
                    port.cancel_unwanted();
                    if port.is_idle() {
                        return Poll::Ready(Err(format_err!("the task waits for something that cannot come")));
                    }
                    match port.poll_next_delivery(cx) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(false) => Poll::Ready(Err(format_err!("the run is over"))),
                        Poll::Ready(true) => {
                            self.0.quiet.store(false, Ordering::SeqCst);
                            Poll::Ready(refill(&mut store))
                        }
                    }
                })
            })
            .await?;
        }
    }
}
