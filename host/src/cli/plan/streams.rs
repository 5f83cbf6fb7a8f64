//! The input and the output of a run.

use std::{
    fs::{self, File, OpenOptions},
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

/// A file that the run writes.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) path: &'a Path,
    /// What it is, and the flag that names it.
    pub(super) what: &'static str,
    pub(super) flag: &'static str,
}

impl<'a> Written<'a> {
    /// The files of the flags of both commands.
    pub(super) fn of(common: &'a Common) -> Vec<Self> {
        let output = common.output().map(|path| Self {
            path,
            what: "output",
            flag: "--output",
        });
        let job_log = common.joblog.as_deref().map(|path| Self {
            path,
            what: "job log",
            flag: "--joblog",
        });
        output.into_iter().chain(job_log).collect()
    }

    pub(super) fn failed_lines(path: &'a Path) -> Self {
        Self {
            path,
            what: "list of failed lines",
            flag: "--failed",
        }
    }

    pub(super) fn unwritable(&self) -> Failure {
        Failure::usage(format!("cannot write the {} `{}`", self.what, self.path.display()))
    }

    /// Checks that the file can be written, without changing it. The run opens it, the output at the first result.
    ///
    /// # Errors
    /// It is a folder, is not writable, or cannot be created.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let path = self.path;
        match path.metadata() {
            Ok(found) if found.is_dir() => Err(self.unwritable().because("it is a folder").hint("name a file in it")),
            // Opening a pipe would wait for its reader.
            Ok(found) if found.is_file() => match OpenOptions::new().write(true).open(path) {
                Ok(_) => Ok(()),
                Err(error) => Err(self.unwritable().because(error)),
            },
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") || !folder.is_dir() {
                    let missing = if folder.is_dir() { path } else { folder };
                    let missing = missing.display();
                    return Err(self
                        .unwritable()
                        .because(format!("there is no folder `{missing}`"))
                        .hint(format!("create it first: mkdir -p '{missing}'")));
                }
                access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
                    let because = format!("cannot create a file in `{}`: {error}", folder.display());
                    self.unwritable().because(because)
                })
            }
            Err(error) => Err(self.unwritable().because(error)),
        }
    }
}

/// Checks that a folder is empty, or creates it.
///
/// # Errors
/// There is something in it, or it cannot be read or created.
pub(super) fn empty_folder(path: &Path) -> Result<(), Failure> {
    let cannot = || Failure::usage(format!("cannot write results into `{}`", path.display()));
    let hint = "give --results an empty folder, or a new one";
    let created = fs::create_dir_all(path).and_then(|()| fs::read_dir(path)?.next().transpose());
    match created {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(cannot().because("it is not empty").hint(hint)),
        Err(error) => Err(cannot().because(error).hint(hint)),
    }
}
