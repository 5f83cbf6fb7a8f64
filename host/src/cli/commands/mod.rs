//! The commands, each from its arguments to its exit code.

pub(crate) mod cache;
pub(crate) mod compile;
pub(crate) mod complete;
pub(crate) mod dead;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod new;
pub(crate) mod results;
mod rows;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod simulate;
pub(crate) mod test;
pub(crate) mod trust;
