//! Builds a project before it is run, with the user's rights.

use std::{
    cell::LazyCell,
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    built::{Before, Built},
    manifest::{Build, builds},
    sources::{self, Sources},
};
use crate::{
    cli::{
        console::{Failure, print_stderr},
        process::signals,
        tools,
    },
    sandbox::{Cache, Guarded},
    settings::Manifest,
    text::plain,
};

/// The exit code of a shell for a missing program.
const NOT_FOUND: i32 = 127;

/// How many bytes of a failed build's output are shown, from its end. Arbitrary: far more than a screen.
const WORDS_MAX: usize = 64 << 10;

/// Builds all components of a manifest that have a build command. Returns the components that were made.
pub(crate) fn build_all(manifest: &Manifest, folder: &Path, quiet: bool) -> Result<Built, Failure> {
    build(folder, builds(manifest), quiet)
}

/// Runs each build command once, in the manifest's folder, unless its component is up to date with its sources. Prints the command
/// first; shows its stderr at once, and its stdout if it fails. Looks up programs in the project's own `.venv/bin` and
/// `node_modules/.bin` first. Returns the components that were made, now or by an earlier build that is up to date.
///
/// # Errors
/// A command failed. If a tool is missing, the failure names it, with a hint at how to get it.
pub(crate) fn build<'a>(folder: &Path, builds: impl Iterator<Item = Build<'a>>, quiet: bool) -> Result<Built, Failure> {
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    // Without a cache, earlier builds are unknown.
    let cache = LazyCell::new(|| Cache::user().ok());
    // Looked at before all builds: one command may make several components.
    let builds: Vec<_> = builds
        .map(|build| (Before::of(folder.join(build.component)), build))
        .collect();
    let (mut done, mut built) = (BTreeSet::new(), Built::default());
    for (before, build) in builds {
        let sources = if build.sources.is_empty() {
            None
        } else {
            match sources::look((*cache).as_ref(), folder, &build)? {
                Sources::UpToDate(made) => {
                    built.add(made);
                    continue;
                }
                Sources::Changed(sources) => Some(sources),
            }
        };
        if done.insert(build.line) {
            run(folder, build.line, quiet)?;
        }
        let made = before.made();
        built.add(made);
        if let (Some(sources), Some(cache)) = (sources, &*cache) {
            sources::keep(cache, folder, &build, sources, made);
        }
    }
    Ok(built)
}

fn run(folder: &Path, line: &str, quiet: bool) -> Result<(), Failure> {
    let failed = |what: String| Failure::usage(what).because(format!("`{line}` in {}", folder.display()));
    if let Some(tool) = tools::missing(folder, line) {
        return Err(
            failed(format!("the build needs `{}`, which is not installed", tool.name))
                .hint(format!("get it: {}", tool.how_in(folder))),
        );
    }
    if !quiet {
        print_stderr(&format!("building: {line}"));
    }
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if quiet { Stdio::piped() } else { Stdio::inherit() });
    if let Some(path) = tools::path(folder) {
        command.env("PATH", path);
    }
    let ended = Guarded::tree(&mut command).and_then(|(child, guarded)| {
        let ended = child.wait_with_output();
        guarded.ended();
        ended
    });
    let ended = ended.map_err(|error| Failure::usage(format!("cannot run `{line}`")).because(error))?;
    if ended.status.success() {
        return Ok(());
    }
    signals::await_late();
    // Some tools, such as tsc, write their errors to stdout. --quiet shows them too.
    for words in [&ended.stdout, &ended.stderr] {
        let words = String::from_utf8_lossy(words.get(words.len().saturating_sub(WORDS_MAX)..).unwrap_or_default());
        if !words.trim().is_empty() {
            print_stderr(&plain(words.trim_end()));
        }
    }
    let failure = failed(format!("the build failed: {}", ended.status));
    Err(match tools::missing_target(folder, line) {
        Some(target) => failure.hint(format!("get the target with: rustup target add {target}")),
        None if ended.status.code() == Some(NOT_FOUND) => {
            failure.hint("a program that it needs is missing; --no-build skips the build")
        }
        None => failure.hint("fix the manifest's `build` command, or skip it with --no-build"),
    })
}
