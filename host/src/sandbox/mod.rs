//! Inspects and loads components and runs their instances: everything that uses wasmtime.
//!
//! Four folders, each of which imports only from those after it:
//!
//! * `run`: instances, their calls, and the faults that end them;
//! * `load`: makes a [`LoadedComponent`] of a file's bytes, with a child process and the cache of compiled code;
//! * `imports`: the host functions that guests call, and the store data that these use;
//! * `inspect`: determines what a component is from its bytes, without running it.
//!
//! Below these, `engine` configures wasmtime, `shortage` recognises which resource the machine has run out of, `chain`
//! formats errors, and `process` manages this process and its children.
//!
//! An instance is a [`WorkerInstance`] (a [`SharedInstance`] if it runs several attempts at once), a
//! [`PlannerInstance`] or, for one task, a call of [`run_task`]. After a fault an instance is dropped and a new one is
//! started: wasmtime does not enter a faulted instance again.

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
    sandbox::{COMPONENT_MAX, Code, InspectedComponent, Sandbox},
};
pub(crate) use process::environment::forget_variables;
pub(crate) use process::inherited::{stdin_was_open, stdout_was_open};
pub(crate) use process::processes::{Guarded, kill_all as kill_programs};
pub(crate) use run::command::run_program;
pub(crate) use run::fault::Fault;
pub(crate) use run::invocation::{Invocation, InvocationSettings};
pub(crate) use run::pace::DeficitCounter;
pub(crate) use run::planner::PlannerInstance;
pub(crate) use run::share::{Admission, Share};
pub(crate) use run::shared_instance::{Ended, FinalState, SharedInstance};
pub(crate) use run::starts::Starts;
pub(crate) use run::task::{TaskSpec, not_begun, run_task};
pub(crate) use run::worker::{Handled, WorkerInstance, WorkerSpec};
