//! Loads components: inspects, compiles and links a file.

pub(super) mod cache;
pub(super) mod child;
pub(super) mod child_main;
mod compile;
pub(super) mod component;
pub(super) mod error;
mod functions;
pub(super) mod inspection;
mod link;
pub(super) mod sandbox;
