//! Engines: what they charge for and bound, how their code is distinguished, and what is linked to them.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
};

use wasmtime::{
    CallHook, Config, Engine, InstanceAllocationStrategy, OperatorCost, PoolConcurrencyLimitError,
    PoolingAllocationConfig, ResourceLimiter, Result, Store, Trap, WasmBacktrace,
    component::{Component, Linker},
};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::{Guest, PLENTY, component, config};

/// `fault.rs` recognizes a result that is too large by this text, because wasmtime's error type is private.
#[tokio::test]
async fn error_for_oversize_guest_data_has_this_text() {
    const WORDS: &str = "allocated for hostcalls has been exhausted";
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_hostcall_fuel(1000);
        // The limit is for each call, not for all of them together.
        for _ in 0..3 {
            let (bytes,) = guest.call::<_, (Vec<u8>,)>("large", (1000u32,)).await.unwrap();
            assert_eq!(bytes.len(), 1000);
        }
        let error = guest.call::<_, (Vec<u8>,)>("large", (1001u32,)).await.unwrap_err();
        let words = error.root_cause().to_string();
        assert!(
            words.contains(WORDS),
            "wasmtime now says `{words}`: `is_hostcall_limit` in crates/sandbox/src/run/fault.rs has to look for that"
        );
        // Oversize arguments to a host function fail inside the guest, which distinguishes the two.
        assert!(error.downcast_ref::<WasmBacktrace>().is_none());
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_hostcall_fuel(1000);
        let error = guest.call::<_, ()>("give", (1001u32,)).await.unwrap_err();
        assert!(error.root_cause().to_string().contains(WORDS), "{error:?}");
        assert!(error.downcast_ref::<WasmBacktrace>().is_some());
    }
}

/// Each batch of results refills a task's fuel, from inside the host function that the task waits in.
#[tokio::test]
async fn a_host_function_may_set_the_fuel_of_its_caller() {
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_fuel(1000).unwrap();
        guest.run("refuel").await.unwrap();
        assert!(guest.store.get_fuel().unwrap() > PLENTY - 1000);
    }
}

/// Why the engines set no costs: work by length is charged by length from the start. Growing a memory is free, but it is
/// bounded by the limiter.
#[tokio::test]
async fn bulk_instructions_cost_by_length() {
    let mut guest = Guest::blocking(&config(false)).await;
    assert_eq!(guest.burns("grow", 1024).await, guest.burns("grow", 0).await);
    for (name, len) in [("fill", 64 << 20), ("copy", 64 << 20), ("table", 100_000)] {
        let length = guest.burns(name, len).await - guest.burns(name, 0).await;
        assert_eq!(length, u64::from(len), "{name}");
    }
    // It is charged first: without enough fuel the guest does not even reach the check of the memory's size.
    guest.store.set_fuel(64 << 20).unwrap();
    let error = guest.call::<_, ()>("fill", (128u32 << 20,)).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::OutOfFuel));

    let mut costs = OperatorCost::default();
    costs.variable.memory_fill_per_byte = 0;
    let mut guest = Guest::blocking(config(false).operator_cost(costs)).await;
    assert_eq!(guest.burns("fill", 1 << 20).await, guest.burns("fill", 0).await);
}

/// How `turn.rs` ends a slice that the host spends on a guest.
#[tokio::test]
async fn hook_can_end_a_turn_without_using_fuel() {
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        let burns = guest.burns("ask", 10).await;
        ends_turns(&mut guest);
        assert_eq!(guest.burns("ask", 10).await, burns);
        let mut polls = 0;
        let mut call = pin!(guest.call::<_, ()>("ask", (10u32,)));
        std::future::poll_fn(|cx| {
            polls += 1;
            call.as_mut().poll(cx)
        })
        .await
        .unwrap();
        assert!(polls >= 10, "{polls} turns");
    }
}

