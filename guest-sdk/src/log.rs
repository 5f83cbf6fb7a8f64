//! Words for the operator, in every role.
//!
//! `info!("{done} of {all}")` and its sisters write one line to the host's log, marked with the name of the task,
//! worker or planner that said it. A line over 8 KiB is cut, and a flood is dropped with a count. Outside a host, in
//! unit tests, the lines go to standard error.

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

/// Writes a line for someone who looks for a fault; takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)*)) };
}

/// Writes a line about the ordinary course of things; takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)*)) };
}

/// Writes a line about something odd that was coped with; takes what `format!` takes.
#[macro_export]
macro_rules! warning {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Warning, &::std::format!($($text)*)) };
}

/// Writes a line about something that failed; takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)*)) };
}
