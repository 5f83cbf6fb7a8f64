//! The grants of an operator to workers. Nothing is granted by default, and nothing ever to planners and tasks.

mod denials;
mod dir;
mod exec;
mod http;
mod secret;
mod tampering;

pub use denials::Denials;
pub use dir::{Dir, is_proc};
pub use exec::ExecRule;
pub use http::{HttpRule, HttpRuleError};
pub use secret::Secret;
pub use tampering::Tampering;

/// What the workers of one pool may access. Empty by default.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Folders.
    pub dirs: Vec<Dir>,
    /// Programs that they may run.
    pub exec: Vec<ExecRule>,
    /// Requests that they may send.
    pub http: Vec<HttpRule>,
}

impl Grants {
    /// Both grants together.
    pub fn and(mut self, more: &Self) -> Self {
        self.dirs.extend(more.dirs.iter().cloned());
        self.exec.extend(more.exec.iter().cloned());
        self.http.extend(more.http.iter().cloned());
        self
    }
}
