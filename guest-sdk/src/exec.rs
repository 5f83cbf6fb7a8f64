//! Programs of the machine that a worker runs on. A worker can run only those that the operator grants.
//!
//! ```no_run
//! use disperse_guest::{Failure, exec};
//!
//! # fn handle() -> Result<(), Failure> {
//! let ended = exec::command("/usr/bin/sort").argument("-n").input("3\n1\n2\n").run()?;
//! let sorted = ended.text();
//! # Ok(()) }
//! ```

use std::fmt::{self, Display};
use std::time::Duration;

use crate::action::to_ms;
use crate::bindings::imports::exec;

/// A command for the program at this absolute path. It runs without a shell and without an environment.
pub fn command(program: impl Into<String>) -> Command {
    Command(exec::Command {
        program: program.into(),
        arguments: Vec::new(),
        input: Vec::new(),
        timeout: 0,
    })
}

/// A program to run: a builder.
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is run"]
pub struct Command(exec::Command);

impl Command {
    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.0.arguments.push(argument.into());
        self
    }

    /// Sets its standard input. Empty unless set.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.0.input = input.into();
        self
    }

    /// Sets how long it may take, rounded up to whole ms. As long as the attempt unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = to_ms(timeout);
        self
    }

    /// Runs it to its end, whatever its exit code. Processes that it started are killed when it ends.
    ///
    /// # Errors
    /// A [`Problem`] when it did not end by itself.
    pub fn run(self) -> Result<Ended, Problem> {
        let ended = exec::run(&self.0)?;
        Ok(Ended {
            code: ended.code,
            output: ended.output,
            errors: ended.errors,
        })
    }
}

/// A program that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output: at most as large as a result may be.
    pub output: Vec<u8>,
    /// Its standard error, with the same limit.
    pub errors: Vec<u8>,
}

impl Ended {
    /// Whether its exit code is 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Its output as text; bytes that are not UTF-8 become replacement characters.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// Why a program did not end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The operator has not granted it. The text names the flag that would.
    Denied(String),
    /// It could not be started.
    Failed(String),
    /// It took too long and was killed.
    Timeout(String),
    /// It wrote too much and was killed.
    Oversize(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Timeout(why) => write!(f, "timeout: {why}"),
            Self::Oversize(why) => write!(f, "oversize: {why}"),
        }
    }
}

impl std::error::Error for Problem {}

impl From<exec::Problem> for Problem {
    fn from(problem: exec::Problem) -> Self {
        match problem {
            exec::Problem::Denied(why) => Self::Denied(why),
            exec::Problem::Failed(why) => Self::Failed(why),
            exec::Problem::Timeout(why) => Self::Timeout(why),
            exec::Problem::Oversize(why) => Self::Oversize(why),
        }
    }
}
