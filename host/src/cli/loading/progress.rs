//! What is said while components are compiled, which can take half a minute.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::ProgressBar;

use super::super::error::say;
use crate::{report::bar, sandbox::Code, text::plain};

/// From when on it is said how long a component took: what takes less is not noticed.
const NOTICED: Duration = Duration::from_secs(2);

/// A line on a terminal, and elsewhere a line for each component that took long.
pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    lines: bool,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: usize,
    /// The names of those that are compiled now.
    now: Vec<String>,
}

impl Progress {
    /// For so many components.
    pub(in crate::cli) fn new(total: usize, quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            bar: bar(is_terminal && !quiet),
            lines: !is_terminal && !quiet,
            total,
            state: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, path: &Path) {
        self.change(|state| {
            state.begun += 1;
            state.now.push(name(path));
        });
    }

    pub(super) fn end(&self, path: &Path) {
        self.change(|state| {
            let ended = name(path);
            if let Some(at) = state.now.iter().position(|name| *name == ended) {
                state.now.remove(at);
            }
        });
    }

    /// Says of one that was compiled how long that took, if somebody may have wondered.
    pub(super) fn compiled(&self, path: &Path, code: &Code, took: Duration) {
        if self.lines && took > NOTICED {
            let kept = matches!(code.kept, Some(Ok(())));
            say(&slow(path, took, kept));
        }
    }

    /// Writes something while the line is not there.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if !state.now.is_empty() {
            self.bar.set_message(line(&state, self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn line(state: &State, total: usize) -> String {
    format!("compiling {} of {total}: {}", state.begun, state.now.join(", "))
}

fn slow(path: &Path, took: Duration, kept: bool) -> String {
    let kept = if kept { ", kept for the next start" } else { "" };
    format!("compiled {} in {}{kept}", name(path), seconds(took))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    plain(&name.to_string_lossy()).into_owned()
}

/// So that `8.2s` is read and not `8.234s`.
pub(in crate::cli) fn seconds(took: Duration) -> String {
    format!("{:.1}s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_what_was_begun_and_names_what_goes_on() {
        let progress = Progress::new(3, true);
        let said = || line(&progress.state.lock().unwrap(), progress.total);
        progress.begin(Path::new("a/operation.wasm"));
        assert_eq!(said(), "compiling 1 of 3: operation.wasm");
        progress.begin(Path::new("b/wor\x1bker.wasm"));
        assert!(said().starts_with("compiling 2 of 3: operation.wasm, wor"));
        assert!(!said().contains('\x1b'));
        progress.end(Path::new("a/operation.wasm"));
        progress.end(Path::new("b/wor\x1bker.wasm"));
        progress.begin(Path::new("last.wasm"));
        assert_eq!(said(), "compiling 3 of 3: last.wasm");
    }

    #[test]
    fn what_took_long_is_said_with_whether_it_will_again() {
        let took = Duration::from_millis(8234);
        let path = Path::new("x/worker.wasm");
        assert_eq!(
            slow(path, took, true),
            "compiled worker.wasm in 8.2s, kept for the next start"
        );
        assert_eq!(slow(path, took, false), "compiled worker.wasm in 8.2s");
    }
}
