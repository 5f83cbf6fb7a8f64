//! Writes to stdout, and checks that an output can be written. `report` writes the output of a run.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Write},
    path::Path,
};

use rustix::{
    fs::{Access, access},
    io::Errno,
};
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

/// Checks that results can be written to this file, without changing it. The run opens it at the first result.
///
/// # Errors
/// It is a folder, is not writable, or cannot be created.
pub(crate) fn writable(path: &Path) -> Result<(), Failure> {
    let cannot = || Failure::usage(format!("cannot write the output `{}`", path.display()));
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(cannot().because("it is a folder").hint("name a file in it")),
        // Opening a pipe would wait for its reader.
        Ok(found) if found.is_file() => match OpenOptions::new().write(true).open(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(cannot().because(error)),
        },
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") || !folder.is_dir() {
                let missing = if folder.is_dir() { path } else { folder };
                let missing = missing.display();
                return Err(cannot()
                    .because(format!("there is no folder `{missing}`"))
                    .hint(format!("create it first: mkdir -p '{missing}'")));
            }
            access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|error| cannot().because(format!("cannot create a file in `{}`: {error}", folder.display())))
        }
        Err(error) => Err(cannot().because(error)),
    }
}
