//! Writes to stdout. `report` writes the output of a run.

use std::io::{self, ErrorKind, Write};

use rustix::io::Errno;
use serde::Serialize;

use super::failure::Failure;
use crate::{sandbox::stdout_was_open, text::plain_json};

/// Writes to stdout. A closed pipe is not an error.
///
/// # Errors
/// The write fails, or the process was started without a stdout.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    to_stdout(|| io::stdout().write_all(text.as_bytes()))
}

/// Calls `write`, which writes to stdout, and flushes stdout.
///
/// # Errors
/// As of [`print`].
pub(crate) fn to_stdout(write: impl FnOnce() -> io::Result<()>) -> Result<(), Failure> {
    let written = match stdout_was_open() {
        // Data left in the buffer at the exit of the process would be lost without an error.
        true => write().and_then(|()| io::stdout().flush()),
        false => Err(Errno::BADF.into()),
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::machine("cannot write to stdout", &error)),
        _ => Ok(()),
    }
}

/// A line of `--format json`.
pub(crate) fn json_line(line: &impl Serialize) -> String {
    format!("{}\n", plain_json(&serde_json::to_string(line).unwrap_or_default()))
}
