//! The one place where engines are configured.
//!
//! There are two. A call on an engine without component-model async costs a third of one with it, so everything that
//! can runs on the *blocking* engine, and only components that use component-model async run on the *async* one.

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, RegallocAlgorithm};

use crate::limits::{cores, startable_threads};

/// After how much fuel a guest lets others run: a twentieth of a millisecond of plain computation, at most a few milliseconds
/// of whatever is slowest. So no guest holds a thread, and a timeout cuts a guest within that time. `pace.rs` times it.
pub(super) const YIELD_INTERVAL: u64 = 200_000;

/// How many instances may exist at once on one engine. More have to wait. Each takes 8 GiB of *address space*, of which a
/// process has 128 TiB.
pub(super) const INSTANCES_MAX: u32 = 1000;

/// A quarter of them is guaranteed to pools and operations. Arbitrary: far more than an honest pool needs to go on.
pub(super) const GUARANTEED_PART: u64 = 4;

/// How many memories the pool has for each instance. A component that has more takes the place of several instances.
const MEMORIES_PER_INSTANCE: u32 = 2;

/// How many tables it has for each instance, in the same way.
const TABLES_PER_INSTANCE: u32 = 16;

/// How many stacks the pool of the async engine has for each instance: one for the guest that runs, one that waits to be used
/// again, and one for each component in it that waits in a call. Those that consist of one component need no more.
const STACKS_PER_INSTANCE: u32 = 3;

/// How many core instances, memories and tables one component may have. A Python guest has about twenty.
pub(super) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
pub(super) const MEMORIES_PER_COMPONENT: u32 = 8;
pub(super) const TABLES_PER_COMPONENT: u32 = 64;
/// Elements in one table, which cost 8 bytes each. Ten times the largest function table that was met, of a compiler for C++.
pub(super) const TABLE_ELEMENTS: usize = 1_000_000;

/// What a guest's stack has beyond what wasm may use of it, in bytes: for host functions.
const HOST_STACK: usize = 1536 << 10;

/// How much of an instance's memory is kept when it is dropped, for the next one. With `pagemap_scan` only what was
/// touched is cleared; without it this many bytes would be cleared at every drop.
const KEEP_RESIDENT: usize = 2 << 20;

/// In how many slots it is kept at most.
const WARM_MAX: u64 = 256;

/// The part of the host's memory that one engine keeps in this way at most.
const WARM_PART: u64 = 16;

/// Whether an engine has component-model async.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum EngineKind {
    Blocking,
    Async,
}

impl EngineKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Async => "async",
        }
    }
}

/// Whether the memories of instances have their address space from the beginning. Code that was compiled for one does not run
/// on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// All that they can grow to. Code needs no checks of bounds.
    Reserved,
    /// As they grow, which is slower and takes a thousandth of the address space.
    Grown,
}

/// What a memory has of address space beside what is in use, where it has it as it grows, in bytes. It is copied whenever it has
/// grown by as much: half of what a worker may have by default, so that most are copied once.
const GROWTH: u64 = 32 << 20;

/// What is behind it, in bytes: two pages of the largest size that systems have.
const GUARD: u64 = 128 << 10;

/// How many slots an instance takes that has so many memories and tables. `composed`: whether components within it call each other,
/// each of which can wait in a call, on a stack of its own.
///
/// Core instances are not counted: there may be as many as a component may have, for every instance.
pub(super) fn weight(kind: EngineKind, memories: u32, tables: u32, composed: bool) -> u64 {
    // Each has a core instance at least, to make a call.
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

/// Makes an engine whose guests have `stack` bytes of it, in a host that has so much `memory` for all of them. Where the address
/// space for a pool cannot be had (`ulimit -v`), instances are made one by one and their memories take it as they grow.
pub(super) fn engine(kind: EngineKind, stack: usize, memory: u64) -> wasmtime::Result<(Engine, Space)> {
    let make = |space, strategy| {
        let mut config = config(kind, space);
        config.max_wasm_stack(stack).async_stack_size(stack + HOST_STACK);
        config.allocation_strategy(strategy);
        Engine::new(&config).map(|engine| (engine, space))
    };
    let pooling = InstanceAllocationStrategy::Pooling(pool(kind, memory));
    make(Space::Reserved, pooling).or_else(|_| make(Space::Grown, InstanceAllocationStrategy::OnDemand))
}

/// Makes an engine on which imports are linked as on the others, and that runs nothing. It compiles with one thread, so that it
/// takes the same memory on a machine with many cores.
pub(super) fn inspector(kind: EngineKind) -> wasmtime::Result<Engine> {
    Engine::new(config(kind, Space::Grown).parallel_compilation(false))
}

/// Makes an engine that compiles for the others and runs nothing. It uses all cores, as far as threads can be had.
pub(super) fn compiler(kind: EngineKind, space: Space) -> wasmtime::Result<Engine> {
    let cores = cores();
    let threads = startable_threads(cores).0;
    Engine::new(config(kind, space).parallel_compilation(threads == cores))
}

fn config(kind: EngineKind, space: Space) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(kind == EngineKind::Async)
        // Fuel is both the budget and the preemption. Epochs beside it would double the cost of computation.
        .consume_fuel(true)
        // The same answers must give the same requests, on every machine.
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

/// In how many slots memory is kept for the next instance, in a host that has so much for all guests: it is not counted there.
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
        // The wall behind the limiter of each instance.
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
    fn what_a_compiler_makes_fits_the_engine_of_its_form_and_no_other() {
        let hash = |engine: wasmtime::Result<Engine>| {
            let mut hasher = DefaultHasher::new();
            engine.unwrap().precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let made = |kind, stack, memory| {
            let (engine, space) = engine(kind, stack, memory).unwrap();
            (hash(Ok(engine)), hash(compiler(kind, space)))
        };
        for kind in [EngineKind::Blocking, EngineKind::Async] {
            for (engine, compiler) in [made(kind, 512 << 10, u64::MAX), made(kind, 64 << 10, 1 << 20)] {
                assert_eq!(engine, compiler);
            }
            assert_ne!(
                hash(compiler(kind, Space::Reserved)),
                hash(compiler(kind, Space::Grown))
            );
        }
        let of = |kind| hash(compiler(kind, Space::Reserved));
        assert_ne!(of(EngineKind::Blocking), of(EngineKind::Async));
    }

    #[test]
    fn instance_weighs_what_it_can_take_of_the_pool() {
        assert_eq!(weight(EngineKind::Blocking, 0, 0, false), 1);
        assert_eq!(weight(EngineKind::Blocking, 2, 16, true), 1);
        assert_eq!(weight(EngineKind::Blocking, 3, 1, false), 2);
        assert_eq!(weight(EngineKind::Blocking, MEMORIES_PER_COMPONENT, 17, false), 4);
        assert_eq!(weight(EngineKind::Blocking, 1, TABLES_PER_COMPONENT, false), 4);
        assert_eq!(weight(EngineKind::Async, 1, 1, false), 1);
        assert_eq!(weight(EngineKind::Async, 1, 1, true), 22);
        // The heaviest fits into what is not guaranteed, so that it can always be admitted.
        assert!(
            weight(EngineKind::Async, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT, true)
                < u64::from(INSTANCES_MAX / 2)
        );
    }

    #[test]
    fn small_hosts_keep_little_for_the_next_instance() {
        assert_eq!(warm_slots(0), 1);
        assert_eq!(warm_slots(256 << 20), 8);
        assert_eq!(warm_slots(u64::MAX), 256);
    }
}
