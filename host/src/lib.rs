//! The host of Disperse: it runs sandboxed WebAssembly operations and workers. Tasks send actions to workers, and an
//! action that fails on one worker is retried on another. This crate is the program `disperse-host`, and a library to
//! embed the same host.
//!
//! # The host in your program
//!
//! A *run* has an *operation*, which makes tasks and their actions, and *pools* of workers. Each is a WebAssembly
//! component, sandboxed and with limits, or async functions of your own. Functions are scheduled, judged and replaced
//! like components, and both may be used together; only the sandbox is missing.
//!
//! ```no_run
//! use disperse_host::{Action, Attempt, Component, Event, Failure, Host, Operation, Pool, Task};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::builder().cache(true).build()?;
//! let square = Component::open(&host, "square.wasm")?;
//! let operation = Operation::native(["ada", "bob"], |task: Task| async move {
//!     let side = task.perform(Action::new("side", task.input().clone())).await?;
//!     Ok(task.perform(Action::new("square", side)).await?)
//! });
//! let sides = |attempt: Attempt| async move {
//!     match &attempt.payload()[..] {
//!         b"ada" => Ok("12"),
//!         _ => Err(Failure::permanent("unknown name")),
//!     }
//! };
//! let mut run = host
//!     .run(operation)
//!     .pool(Pool::component("squares", &square).kind("square").workers(4))
//!     .pool(Pool::native("sides", sides).kind("side").workers(2).concurrency(8))
//!     .start()?;
//! while let Some(event) = run.next().await {
//!     if let Event::Output { task, bytes, .. } = event {
//!         println!("{task:?}: {bytes:?}");
//!     }
//! }
//! let summary = run.finish().await?;
//! assert_eq!((summary.tasks_done, summary.tasks_failed), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! * [`Host`] is the sandbox with its memory, made once. It loads [`Component`]s.
//! * [`Operation`] is a component, [lines](Operation::lines) of an input, or a function, which gets a [`Task`].
//! * [`Pool`] is workers of a component with their grants, or a function, which gets an [`Attempt`]. [`Quota`] is the
//!   limit of a service for each of them.
//! * [`Policy`] sets when a worker is taken out and how often a failed action is retried.
//! * [`Run`] is a stream of [`Event`]s. Reading slowly slows it; dropping it cancels it. [`Control`] queries and
//!   controls it from elsewhere, [`Progress`] is its state, and [`Summary`] its results.
//!
//! Messages name limits and grants by the flags of the command line: `--result-size` is [`Limits::result_size`], and so
//! on.
//!
//! Invalid arguments and inputs cause errors and no panics, and each step has an error type of its own. The library
//! writes to neither stdout nor stderr, sets no panic hook, and handles no signals but those by which wasmtime sees
//! traps. It needs tokio with its time and IO drivers, and unwinding panics: with `panic = "abort"` a panic in a
//! function of yours ends the program. Only Linux is tested.
//!
//! All types are `Send`; [`Host`], [`Component`], [`Task`] and [`Control`] are `Sync` too, and clones share their
//! state.
//!
//! `docs/api.txt` lists the public API.
//!
//! # Inside
//!
//! The floors, from the top; a room (a module) imports only from floors below its own:
//!
//! | floor | rooms | |
//! |---|---|---|
//! | 7 | `cli`, `embed` | the command line; the library that programs embed |
//! | 6 | `run` | assembles a run; the only module that imports all others |
//! | 5 | `driver`, `operation` | the event loop; the source of actions |
//! | 4 | `worker`, `transport` | a worker; the transport of orders to it |
//! | 3 | `settings`, `sandbox`, `report`, `script` | the manifest; wasmtime; output formats; simulated workers of tests, and the log |
//! | 2 | `inbox`, `control`, `digest`, `signer`, `grants`, `http`, `limits`, `logger`, `units`, `files`, `text` | messages between the parts; the control protocol; grants and how they are used; limits and amounts; files and text of unknown origin |
//! | 1 | `disperse-scheduler` | decides; imports none of the others |

#![deny(missing_docs)]

mod cli;
mod control;
mod embed;
#[cfg(test)]
mod fuzz;
mod operation;
mod report;
mod run;
mod script;
mod settings;
mod signer;
mod text;
mod worker;

use disperse_egress::{grants, http};
use disperse_engine::{driver, transport};
use disperse_protocol::{digest, files, inbox, limits, logger, units};
use disperse_sandbox as sandbox;

/// The type of payloads and results, of the crate `bytes`.
pub use bytes::Bytes;
#[doc(hidden)]
pub use cli::main;
pub use embed::{
    Action, Attempt, Compiler, Component, ComponentError, Control, ControlError, Event, Failure, FailureClass, Health,
    Host, HostBuilder, HostError, KindSummary, Level, Limits, Operation, Policy, Pool, Progress, Quota, Reason,
    Refusal, Run, RunBuilder, RunError, StartError, Summary, Task, TaskError, Worker, WorkerSummary,
};
