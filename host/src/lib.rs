//! The host of Disperse: it runs sandboxed WebAssembly operations and workers. Tasks hand actions to workers, and what fails
//! on one worker goes to another. This crate is the program `disperse-host`, and the same host for programs that have it built
//! in.
//!
//! # The host in your program
//!
//! A *run* has an *operation*, where tasks and their actions come from, and *pools* of workers. Either is a WebAssembly
//! component, sandboxed and with limits, or async functions of your own. Functions are scheduled, judged and replaced like
//! components, so that both can stand side by side; only the sandbox is not around them.
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
//!         _ => Err(Failure::permanent("nobody knows")),
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
//! * [`Host`] is the sandbox with its memory, made once. [`Component`] is what it loads.
//! * [`Operation`] is a component, [lines](Operation::lines) of an input, or a function; [`Task`] is what such a function sees.
//! * [`Pool`] is workers of a component with what is granted to them, or a function; [`Attempt`] is what such a function sees.
//!   [`Quota`] is what a service allows each of them.
//! * [`Policy`] says when a worker is taken out and how often a failed action is tried again.
//! * [`Run`] is a stream of [`Event`]s. Reading slowly slows it; dropping it cancels it. [`Control`] asks and steers it from
//!   elsewhere, [`Progress`] is how it is going, and [`Summary`] is what is left.
//!
//! What messages say of limits and grants names them as the flags of the command line: `--result-size` is
//! [`Limits::result_size`], and so on.
//!
//! Nothing here panics because of what it is given, and each door has an error type of its own. The library writes to neither
//! stdout nor stderr, sets no panic hook, and handles no signals but those by which
//! wasmtime sees traps. It needs tokio with its time and IO drivers, and unwinding
//! panics: with `panic = "abort"` a panic in a function of yours ends the program. Linux alone is tested.
//!
//! All of it is `Send`; [`Host`], [`Component`], [`Task`] and [`Control`] are `Sync` too, and clones of them are the same one.
//!
//! `docs/api.txt` lists all that is public.
//!
//! # Inside
//!
//! The floors, from the top; a room imports only from floors below its own:
//!
//! | floor | rooms | |
//! |---|---|---|
//! | 7 | `cli`, `embed` | words in, exit code out; the library: what other programs call |
//! | 6 | `run` | the only room that knows every other |
//! | 5 | `driver`, `operation` | the loop; where actions come from |
//! | 4 | `worker`, `transport` | the life of one worker; how orders reach it |
//! | 3 | `settings`, `sandbox`, `report`, `script` | the manifest; wasmtime; words out; tests: what workers answer, and the log |
//! | 2 | `inbox`, `control`, `digest`, `signer`, `grants`, `http`, `limits`, `logger`, `units`, `files`, `text` | what the parts say to each other and to who asks from outside, what is open to workers, how it is reached, in which amounts; files and text of unknown origin |
//! | 1 | `disperse-scheduler` | decides, and knows nothing of all this |

#![deny(missing_docs)]

mod cli;
mod control;
mod digest;
mod driver;
mod embed;
mod files;
#[cfg(test)]
mod fuzz;
mod grants;
mod http;
mod inbox;
mod limits;
mod logger;
mod operation;
mod report;
mod run;
mod sandbox;
mod script;
mod settings;
mod signer;
mod text;
mod transport;
mod units;
mod worker;

/// What payloads and results are, of the crate `bytes`.
pub use bytes::Bytes;
#[doc(hidden)]
pub use cli::main;
pub use embed::{
    Action, Attempt, Compiler, Component, ComponentError, Control, ControlError, Event, Failure, FailureClass, Health,
    Host, HostBuilder, HostError, KindSummary, Level, Limits, Operation, Policy, Pool, Progress, Quota, Reason,
    Refusal, Run, RunBuilder, RunError, StartError, Summary, Task, TaskError, Worker, WorkerSummary,
};
