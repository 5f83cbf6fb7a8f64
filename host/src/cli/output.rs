//! Stdout of every command. What `run` and `map` write during a run is `report`'s.

use std::io::{self, ErrorKind, Write};

use rustix::io::Errno;

use super::error::Failure;
use crate::sandbox::stdout_was_open;

/// Writes to stdout. A reader that has gone is no error.
///
/// # Errors
/// It cannot be written, or the process was started without a stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    to_stdout(|| io::stdout().write_all(text.as_bytes()))
}

/// The same for what is written by a function.
///
/// # Errors
/// As of [`print`].
pub(super) fn to_stdout(write: impl FnOnce() -> io::Result<()>) -> Result<(), Failure> {
    let written = match stdout_was_open() {
        // What is left in the buffer when the process exits is lost without an error.
        true => write().and_then(|()| io::stdout().flush()),
        false => Err(Errno::BADF.into()),
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::machine("cannot write to stdout", &error)),
        _ => Ok(()),
    }
}
