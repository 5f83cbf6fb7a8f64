//! Errors of loading a component, with hints.

use std::io;

use crate::{
    chain::chain,
    inspect::{
        error::{ContractError, EXCESSIVE_HINT, INVALID_HINT},
        features,
        report::{Problem, Rejection},
    },
    shortage::HostResource,
};
use disperse_protocol::units::{Size, Time};

/// Errors of loading a component.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Inspection(#[from] InspectionError),
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// No component could be made of a core module.
    #[error("{0}")]
    Module(String),
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error("its compiled code cannot be loaded: {0}")]
    Code(String),
    #[error("it cannot be linked: {0}")]
    Link(String),
    #[error("no engine could be made: {0}")]
    Engine(String),
    #[error("it {0}")]
    Machine(HostResource),
}

impl LoadError {
    /// Converts an error of the engine: `Machine` if a resource has run out, else `other`.
    pub fn of(error: &wasmtime::Error, other: impl Fn(String) -> Self) -> Self {
        HostResource::of(error).map_or_else(|| other(chain(error)), Self::Machine)
    }

    /// Whether the cause is the machine and not the file.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Machine(_)
            | Self::Engine(_)
            | Self::Inspection(InspectionError::Start(_) | InspectionError::Cpu(_))
            | Self::Compile(CompileError::Start(_) | CompileError::Cpu(_)) => true,
            Self::Inspection(InspectionError::Broken { own, .. }) | Self::Compile(CompileError::Broken { own, .. }) => {
                *own
            }
            _ => false,
        }
    }

    /// What to do about it, if there is a general answer.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Inspection(InspectionError::Start(_) | InspectionError::Cpu(_)) => None,
            Self::Inspection(InspectionError::Broken { own: true, .. }) => None,
            Self::Inspection(_) => Some(EXCESSIVE_HINT),
            Self::Contract(error) => Some(error.hint()),
            Self::Module(_) => Some(
                "a core module exports the functions of a world in wit/disperse.wit, or `_start` as programs do, and imports \
                 only what is in that file and WASI 0.1 (wasi_snapshot_preview1)",
            ),
            // Only the compiler validates the bodies of functions.
            Self::Compile(CompileError::Rejected(why)) => Some(features::hint(why).unwrap_or(INVALID_HINT)),
            Self::Link(_) => Some(
                "this host provides an import of that name with another type; see wit/disperse.wit, and WASI 0.2 and 0.3",
            ),
            _ => None,
        }
    }
}

/// Errors of compiling a component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("{0}")]
    Rejected(String),
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

/// Errors of inspecting a file.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    #[error("it was not inspected within {0}")]
    Timeout(Time),
    #[error(
        "inspecting it takes more than {memory} of memory, or more stack than there is ({how}){}",
        if *.own { "; raise it with `ulimit -v`" } else { "" }
    )]
    Broken {
        memory: Size,
        /// Whether it is a limit of this process, lower than ours.
        own: bool,
        how: String,
    },
    #[error("it was not inspected within {0} of CPU time, which this process is limited to; raise it with `ulimit -t`")]
    Cpu(Time),
    #[error("inspecting it failed: {0}")]
    Failed(String),
    #[error("the inspecting process could not be started: {0}")]
    Start(io::Error),
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Module(why) => Self::Module(why),
            Problem::Link(why) => Self::Link(why),
        }
    }
}

impl From<Rejection> for LoadError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotWasm => ContractError::NotWasm.into(),
            Rejection::Invalid(why) => ContractError::Invalid(why).into(),
            Rejection::Feature(why) => ContractError::Feature(why).into(),
            Rejection::Excessive(why) => ContractError::Excessive(why).into(),
            Rejection::Module(why) => Self::Module(why),
        }
    }
}
