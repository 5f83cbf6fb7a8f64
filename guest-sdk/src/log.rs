//! Log messages for the operator, in every role.
//!
//! `info!("{done} of {all}")` and the other macros write one line to the host's log, with the name of the task, worker
//! or planner. A line over 8 KiB is cut; lines over the rate limit are dropped and counted. Outside a host, in unit
//! tests, the lines go to standard error.

pub use crate::bindings::imports::log::Level;
pub use crate::{debug, error, info, warning};

/// Writes one line at this level. Never fails and never blocks.
pub fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::imports::log::write(level, message);
    #[cfg(not(target_family = "wasm"))]
    #[allow(clippy::print_stderr, reason = "there is no host to take the line")]
    {
        eprintln!("{level:?}: {message}");
    }
}

/// Writes a line for debugging. The arguments are those of `format!`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)*)) };
}

/// Writes a line about normal operation. The arguments are those of `format!`.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)*)) };
}

/// Writes a line about an unexpected condition that was handled. The arguments are those of `format!`.
#[macro_export]
macro_rules! warning {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Warning, &::std::format!($($text)*)) };
}

/// Writes a line about a failure. The arguments are those of `format!`.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)*)) };
}
