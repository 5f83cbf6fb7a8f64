//! The host of Disperse: it runs sandboxed WebAssembly operations and workers. Tasks send actions to workers, and an
//! action that fails on one worker is retried on another.
//!
//! # The host in your program
//!
//! A *run* has an *operation*, which makes tasks and their actions, and *pools* of workers. Each is a WebAssembly
//! component, sandboxed and with limits, or async functions of your own. Functions are scheduled, judged and replaced
//! like components, and both may be used together; only the sandbox is missing.
//!
//! ```no_run
//! use disperse::{Action, Attempt, Component, Event, Failure, Host, Operation, Pool, Task};
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

#![deny(missing_docs)]

// For the program `disperse-host`, and no part of the public API.
#[doc(hidden)]
pub mod assembly;
#[doc(hidden)]
pub mod control;
mod embed;
#[doc(hidden)]
pub mod library;
#[doc(hidden)]
pub mod operation;
#[doc(hidden)]
pub mod settings;
#[doc(hidden)]
pub mod words;
mod worker;

/// The type of payloads and results, of the crate `bytes`.
pub use bytes::Bytes;
pub use embed::{
    Action, Attempt, Compiler, Component, ComponentError, Control, ControlError, Event, Failure, FailureClass, Health,
    Host, HostBuilder, HostError, KindSummary, Level, Limits, Operation, Policy, Pool, Progress, Quota, Reason,
    Refusal, Run, RunBuilder, RunError, StartError, Summary, Task, TaskError, Worker, WorkerSummary,
};
