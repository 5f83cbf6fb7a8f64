//! Components that can be started, and the engine that each belongs to.

use std::sync::{Arc, atomic::AtomicBool};

use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, InstancePre, Linker},
};

use super::{
    error::LoadError,
    link::{link, link_operation},
};
use crate::{
    engine::{self, EngineKind, GUARANTEED_PART, INSTANCES_MAX, Space},
    imports::{self, state::State},
    inspect::contract::Contract,
};
use disperse_protocol::limits::Shares;

/// The size of a wasm page, in bytes.
const PAGE: u64 = 64 << 10;

/// An engine, its linker with all host functions, and the slots for its instances.
pub struct EngineContext {
    pub engine: Engine,
    pub(super) space: Space,
    linker: Linker<State>,
    /// Instances wait for these first, because the allocation pool fails at once when it has no slot left.
    pub slots: Arc<Shares>,
}

/// A compiled and linked component. Cheap to clone.
#[derive(Clone)]
pub struct LoadedComponent(Arc<Inner>);

pub struct Inner {
    pub contract: Contract,
    pub pre: InstancePre<State>,
    /// The same for planners and tasks, if the component has them: functions that only workers may call trap.
    pub operation: Option<InstancePre<State>>,
    pub context: Arc<EngineContext>,
    pub exports: Exports,
    /// The number of slots that an instance takes.
    pub weight: u64,
    /// The initial memory of an instance, in bytes. Of several memories, the largest.
    pub initial: u64,
    /// Whether an instance was ever started.
    pub has_started: AtomicBool,
}

/// The exports that implement the contract.
#[derive(Default)]
pub struct Exports {
    pub next: Option<ComponentExportIndex>,
    pub run: Option<ComponentExportIndex>,
    pub collect: Option<ComponentExportIndex>,
    pub finish: Option<ComponentExportIndex>,
    pub handle: Option<ComponentExportIndex>,
    /// `run` of `wasi:cli/run`, if the component is a program.
    pub main: Option<ComponentExportIndex>,
}

impl LoadedComponent {
    /// Links a compiled component.
    ///
    /// # Errors
    /// It cannot be linked.
    pub(super) fn new(
        context: Arc<EngineContext>,
        contract: &Contract,
        component: &Component,
    ) -> Result<Self, LoadError> {
        let pre = link(context.linker.clone(), &context.engine, component)?;
        let operation = match contract.operation {
            Some(_) => Some(link_operation(context.linker.clone(), &context.engine, component)?),
            None => None,
        };
        let export = |name| component.get_export_index(None, name);
        let exports = Exports {
            next: export("next"),
            run: export("run"),
            collect: export("collect"),
            finish: export("finish"),
            handle: export("handle"),
            main: contract.program.as_ref().and_then(|program| {
                let program = component.get_export_index(None, program)?;
                component.get_export_index(Some(&program), "run")
            }),
        };
        // None if the component imports modules, which no contract allows.
        let needs = component.resources_required();
        let (memories, tables, pages) = needs.map_or(
            (engine::MEMORIES_PER_COMPONENT, engine::TABLES_PER_COMPONENT, None),
            |needs| (needs.num_memories, needs.num_tables, needs.max_initial_memory_size),
        );
        Ok(Self(Arc::new(Inner {
            initial: pages.unwrap_or_default().saturating_mul(PAGE),
            // Garbage-collected objects lie in a memory of their own.
            weight: engine::weight(
                contract.engine,
                memories + u32::from(contract.collects),
                tables,
                contract.composed,
            ),
            contract: contract.clone(),
            pre,
            operation,
            context,
            exports,
            has_started: AtomicBool::new(false),
        })))
    }

    pub fn contract(&self) -> &Contract {
        &self.0.contract
    }

    pub fn inner(&self) -> &Inner {
        &self.0
    }
}

impl EngineContext {
    /// Makes an engine of this kind and links all host functions.
    ///
    /// # Errors
    /// The machine has run out of a resource.
    pub(super) fn new(kind: EngineKind, stack: usize, memory: u64) -> wasmtime::Result<Self> {
        let (engine, space) = engine::engine(kind, stack, memory)?;
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker, kind)?;
        Ok(Self {
            engine,
            space,
            linker,
            slots: Shares::new(INSTANCES_MAX.into(), GUARANTEED_PART, false),
        })
    }
}
