//! Links components: checks that the host provides their imports.

use wasmtime::{
    Engine,
    component::{Component, InstancePre, Linker},
};

use super::error::{CompileError, LoadError};
use crate::{
    chain::chain,
    engine,
    imports::{self, state::State},
    inspect::{
        contract::Contract,
        known::{is_known, worker_interface},
        shape::imports_alone,
    },
};

/// Checks that the host provides all imports of a component with matching types. Compiles no code of the component.
///
/// # Errors
/// An import is missing or has another type.
pub(super) fn links(contract: &Contract, component: &[u8]) -> Result<(), LoadError> {
    let unavailable = |error: wasmtime::Error| LoadError::of(&error, LoadError::Engine);
    let engine = engine::inspector(contract.engine).map_err(unavailable)?;
    let mut linker = Linker::new(&engine);
    imports::link(&mut linker, contract.engine).map_err(unavailable)?;
    let imports = Component::new(&engine, imports_alone(component)?)
        .map_err(|error| CompileError::Rejected(format!("it does not compile: {}", chain(&error))))?;
    link(linker, &engine, &imports).map(drop)
}

/// Links a component. Imports that the host does not know trap when they are called.
pub(super) fn link(
    mut linker: Linker<State>,
    engine: &Engine,
    component: &Component,
) -> Result<InstancePre<State>, LoadError> {
    let failed = |error: wasmtime::Error| LoadError::Link(chain(&error));
    let imports = component.component_type();
    for (name, import) in imports.imports(engine).filter(|(name, _)| !is_known(name)) {
        imports::link_unknown(&mut linker, engine, name, &import.ty).map_err(failed)?;
    }
    linker.instantiate_pre(component).map_err(failed)
}

/// Links a component as an operation: functions that only workers may call trap before they copy their arguments.
///
/// # Errors
/// The same as of [`link`].
pub(super) fn link_operation(
    mut linker: Linker<State>,
    engine: &Engine,
    component: &Component,
) -> Result<InstancePre<State>, LoadError> {
    let imports = component.component_type();
    for (name, import) in imports.imports(engine) {
        if let Some(linked) = worker_interface(name) {
            imports::link_denied(&mut linker, engine, &import.ty, &linked)
                .map_err(|error| LoadError::Link(chain(&error)))?;
        }
    }
    link(linker, engine, component)
}
