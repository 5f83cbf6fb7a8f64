//! Limits and reserves the memory of one instance.

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
    engine::{CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT},
    shortage::HostResource,
};
use disperse_protocol::limits::{Budget, NoRoom, Reservation};

/// How long a task or a planner waits for more memory before it fails. They have no timeout. The default timeout of an
/// attempt, after which workers that hold memory have ended or timed out.
const PATIENCE: Duration = Duration::from_secs(30);

/// The charge for one table element, in bytes.
const TABLE_ELEMENT: u64 = size_of::<usize>() as u64;

/// The charge for one table element of a guest with garbage-collected objects, in bytes. At the start of a collection
/// the engine lists what tables refer to: 16 bytes for each element, in a list that grows by doubling.
const COLLECTED_ELEMENT: u64 = TABLE_ELEMENT + 2 * 16;

/// Limits the total size of all memories and tables of one instance, and of its heap of garbage-collected objects (to
/// wasmtime a memory like the others). A limit on each of them alone would not bound the total.
///
/// A growth beyond the limit fails as the guest's language expects (`memory.grow` returns -1), so a guest may handle
/// it. If the guest traps instead, the failure is reported as one of memory. A growth within the limit can fail because
/// the host has no memory left now. That is not the guest's fault, and the guest must not see it. A worker's instance
/// is stopped then, and the next one is started only when its memory is reserved. So no worker instance waits for
/// memory while it holds some, and no deadlock is possible. Tasks and planners wait, because they cannot always be
/// restarted.
pub struct Limiter {
    limit: u64,
    /// The charge for one table element, in bytes.
    element: u64,
    held: u64,
    peak: u64,
    /// Whether a growth was requested since the last [`Limiter::take_grown`].
    has_grown: bool,
    denied: Option<DeniedGrowth>,
    /// The reserved memory: at first `reserved`, then as the instance grows.
    memory: Reservation,
    /// The bytes that were reserved at the start.
    reserved: u64,
    /// The memory that must be reserved for the instance that replaces this one.
    need: Need,
    /// Whether a growth failed because the host had no memory left.
    is_short: bool,
    /// Whether a growth is waiting.
    waits: Arc<AtomicBool>,
    budget: Arc<Budget>,
}

/// The memory that must be reserved before the next instance in a place is started, in bytes. At first 0, so that its
/// initial memory counts; raised when an instance could not grow.
#[derive(Clone, Debug, Default)]
pub struct Need(Arc<AtomicU64>);

impl Need {
    /// Bytes.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// A memory growth beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedGrowth {
    pub wanted: u64,
    /// The most of the host's memory that one instance can get, if that was the limit; bytes.
    pub most: Option<u64>,
}

impl Limiter {
    /// `memory`: the instance's reservation. `collects`: whether it has garbage-collected objects.
    pub fn new(limit: u64, collects: bool, memory: Reservation, need: Need, budget: Arc<Budget>) -> Self {
        Self {
            limit,
            element: if collects { COLLECTED_ELEMENT } else { TABLE_ELEMENT },
            held: 0,
            peak: 0,
            denied: None,
            has_grown: false,
            reserved: memory.amount(),
            memory,
            need,
            is_short: false,
            waits: Arc::default(),
            budget,
        }
    }

    /// The host's memory budget.
    pub fn budget(&self) -> Arc<Budget> {
        self.budget.clone()
    }

    /// A flag that is set while a growth waits.
    pub fn waits(&self) -> Arc<AtomicBool> {
        self.waits.clone()
    }

    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The growth that was beyond a limit since the last call, if any.
    pub fn take_denied(&mut self) -> Option<DeniedGrowth> {
        self.denied.take()
    }

    /// Whether a growth was requested since the last call, granted or not.
    pub fn take_grown(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// The total after this growth, in bytes, if it is within the limits.
    fn wanted(&mut self, current: u64, desired: u64) -> Option<u64> {
        let wanted = self.held.saturating_add(desired.saturating_sub(current));
        let most = self.memory.account().most();
        if wanted > self.limit.min(most) {
            let most = (wanted <= self.limit).then_some(most);
            self.denied = Some(DeniedGrowth { wanted, most });
            return None;
        }
        Some(wanted)
    }

    /// The bytes that must still be reserved for this total.
    fn missing(&self, wanted: u64) -> u64 {
        wanted.saturating_sub(self.memory.amount())
    }

    fn hold(&mut self, wanted: u64) {
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        self.memory.note_used(wanted);
    }

    /// The error that ends an instance for which the host has no memory left.
    fn short(&mut self, wanted: u64) -> wasmtime::Error {
        self.is_short = true;
        // Four times the last reservation at least, so that an instance that grows beyond it is not restarted many
        // times.
        self.need
            .set(wanted.max(self.reserved.saturating_mul(4)).min(self.limit));
        HostResource::memory(self.memory.account()).into()
    }

    /// Grows a worker's instance. False: beyond a limit.
    ///
    /// # Errors
    /// The host has no memory left now; ends the instance.
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

    /// Grows an instance that waits for memory. False: beyond a limit.
    ///
    /// # Errors
    /// The memory did not become free; ends the instance.
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
                    self.denied = Some(DeniedGrowth { wanted, most });
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
        // The next reservation follows the peak of this instance.
        if !self.is_short && self.reserved > 0 {
            self.need.set(self.peak);
        }
    }
}

/// Whether a growth is beyond the type's own maximum. Such a growth fails anyway and must not be counted.
fn is_beyond(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

/// Decides about a granted growth that failed in the engine. If the machine has no address space left the guest must
/// not see the failure, because it would take it for its own limit. The guest sees all other failures.
///
/// # Errors
/// The machine has no address space left; ends the instance.
fn not_grown(error: wasmtime::Error) -> wasmtime::Result<()> {
    match HostResource::of(&error) {
        Some(resource) => Err(resource.into()),
        None => Ok(()),
    }
}

/// For workers.
impl ResourceLimiter for Limiter {
    // The same limits as the pool's, for engines without a pool.
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

/// For tasks and planners.
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
