//! Errors about files that cannot be used, with hints.

use std::fmt;

use super::features;

/// What to do about an invalid component.
pub(crate) const INVALID_HINT: &str =
    "the file may be cut short, or was not written by a current toolchain; build it again";

/// What to do about a file that is too large to be inspected.
pub(crate) const EXCESSIVE_HINT: &str = "no toolchain is known whose components come near this limit; is it the file that your \
                                         build wrote?";

/// Why a file cannot be used. Every variant has a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    #[error("this component is not valid: {0}")]
    Invalid(String),
    /// It needs a WebAssembly feature that is off.
    #[error("this component is not valid here: {0}")]
    Feature(String),
    /// It is over a limit of the inspection.
    #[error("{0}")]
    Excessive(String),
    #[error(
        "this component was built for {found}, and this host serves disperse:guest@{}",
        super::known::VERSION
    )]
    Version { found: String },
    #[error("this component exports neither an operation nor a worker{}", Listed(.0))]
    NoRole(Vec<String>),
    #[error(
        "this component exports an operation and has exceptions or garbage-collected types, which only workers may have: a \
         collection burns no fuel, and planners and tasks have no other limit on their time"
    )]
    Collects,
    #[error("this component exports only a part of {role}{}", Listed(.problems))]
    Partial { role: &'static str, problems: Vec<String> },
}

impl ContractError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotWasm => "give the .wasm file that your build wrote, or the folder of the project",
            Self::Invalid(why) | Self::Feature(why) => features::hint(why).unwrap_or(INVALID_HINT),
            Self::Collects => "build the operation without them, or move what needs them into a worker",
            Self::Excessive(_) => EXCESSIVE_HINT,
            Self::Version { .. } => "build it against the WIT of this host, or use a newer host",
            Self::NoRole(_) => "export the functions of one of the worlds in wit/disperse.wit, for instance `worker`",
            Self::Partial { .. } => "a role counts when all of its exports fit; see wit/disperse.wit",
        }
    }
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
