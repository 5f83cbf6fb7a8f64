//! Everything that knows wasmtime. Above this floor a guest is a [`Program`] to be loaded and an instance to be called.
//!
//! The life of a guest, in types: a file is inspected ([`inspect`], [`Contract`]), loaded and linked ([`Program`]), and started as a
//! [`WorkerInstance`] (which as a [`SharedInstance`] takes several attempts at once), a [`PlannerInstance`] or, for one task,
//! [`run_task`]. An instance that failed in any way is spent:
//! wasmtime refuses to enter it again, so it is dropped and a fresh one started.

mod abi;
mod adapt;
mod bounds;
mod cache;
mod calls;
mod capacity;
mod child;
mod command;
mod compile;
mod contract;
mod engine;
mod environment;
mod fault;
mod features;
mod files;
mod fingerprint;
mod frames;
mod imports;
mod inherited;
mod input;
mod inspection;
mod instance;
mod invocation;
mod known;
mod limiter;
mod link;
mod many;
mod origin;
mod pace;
mod planner;
mod processes;
mod program;
mod quiet;
mod scratch;
mod shape;
mod share;
mod shortage;
mod snapshot0;
mod state;
mod stdio;
mod task;
mod turn;
mod wit;
mod worker;
mod world;

pub(crate) use adapt::is_module;
pub(crate) use cache::{Cache, CacheError, CacheUsage};
pub(crate) use child::as_child as as_compile_child;
pub(crate) use command::run_program;
pub(crate) use contract::{Contract, misspelt};
pub(crate) use engine::Form;
pub(crate) use environment::forget_variables;
pub(crate) use fault::Fault;
pub(crate) use files::{Folders, folders};
pub(crate) use inherited::{stdin_was_open, stdout_was_open};
pub(crate) use input::Input;
#[cfg(test)]
pub(crate) use inspection::inspect_here;
pub(crate) use inspection::{inspect, panics_are_caught};
pub(crate) use invocation::{Invocation, InvocationSettings};
pub(crate) use known::Use;
pub(crate) use many::{Ended, Remains, SharedInstance};
pub(crate) use origin::Origin;
pub(crate) use pace::Debt;
pub(crate) use planner::PlannerInstance;
pub(crate) use processes::{Guarded, kill_all as kill_programs};
pub(crate) use program::{COMPONENT_MAX, Code, LoadError, Program, Sandbox, Seen};
pub(crate) use scratch::SCRATCH_FOLDER;
pub(crate) use shape::{Import, Shape};
pub(crate) use share::{Admission, Need, Share};
pub(crate) use shortage::Starts;
pub(crate) use stdio::Tail;
pub(crate) use task::{TaskSpec, run_task};
pub(crate) use worker::{Handled, WorkerInstance, WorkerSpec};
pub(crate) use world::{Logical, NO_TIME_UNIX_MS, World};
