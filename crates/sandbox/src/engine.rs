//! Configures the wasmtime engines.
//!
//! There are two engines. A call on an engine without component-model async costs a third of a call on one with it. So
//! components that use component-model async run on the *async* engine, and all others on the *blocking* one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wasmtime::{
    CacheStore, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, RegallocAlgorithm,
};

use disperse_protocol::limits::{cores, spare_address_space, startable_threads};

/// The fuel after which a guest yields, in units: 0.05 ms of plain computation, at most a few milliseconds of the
/// slowest instructions. So no guest blocks a thread, and a timeout stops a guest within that time. `pace.rs` measures
/// these slices.
pub(super) const YIELD_INTERVAL: u64 = 200_000;

/// The most instances that exist at once on one engine; further ones wait. Each reserves 8 GiB of *address space*, of
/// which a process has 128 TiB.
pub(super) const INSTANCES_MAX: u32 = 1000;

/// A quarter of the instances (1/4) is guaranteed to pools and operations. Arbitrary: far more than a pool needs to
/// make progress.
pub(super) const GUARANTEED_PART: u64 = 4;

/// Memories in the allocation pool for each instance. A component with more of them takes the slots of several
/// instances.
const MEMORIES_PER_INSTANCE: u32 = 2;

/// Tables in the allocation pool for each instance, counted in the same way.
const TABLES_PER_INSTANCE: u32 = 16;

/// Stacks in the async engine's allocation pool for each instance: one for the guest that runs, one kept for reuse, and
/// one for each nested component that waits in a call. A component without nested components needs no more.
const STACKS_PER_INSTANCE: u32 = 3;

/// The most core instances, memories and tables of one component. A Python guest has about twenty core instances.
pub(super) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
pub(super) const MEMORIES_PER_COMPONENT: u32 = 8;
pub(super) const TABLES_PER_COMPONENT: u32 = 64;
/// The most elements of one table, at 8 bytes each. Ten times the largest function table found, that of a C++ compiler.
pub(super) const TABLE_ELEMENTS: usize = 1_000_000;

/// The part of a guest's stack that is reserved for host functions, in bytes, beyond the part that wasm may use.
const HOST_STACK: usize = 1536 << 10;

/// Bytes of a dropped instance's memory that stay resident for the next instance. With `pagemap_scan` only touched
/// pages are cleared; without it this many bytes would be cleared at every drop.
const KEEP_RESIDENT: usize = 2 << 20;

/// The most slots whose memory stays resident.
const WARM_MAX: u64 = 256;

/// The largest part of the host's memory that one engine keeps resident in this way: 1/16.
const WARM_PART: u64 = 16;

/// Whether an engine has component-model async.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EngineKind {
    Blocking,
    Async,
}

impl EngineKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Async => "async",
        }
    }
}

/// How instances get the address space of their memories. Code that was compiled for one variant does not run on the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Reserved at the start, up to the largest size. Code needs no bounds checks.
    Reserved,
    /// Allocated as the memory grows. Slower, and takes a thousandth of the address space.
    Grown,
}

/// The spare address space of a memory under [`Space::Grown`], in bytes. A memory is copied whenever it has grown by
/// this much. Half of a worker's default memory limit, so that most memories are copied once.
const GROWTH: u64 = 32 << 20;

/// The address space that a pool leaves to the rest of the process, in bytes: the stacks of its threads, their allocators (64 MiB
/// each where there is room) and code. A thread that has none ends the process.
const REST: u64 = 256 << 20;

/// The guard region behind such a memory, in bytes: two pages of the largest page size in use (64 KiB).
const GUARD: u64 = 128 << 10;

/// The pool slots that an instance with these numbers of memories and tables takes. `composed`: whether nested
/// components call each other; each of them can wait in a call, on its own stack.
///
/// Core instances are not counted: the pool has [`CORE_INSTANCES_PER_COMPONENT`] for every instance.
pub(super) fn weight(kind: EngineKind, memories: u32, tables: u32, composed: bool) -> u64 {
    // A nested component that makes a call has at least one core instance.
    let waiting = if composed { CORE_INSTANCES_PER_COMPONENT } else { 1 };
    let stacks = match kind {
        // One call at a time.
        EngineKind::Blocking => 1,
        EngineKind::Async => (waiting + 2).div_ceil(STACKS_PER_INSTANCE),
    };
    let memories = memories.div_ceil(MEMORIES_PER_INSTANCE);
    let tables = tables.div_ceil(TABLES_PER_INSTANCE);
    memories.max(tables).max(stacks).max(1).into()
}

/// Makes an engine that runs guests. `stack`: the wasm stack of a guest, in bytes. `memory`: the host's memory for all
/// guests, in bytes. If the address space for a pool and the rest of the process is not available (`ulimit -v`), instances are
/// allocated on demand and their memories take address space as they grow.
pub(super) fn engine(kind: EngineKind, stack: usize, memory: u64) -> wasmtime::Result<(Engine, Space)> {
    let make = |space, strategy| {
        let mut config = config(kind, space);
        config.max_wasm_stack(stack).async_stack_size(stack + HOST_STACK);
        config.allocation_strategy(strategy);
        Engine::new(&config).map(|engine| (engine, space))
    };
    let pooling = InstanceAllocationStrategy::Pooling(pool(kind, memory));
    let is_enough = || spare_address_space().is_none_or(|spare| spare >= REST);
    match make(Space::Reserved, pooling) {
        Ok(made) if is_enough() => Ok(made),
        _ => make(Space::Grown, InstanceAllocationStrategy::OnDemand),
    }
}

