//! Detects when an async task is blocked.
//!
//! A task may see answers only while it is blocked. Otherwise its path would depend on the moment at which an answer
//! arrives. A blocking guest is blocked exactly while it is in a host function that waits. An async guest is blocked
//! when polling its store returns pending *and nothing has woken it*: every future in it then waits for the host. So
//! the call is polled with a waker that records whether it was used. When the task is blocked ("quiet"), a *pump*
//! inside the store, where the port can be reached, releases the next batch.

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

use crate::imports::{answers::refill, state::State};

/// The state that the call and the pump inside its store share.
pub(super) struct Quiet {
    /// Set by the call when the task is blocked; cleared by the pump when it has released a batch.
    quiet: AtomicBool,
    /// Whether the waker was used.
    woken: AtomicBool,
    /// Whether the guest waits for memory, and so is not blocked on answers.
    grows: Arc<AtomicBool>,
    pump: AtomicWaker,
    call: AtomicWaker,
}

impl Quiet {
    /// `grows`: whether the guest waits for memory.
    pub(super) fn new(grows: Arc<AtomicBool>) -> Self {
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

/// Polls a call into an async task to its end, and lets the pump release answers whenever the task is quiet.
pub(super) async fn run<T>(quiet: Arc<Quiet>, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let waker = Waker::from(quiet.clone());
    std::future::poll_fn(|cx| {
        quiet.call.register(cx.waker());
        loop {
            quiet.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(value) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(value);
            }
            // Woken, for instance because a slice of fuel is used up: yield to other guests first.
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

/// Runs inside the store, concurrently with the task.
pub(super) struct Pump(pub Arc<Quiet>);

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
                        return Poll::Ready(Err(format_err!("the task waits for something that cannot happen")));
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
