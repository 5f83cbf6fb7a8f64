//! `wasi:filesystem`, once more: it begins at descriptors that were opened when the run began, opens nothing that could make a
//! thread wait, and has bounds; see [`files`](crate::sandbox::files). Paths are resolved by wasmtime-wasi.

mod host;
mod operations;
mod view;

pub(super) use self::{
    host::link,
    view::{Listing, View, view},
};
