//! Facts about wasmtime that shape the house.
//!
//! None of this is our code. Each fact was found out once, on wasmtime itself, and something here is built on it; so an
//! upgrade that changes one is noticed as what it is, and not as a guest that behaves oddly. Where a test fails, read what
//! it names in `host/src/sandbox/` before the test is changed.

use std::{
    future::{Future, pending},
    hash::{DefaultHasher, Hash, Hasher},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
    time::{Duration, Instant},
};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OperatorCost, PoolConcurrencyLimitError, PoolingAllocationConfig,
    ResourceLimiter, Result, Store, StoreContextMut, Trap, WasmBacktrace,
    component::{Accessor, Component, ComponentNamedList, Instance, Lift, Linker, Lower, types::ComponentItem},
    format_err,
};
use wasmtime_wasi::{WasiCtxView, WasiView};

/// More than any of these guests burns, except the endless one.
const PLENTY: u64 = 1 << 40;
/// As in `engine.rs`.
const YIELD_INTERVAL: u64 = 200_000;

/// A guest that blocks, with an export for each thing that is wanted of it.
const BLOCKING: &str = r#"
(component
  (import "fail" (func $fail))
  (import "wait" (func $wait))
  (import "refuel" (func $refuel))
  (import "take" (func $take (param "bytes" (list u8))))
  (core module $memory (memory (export "memory") 16))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $shared))
  (core func $fail (canon lower (func $fail)))
  (core func $wait (canon lower (func $wait)))
  (core func $refuel (canon lower (func $refuel)))
  (core func $take (canon lower (func $take) (memory $shared)))
  (core module $guest
    (import "host" "memory" (memory 16))
    (import "host" "fail" (func $fail))
    (import "host" "wait" (func $wait))
    (import "host" "refuel" (func $refuel))
    (import "host" "take" (func $take (param i32 i32)))
    (table $table 100000 funcref)
    (func (export "rest"))
    (func (export "trap") unreachable)
    (func (export "spin") (loop $again (br $again)))
    (func (export "fail") call $fail)
    (func (export "wait") call $wait)
    (func (export "refuel") call $refuel)
    (func (export "give") (param $len i32)
      (call $take (i32.const 16) (local.get $len)))
    (func (export "large") (param $len i32) (result i32)
      (i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (local.get $len))
      (i32.const 0))
    (func (export "grow") (param $pages i32)
      (drop (memory.grow (local.get $pages))))
    (func (export "fill") (param $len i32)
      (memory.fill (i32.const 0) (i32.const 1) (local.get $len)))
    (func (export "copy") (param $len i32)
      (memory.copy (i32.const 0) (i32.const 1) (local.get $len)))
    (func (export "table") (param $len i32)
      (table.fill $table (i32.const 0) (ref.null func) (local.get $len))))
  (core instance $i (instantiate $guest (with "host" (instance
    (export "memory" (memory $shared))
    (export "fail" (func $fail))
    (export "wait" (func $wait))
    (export "refuel" (func $refuel))
    (export "take" (func $take))))))
  (func (export "rest") (canon lift (core func $i "rest")))
  (func (export "trap") (canon lift (core func $i "trap")))
  (func (export "spin") (canon lift (core func $i "spin")))
  (func (export "fail") (canon lift (core func $i "fail")))
  (func (export "wait") (canon lift (core func $i "wait")))
  (func (export "refuel") (canon lift (core func $i "refuel")))
  (func (export "give") (param "n" u32) (canon lift (core func $i "give")))
  (func (export "large") (param "n" u32) (result (list u8)) (canon lift (core func $i "large") (memory $shared)))
  (func (export "grow") (param "n" u32) (canon lift (core func $i "grow")))
  (func (export "fill") (param "n" u32) (canon lift (core func $i "fill")))
  (func (export "copy") (param "n" u32) (canon lift (core func $i "copy")))
  (func (export "table") (param "n" u32) (canon lift (core func $i "table")))
)"#;

