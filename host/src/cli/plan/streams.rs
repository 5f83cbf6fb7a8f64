//! The input and the output of a run.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, IsTerminal},
    path::Path,
};

use rustix::fs::{Access, access};

use crate::{
    cli::{args::Common, console::Failure},
    run::InputSource,
};

/// Opens the input.
///
/// # Errors
/// It cannot be read, or is a folder.
pub(super) fn input(common: &Common) -> Result<InputSource, Failure> {
    let Some(path) = common.input() else {
        // A terminal is read only with `--input -`.
        let nothing = common.input.is_none() && std::io::stdin().is_terminal();
        return Ok(if nothing {
            InputSource::Nothing
        } else {
            InputSource::Stdin
        });
    };
    let what = format!("cannot read the input `{}`", path.display());
    let unusable = |error: std::io::Error| {
        let failure = Failure::unread(what.clone(), &error);
        match error.kind() {
            ErrorKind::NotFound => failure.hint("check the path; `--input -` reads stdin"),
            ErrorKind::PermissionDenied => failure.hint("this user has no read permission: see `ls -l`"),
            _ => failure,
        }
    };
    let file = File::open(path).map_err(unusable)?;
    if file.metadata().map_err(unusable)?.is_dir() {
        return Err(Failure::usage(what).because("it is a folder").hint(
            "give a file, or map the files of a folder: find FOLDER -type f | disperse-host map WORKER --files",
        ));
    }
    Ok(InputSource::File(file))
}

/// Checks that results can be written to this file, without changing it. The run opens it at the first result.
///
/// # Errors
/// It is a folder, is not writable, or cannot be created.
pub(super) fn writable(path: &Path) -> Result<(), Failure> {
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
