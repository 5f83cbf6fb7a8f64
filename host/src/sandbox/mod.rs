//! Everything that knows wasmtime. Above this floor a guest is a [`Program`] to be loaded and an instance to be called.
//!
//! The life of a guest, in types: a file is inspected ([`inspect`], [`Contract`]), loaded and linked ([`Program`]), and started as a
//! [`WorkerInstance`] (which as a [`SharedInstance`] takes several attempts at once), a [`PlannerInstance`] or, for one task,
//! [`run_task`]. An instance that failed in any way is spent:
//! wasmtime refuses to enter it again, so it is dropped and a fresh one started.

mod chain;
mod engine;
mod imports;
mod inspect;
mod load;
mod process;
mod run;
mod shortage;

pub(crate) use engine::Form;
pub(crate) use imports::files::{Folders, folders};
pub(crate) use imports::guest_env::{Logical, NO_TIME_UNIX_MS, World};
pub(crate) use imports::input::Input;
pub(crate) use imports::limiter::Need;
pub(crate) use imports::scratch::SCRATCH_FOLDER;
pub(crate) use imports::stdio::Tail;
pub(crate) use inspect::adapt::is_module;
pub(crate) use inspect::known::Use;
pub(crate) use inspect::origin::Origin;
pub(crate) use inspect::shape::{Import, Shape};
pub(crate) use inspect::{contract::Contract, exports::misspelt};
pub(crate) use load::cache::{Cache, CacheError, CacheUsage};
pub(crate) use load::child_main::as_child as as_compile_child;
#[cfg(test)]
pub(crate) use load::inspection::inspect_here;
pub(crate) use load::inspection::{inspect, panics_are_caught};
pub(crate) use load::{
    component::Program,
    error::LoadError,
    sandbox::{COMPONENT_MAX, Code, Sandbox, Seen},
};
pub(crate) use process::environment::forget_variables;
pub(crate) use process::inherited::{stdin_was_open, stdout_was_open};
pub(crate) use process::processes::{Guarded, kill_all as kill_programs};
pub(crate) use run::command::run_program;
pub(crate) use run::fault::Fault;
pub(crate) use run::invocation::{Invocation, InvocationSettings};
pub(crate) use run::pace::Debt;
pub(crate) use run::planner::PlannerInstance;
pub(crate) use run::share::{Admission, Share};
pub(crate) use run::shared_instance::{Ended, Remains, SharedInstance};
pub(crate) use run::starts::Starts;
pub(crate) use run::task::{TaskSpec, run_task};
pub(crate) use run::worker::{Handled, WorkerInstance, WorkerSpec};