/// Makes an engine that only checks whether imports link. It runs nothing. It compiles with one thread, so that its
/// memory use does not depend on the number of cores.
pub(super) fn inspector(kind: EngineKind) -> wasmtime::Result<Engine> {
    Engine::new(config(kind, Space::Grown).parallel_compilation(false))
}

/// Makes an engine that compiles for the engines that run guests. It runs nothing. It uses all cores, or one if threads
/// cannot be started. `functions`: where it looks up functions that are compiled already, and puts the others.
pub(super) fn compiler(
    kind: EngineKind,
    space: Space,
    functions: Option<Arc<dyn CacheStore>>,
) -> wasmtime::Result<Engine> {
    let cores = cores();
    let threads = startable_threads(cores).0;
    let mut config = config(kind, space);
    if let Some(functions) = functions {
        config.enable_incremental_compilation(functions)?;
    }
    Engine::new(config.parallel_compilation(threads == cores))
}

fn config(kind: EngineKind, space: Space) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(kind == EngineKind::Async)
        // Fuel serves as budget and for preemption. Epochs in addition would double the cost of computation.
        .consume_fuel(true)
        // The same answers must lead to the same requests on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .memory_init_cow(true);
    if space == Space::Grown {
        config
            .memory_reservation(0)
            .memory_reservation_for_growth(GROWTH)
            .memory_guard_size(GUARD);
    }
    config
}

/// The number of slots whose memory stays resident. `memory`: the host's memory for all guests, in bytes; resident
/// memory is not charged to it.
fn warm_slots(memory: u64) -> u32 {
    let slots = (memory / WARM_PART / KEEP_RESIDENT as u64).clamp(1, WARM_MAX);
    u32::try_from(slots).unwrap_or(1)
}

fn pool(kind: EngineKind, memory: u64) -> PoolingAllocationConfig {
    let stacks = match kind {
        EngineKind::Blocking => 1,
        EngineKind::Async => STACKS_PER_INSTANCE,
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(INSTANCES_MAX * MEMORIES_PER_INSTANCE)
        .total_tables(INSTANCES_MAX * TABLES_PER_INSTANCE)
        .total_stacks(INSTANCES_MAX * stacks)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memories_per_module(MEMORIES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        // A second bound, behind each instance's limiter.
        .max_memory_size(4 << 30)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(warm_slots(memory))
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    #[test]
    fn compiled_code_is_compatible_only_with_engines_of_the_same_kind_and_space() {
        let hash = |engine: wasmtime::Result<Engine>| {
            let mut hasher = DefaultHasher::new();
            engine.unwrap().precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let made = |kind, stack, memory| {
            let (engine, space) = engine(kind, stack, memory).unwrap();
            (hash(Ok(engine)), hash(compiler(kind, space, None)))
        };
        for kind in [EngineKind::Blocking, EngineKind::Async] {
            for (engine, compiler) in [made(kind, 512 << 10, u64::MAX), made(kind, 64 << 10, 1 << 20)] {
                assert_eq!(engine, compiler);
            }
            assert_ne!(
                hash(compiler(kind, Space::Reserved, None)),
                hash(compiler(kind, Space::Grown, None))
            );
        }
        let of = |kind| hash(compiler(kind, Space::Reserved, None));
        assert_ne!(of(EngineKind::Blocking), of(EngineKind::Async));
    }

    #[test]
    fn weight_is_the_number_of_pool_slots_an_instance_can_take() {
        assert_eq!(weight(EngineKind::Blocking, 0, 0, false), 1);
        assert_eq!(weight(EngineKind::Blocking, 2, 16, true), 1);
        assert_eq!(weight(EngineKind::Blocking, 3, 1, false), 2);
        assert_eq!(weight(EngineKind::Blocking, MEMORIES_PER_COMPONENT, 17, false), 4);
        assert_eq!(weight(EngineKind::Blocking, 1, TABLES_PER_COMPONENT, false), 4);
        assert_eq!(weight(EngineKind::Async, 1, 1, false), 1);
        assert_eq!(weight(EngineKind::Async, 1, 1, true), 22);
        // The largest weight fits into the part that is not guaranteed, so such an instance can always be admitted.
        assert!(
            weight(EngineKind::Async, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT, true)
                < u64::from(INSTANCES_MAX / 2)
        );
    }

    #[test]
    fn resident_slots_scale_with_host_memory() {
        assert_eq!(warm_slots(0), 1);
        assert_eq!(warm_slots(256 << 20), 8);
        assert_eq!(warm_slots(u64::MAX), 256);
    }
}
