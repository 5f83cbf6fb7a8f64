//! This process and the processes that it starts.

pub(super) mod child_command;
pub(super) mod environment;
pub(super) mod inherited;
pub(super) mod isolation;
pub(super) mod processes;
