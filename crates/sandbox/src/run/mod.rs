//! Runs instances of loaded components: admission, start, calls, and the faults that end them.

pub(super) mod command;
pub(super) mod fault;
mod fingerprint;
mod frames;
pub(super) mod instance;
pub(super) mod invocation;
pub(super) mod pace;
pub(super) mod planner;
mod quiet;
pub(super) mod share;
pub(super) mod shared_instance;
pub(super) mod starts;
pub(super) mod task;
pub(super) mod turn;
pub(super) mod worker;
