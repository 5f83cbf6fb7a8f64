//! What holds for the whole process: its runtime, its signals, and its end by a panic.

pub(crate) mod panics;
mod runtime;
pub(crate) mod signals;

pub(crate) use self::runtime::{cannot_start, runtime, with_hint};
