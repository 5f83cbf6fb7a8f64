//! This process and those that it starts: what they inherit, and what is left of them.

pub(super) mod again;
pub(super) mod environment;
pub(super) mod inherited;
pub(super) mod processes;
