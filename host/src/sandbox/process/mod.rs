//! This process and the processes that it starts.

pub(super) mod again;
pub(super) mod environment;
pub(super) mod inherited;
pub(super) mod processes;
