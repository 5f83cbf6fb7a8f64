//! Building a project before it is run, with the user's rights.

use std::{
    collections::BTreeSet,
    fs::Metadata,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use super::{
    error::{Failure, say},
    tools,
};
use crate::{settings::FILE_NAME, text::plain};

/// What shells say with their exit code of a program that is not there.
const NOT_FOUND: i32 = 127;

/// How a component is made.
pub(super) struct Build<'a> {
    pub(super) line: &'a str,
    pub(super) component: &'a Path,
    /// What it is made from, relative to the manifest. Empty: that is not known.
    pub(super) sources: &'a [PathBuf],
}

/// Runs each build command once, in the manifest's folder, unless its component is newer than what it is made from. Says the
/// command first; its words go to stderr. Programs are looked for in the project's own `.venv/bin` and `node_modules/.bin`
/// first.
///
/// # Errors
/// One did not succeed; says which tool is not there and how to get it, if that is why.
pub(super) fn build<'a>(folder: &Path, builds: impl Iterator<Item = Build<'a>>, quiet: bool) -> Result<(), Failure> {
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let mut done = BTreeSet::new();
    for build in builds {
        if !is_made(folder, &build)? && done.insert(build.line) {
            run(folder, build.line, quiet)?;
        }
    }
    Ok(())
}

fn run(folder: &Path, line: &str, quiet: bool) -> Result<(), Failure> {
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
        .stderr(if quiet { Stdio::piped() } else { Stdio::inherit() });
    if let Some(path) = tools::path(folder) {
        command.env("PATH", path);
    }
    let ended = command.spawn().and_then(std::process::Child::wait_with_output);
    let ended = ended.map_err(|error| Failure::usage(format!("cannot run `{line}`")).because(error))?;
    if ended.status.success() {
        return Ok(());
    }
    // Also who wants to hear of nothing but errors wants to hear of these.
    let words = String::from_utf8_lossy(&ended.stderr);
    if !words.trim().is_empty() {
        say(&plain(words.trim_end()));
    }
    let failure = failed(format!("the build failed: {}", ended.status));
    Err(match tools::missing_target(folder, line) {
        Some(target) => failure.hint(format!("get the target with: rustup target add {target}")),
        None if ended.status.code() == Some(NOT_FOUND) => {
            failure.hint("a program that it needs is not there; --no-build skips the build")
        }
        None => failure.hint("the manifest's `build` has to succeed; --no-build skips it"),
    })
}

/// Whether a component is there and newer than what it is made from.
///
/// # Errors
/// A source is not there.
fn is_made(folder: &Path, build: &Build<'_>) -> Result<bool, Failure> {
    let made = std::fs::metadata(folder.join(build.component)).and_then(|meta| meta.modified());
    let mut newest = None;
    for source in build.sources {
        let source = folder.join(source);
        let meta = std::fs::metadata(&source).map_err(|error| {
            Failure::usage(format!(
                "cannot read `{}`, from which a component is built",
                source.display()
            ))
            .because(error)
            .hint("`sources` in the manifest names it")
        })?;
        newest = newest.max(changed(&source, &meta));
    }
    // How it is made may have changed too.
    let manifest = std::fs::metadata(folder.join(FILE_NAME)).and_then(|meta| meta.modified());
    newest = newest.max(manifest.ok().filter(|_| newest.is_some()));
    Ok(matches!((made, newest), (Ok(made), Some(newest)) if newest < made))
}

/// When a file, or one below a folder, was changed last. What is built and what tools put there does not count: components,
/// `target`, `node_modules`, and what begins with a dot or two underscores.
fn changed(path: &Path, meta: &Metadata) -> Option<SystemTime> {
    if !meta.is_dir() {
        return meta.modified().ok();
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    let entries = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_made = name.ends_with(".wasm") || ["target", "node_modules", "package-lock.json"].contains(&&*name);
        !is_made && !name.starts_with('.') && !name.starts_with("__")
    });
    // Links are followed by nobody, so that there is an end.
    let times = entries.filter_map(|entry| changed(&entry.path(), &entry.metadata().ok()?));
    times.max()
}
