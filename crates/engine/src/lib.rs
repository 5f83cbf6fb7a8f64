//! The engine of Disperse: the loop that owns a run, and the traits of what it drives.
//!
//! | module | |
//! |---|---|
//! | `driver` | the loop: notices in, effects out; it tells the scheduler what happened and carries out what that says |
//! | `operation` | where actions come from: the lines of an input, functions of a program, or what else implements the trait |
//! | `transport` | how orders reach workers: in this process, or a script that answers |
//! | `worker` | workers that are functions of a program |
//! | `sink` | where the events of a run go |
//! | `script` | simulated workers and the log of a rehearsal |
//!
//! It knows neither wasmtime nor files of settings, and has a clock only because it is given one.

#![allow(missing_docs, reason = "an inner crate: names and types say the rest")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "its readers have the private items before them"
)]

pub mod driver;
pub mod operation;
pub mod script;
pub mod sink;
pub mod transport;
pub mod worker;
