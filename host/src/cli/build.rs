//! Building a project before it is run, with the user's rights.

use std::{collections::BTreeSet, path::Path, process::Command};

use super::error::{Failure, say};

/// Runs each build command once, in the manifest's folder. Says the command first; its words go to stderr.
pub(super) fn build<'a>(folder: &Path, commands: impl Iterator<Item = &'a str>, quiet: bool) -> Result<(), Failure> {
    let mut done = BTreeSet::new();
    for line in commands {
        if !done.insert(line) {
            continue;
        }
        if !quiet {
            say(&format!("building: {line}"));
        }
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(folder)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(if quiet {
                std::process::Stdio::null()
            } else {
                std::process::Stdio::inherit()
            })
            .status();
        match output {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(Failure::usage(format!("the build failed: {status}"))
                    .because(format!("`{line}` in {}", folder.display()))
                    .hint("the manifest's `build` has to succeed; --no-build skips it"));
            }
            Err(error) => return Err(Failure::usage(format!("cannot run `{line}`")).because(error)),
        }
    }
    Ok(())
}
