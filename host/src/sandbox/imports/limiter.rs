//! Memory: what one instance may hold, and what is reserved for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use wasmtime::{ResourceLimiter, ResourceLimiterAsync};
use wasmtime_wasi::async_trait;

use crate::{
    limits::{Budget, NoRoom, Reservation},
    sandbox::{
        engine::{CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT},
        shortage::HostResource,
    },
};

/// How long a task or a planner, which have no timeout, waits for more memory before it fails. The default timeout of an
/// attempt, so that workers that hold what is spare have ended or were cut.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one table element costs, in bytes.
const TABLE_ELEMENT: u64 = size_of::<usize>() as u64;

/// What one costs of a guest whose objects are collected, in bytes: at the beginning of a collection the engine lists what tables
/// refer to, in 16 bytes for each element, in a list that has grown by doubling.
const COLLECTED_ELEMENT: u64 = TABLE_ELEMENT + 2 * 16;

/// Counts the bytes of all memories and tables of one instance, and of the heap of objects that are collected (a memory like the
/// others to wasmtime), because a limit on each of them alone would be none.
///
/// A growth beyond the limit fails as the guest's language expects (`memory.grow` says -1), so a guest may cope. If it
/// does not and traps, the trap was about memory. A growth within the limit for which the host has no memory now is not the
/// guest's fault, which must not see it. An instance of a worker is stopped, and the next one is started only with what it
/// needs reserved: so no instance waits for memory while it holds some, and no two of them can wait for each other. Tasks and
/// planners, which cannot always be started anew, wait.
pub(crate) struct Limiter {
    limit: u64,
    /// What one table element costs, in bytes.
    element: u64,
    held: u64,
    peak: u64,
    /// Whether a growth was asked for since the last time this was asked.
    has_grown: bool,
    refused: Option<Refused>,
    /// What is reserved, from the beginning or as it was taken.
    memory: Reservation,
    /// How much of it was reserved at the beginning.
    reserved: u64,
    /// What the instance that is started in the place of this one has to find reserved.
    need: Need,
    /// Whether there was no memory for it to grow.
    is_short: bool,
    /// Whether a growth waits.
    waits: Arc<AtomicBool>,
    budget: Arc<Budget>,
}

/// How much memory the next instance in a place has to find reserved: what it has at its beginning, until one could not grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Need(Arc<AtomicU64>);

impl Need {
    /// Bytes.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// A growth that was beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) wanted: u64,
    /// The most that one instance can have of the host's memory, if that was the limit.
    pub(crate) most: Option<u64>,
}

impl Limiter {
    /// `memory`: what is reserved for the instance; `collects`: whether it has objects that are collected.
    pub(crate) fn new(limit: u64, collects: bool, memory: Reservation, need: Need, budget: Arc<Budget>) -> Self {
        Self {
            limit,
            element: if collects { COLLECTED_ELEMENT } else { TABLE_ELEMENT },
            held: 0,
            peak: 0,
            refused: None,
            has_grown: false,
            reserved: memory.amount(),
            memory,
            need,
            is_short: false,
            waits: Arc::default(),
            budget,
        }
    }

    /// What the host keeps count of.
    pub(crate) fn budget(&self) -> Arc<Budget> {
        self.budget.clone()
    }

    /// Whether a growth waits, which is told from outside by this.
    pub(crate) fn waits(&self) -> Arc<AtomicBool> {
        self.waits.clone()
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// What was wanted when a growth was refused, since the last time this was asked.
    pub(crate) fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }

    /// Whether a growth was asked for since the last time this was asked, granted or not.
    pub(crate) fn take_grown(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// How much it wants to hold, if that is within its limits.
    fn wanted(&mut self, current: u64, desired: u64) -> Option<u64> {
        let wanted = self.held.saturating_add(desired.saturating_sub(current));
        let most = self.memory.account().most();
        if wanted > self.limit.min(most) {
            let most = (wanted <= self.limit).then_some(most);
            self.refused = Some(Refused { wanted, most });
            return None;
        }
        Some(wanted)
    }

    /// What is missing for it to hold so much.
    fn missing(&self, wanted: u64) -> u64 {
        wanted.saturating_sub(self.memory.amount())
    }

    fn hold(&mut self, wanted: u64) {
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        self.memory.note_used(wanted);
    }

    /// What ends an instance that there is no memory for.
    fn short(&mut self, wanted: u64) -> wasmtime::Error {
        self.is_short = true;
        // Not step by step: what grows on although it had what it seemed to need is given much more the next time.
        self.need
            .set(wanted.max(self.reserved.saturating_mul(4)).min(self.limit));
        HostResource::memory(self.memory.account()).into()
    }

    /// The growth of a worker's instance.
    ///
    /// # Errors
    /// The host has no memory for it now; ends the instance.
    fn grow(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let Some(wanted) = self.wanted(current, desired) else {
            return Ok(false);
        };
        if !self.memory.try_grow(self.missing(wanted)) {
            return Err(self.short(wanted));
        }
        self.hold(wanted);
        Ok(true)
    }

    /// The growth of an instance that waits for memory.
    ///
    /// # Errors
    /// There is no prospect of it; ends the instance.
    ///
    /// Cancel safe.
    async fn grow_patiently(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let Some(wanted) = self.wanted(current, desired) else {
            return Ok(false);
        };
        let missing = self.missing(wanted);
        if !self.memory.try_grow(missing) {
            self.waits.store(true, Ordering::SeqCst);
            let grown = self.memory.grow(missing, PATIENCE).await;
            self.waits.store(false, Ordering::SeqCst);
            match grown {
                Ok(()) => {}
                Err(NoRoom::Never(most)) => {
                    let most = Some(most);
                    self.refused = Some(Refused { wanted, most });
                    return Ok(false);
                }
                Err(NoRoom::Stuck) => return Err(self.short(wanted)),
            }
        }
        self.hold(wanted);
        Ok(true)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        // What was reserved follows what was taken.
        if !self.is_short && self.reserved > 0 {
            self.need.set(self.peak);
        }
    }
}

/// What the memory's own type forbids fails anyway and must not be counted.
fn is_beyond(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

/// What a growth that was granted comes to when it fails all the same: nothing that the guest should see if the machine has no
/// address space for it, because it would take that for its own limit. Everything else the guest sees.
///
/// # Errors
/// The machine has no address space; ends the instance.
fn not_grown(error: wasmtime::Error) -> wasmtime::Result<()> {
    match HostResource::of(&error) {
        Some(resource) => Err(resource.into()),
        None => Ok(()),
    }
}

/// Of workers.
impl ResourceLimiter for Limiter {
    // As the pool has them, for where there is no pool.
    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT as usize
    }

    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.has_grown = true;
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        self.grow(current as u64, desired as u64)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        not_grown(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        not_grown(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.has_grown = true;
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        let of = |elements: usize| (elements as u64).saturating_mul(self.element);
        self.grow(of(current), of(desired))
    }
}

/// Of tasks and planners.
#[async_trait]
impl ResourceLimiterAsync for Limiter {
    fn instances(&self) -> usize {
        ResourceLimiter::instances(self)
    }

    fn memories(&self) -> usize {
        ResourceLimiter::memories(self)
    }

    fn tables(&self) -> usize {
        ResourceLimiter::tables(self)
    }

    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.has_grown = true;
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        self.grow_patiently(current as u64, desired as u64).await
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        not_grown(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        not_grown(error)
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.has_grown = true;
        if is_beyond(desired, maximum) {
            return Ok(false);
        }
        let of = |elements: usize| (elements as u64).saturating_mul(self.element);
        self.grow_patiently(of(current), of(desired)).await
    }
}
