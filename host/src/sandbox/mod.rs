//! Everything that uses wasmtime: components are inspected and loaded here, and their instances run.
//!
//! Four folders, each of which imports only from those after it:
//!
//! * `run`: instances, their calls, and the faults that end them;
//! * `load`: from the bytes of a file to a [`LoadedComponent`], by way of a child process and the cache of compiled code;
//! * `imports`: the host functions that guests call, and the data of a store that they work on;
//! * `inspect`: what a component is, found out from its bytes without running it.
//!
//! Below these, `engine` configures wasmtime, `shortage` recognises what the machine has run out of, `chain` writes errors as
//! text, and `process` is about this process and those that it starts.
//!
//! An instance is a [`WorkerInstance`] (which becomes a [`SharedInstance`] to take several attempts at once), a
//! [`PlannerInstance`] or, for one task, a call of [`run_task`]. After any fault an instance is dropped and a fresh one is
//! started: wasmtime refuses to enter it again.

mod chain;
mod engine;
mod imports;
mod inspect;
mod load;
mod process;
mod run;
mod shortage;

pub(crate) use engine::EngineKind;
pub(crate) use imports::files::{Folders, folders};
pub(crate) use imports::guest_env::{GuestEnv, Logical, NO_TIME_UNIX_MS};
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
    component::LoadedComponent,
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
