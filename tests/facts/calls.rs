//! Calls: when a store can be entered, how a call ends, and the state of the store then.

use std::{
    future::{Future, pending},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
    time::{Duration, Instant},
};

use wasmtime::{
    AsContextMut, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap,
    component::{Accessor, Linker, types::ComponentItem},
};

use super::{ASYNC, Guest, PLENTY, component, config};

/// Records whether another poll was requested.
#[derive(Default)]
struct Noted(AtomicBool);

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls a call until it no longer wakes, a hundred times at most. Returns whether it stopped waking, and the last poll.
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

/// Why every worker and every task has a tokio task of its own: not even *another* store can run inside one.
#[tokio::test]
#[should_panic(expected = "Recursive `StoreContextMut::run_concurrent` calls not supported")]
async fn a_store_cannot_be_run_inside_another() {
    let engine = Engine::new(&config(true)).unwrap();
    let (mut outer, mut inner) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let _ = outer
        .run_concurrent(async |_| inner.run_concurrent(async |_| ()).await)
        .await;
}

/// Why an instance is replaced after these.
#[tokio::test]
async fn store_is_closed_by_a_trap_a_host_error_or_the_end_of_its_fuel() {
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

/// Why there are two engines, and how `contract.rs` determines which one a component needs.
#[tokio::test]
async fn engine_without_async_runs_blocking_guests_and_rejects_the_rest() {
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
fn type_of_an_export_shows_whether_it_is_async() {
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
async fn timeout_cuts_an_endless_loop_that_has_fuel_left() {
    for concurrency in [false, true] {
        let mut guest = Guest::blocking(&config(concurrency)).await;
        guest.store.set_fuel(u64::MAX).unwrap();
        let began = Instant::now();
        let cut = tokio::time::timeout(Duration::from_millis(10), guest.run("spin")).await;
        assert!(cut.is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// The basis of `quiet.rs`: a call that computes wakes after each slice of fuel, a call that waits does not.
#[tokio::test]
async fn waiting_call_stops_waking_and_computing_call_does_not() {
    for (name, rests) in [("wait", true), ("spin", false)] {
        let mut guest = Guest::concurrent().await;
        let (rested, polled) = poll(pin!(guest.run(name)));
        assert!(polled.is_pending());
        assert_eq!(rested, rests, "{name}");
    }
}

/// Why dropping a call is not enough, and its store is dropped too: see `docs/book/src/internals/engines.md`.
#[tokio::test]
async fn store_is_unusable_after_a_dropped_call() {
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

    // An async call that waits does not even end: it still exists, and the next one waits behind it.
    let mut guest = Guest::concurrent().await;
    assert!(poll(pin!(guest.run("wait"))).1.is_pending());
    assert!(poll(pin!(guest.run("rest"))).1.is_pending());
    let held = guest.store.data().clone();
    assert_eq!(Arc::strong_count(&held), 3, "the host function still waits");
    drop(guest);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// The basis of `sandbox/calls.rs`: when a store with several calls has failed, its call stack still shows which call's
/// guest was running, and that none was while all waited.
#[tokio::test]
async fn running_call_is_known_after_its_store_has_failed() {
    for (name, told) in [("trap", true), ("spin", true), ("idle", false)] {
        let mut guest = Guest::concurrent().await;
        let [other, it] = ["idle", name].map(|name| {
            let func = guest.instance.get_typed_func::<(), ()>(&mut guest.store, name);
            func.unwrap()
        });
        let mut task = None;
        {
            let run = guest.store.run_concurrent(async |accessor| {
                let calls = accessor.with(|mut access| {
                    let mut store = access.as_context_mut();
                    let first = other.start_call_concurrent(&mut store, ());
                    (first.unwrap(), it.start_call_concurrent(&mut store, ()).unwrap())
                });
                task = Some(calls.1.task());
                pending::<()>().await;
            });
            assert_eq!(poll(pin!(run)).1.is_ready(), name == "trap", "{name}");
        }
        let at_it = guest.store.as_context_mut().async_call_stack().unwrap().last();
        assert_eq!(at_it, task.filter(|_| told), "{name}");
    }
}

/// `count` components, each with a function that waits in the host, for the async engine.
fn waiters(count: usize) -> String {
    let waiter = "(component $Waiter
        (import \"wait\" (func $wait async))
        (core func $wait (canon lower (func $wait)))
        (core module $m
          (import \"host\" \"wait\" (func $wait))
          (func (export \"run\") (result i32) (call $wait) (i32.const 0))
          (func (export \"again\") (param i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $i (instantiate $m (with \"host\" (instance (export \"wait\" (func $wait))))))
        (func (export \"run\") async (canon lift (core func $i \"run\") async (callback (core func $i \"again\")))))";
    let one = |i| {
        format!(
            "(instance $w{i} (instantiate $Waiter (with \"wait\" (func $wait)))) (export \"run{i}\" (func $w{i} \"run\"))"
        )
    };
    let all: String = (0..count).map(one).collect();
    format!("(component (import \"wait\" (func $wait async)) {waiter} {all})")
}

/// Why the pool of the async engine has three stacks for an instance of one component, however many calls it has, and as
/// many more for others as they have components: see `weight` in `engine.rs`.
#[tokio::test]
async fn waiting_component_uses_one_stack_however_often_it_is_called() {
    for components in [1, 6] {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_memories(1).total_stacks(100);
        let mut config = config(true);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        linker
            .root()
            .func_wrap_concurrent("wait", |_: &Accessor<Arc<()>>, (): ()| {
                Box::pin(pending::<wasmtime::Result<()>>())
            })
            .unwrap();
        let mut guest = Guest::start(&engine, &linker, &waiters(components)).await;
        let mut funcs = Vec::new();
        for index in 0..components {
            let func = guest
                .instance
                .get_typed_func::<(), ()>(&mut guest.store, &format!("run{index}"));
            funcs.push(func.unwrap());
        }
        {
            let calls = guest.store.run_concurrent(async |accessor| {
                let calls = (0..10)
                    .flat_map(|_| &funcs)
                    .map(|func| func.call_concurrent(accessor, ()));
                futures::future::join_all(calls).await
            });
            assert!(poll(pin!(calls)).0);
            let stacks = engine.pooling_allocator_metrics().unwrap().stacks();
            assert!(
                (components..=components + 2).contains(&stacks),
                "{stacks} of {components}"
            );
        }
    }
}
