//! Admission of instances: limits the engine slots and the memory of one pool, of a planner, or of an operation's
//! tasks.

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
    imports::limiter::Need,
    load::{component::LoadedComponent, sandbox::Sandbox},
    shortage::HostResource,
};
use disperse_protocol::limits::{Account, Reservation};

/// The accounts of instances that are started from one component for one purpose.
#[derive(Debug)]
pub struct Share {
    slots: Arc<Account>,
    pub memory: Arc<Account>,
    /// The slots that one instance takes.
    weight: u64,
    /// The initial memory of one instance, in bytes.
    initial: u64,
    /// The memory that recently ended instances took, in bytes.
    taken: AtomicU64,
    /// Notified when an idle instance holds resources that others wait for.
    idle: Arc<Notify>,
    /// Whether waiting was reported.
    reported: AtomicBool,
}

/// The reservations of an instance before it is started.
#[derive(Debug)]
pub struct Admission {
    pub memory: Reservation,
    /// The reservation for its scratch folder, if it has one.
    pub scratch: Option<Reservation>,
    pub slots: Reservation,
}

impl Share {
    /// For any number of instances.
    pub fn new(sandbox: &Sandbox, program: &LoadedComponent) -> Arc<Self> {
        Self::capped(sandbox, program, u64::MAX)
    }

    /// For one instance.
    pub fn of_one(sandbox: &Sandbox, program: &LoadedComponent) -> Arc<Self> {
        Self::capped(sandbox, program, program.inner().weight)
    }

    /// At most `slots` slots are guaranteed.
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

    /// The memory account.
    pub fn memory(&self) -> &Arc<Account> {
        &self.memory
    }

    /// Waits until one more instance of a worker may be started: first for its slots, then for the memory that it
    /// needs. `scratch`: the size of its scratch folder, in bytes.
    ///
    /// # Errors
    /// The slots or the memory were not free within `timeout`; the fault names which.
    ///
    /// Cancel safe.
    pub async fn admit(&self, need: &Need, scratch: Option<u64>, timeout: Duration) -> Result<Admission, Fault> {
        let until = Instant::now() + timeout;
        let slots = timeout_at(until, self.slots()).await;
        let slots = slots.map_err(|_| Fault::before(HostResource::Instances))??;
        let memory = timeout_at(until, self.reserve(need, scratch.unwrap_or(0))).await;
        let mut memory = memory.map_err(|_| Fault::before(HostResource::memory(&self.memory)))??;
        let scratch = scratch.map(|bytes| memory.split(bytes));
        Ok(Admission { memory, scratch, slots })
    }

    /// Waits for the memory that an instance needs, and for `more` bytes.
    ///
    /// # Errors
    /// The sum is over the limit, which may have been lowered by accounts that were added meanwhile.
    ///
    /// Cancel safe.
    pub async fn reserve(&self, need: &Need, more: u64) -> Result<Reservation, Fault> {
        let need = need.get().max(self.initial).min(self.memory.most());
        let memory = self.memory.take(need.saturating_add(more)).await;
        memory.map_err(|_| Fault::before(HostResource::memory(&self.memory)))
    }

    /// The expected memory of an instance, in bytes, from recently ended instances.
    pub fn expected(&self) -> u64 {
        self.initial.max(self.taken.load(Ordering::Relaxed))
    }

    /// Notes the memory of an ended instance. Earlier notes decay by an eighth.
    pub fn note_taken(&self, bytes: u64) {
        let faded = |before: u64| Some(bytes.max(before - before / 8));
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, faded);
    }

    /// Waits for the slots of an instance whose memory is reserved or is reserved as it grows.
    ///
    /// # Errors
    /// It needs more slots than exist.
    ///
    /// Cancel safe.
    pub async fn admit_with(&self, memory: Reservation) -> Result<Admission, Fault> {
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
                "an instance takes {} slots, and there are {} for all",
                self.weight,
                self.slots.limit()
            ))
        })
    }

    /// Whether this is the first call.
    pub fn report_once(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Whether an idle instance holds resources that others wait for.
    pub fn is_in_the_way(&self) -> bool {
        self.slots.is_in_the_way() || self.memory.is_in_the_way()
    }

    /// Waits until an idle instance holds resources that others wait for.
    ///
    /// Cancel safe.
    pub async fn in_the_way(&self) {
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
