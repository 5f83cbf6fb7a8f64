//! Replaces `wasi:filesystem`. This version begins at descriptors that were opened when the run began, opens nothing
//! that can make a thread wait, and has limits; see [`files`](crate::files). wasmtime-wasi resolves the paths.

mod host;
mod operations;
mod view;

pub(super) use self::{
    host::link,
    view::{Listing, View, view},
};
