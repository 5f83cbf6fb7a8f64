//! Inspects files: determines what a component is from its bytes. Nothing is compiled, linked or run.

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
