//! The script of a test: the answers of simulated workers, the expected results of the run, and the log that is
//! compared. A *golden* is a log that a developer has reviewed and accepted.

mod answer;
mod diff;
mod file;
mod worker;

pub(crate) use disperse_engine::script::{Rules, shown};

pub(crate) use self::{
    diff::diff,
    file::{FILE_MAX, Script},
    worker::ScriptedWorker,
};
