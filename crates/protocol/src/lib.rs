//! What the parts of Disperse say to each other, and the amounts in which they count.
//!
//! | module | |
//! |---|---|
//! | `inbox` | messages between driver, tasks, planner and workers; the events of a run |
//! | `control` | requests to a run from outside, and the record of one that has ended |
//! | `logger` | log lines of guests |
//! | `limits` | the limits of guests, and the accounts of memory, time and files behind them |
//! | `samples` | an event of each kind, for tests of sinks |
//! | `units`, `digest`, `text`, `files` | amounts, digests, and text and files of unknown origin, bounded |
//! | `wall_clock` | the time since 1970, and dates |
//!
//! It waits for nothing and sends nothing: how a message travels is for its users to decide.

#![allow(missing_docs, reason = "an inner crate: names and types say the rest")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "its readers have the private items before them"
)]

pub mod control;
pub mod digest;
pub mod files;
pub mod inbox;
pub mod limits;
pub mod logger;
pub mod samples;
pub mod text;
pub mod units;
pub mod wall_clock;
