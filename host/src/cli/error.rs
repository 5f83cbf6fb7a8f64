//! Errors as people read them: what, where, why, one cause a line, and what to do.

use std::io::{self, Write};

use super::exit;
use crate::{
    limits::Shortage,
    text::{painted, plain},
};

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// Wrong usage, manifest or component.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self {
            code: exit::USAGE,
            what: what.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// The machine did not do its part.
    pub(super) fn machine(what: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self {
            code: exit::MACHINE,
            ..Self::usage(what)
        }
        .because(error)
    }

    /// A file cannot be read: wrong usage, unless the machine has none left of what that takes.
    pub(super) fn unread(what: impl Into<String>, error: &io::Error) -> Self {
        match Shortage::of(error) {
            Some(shortage) => Self::machine(what, error).hint(shortage.hint()),
            None => Self::usage(what).because(error),
        }
    }

    /// Adds a cause.
    pub(super) fn because(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Says what to do.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn print(&self) {
        // Names in it can be a stranger's.
        say(&plain(&format!("error: {}", self.text())));
    }

    /// What is printed, all of it.
    pub(super) fn text(&self) -> String {
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

/// A line on stderr. A stderr that is gone is nobody's loss.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", painted(text));
}
