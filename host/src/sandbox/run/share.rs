//! Admission: what the instances of one pool, a planner, or the tasks of one operation may take of the engine and of memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::fault::Fault;
use crate::{
    limits::{Account, Reservation},
    sandbox::{
        imports::limiter::Need,
        load::{component::LoadedComponent, sandbox::Sandbox},
        shortage::HostResource,
    },
};

/// The accounts of instances that are started from one program for one purpose.
#[derive(Debug)]
pub(crate) struct Share {
    slots: Arc<Account>,
    pub(crate) memory: Arc<Account>,
    /// How many slots one instance takes.
    weight: u64,
    /// How much memory it has at its beginning, in bytes.
    initial: u64,
    /// How much instances took that ended not long ago, in bytes.
    taken: AtomicU64,
    /// Notified when an idle instance is in the way.
    idle: Arc<Notify>,
    /// Whether it was reported that they wait.
    reported: AtomicBool,
}

/// What an instance has reserved before it is started.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) memory: Reservation,
    /// What is reserved for its scratch folder, if it has one.
    pub(crate) scratch: Option<Reservation>,
    pub(crate) slots: Reservation,
}

impl Share {
    /// Of so many instances at once as there are.
    pub(crate) fn new(sandbox: &Sandbox, program: &LoadedComponent) -> Arc<Self> {
        Self::capped(sandbox, program, u64::MAX)
    }

    /// Of one instance.
    pub(crate) fn of_one(sandbox: &Sandbox, program: &LoadedComponent) -> Arc<Self> {
        Self::capped(sandbox, program, program.inner().weight)
    }

    /// No more than so many slots are guaranteed to it.
    fn capped(sandbox: &Sandbox, program: &LoadedComponent, slots: u64) -> Arc<Self> {
        let idle = Arc::<Notify>::default();
        let program = program.inner();
        Arc::new(Self {
            slots: program.context.slots.account(slots, idle.clone()),
            memory: sandbox.budget.memory().account(u64::MAX, idle.clone()),
            weight: program.weight,
            initial: program.initial,
            taken: AtomicU64::new(0),
            idle,
            reported: AtomicBool::new(false),
        })
    }

    /// The account of memory.
    pub(crate) fn memory(&self) -> &Arc<Account> {
        &self.memory
    }

    /// Waits until one more instance of a worker may be started: for its slots, and then for the memory that it needs, with that of
    /// a scratch folder of so many bytes.
    ///
    /// # Errors
    /// That was not to be had within `timeout`; says what.
    ///
    /// Cancel safe.
    pub(crate) async fn admit(&self, need: &Need, scratch: Option<u64>, timeout: Duration) -> Result<Admission, Fault> {
        let until = Instant::now() + timeout;
        let slots = timeout_at(until, self.slots()).await;
        let slots = slots.map_err(|_| Fault::before(HostResource::Instances))??;
        let memory = timeout_at(until, self.reserve(need, scratch.unwrap_or(0))).await;
        let mut memory = memory.map_err(|_| Fault::before(HostResource::memory(&self.memory)))??;
        let scratch = scratch.map(|bytes| memory.split(bytes));
        Ok(Admission { memory, scratch, slots })
    }

    /// Waits for the memory that an instance needs, and so many bytes more.
    ///
    /// # Errors
    /// With these it is more than can be had, or accounts were added while it waited, and this one can have less now.
    ///
    /// Cancel safe.
    pub(crate) async fn reserve(&self, need: &Need, more: u64) -> Result<Reservation, Fault> {
        let need = need.get().max(self.initial).min(self.memory.most());
        let memory = self.memory.take(need.saturating_add(more)).await;
        memory.map_err(|_| Fault::before(HostResource::memory(&self.memory)))
    }

    /// What an instance is expected to take, in bytes, by what those took that ended not long ago.
    pub(crate) fn expected(&self) -> u64 {
        self.initial.max(self.taken.load(Ordering::Relaxed))
    }

    /// Notes how much an instance took. What was noted before fades.
    pub(crate) fn note_taken(&self, bytes: u64) {
        let faded = |before: u64| Some(bytes.max(before - before / 8));
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, faded);
    }

    /// Waits until an instance may be started that has memory reserved, or waits for it as it grows.
    ///
    /// # Errors
    /// It can never be.
    ///
    /// Cancel safe.
    pub(crate) async fn admit_with(&self, memory: Reservation) -> Result<Admission, Fault> {
        let slots = self.slots().await?;
        Ok(Admission {
            memory,
            scratch: None,
            slots,
        })
    }

    async fn slots(&self) -> Result<Reservation, Fault> {
        let slots = self.slots.take(self.weight).await;
        slots.map_err(|_| {
            Fault::Start(format!(
                "an instance takes the place of {}, and there are {} for all",
                self.weight,
                self.slots.limit()
            ))
        })
    }

    /// Whether this is the first time that it is asked.
    pub(crate) fn report_once(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Whether an idle instance holds what others wait for.
    pub(crate) fn is_in_the_way(&self) -> bool {
        self.slots.is_in_the_way() || self.memory.is_in_the_way()
    }

    /// Waits until an idle instance is in the way of others.
    ///
    /// Cancel safe.
    pub(crate) async fn in_the_way(&self) {
        loop {
            self.idle.notified().await;
            self.slots.answer();
            self.memory.answer();
            if self.is_in_the_way() {
                return;
            }
        }
    }
}
