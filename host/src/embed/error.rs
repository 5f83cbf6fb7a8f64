//! What can go wrong, one type for each door. What they say is all that there is to say: none has a source behind it.

use std::path::PathBuf;

use crate::{run, sandbox::LoadError};

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Compiled code cannot be kept, though that was asked for. Says why, and what to do.
    #[error("compiled code cannot be kept: {0}")]
    Cache(String),
    /// Guests cannot have so much stack. Says the range.
    #[error("a stack of {bytes} bytes cannot be had: it is from {least} to {most}")]
    Stack {
        /// What was asked for.
        bytes: u64,
        /// The least that can be had.
        least: u64,
        /// The most that can be had.
        most: u64,
    },
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Its file cannot be read, or is too large to be one.
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// It is no component, or not one of the contract.
    #[error("cannot use `{name}`: {why}; {hint}")]
    Contract {
        /// What the component is called.
        name: String,
        /// What is wrong.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// It does not compile, or not within what compiling may take.
    #[error("cannot use `{name}`: {why}")]
    Compile {
        /// What the component is called.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// It is well-formed and cannot be loaded all the same: the machine or what it imports does not allow it.
    #[error("cannot use `{name}`: {why}")]
    Load {
        /// What the component is called.
        name: String,
        /// What is wrong.
        why: String,
    },
}

impl ComponentError {
    pub(super) fn of(name: String, error: LoadError) -> Self {
        let why = error.to_string();
        match (error.hint(), error) {
            (Some(hint), _) => Self::Contract {
                name,
                why,
                hint: hint.into(),
            },
            (None, LoadError::Compile(_)) => Self::Compile { name, why },
            (None, _) => Self::Load { name, why },
        }
    }
}

/// Why a run has not begun. Nothing of it was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was not called within a tokio runtime.
    #[error("a run needs a tokio runtime: call it within one")]
    NoRuntime,
    /// There is no pool, so that nobody could do anything.
    #[error("a run needs at least one pool")]
    NoPools,
    /// The component hands out no tasks.
    #[error("`{component}` is a worker, not an operation")]
    NotAnOperation {
        /// What it is called.
        component: String,
    },
    /// The component performs no actions.
    #[error("the pool `{pool}` cannot be made: `{component}` is an operation, not a worker")]
    NotAWorker {
        /// The pool.
        pool: String,
        /// What the component is called.
        component: String,
    },
    /// The component was loaded by another host.
    #[error("`{component}` was loaded by another host")]
    OtherHost {
        /// What it is called.
        component: String,
    },
    /// Two pools, or two workers of one pool, have the same name.
    #[error("two {what} are named `{name}`")]
    SameName {
        /// Pools, or workers of which pool.
        what: String,
        /// The name.
        name: String,
    },
    /// The workers of a pool cannot be meant.
    #[error("the pool `{pool}` cannot be made: {why}")]
    Workers {
        /// The pool.
        pool: String,
        /// What is wrong.
        why: String,
    },
    /// A grant, a variable or a secret cannot be given.
    #[error("the pool `{pool}` cannot be given {what}: {why}")]
    Grant {
        /// The pool.
        pool: String,
        /// What was to be given. Of a secret its name and never its value.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A quota cannot be meant. Says whose and why.
    #[error("{0}")]
    Quota(String),
    /// A limit or another number cannot be meant. Says which and why.
    #[error("{0}")]
    Setting(String),
}

/// Why a run was not asked, or did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// What is meant is not there, or cannot be done. Says why.
    #[error("{0}")]
    Refused(String),
}

/// Why a run did not come to its end. A task that fails is no such reason: see [`Summary`](crate::Summary).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The machine did not do its part: no thread could be had, or nothing else that every attempt needs.
    #[error("the machine stopped the run: {0}")]
    Machine(std::io::Error),
    /// The tokio runtime was shut down.
    #[error("the run went away with its tokio runtime")]
    Runtime,
    /// The host panicked, which is a bug of it. Says what the panic said.
    #[error("this is a bug of disperse-host: {0}")]
    Bug(String),
}

impl RunError {
    pub(super) fn of(error: run::RunError) -> Self {
        match error {
            run::RunError::Output(error) | run::RunError::Start(error) => Self::Machine(error),
            run::RunError::Shortage(why) => Self::Machine(std::io::Error::other(why)),
            // Checked before.
            run::RunError::Policy(error) => Self::Bug(error.to_string()),
        }
    }
}
