//! Facts about wasmtime that the host's design depends on.
//!
//! None of this tests the host's code. Each fact was measured once on wasmtime itself, and the host relies on it; so an
//! upgrade that changes one fails here, and not as a guest that behaves oddly. Where a test fails, read the file that
//! it names in `crates/sandbox/src/` before you change the test.

mod calls;
mod engine;

use std::{future::pending, sync::Arc};

use wasmtime::{
    Config, Engine, Result, Store, StoreContextMut, Trap,
    component::{Accessor, Component, ComponentNamedList, Instance, Lift, Linker, Lower},
    format_err,
};

/// More than any of these guests burns, except the endless one.
const PLENTY: u64 = 1 << 40;
/// As in `engine.rs`.
const YIELD_INTERVAL: u64 = 200_000;

/// A guest that blocks, with an export for each behaviour.
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
    (type $object (struct (field i32)))
    (global $kept (mut (ref null $object)) (ref.null $object))
    (func (export "make") (param $count i32)
      (loop $again
        (global.set $kept (struct.new $object (local.get $count)))
        (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
    (func (export "rest"))
    (func (export "trap") unreachable)
    (func (export "spin") (loop $again (br $again)))
    (func (export "fail") call $fail)
    (func (export "wait") call $wait)
    (func (export "refuel") call $refuel)
    (func (export "give") (param $len i32)
      (call $take (i32.const 16) (local.get $len)))
    (func (export "ask") (param $times i32)
      (loop $again
        (call $take (i32.const 16) (i32.const 0))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (local.get $times))))
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
  (func (export "ask") (param "n" u32) (canon lift (core func $i "ask")))
  (func (export "large") (param "n" u32) (result (list u8)) (canon lift (core func $i "large") (memory $shared)))
  (func (export "grow") (param "n" u32) (canon lift (core func $i "grow")))
  (func (export "make") (param "n" u32) (canon lift (core func $i "make")))
  (func (export "fill") (param "n" u32) (canon lift (core func $i "fill")))
  (func (export "copy") (param "n" u32) (canon lift (core func $i "copy")))
  (func (export "table") (param "n" u32) (canon lift (core func $i "table")))
)"#;

/// A guest that uses component-model async, with one sync export that waits for an async import.
const ASYNC: &str = r#"
(component
  (import "wait" (func $wait async))
  (core func $wait (canon lower (func $wait)))
  (core func $return (canon task.return))
  (core func $set (canon waitable-set.new))
  (core module $guest
    (import "host" "wait" (func $wait))
    (import "host" "set" (func $set (result i32)))
    (import "host" "return" (func $return))
    (func (export "rest") (result i32) call $return i32.const 0)
    (func (export "wait") (result i32) call $wait call $return i32.const 0)
    (func (export "spin") (result i32) (loop $again (br $again)) unreachable)
    (func (export "trap") (result i32) unreachable)
    (func (export "idle") (result i32) (i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4))))
    (func (export "called back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "sync") call $wait))
  (core instance $i (instantiate $guest (with "host" (instance
    (export "wait" (func $wait))
    (export "set" (func $set))
    (export "return" (func $return))))))
  (func (export "rest") async (canon lift (core func $i "rest") async (callback (core func $i "called back"))))
  (func (export "wait") async (canon lift (core func $i "wait") async (callback (core func $i "called back"))))
  (func (export "spin") async (canon lift (core func $i "spin") async (callback (core func $i "called back"))))
  (func (export "trap") async (canon lift (core func $i "trap") async (callback (core func $i "called back"))))
  (func (export "idle") async (canon lift (core func $i "idle") async (callback (core func $i "called back"))))
  (func (export "sync") (canon lift (core func $i "sync")))
)"#;

/// A configuration with or without component-model async; the rest as in `engine.rs`.
fn config(concurrency: bool) -> Config {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(concurrency);
    config
}

fn component(engine: &Engine, text: &str) -> Result<Component> {
    Component::from_binary(engine, &wat::parse_str(text).unwrap())
}

/// A started guest, with its store.
struct Guest {
    /// The store's data. A waiting host function holds it too, for as long as it exists.
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

    /// Whether the store can still be entered.
    async fn is_open(&mut self) -> bool {
        match self.run("rest").await {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.downcast_ref(), Some(&Trap::CannotEnterComponent), "{error:?}");
                false
            }
        }
    }

    /// The fuel that a call burns.
    async fn burns(&mut self, name: &str, len: u32) -> u64 {
        self.store.set_fuel(PLENTY).unwrap();
        self.call::<_, ()>(name, (len,)).await.unwrap();
        PLENTY - self.store.get_fuel().unwrap()
    }
}

/// Waits for ever and holds its argument meanwhile.
async fn wait(_held: Arc<()>) -> Result<()> {
    pending().await
}
