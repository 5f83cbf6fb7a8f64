//! Write Disperse operations and workers in Rust.
//!
//! A *worker* performs actions; an *operation* hands out tasks whose logic requests actions. Both are WebAssembly
//! components: a crate of type `cdylib`, built with `cargo build --release --target wasm32-wasip2` and run by
//! `disperse-host`. Neither knows how many workers or machines there are, nor how a failed action is retried.
//!
//! # A worker
//! ```
//! use disperse_guest::{Action, Failure, OrFail, Text, Worker, export_worker};
//!
//! #[derive(Default)]
//! struct Square;
//!
//! impl Worker for Square {
//!     type Input = Text<u64>;
//!     type Output = Text<u64>;
//!
//!     fn handle(&mut self, action: Action<Text<u64>>) -> Result<Text<u64>, Failure> {
//!         action.input.0.checked_pow(2).map(Text).ok_or("too large").or_permanent()
//!     }
//! }
//!
//! export_worker!(Square);
//! # fn main() {
//! # assert_eq!(Square.handle(Action::new("", Text(12))), Ok(Text(144)));
//! # }
//! ```
//!
//! # An operation
//! ```
//! use disperse_guest::{Error, Operation, export_operation, perform_all};
//!
//! /// The sum of the squares of each block of a hundred numbers.
//! #[derive(Default)]
//! struct Squares {
//!     next: u64,
//! }
//!
//! impl Operation for Squares {
//!     type Task = u64;
//!     type Output = u64;
//!
//!     fn next(&mut self) -> Option<u64> {
//!         self.next += 100;
//!         (self.next <= 1000).then_some(self.next)
//!     }
//!
//!     fn run(task: u64) -> Result<u64, Error> {
//!         let squares: Vec<u64> = perform_all("square", task - 100..task).into_iter().collect::<Result<_, _>>()?;
//!         Ok(squares.iter().sum())
//!     }
//! }
//!
//! export_operation!(Squares);
//! # fn main() {}
//! ```
//! `next` runs in one long-lived instance, the *planner*; every `run` in an instance of its own. The result of a task
//! becomes a line of the run's output, unless [`Operation::collect`] does something else with it.
//!
//! Time and randomness in an operation are the run's own. The same answers must always lead to the same requests, so
//! that a run can be replayed and resumed. Iterate over a `BTreeMap` instead of a `HashMap` where the order matters.
//!
//! # Both in one component
//! ```
//! # use disperse_guest::{Action, Error, Failure, Operation, Worker, perform};
//! use disperse_guest::export_both;
//! # #[derive(Default)] struct Op;
//! # impl Operation for Op {
//! #     type Task = u8; type Output = u8;
//! #     fn next(&mut self) -> Option<u8> { None }
//! #     fn run(task: u8) -> Result<u8, Error> { Ok(perform("double", task)?) }
//! # }
//! # #[derive(Default)] struct Double;
//! # impl Worker for Double {
//! #     type Input = u8; type Output = u8;
//! #     fn handle(&mut self, action: Action<u8>) -> Result<u8, Failure> { Ok(action.input * 2) }
//! # }
//! export_both!(Op, Double);
//! # fn main() {}
//! ```
//!
//! # Async
//! [`AsyncOperation`] and [`AsyncWorker`] are the same roles with `async fn run` and `async fn handle`, for logic with
//! many different requests open at once and for workers that wait for networks.
//! ```
//! use disperse_guest::concurrent::{sleep, submit};
//! use disperse_guest::{AsyncOperation, Error, export_async_operation};
//! use std::time::Duration;
//!
//! #[derive(Default)]
//! struct Greet(bool);
//!
//! impl AsyncOperation for Greet {
//!     type Task = String;
//!     type Output = String;
//!
//!     fn next(&mut self) -> Option<String> {
//!         (!std::mem::replace(&mut self.0, true)).then(|| "world".to_owned())
//!     }
//!
//!     async fn run(name: String) -> Result<String, Error> {
//!         let (hello, mood) = (submit::<String>("greet", &name), submit::<String>("mood", &name));
//!         sleep(Duration::from_millis(10)).await;
//!         Ok(format!("{}, {}", hello.await?, mood.await?))
//!     }
//! }
//!
//! export_async_operation!(Greet);
//! # fn main() {}
//! ```
//!
//! # Overview
//! * Payloads: plain serde types are JSON; [`Bincode`], [`Text`] and [`Raw`] select another format. See [`codec`].
//! * Requests: [`perform`], [`perform_all`], [`submit`] and [`wait_any`], [`sleep`], with options by [`Action`].
//! * Failures: [`Failure`] is that of a worker, [`Refusal`] what a task sees of it, [`Error`] the failure of a task.
//! * For workers: [`attempt`], [`report_quota`], [`http`], [`exec`]. For planners: [`output`], [`arguments`] and
//!   standard input. For all: [`info!`], [`warning!`], [`error!`], [`debug!`].
//!
//! Types that implement the traits are ordinary Rust and can be tested on any machine; only calls of the host panic
//! there.

mod action;
pub mod codec;
pub mod concurrent;
pub mod exec;
mod export;
pub mod http;
pub mod log;
mod many;
mod operation;
mod worker;

mod bindings;

pub use action::{Action, Pending, Reason, Refusal, perform, sleep, submit, wait_any};
pub use codec::{Bincode, Decode, Encode, Raw, Text};
pub use many::{perform_all, perform_each};
pub use operation::{AsyncOperation, Error, Operation, arguments, output, output_line};
pub use worker::{AsyncWorker, Attempt, Failure, OrFail, Worker, attempt, report_quota};

/// Used by the export macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::imports::types::{Action, Failure};
    pub use crate::bindings::{both, both_async, operation, operation_async, worker, worker_async};
    pub use crate::operation::glue::{collect, collect_async, finish, finish_async, next, next_async, run, run_async};
    pub use crate::worker::glue::{handle, handle_async};
}
