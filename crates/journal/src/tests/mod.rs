//! Tests of whole journals.

mod crash;
mod damage;
mod full_disk;
mod model;
mod round_trip;
#[cfg(feature = "soak")]
mod speed;
mod support;
mod views;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rusqlite::Connection;

/// What tests change in the writer.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    /// The most pages that the file may have; 0: any number.
    pub(crate) pages_max: Arc<AtomicU32>,
    /// After how many frames the log is copied.
    pub(crate) log_due: Option<u64>,
}

impl Hooks {
    pub(crate) fn limit_pages(&self, connection: &Connection) {
        let max = match self.pages_max.load(Ordering::SeqCst) {
            0 => u32::MAX - 1,
            max => max,
        };
        connection.pragma_update(None, "max_page_count", max).unwrap();
    }
}
