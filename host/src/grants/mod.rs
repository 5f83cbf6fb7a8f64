//! The grants of an operator to workers. Nothing is granted by default, and nothing ever to planners and tasks.

mod denials;
mod dir;
mod exec;
mod http;
mod secret;
mod tampering;

pub(crate) use denials::Denials;
pub(crate) use dir::{Dir, is_proc};
pub(crate) use exec::ExecRule;
pub(crate) use http::{HttpRule, HttpRuleError};
pub(crate) use secret::Secret;
pub(crate) use tampering::Tampering;

/// What the workers of one pool may access. Empty by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// Folders.
    pub(crate) dirs: Vec<Dir>,
    /// Programs that they may run.
    pub(crate) exec: Vec<ExecRule>,
    /// Requests that they may send.
    pub(crate) http: Vec<HttpRule>,
}

impl Grants {
    /// Both grants together.
    pub(crate) fn and(mut self, more: &Self) -> Self {
        self.dirs.extend(more.dirs.iter().cloned());
        self.exec.extend(more.exec.iter().cloned());
        self.http.extend(more.http.iter().cloned());
        self
    }
}
