//! The file of a component.

use std::{io::ErrorKind, path::Path};

use crate::{
    cli::console::Failure,
    files,
    limits::Shortage,
    sandbox::{COMPONENT_MAX, LoadError, Sandbox},
};

/// Reads a component's file. `typed`: it was given on the command line and may be a pipe; otherwise it must be a regular file.
pub(crate) fn read(path: &Path, typed: bool) -> Result<Vec<u8>, Failure> {
    let read = if typed {
        Sandbox::read(path)
    } else {
        files::read(path, COMPONENT_MAX)
    };
    read.map_err(|error| {
        let failure = Failure::unread(format!("cannot read `{}`", path.display()), &error);
        match error.kind() {
            ErrorKind::NotFound => failure.hint("check the path; has the component been built?"),
            _ => failure,
        }
    })
}

/// The failure for a component that cannot be used.
pub(crate) fn unusable(path: &Path, error: &LoadError) -> Failure {
    let what = format!("cannot use `{}`", path.display());
    if error.is_of_machine() {
        let failure = Failure::machine(what, error);
        return match Shortage::of_text(&error.to_string()) {
            Some(shortage) => failure.hint(shortage.hint()),
            None => failure,
        };
    }
    let failure = Failure::usage(what).because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The name of a pool or program, from its component's path.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem()
        .map_or_else(|| "component".into(), |name| name.to_string_lossy().into_owned())
}