/// Why it does not after a growth, which the limiter and the time cover: a guest would get the fuel in its register
/// once more.
#[tokio::test]
async fn fuel_set_by_a_hook_is_lost_on_return_from_a_growth() {
    let mut guest = Guest::blocking(&config(false)).await;
    ends_turns(&mut guest);
    guest.store.set_fuel(PLENTY).unwrap();
    guest.call::<_, ()>("grow", (0u32,)).await.unwrap();
    assert!(guest.store.get_fuel().unwrap() > PLENTY);
}

/// Why a guest with garbage-collected objects has another hook, `CollectedTurn`: it calls the engine to allocate, and keeps its
/// fuel in a register meanwhile.
#[tokio::test]
async fn fuel_set_by_a_hook_is_lost_on_return_from_an_allocation() {
    let mut guest = Guest::blocking(&config(false)).await;
    let burns = guest.burns("make", 1_000_000).await;
    ends_turns(&mut guest);
    guest.store.set_fuel(PLENTY).unwrap();
    guest.call::<_, ()>("make", (1_000_000u32,)).await.unwrap();
    assert!(guest.store.get_fuel().unwrap() > PLENTY - burns);
}

/// Why a collection ends no slice late: it yields between its steps.
#[tokio::test]
async fn collection_yields_and_burns_no_fuel() {
    let mut guest = Guest::blocking(&config(false)).await;
    // Objects of 16 bytes and more in 16 MiB at most, so that there is a collection.
    let one = guest.burns("make", 1).await;
    let two = guest.burns("make", 2).await;
    let all = guest.burns("make", 1_000_000).await;
    assert_eq!(all, one + 999_999 * (two - one));
    guest.store.set_fuel(PLENTY).unwrap();
    let mut polls = 0;
    let mut call = pin!(guest.call::<_, ()>("make", (10_000u32,)));
    std::future::poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await
    .unwrap();
    // Ten thousand iterations of a loop are less than one slice of fuel.
    assert!(polls > 2, "{polls} turns");
}

/// Leaves a guest one unit of fuel in its slice at each return from the host.
fn ends_turns(guest: &mut Guest) {
    guest.store.call_hook(|mut store, way| match way {
        CallHook::ReturningFromHost => store.fuel_async_yield_interval(Some(1)),
        _ => Ok(()),
    });
}

/// `memory.fill` of 64 MiB costs 335 slices of fuel and is still not interrupted, which takes milliseconds. How much a
/// guest can fill at once is bounded by its memory.
#[tokio::test]
async fn bulk_instruction_is_not_interrupted() {
    let mut guest = Guest::blocking(&config(false)).await;
    guest.burns("grow", 1024).await;
    let mut polls = 0;
    let mut call = pin!(guest.call::<_, ()>("fill", (64u32 << 20,)));
    std::future::poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await
    .unwrap();
    assert_eq!(polls, 2, "one slice was over before it began");
}

/// A pool of two instances, in little address space.
fn pool_of_two() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(2)
        .total_stacks(3)
        .max_memory_size(1 << 20);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Why the host waits for capacity before it instantiates.
#[tokio::test]
async fn instance_pool_rejects_what_exceeds_its_capacity() {
    let mut config = config(false);
    config.allocation_strategy(pool_of_two());
    let engine = Engine::new(&config).unwrap();
    let component = component(&engine, "(component)").unwrap();
    let linker = Linker::new(&engine);
    let start = async || {
        let mut store = Store::new(&engine, ());
        linker.instantiate_async(&mut store, &component).await.map(|_| store)
    };
    let first = start().await.unwrap();
    let _second = start().await.unwrap();
    let error = start().await.map(drop).unwrap_err();
    assert!(error.is::<PoolConcurrencyLimitError>(), "{error:?}");
    drop(first);
    start().await.unwrap();
}

