//! The program `disperse-host`: the command line, manifests, and what is written for people and as JSON.
//!
//! The host itself is the crate `disperse`, which other programs embed. For a release its API is exported here too, under
//! its earlier name.

#![deny(missing_docs)]

mod cli;
#[cfg(test)]
mod fuzz;
mod report;
mod run;
mod script;
mod settings;
mod signer;
mod text;

use disperse::{control, operation};
use disperse_egress::{grants, http};
use disperse_engine::{driver, transport};
use disperse_protocol::{digest, files, inbox, limits, logger, units};
use disperse_sandbox as sandbox;

#[doc(hidden)]
pub use cli::main;
pub use disperse::{
    Action, Attempt, Bytes, Compiler, Component, ComponentError, Control, ControlError, Event, Failure, FailureClass,
    Health, Host, HostBuilder, HostError, KindSummary, Level, Limits, Operation, Policy, Pool, Progress, Quota, Reason,
    Refusal, Run, RunBuilder, RunError, StartError, Summary, Task, TaskError, Worker, WorkerSummary,
};
