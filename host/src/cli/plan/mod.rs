//! Converts the flags and the manifest of `run` and `map` into the plan of a run.

mod common;
mod map;
mod pool_checks;
mod pools;
mod run;
mod streams;
mod tampering;
mod worker_grants;

pub(crate) use self::{common::checked, map::for_map, run::for_run};
