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

#![allow(missing_docs, reason = "an inner crate: names and types say the rest")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "its readers have the private items before them"
)]

mod chain;
mod engine;
mod imports;
mod inspect;
mod load;
mod process;
mod run;
mod shortage;

pub use engine::EngineKind;
pub use imports::files::{Folders, folders};
pub use imports::guest_env::{GuestEnv, Logical, NO_TIME_UNIX_MS};
pub use imports::input::Input;
pub use imports::limiter::Need;
pub use imports::scratch::SCRATCH_FOLDER;
pub use imports::stdio::Tail;
pub use inspect::adapt::is_module;
pub use inspect::known::Use;
pub use inspect::origin::Origin;
pub use inspect::shape::{Import, Shape};
pub use inspect::{contract::Contract, exports::misspelt};
pub use load::cache::{Cache, CacheError, CacheUsage};
pub use load::child_main::as_child as as_compile_child;
pub use load::inspection::{inspect, inspect_here, panics_are_caught};
pub use load::{
    component::LoadedComponent,
    error::LoadError,
    sandbox::{COMPONENT_MAX, Code, InspectedComponent, Sandbox},
};
pub use process::environment::forget_variables;
pub use process::inherited::{stdin_was_open, stdout_was_open};
pub use process::processes::{Guarded, kill_all as kill_programs};
pub use run::command::run_program;
pub use run::fault::Fault;
pub use run::invocation::{Invocation, InvocationSettings};
pub use run::pace::DeficitCounter;
pub use run::planner::PlannerInstance;
pub use run::share::{Admission, Share};
pub use run::shared_instance::{Ended, FinalState, SharedInstance};
pub use run::starts::Starts;
pub use run::task::{TaskSpec, not_begun, run_task};
pub use run::worker::{Handled, WorkerInstance, WorkerSpec};
