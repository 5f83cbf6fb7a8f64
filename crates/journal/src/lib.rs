//! The journal of a run: an SQLite file from which a run that was interrupted can be resumed, and in which people can read what
//! it did.
//!
//! | module | |
//! |---|---|
//! | `open`, `check` | creates and opens journals, and checks them |
//! | `writer`, `message`, `shared`, `commit` | the driver's side of the writer, and the thread that commits |
//! | `history` | reads what a run did before it is resumed |
//! | `reader`, `entries`, `pages` | reads it for people, also while the run goes on |
//! | `schema`, `progress`, `info` | the tables, and those of one row |
//! | `rows`, `stored`, `sums`, `codec` | writes rows and reads them, with their checksums |
//! | `failed_attempts`, `quota_blocks`, `worker_changes` | the same for these tables |
//! | `log`, `log_check` | the write-ahead log: when it is copied to the file, and whether it is damaged |
//! | `place`, `lock`, `network`, `connect` | its files, the lock and the spare space, file systems, settings of SQLite |
//!
//! No code outside of it opens a journal with SQLite or reads the file's bytes: closing a file releases all locks of the process
//! on it (sqlite.org/howtocorrupt.html, 2.2).

#![allow(missing_docs, reason = "an inner crate: names and types say the rest")]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "its readers have the private items before them"
)]

mod check;
mod codec;
mod commit;
mod connect;
mod entries;
mod error;
mod failed_attempts;
mod files;
mod history;
mod info;
mod lock;
mod log;
mod log_check;
mod message;
mod network;
mod open;
mod pages;
mod place;
mod progress;
mod quota_blocks;
mod reader;
mod rows;
mod schema;
mod shared;
mod stored;
mod sums;
#[cfg(test)]
mod tests;
mod worker_changes;
mod writer;

pub use self::{
    entries::{EndedTask, FailedAction, SettledAction},
    error::JournalError,
    files::{remove, size},
    history::JournalHistory,
    info::{Anchor, RunInfo, Status},
    lock::holder,
    open::{OpenJournal, create, open},
    pages::Entries,
    place::companion,
    progress::Progress,
    reader::{Failures, JournalReader},
    writer::{JournalHandle, JournalWriter},
};
