//! Error messages: what failed, its causes, one per line, and a hint at what to do.

use std::io::{self, Write};

use super::exit;
use crate::{
    limits::Shortage,
    text::{painted, plain},
};

/// The failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// Invalid usage, manifest or component.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            code: exit::USAGE,
            what: what.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// A failure of the machine, such as a full disk.
    pub(crate) fn machine(what: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self {
            code: exit::MACHINE,
            ..Self::usage(what)
        }
        .because(error)
    }

    /// A file that cannot be read: invalid usage, unless the machine is short of memory, files or threads.
    pub(crate) fn unread(what: impl Into<String>, error: &io::Error) -> Self {
        match Shortage::of(error) {
            Some(shortage) => Self::machine(what, error).hint(shortage.hint()),
            None => Self::usage(what).because(error),
        }
    }

    /// Adds a cause.
    pub(crate) fn because(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a hint at what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn print(&self) {
        // Names in it may be untrusted.
        print_stderr(&plain(&format!("error: {}", self.text())));
    }

    /// The whole message, without `error: `.
    pub(crate) fn text(&self) -> String {
        let mut text = self.what.clone();
        for cause in &self.causes {
            text.push_str("\n  because ");
            text.push_str(&cause.trim_end().replace('\n', "\n  "));
        }
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

/// Writes a line to stderr. A closed stderr is not an error.
pub(crate) fn print_stderr(text: &str) {
    let _ = writeln!(io::stderr(), "{}", painted(text));
}
