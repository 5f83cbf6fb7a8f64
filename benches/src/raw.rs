//! Raw wasmtime: hand-written loops over the same component. The bound of any host.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreContextMut,
    component::{Component, ComponentType, InstancePre, Lift, Linker, Lower, ResourceTable, TypedFunc},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The guest, compiled and linked without a host. Fuel is on, because a host cannot stop a guest without it.
pub(crate) struct Raw {
    engine: Engine,
    pre: InstancePre<State>,
    runtime: tokio::runtime::Runtime,
}

/// Creates WASI when a guest first uses it, as any host would that starts many instances.
#[derive(Default)]
struct State {
    wasi: Option<WasiCtx>,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| WasiCtx::builder().build()),
            table: &mut self.table,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Action {
    kind: String,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
struct ActionRef<'a> {
    kind: &'a str,
    payload: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "all cases must be named")]
enum Failure {
    #[component(name = "retryable")]
    Retryable(String),
    #[component(name = "permanent")]
    Permanent(String),
    #[component(name = "busy")]
    Busy(u32),
    #[component(name = "unfit")]
    Unfit(String),
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "all cases must be named")]
enum Reason {
    #[component(name = "permanent")]
    Permanent,
    #[component(name = "exhausted")]
    Exhausted,
    #[component(name = "poison")]
    Poison,
    #[component(name = "unroutable")]
    Unroutable,
    #[component(name = "cancelled")]
    Cancelled,
    #[component(name = "deadline")]
    Deadline,
    #[component(name = "oversize")]
    Oversize,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Refusal {
    reason: Reason,
    message: String,
}

type Handle = TypedFunc<(ActionRef<'static>,), (Result<Vec<u8>, Failure>,)>;
type Run = TypedFunc<(Vec<u8>,), (Result<Vec<u8>, String>,)>;

impl Raw {
    /// Compiles the guest.
    pub(crate) fn new(guest: &Path) -> Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(2 << 20)
            .table_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto)
            .max_memory_size(4 << 30)
            .total_memories(16)
            .total_component_instances(16)
            .total_core_instances(64)
            .total_stacks(16)
            .total_tables(64);
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .consume_fuel(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, guest)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.instance("disperse:guest/host@0.1.0")?.func_wrap_async(
            "perform",
            // The answer is immediate: it is the request.
            |_: StoreContextMut<'_, State>, (action,): (Action,)| {
                Box::new(async move { Ok((Ok::<_, Refusal>(action.payload),)) })
            },
        )?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { engine, pre, runtime })
    }

    fn store(&self) -> Result<Store<State>> {
        let mut store = Store::new(&self.engine, State::default());
        store.set_fuel(u64::MAX)?;
        store.fuel_async_yield_interval(Some(200_000))?;
        Ok(store)
    }

    async fn handle(&self, store: &mut Store<State>) -> Result<Handle> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        Ok(instance.get_typed_func(store, "handle")?)
    }

    /// Measures microseconds of a `handle` call on a warm instance.
    pub(crate) fn warm(&self, kind: &str, number: u32, calls: u32) -> Result<f64> {
        self.runtime.block_on(async {
            let mut store = self.store()?;
            let handle = self.handle(&mut store).await?;
            let (kind, payload) = leaked(kind, number);
            let began = Instant::now();
            for _ in 0..calls {
                call(&handle, &mut store, kind, payload).await?;
            }
            Ok(us(began, calls))
        })
    }

    /// Measures microseconds of a fresh instance, one `handle` call, and dropping it.
    pub(crate) fn fresh(&self, kind: &str, calls: u32) -> Result<f64> {
        self.runtime.block_on(async {
            let (kind, payload) = leaked(kind, 0);
            let began = Instant::now();
            for _ in 0..calls {
                let mut store = self.store()?;
                let handle = self.handle(&mut store).await?;
                call(&handle, &mut store, kind, payload).await?;
            }
            Ok(us(began, calls))
        })
    }

    /// Measures microseconds of a `perform` with an immediate answer, in a task that does nothing else.
    pub(crate) fn perform(&self, calls: u32) -> Result<f64> {
        self.runtime.block_on(async {
            let mut store = self.store()?;
            let instance = self.pre.instantiate_async(&mut store).await?;
            let run: Run = instance.get_typed_func(&mut store, "run")?;
            let mut task = calls.to_le_bytes().to_vec();
            task.extend_from_slice(&0u32.to_le_bytes());
            task.extend_from_slice(b"echo");
            let began = Instant::now();
            let (answer,) = run.call_async(&mut store, (task,)).await?;
            answer.map_err(anyhow::Error::msg)?;
            Ok(us(began, calls))
        })
    }
}

async fn call(handle: &Handle, store: &mut Store<State>, kind: &'static str, payload: &'static [u8]) -> Result<()> {
    let (answer,) = handle.call_async(store, (ActionRef { kind, payload },)).await?;
    answer.ok().context("the guest failed")?;
    Ok(())
}

/// Leaks a few bytes, because the type of a typed function has the lifetime of its arguments.
fn leaked(kind: &str, number: u32) -> (&'static str, &'static [u8]) {
    let mut payload = vec![0; 64];
    payload.splice(..4, number.to_le_bytes());
    (kind.to_owned().leak(), payload.leak())
}

fn us(began: Instant, calls: u32) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}
