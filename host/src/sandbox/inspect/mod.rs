//! Looking at a component without running it: from bytes to what they import, export and may be used as.

pub(super) mod adapt;
pub(super) mod bounds;
pub(super) mod capacity;
pub(super) mod contract;
pub(super) mod error;
pub(super) mod exports;
pub(super) mod features;
pub(super) mod known;
pub(super) mod origin;
pub(super) mod report;
pub(super) mod shape;
mod snapshot0;
mod wit;
