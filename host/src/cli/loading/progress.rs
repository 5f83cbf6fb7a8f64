//! Progress of compiling components, which can take half a minute.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::ProgressBar;

use crate::{cli::console::print_stderr, report::bar, sandbox::Code, text::plain};

/// A component that takes longer to compile is reported with its time. Arbitrary: less is hardly noticed.
const REPORTED_MIN: Duration = Duration::from_secs(2);

/// A progress line on a terminal; elsewhere a line for each component that took long.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: bool,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: usize,
    /// The names of the components that are being compiled.
    now: Vec<String>,
}

impl Progress {
    /// Progress of `total` components.
    pub(crate) fn new(total: usize, quiet: bool) -> Self {
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

    /// Reports the time that compiling a component took, if it was long and there is no progress line.
    pub(super) fn compiled(&self, path: &Path, code: &Code, took: Duration) {
        if self.lines && took > REPORTED_MIN {
            let kept = matches!(code.kept, Some(Ok(())));
            print_stderr(&slow(path, took, kept));
        }
    }

    /// Calls `write` while the progress line is hidden.
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
    let kept = if kept { ", cached for the next start" } else { "" };
    format!("compiled {} in {}{kept}", name(path), seconds(took))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    plain(&name.to_string_lossy()).into_owned()
}

/// A duration with one decimal: `8.2s`.
pub(crate) fn seconds(took: Duration) -> String {
    format!("{:.1}s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_counts_started_components_and_names_those_in_progress() {
        let progress = Progress::new(3, true);
        let shown = || line(&progress.state.lock().unwrap(), progress.total);
        progress.begin(Path::new("a/operation.wasm"));
        assert_eq!(shown(), "compiling 1 of 3: operation.wasm");
        progress.begin(Path::new("b/wor\x1bker.wasm"));
        assert!(shown().starts_with("compiling 2 of 3: operation.wasm, wor"));
        assert!(!shown().contains('\x1b'));
        progress.end(Path::new("a/operation.wasm"));
        progress.end(Path::new("b/wor\x1bker.wasm"));
        progress.begin(Path::new("last.wasm"));
        assert_eq!(shown(), "compiling 3 of 3: last.wasm");
    }

    #[test]
    fn slow_compilation_is_reported_with_whether_it_was_cached() {
        let took = Duration::from_millis(8234);
        let path = Path::new("x/worker.wasm");
        assert_eq!(
            slow(path, took, true),
            "compiled worker.wasm in 8.2s, cached for the next start"
        );
        assert_eq!(slow(path, took, false), "compiled worker.wasm in 8.2s");
    }
}
