//! Control of a run from outside, while it runs and after.
//!
//! A run listens on a socket in a folder that depends on where it was started (`place.rs`). A request is one line of
//! JSON, and so is the answer. A request goes to the driver as a notice and is answered in its turn. When the run ends,
//! its record is written to a file beside the socket, so that an ended run can be explained too. The folder is private
//! to this user.

mod client;
mod folder;
mod place;
mod server;

pub use disperse_protocol::control::*;

pub use self::{
    client::{AskError, ask},
    folder::{Folder, JOURNAL, Known, State},
    place::of_new_runs as folder_of_new_runs,
    server::Server,
};
