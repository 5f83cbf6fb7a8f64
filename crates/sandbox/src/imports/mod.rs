//! The host functions that guests call, and the store data that these use.

pub(super) mod abi;
pub(super) mod answers;
mod attribution;
pub(super) mod calls;
pub(super) mod charge;
mod clock;
mod concurrent;
mod exec;
mod fields;
pub(super) mod files;
pub(super) mod guest_env;
mod http;
pub(super) mod input;
pub(super) mod limiter;
mod link;
mod poll;
mod preview3;
mod random;
pub(super) mod scratch;
mod sockets;
pub(super) mod state;
pub(super) mod stdio;
mod task;
mod unknown;
mod wasi_files;
mod wasi_http;
mod web;
mod worker;

pub(super) use self::{
    link::link,
    unknown::{link_denied, link_unknown},
};