/// Why `cache.rs` names files of compiled code after this hash and does not rely on wasmtime to reject them: code with
/// other NaNs would be loaded, and tasks would not be deterministic.
#[test]
#[allow(
    unsafe_code,
    reason = "the only way to load compiled code; it was compiled right here"
)]
fn compiled_code_is_distinguished_by_engine_configuration() {
    let hash = |config: &Config| {
        let mut hasher = DefaultHasher::new();
        let engine = Engine::new(config).unwrap();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    };
    let engine = Engine::new(&config(false)).unwrap();
    let bytes = component(&engine, "(component)").unwrap().serialize().unwrap();
    type Change = fn(&mut Config) -> &mut Config;
    let changes: [(&str, Change, bool, bool); 9] = [
        // Whether the hash is the same, and whether the code is loaded.
        ("nothing", |config| config, true, true),
        ("pool", |config| config.allocation_strategy(pool_of_two()), true, true),
        ("stack", |config| config.max_wasm_stack(64 << 10), true, true),
        ("async", |config| config.concurrency_support(true), false, false),
        ("fuel", |config| config.consume_fuel(false), false, false),
        ("SIMD", |config| config.relaxed_simd_deterministic(true), false, false),
        ("memory", |config| config.memory_init_cow(false), false, false),
        ("features", |config| config.wasm_memory64(false), false, false),
        ("NaN", |config| config.cranelift_nan_canonicalization(true), false, true),
    ];
    for (name, change, same, loads) in changes {
        let mut changed = config(false);
        change(&mut changed);
        assert_eq!(hash(&changed) == hash(&config(false)), same, "{name}");
        // SAFETY: these bytes come from `serialize`.
        let loaded = unsafe { Component::deserialize(&Engine::new(&changed).unwrap(), &bytes) };
        assert_eq!(loaded.is_ok(), loads, "{name}");
    }
}

/// Records its calls.
#[derive(Default)]
struct Asked(Vec<(&'static str, usize, usize, Option<usize>)>);

impl ResourceLimiter for Asked {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.0.push(("memory", current, desired, maximum));
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.0.push(("table", current, desired, maximum));
        Ok(true)
    }
}

/// `limiter.rs` also counts the initial memory of a guest, and must not count growth that fails anyway.
#[tokio::test]
async fn limiter_is_asked_even_for_growth_that_the_type_forbids() {
    const PAGE: usize = 1 << 16;
    let text = r#"(component
      (core module $guest
        (memory 1 2)
        (table 5 funcref)
        (func $grow (drop (memory.grow (i32.const 1))) (drop (memory.grow (i32.const 1))))
        (start $grow))
      (core instance (instantiate $guest)))"#;
    let engine = Engine::new(&config(false)).unwrap();
    let mut store = Store::new(&engine, Asked::default());
    store.limiter(|asked| asked);
    store.set_fuel(PLENTY).unwrap();
    let component = component(&engine, text).unwrap();
    Linker::new(&engine)
        .instantiate_async(&mut store, &component)
        .await
        .unwrap();
    let mut asked = store.into_data().0;
    asked.sort_unstable();
    let memory = |from, to| ("memory", from * PAGE, to * PAGE, Some(2 * PAGE));
    assert_eq!(
        asked,
        [
            memory(0, 1),
            memory(1, 2),
            memory(2, 3),
            ("table", 0, 5, Some(u32::MAX as usize))
        ]
    );
}

struct Wasi;

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        unreachable!("nothing is called")
    }
}

/// `imports/clock.rs` replaces wasmtime's clock, for which it needs the same name.
#[test]
fn linked_wasi_version_is_the_expected_one() {
    let mut linker = Linker::<Wasi>::new(&Engine::new(&config(false)).unwrap());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.12").unwrap();
    for name in ["now", "resolution", "subscribe-instant", "subscribe-duration"] {
        let error = clock.func_wrap(name, |_, (): ()| Ok(())).unwrap_err();
        assert!(
            error.to_string().contains("defined twice"),
            "wasmtime-wasi has another version of `{name}`: change NAME in crates/sandbox/src/imports/clock.rs"
        );
    }
}