/// A guest that uses component-model async, and one export that is not async although it waits for something that is.
const ASYNC: &str = r#"
(component
  (import "wait" (func $wait async))
  (core func $wait (canon lower (func $wait)))
  (core func $return (canon task.return))
  (core module $guest
    (import "host" "wait" (func $wait))
    (import "host" "return" (func $return))
    (func (export "rest") (result i32) call $return i32.const 0)
    (func (export "wait") (result i32) call $wait call $return i32.const 0)
    (func (export "spin") (result i32) (loop $again (br $again)) unreachable)
    (func (export "called back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "sync") call $wait))
  (core instance $i (instantiate $guest (with "host" (instance
    (export "wait" (func $wait))
    (export "return" (func $return))))))
  (func (export "rest") async (canon lift (core func $i "rest") async (callback (core func $i "called back"))))
  (func (export "wait") async (canon lift (core func $i "wait") async (callback (core func $i "called back"))))
  (func (export "spin") async (canon lift (core func $i "spin") async (callback (core func $i "called back"))))
  (func (export "sync") (canon lift (core func $i "sync")))
)"#;

/// With component-model async or without; the rest as the house has it.
fn config(concurrency: bool) -> Config {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(concurrency);
    config
}

fn component(engine: &Engine, text: &str) -> Result<Component> {
    Component::from_binary(engine, &wat::parse_str(text).unwrap())
}

/// A guest that was started, and what it runs on.
struct Guest {
    /// What the store holds is also held by a host function that waits, for as long as that is there.
    store: Store<Arc<()>>,
    instance: Instance,
}

impl Guest {
    async fn blocking(config: &Config) -> Self {
        let engine = Engine::new(config).unwrap();
        let mut linker = Linker::new(&engine);
        let mut root = linker.root();
        root.func_wrap("fail", |_, (): ()| -> Result<()> {
            Err(format_err!("the host says no"))
        })
        .unwrap();
        root.func_wrap_async("wait", |store: StoreContextMut<'_, Arc<()>>, (): ()| {
            let held = store.data().clone();
            Box::new(wait(held))
        })
        .unwrap();
        root.func_wrap("refuel", |mut store: StoreContextMut<'_, Arc<()>>, (): ()| {
            store.set_fuel(PLENTY)
        })
        .unwrap();
        root.func_wrap("take", |_, (_,): (Vec<u8>,)| Ok(())).unwrap();
        Self::start(&engine, &linker, BLOCKING).await
    }

    async fn concurrent() -> Self {
        let engine = Engine::new(&config(true)).unwrap();
        let mut linker = Linker::new(&engine);
        linker
            .root()
            .func_wrap_concurrent("wait", |accessor: &Accessor<Arc<()>>, (): ()| {
                let held = accessor.with(|mut access| access.get().clone());
                Box::pin(wait(held))
            })
            .unwrap();
        Self::start(&engine, &linker, ASYNC).await
    }

    async fn start(engine: &Engine, linker: &Linker<Arc<()>>, text: &str) -> Self {
        let component = component(engine, text).unwrap();
        let mut store = Store::new(engine, Arc::new(()));
        store.set_fuel(PLENTY).unwrap();
        store.fuel_async_yield_interval(Some(YIELD_INTERVAL)).unwrap();
        let instance = linker.instantiate_async(&mut store, &component).await.unwrap();
        Self { store, instance }
    }

    async fn call<P, R>(&mut self, name: &str, params: P) -> Result<R>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let func = self.instance.get_typed_func::<P, R>(&mut self.store, name)?;
        func.call_async(&mut self.store, params).await
    }

    async fn run(&mut self, name: &str) -> Result<()> {
        self.call(name, ()).await
    }

    /// Whether the store still lets somebody in.
    async fn is_open(&mut self) -> bool {
        match self.run("rest").await {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.downcast_ref(), Some(&Trap::CannotEnterComponent), "{error:?}");
                false
            }
        }
    }

    /// What a call burns.
    async fn burns(&mut self, name: &str, len: u32) -> u64 {
        self.store.set_fuel(PLENTY).unwrap();
        self.call::<_, ()>(name, (len,)).await.unwrap();
        PLENTY - self.store.get_fuel().unwrap()
    }
}

/// Waits for ever, and holds this meanwhile.
async fn wait(_held: Arc<()>) -> Result<()> {
    pending().await
}

/// Notes whether somebody asked for another poll.
#[derive(Default)]
struct Noted(AtomicBool);

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls a call until it no longer asks for that, a hundred times at most. Whether it came to rest, and what it gave.
fn poll<T>(mut call: Pin<&mut impl Future<Output = T>>) -> (bool, Poll<T>) {
    for _ in 0..100 {
        let noted = Arc::new(Noted::default());
        let polled = call.as_mut().poll(&mut Context::from_waker(&noted.clone().into()));
        if polled.is_ready() || !noted.0.load(Ordering::SeqCst) {
            return (true, polled);
        }
    }
    (false, Poll::Pending)
}

