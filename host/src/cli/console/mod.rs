//! What a command prints, and the exit code of the process.

pub(crate) mod exit;
mod failure;
mod output;

pub(crate) use self::{
    failure::{Failure, print_stderr},
    output::{json_line, print, to_stdout},
};
