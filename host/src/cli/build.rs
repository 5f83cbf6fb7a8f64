//! Building a project before it is run, with the user's rights.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    error::{Failure, say},
    tools,
};

/// What shells say with their exit code of a program that is not there.
const NOT_FOUND: i32 = 127;

/// Runs each build command once, in the manifest's folder. Says the command first; its words go to stderr. Programs are looked
/// for in the project's own `.venv/bin` and `node_modules/.bin` first.
///
/// # Errors
/// One did not succeed; says which tool is not there and how to get it, if that is why.
pub(super) fn build<'a>(folder: &Path, commands: impl Iterator<Item = &'a str>, quiet: bool) -> Result<(), Failure> {
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let mut done = BTreeSet::new();
    for line in commands {
        if !done.insert(line) {
            continue;
        }
        let failed = |what: String| Failure::usage(what).because(format!("`{line}` in {}", folder.display()));
        if let Some(tool) = tools::missing(folder, line) {
            return Err(failed(format!("the build needs `{}`, which is not there", tool.name))
                .hint(format!("get it: {}", tool.how_in(folder))));
        }
        if !quiet {
            say(&format!("building: {line}"));
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(if quiet { Stdio::null() } else { Stdio::inherit() });
        if let Some(path) = tools::path(folder) {
            command.env("PATH", path);
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let failure = failed(format!("the build failed: {status}"));
                return Err(match tools::missing_target(folder, line) {
                    Some(target) => failure.hint(format!("get the target with: rustup target add {target}")),
                    None if status.code() == Some(NOT_FOUND) => {
                        failure.hint("a program that it needs is not there; --no-build skips the build")
                    }
                    None => failure.hint("the manifest's `build` has to succeed; --no-build skips it"),
                });
            }
            Err(error) => return Err(Failure::usage(format!("cannot run `{line}`")).because(error)),
        }
    }
    Ok(())
}
