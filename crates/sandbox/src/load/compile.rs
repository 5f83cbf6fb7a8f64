//! Compiles components in a child process.

use wasmtime::Engine;

use super::{
    child::{self, ChildError, ChildLimits, Work},
    error::CompileError,
};
use crate::{
    chain::chain,
    engine::{EngineKind, Space},
    inspect::features,
};
use disperse_protocol::{limits::CompileLimits, units::Size};

/// The largest compiled code, in bytes. Python's code is 60 MiB.
const CODE_MAX: u64 = 1 << 30;

/// Compiles a component in a child process. Blocks.
///
/// # Errors
/// It does not compile, or not within the limits.
pub(super) fn in_child(
    kind: EngineKind,
    space: Space,
    component: &[u8],
    limits: &CompileLimits,
) -> Result<Vec<u8>, CompileError> {
    let size = component.len() as u64;
    let limits = ChildLimits {
        memory: limits.memory(size),
        timeout: limits.timeout(size),
        output: CODE_MAX,
    };
    child::run(Work::Compile(kind, space), component, limits).map_err(|error| match error {
        ChildError::Rejected(why) => CompileError::Rejected(why),
        ChildError::Timeout => CompileError::Timeout(limits.timeout.into()),
        ChildError::Cpu(limit) => CompileError::Cpu(limit.into()),
        ChildError::Broken(how) => {
            let memory = child::memory(limits.memory);
            CompileError::Broken {
                memory: Size(memory),
                own: memory < limits.memory,
                how,
            }
        }
        ChildError::Start(error) => CompileError::Start(error),
    })
}

/// Compiles a component in this process, without limits.
///
/// # Errors
/// It does not compile.
pub(super) fn in_process(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine.precompile_component(component).map_err(|error| {
        // The bodies of functions are validated here for the first time.
        let why = features::missing_in(component).unwrap_or_else(|| chain(&error));
        CompileError::Rejected(format!("it does not compile: {why}"))
    })
}
