//! Compiling, in a process of its own.

use std::io;

use wasmtime::Engine;

use super::child::{self, ChildError, ChildLimits, Work};
use crate::{
    limits::CompileLimits,
    sandbox::{
        engine::{Form, Space},
        inspect::features,
        run::fault,
    },
    units::{Size, Time},
};

/// The largest compiled code, in bytes. Python's has 60 MiB.
const CODE_MAX: u64 = 1 << 30;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("{0}")]
    Refused(String),
    #[error("it was not compiled within {0}; raise it with --compile-timeout")]
    Timeout(Time),
    #[error(
        "compiling it took more than {memory} of memory, or broke the compiler ({how}); raise it with {}",
        if *.own { "`ulimit -v`" } else { "--compile-memory" }
    )]
    Broken {
        memory: Size,
        /// Whether it is a limit of this process, lower than ours.
        own: bool,
        how: String,
    },
    #[error("it was not compiled within {0} of CPU time, which this process is limited to; raise it with `ulimit -t`")]
    Cpu(Time),
    #[error("the compiler could not be started: {0}")]
    Start(io::Error),
}

/// Compiles a component in a child process. Blocks until it is done.
///
/// # Errors
/// It does not compile, or not within the limits.
pub(crate) fn apart(
    form: Form,
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
    child::run(Work::Compile(form, space), component, limits).map_err(|error| match error {
        ChildError::Refused(why) => CompileError::Refused(why),
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
pub(crate) fn here(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine.precompile_component(component).map_err(|error| {
        // What functions do is validated here for the first time.
        let why = features::missing_in(component).unwrap_or_else(|| fault::chain(&error));
        CompileError::Refused(format!("it does not compile: {why}"))
    })
}