/// `fault.rs` knows a result that is too large by these words, because wasmtime keeps their type to itself.
#[tokio::test]
async fn the_words_for_too_much_from_a_guest() {
    const WORDS: &str = "allocated for hostcalls has been exhausted";
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_hostcall_fuel(1000);
        // It is a limit on each call, not on all of them together.
        for _ in 0..3 {
            let (bytes,) = guest.call::<_, (Vec<u8>,)>("large", (1000u32,)).await.unwrap();
            assert_eq!(bytes.len(), 1000);
        }
        let error = guest.call::<_, (Vec<u8>,)>("large", (1001u32,)).await.unwrap_err();
        let words = error.root_cause().to_string();
        assert!(
            words.contains(WORDS),
            "wasmtime now says `{words}`: `is_hostcall_limit` in host/src/sandbox/fault.rs has to look for that"
        );
        // What a guest gives to a host function fails inside the guest. So the two are told apart.
        assert!(error.downcast_ref::<WasmBacktrace>().is_none());
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_hostcall_fuel(1000);
        let error = guest.call::<_, ()>("give", (1001u32,)).await.unwrap_err();
        assert!(error.root_cause().to_string().contains(WORDS), "{error:?}");
        assert!(error.downcast_ref::<WasmBacktrace>().is_some());
    }
}

/// Why every worker and every task has a tokio task of its own: not even *another* store can be run inside one.
#[tokio::test]
#[should_panic(expected = "Recursive `StoreContextMut::run_concurrent` calls not supported")]
async fn a_store_cannot_be_run_inside_another() {
    let engine = Engine::new(&config(true)).unwrap();
    let (mut outer, mut inner) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let _ = outer
        .run_concurrent(async |_| inner.run_concurrent(async |_| ()).await)
        .await;
}

/// Why an instance is spent after these.
#[tokio::test]
async fn a_store_is_closed_by_a_trap_an_error_of_the_host_and_the_end_of_its_fuel() {
    for concurrency in [false, true] {
        for (name, fuel, words) in [
            ("trap", PLENTY, "`unreachable` instruction executed"),
            ("fail", PLENTY, "the host says no"),
            ("spin", 1000, "all fuel consumed"),
        ] {
            let mut guest = Guest::blocking(&config(concurrency)).await;
            assert!(guest.is_open().await);
            guest.store.set_fuel(fuel).unwrap();
            let error = guest.run(name).await.unwrap_err();
            assert!(error.root_cause().to_string().contains(words), "{error:?}");
            guest.store.set_fuel(PLENTY).unwrap();
            assert!(!guest.is_open().await, "{name}");
        }
    }
}

/// Why there are two engines, and how `contract.rs` can tell which one a component needs.
#[tokio::test]
async fn an_engine_without_async_runs_what_blocks_and_refuses_the_rest() {
    let mut guest = Guest::blocking(&config(false)).await;
    guest.run("rest").await.unwrap();
    let error = component(guest.store.engine(), ASYNC).unwrap_err();
    assert!(
        format!("{error:?}").contains("component model async feature"),
        "{error:?}"
    );

    Guest::blocking(&config(true)).await.run("rest").await.unwrap();
    Guest::concurrent().await.run("rest").await.unwrap();
}

#[test]
fn the_type_of_an_export_says_whether_it_is_async() {
    let engine = Engine::new(&config(true)).unwrap();
    let component = component(&engine, ASYNC).unwrap();
    let is_async = |name| match component.get_export(None, name) {
        Some((ComponentItem::ComponentFunc(func), _)) => func.async_(),
        other => panic!("`{name}` is {other:?}"),
    };
    assert!(is_async("rest"));
    assert!(!is_async("sync"));
}

/// Why guests that block have host functions of their own, `host` beside `host-async`.
#[tokio::test]
async fn an_export_that_is_not_async_cannot_wait_for_an_import_that_is() {
    let error = Guest::concurrent().await.run("sync").await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::CannotBlockSyncTask));
}

