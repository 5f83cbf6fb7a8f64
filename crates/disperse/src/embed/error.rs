//! The errors of the library, one type for each step. A text says what failed, and the error's source why: print both,
//! as anyhow does. Texts of invalid settings are complete and have no source.

use std::{error::Error, io, path::PathBuf};

use crate::assembly;
use disperse_sandbox::LoadError;

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Compiled code cannot be cached as requested. The source is the reason.
    #[error("cannot cache compiled code")]
    Cache(#[source] Box<dyn Error + Send + Sync>),
    /// The stack size of guests is out of range.
    #[error("invalid stack of {bytes} bytes: it may be {least} to {most}")]
    Stack {
        /// The requested size.
        bytes: u64,
        /// The smallest size.
        least: u64,
        /// The largest size.
        most: u64,
    },
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The file cannot be read, or is too large for a component.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// It is not a component, or not one of the contract.
    #[error("cannot use `{name}`")]
    Contract {
        /// The component's name.
        name: String,
        /// The reason, and how to fix it.
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
    /// It does not compile, or not within the limits on compiling.
    #[error("cannot use `{name}`")]
    Compile {
        /// The component's name.
        name: String,
        /// The reason.
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
    /// It is well-formed and cannot be loaded: the machine does not allow it, or the host lacks an import.
    #[error("cannot use `{name}`")]
    Load {
        /// The component's name.
        name: String,
        /// The reason.
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
}

impl ComponentError {
    pub(super) fn of(name: String, error: LoadError) -> Self {
        match (error.hint(), error) {
            (Some(hint), error) => {
                let why = format!("{error}; {hint}").into();
                Self::Contract { name, why }
            }
            (None, error @ LoadError::Compile(_)) => Self::Compile {
                name,
                why: Box::new(error),
            },
            (None, error) => Self::Load {
                name,
                why: Box::new(error),
            },
        }
    }
}

/// Why a run could not start. Nothing has been started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `start` was not called within a tokio runtime.
    #[error("a run needs a tokio runtime: call it within one")]
    NoRuntime,
    /// There is no pool, so no worker could perform an action.
    #[error("a run needs at least one pool")]
    NoPools,
    /// The component does not export an operation.
    #[error("`{component}` is a worker, not an operation")]
    NotAnOperation {
        /// The component's name.
        component: String,
    },
    /// The component does not export a worker.
    #[error("invalid pool `{pool}`: `{component}` is an operation, not a worker")]
    NotAWorker {
        /// The pool.
        pool: String,
        /// The component's name.
        component: String,
    },
    /// The component was loaded by another host.
    #[error("`{component}` was loaded by another host")]
    OtherHost {
        /// The component's name.
        component: String,
    },
    /// Two pools, or two workers of one pool, have the same name.
    #[error("two {what} are named `{name}`")]
    SameName {
        /// `pools`, or `workers of the pool` with its name.
        what: String,
        /// The name.
        name: String,
    },
    /// The settings of a pool or of its workers are invalid.
    #[error("invalid pool `{pool}`: {why}")]
    Workers {
        /// The pool.
        pool: String,
        /// The reason.
        why: String,
    },
    /// A grant, a variable or a secret of a pool is invalid.
    #[error("the pool `{pool}` cannot be given {what}: {why}")]
    Grant {
        /// The pool.
        pool: String,
        /// The thing to be granted. Of a secret its name, never its value.
        what: String,
        /// The reason.
        why: String,
    },
    /// A quota is invalid. Holds whose, and why.
    #[error("{0}")]
    Quota(String),
    /// A limit or another number is invalid. Holds which, and why.
    #[error("{0}")]
    Setting(String),
}

/// Why a query or a command to a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// The thing named does not exist, or the command cannot be carried out. Holds the reason.
    #[error("{0}")]
    Refused(String),
}

/// Why a run broke off. A failed task is not such a reason: see [`Summary`](crate::Summary).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The machine lacks something that every attempt needs, such as a thread.
    #[error("the machine stopped the run")]
    Machine(#[source] io::Error),
    /// The tokio runtime was shut down.
    #[error("the tokio runtime of the run was shut down")]
    Runtime,
    /// The host panicked, which is a bug of it. Holds the panic's message.
    #[error("this is a bug of disperse-host: {0}")]
    Bug(String),
}

impl RunError {
    pub(super) fn of(error: assembly::RunError) -> Self {
        match error {
            assembly::RunError::Output(error) | assembly::RunError::Start(error) => Self::Machine(error),
            assembly::RunError::Shortage(why) => Self::Machine(io::Error::other(why)),
            // Checked before.
            assembly::RunError::Policy(error) => Self::Bug(error.to_string()),
        }
    }
}