/// Why there are no epochs.
#[tokio::test]
async fn a_timeout_cuts_an_endless_loop_that_has_all_the_fuel_there_is() {
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_fuel(u64::MAX).unwrap();
        let began = Instant::now();
        let cut = tokio::time::timeout(Duration::from_millis(10), guest.run("spin")).await;
        assert!(cut.is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// What `quiet.rs` lives by: whoever computes asks to be polled again after each slice of fuel, whoever waits does not.
#[tokio::test]
async fn a_call_comes_to_rest_when_it_waits_and_not_while_it_computes() {
    for (name, rests) in [("wait", true), ("spin", false)] {
        let mut guest = Guest::concurrent().await;
        let (rested, polled) = poll(pin!(guest.run(name)));
        assert!(polled.is_pending());
        assert_eq!(rested, rests, "{name}");
    }
}

/// Why giving a call up is never enough, and its store is dropped: see the walk of one action in ARCHITECTURE.md.
#[tokio::test]
async fn a_store_is_of_no_use_after_a_call_that_was_given_up() {
    for name in ["spin", "wait"] {
        for concurrency in [false, true] {
            let mut guest = Guest::blocking(&config(concurrency)).await;
            assert!(poll(pin!(guest.run(name))).1.is_pending());
            assert!(!guest.is_open().await, "{name}, {concurrency}");
            assert_eq!(Arc::strong_count(guest.store.data()), 1, "the host function is gone");
        }
    }
    let mut guest = Guest::concurrent().await;
    assert!(poll(pin!(guest.run("spin"))).1.is_pending());
    assert!(!guest.is_open().await);

    // An async call that waits is not even ended: it is still there, and the next one waits behind it.
    let mut guest = Guest::concurrent().await;
    assert!(poll(pin!(guest.run("wait"))).1.is_pending());
    assert!(poll(pin!(guest.run("rest"))).1.is_pending());
    let held = guest.store.data().clone();
    assert_eq!(Arc::strong_count(&held), 3, "the host function still waits");
    drop(guest);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Each batch of answers refills a task's fuel, from inside the host function that the task waits in.
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
    // It is charged first: whoever cannot pay does not even get to know that there is not that much memory.
    guest.store.set_fuel(64 << 20).unwrap();
    let error = guest.call::<_, ()>("fill", (128u32 << 20,)).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::OutOfFuel));

    let mut costs = OperatorCost::default();
    costs.variable.memory_fill_per_byte = 0;
    let mut guest = Guest::blocking(config(false).operator_cost(costs)).await;
    assert_eq!(guest.burns("fill", 1 << 20).await, guest.burns("fill", 0).await);
}

/// `memory.fill` of 64 MiB costs 335 slices of fuel and is still not interrupted, which takes milliseconds. How much a
/// guest can fill at once is bounded by its memory.
#[tokio::test]
async fn a_bulk_instruction_runs_in_one_piece() {
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

/// Room for two instances, in little address space.
fn pool_of_two() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(2)
        .total_stacks(3)
        .max_memory_size(1 << 20);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Why whoever wants an instance first waits for room.
#[tokio::test]
async fn a_pool_refuses_what_it_has_no_room_for() {
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

/// Why `cache.rs` names files of compiled code after this hash and does not leave it to wasmtime to refuse them: code with
/// other NaNs would be loaded, and tasks would not be deterministic.
#[test]
#[allow(
    unsafe_code,
    reason = "the only way to load compiled code; it was compiled right here"
)]
fn compiled_code_is_told_apart_by_the_configuration_of_its_engine() {
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
        // SAFETY: these bytes are what `serialize` gave.
        let loaded = unsafe { Component::deserialize(&Engine::new(&changed).unwrap(), &bytes) };
        assert_eq!(loaded.is_ok(), loads, "{name}");
    }
}

/// Notes what it is asked.
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

/// `limiter.rs` counts what a guest begins with too, and must not count what cannot be had anyway.
#[tokio::test]
async fn a_limiter_is_asked_for_all_memory_even_for_what_its_type_forbids() {
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

/// `imports/clock.rs` takes the place of wasmtime's clock, for which it has to have the same name.
#[test]
fn the_version_of_wasi_that_is_linked() {
    let mut linker = Linker::<Wasi>::new(&Engine::new(&config(false)).unwrap());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.12").unwrap();
    for name in ["now", "resolution", "subscribe-instant", "subscribe-duration"] {
        let error = clock.func_wrap(name, |_, (): ()| Ok(())).unwrap_err();
        assert!(
            error.to_string().contains("defined twice"),
            "wasmtime-wasi has another version of `{name}`: change NAME in host/src/sandbox/imports/clock.rs"
        );
    }
}
