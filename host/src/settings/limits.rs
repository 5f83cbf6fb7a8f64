//! Limits as they are written, in a manifest or as flags.

use std::num::NonZeroU32;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{CompileLimits, HEADERS_MAX, Limits},
    units::{Fuel, Size, Time},
};

/// Limits of one attempt and, but for the time, of planner and tasks. What is not given stays as it is.
#[derive(Args, Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[command(next_help_heading = "Limits")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// Computation for one attempt in units: 100G are 5 to 100 seconds of a core, by what is computed, and hours of thrown
    /// exceptions, which the timeout ends [default: 100G]
    #[arg(
        long,
        help = "Computation for one attempt [default: 100G]",
        long_help = "Computation for one attempt in units: 100G are 5 to 100 seconds of a core, by what is computed, and hours of \
                     thrown exceptions, which the timeout ends [default: 100G]"
    )]
    pub(crate) fuel: Option<Fuel>,
    /// Memory of one instance [default: 64MiB; 1GiB for a planner]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// How long one attempt may take [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Time>,
    /// The largest payload, result or output; at most 2GiB [default: 8MiB]
    #[arg(
        long,
        value_name = "SIZE",
        help = "The largest payload or result [default: 8MiB]",
        long_help = "The largest payload, result or output; at most 2GiB [default: 8MiB]"
    )]
    pub(crate) result_size: Option<Size>,
    /// How deep a guest may recurse, in bytes of stack; the same for the whole run [default: 512KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) stack: Option<Size>,
    /// Handles that one instance may hold: streams, folders, requests, futures and the like [default: 4096]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) handles: Option<NonZeroU32>,
    /// Actions of one task that may be without an answer; the next one waits [default: 1024]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) actions_in_flight: Option<NonZeroU32>,
    /// Random bytes that a guest may ask for at once [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) random_size: Option<Size>,
    /// The largest URL, and the largest headers of an HTTP request, each with 32 bytes more, or answer; at most 256KiB [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) header_size: Option<Size>,
    /// How much of what one guest says is passed on in a second [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) log_rate: Option<Size>,
    /// How much of what a worker says is passed on in one attempt [default: 1MiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) log_size: Option<Size>,
}

/// The largest payload, result or output that can be allowed: a guest has 4 GiB in all, and has it twice.
const RESULT_MAX: u64 = 2 << 30;

/// A limit that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongLimit {
    #[error("`{0}` is 0, with which nothing could run")]
    Zero(&'static str),
    #[error("`{name}` is {is}, and the most is {most}")]
    TooMuch { name: &'static str, is: Size, most: Size },
}

impl LimitsTable {
    /// # Errors
    /// A limit is zero, and is not one that may be, or is more than can be had.
    pub(crate) fn check(&self) -> Result<(), WrongLimit> {
        let zeros = [
            ("fuel", self.fuel.is_some_and(|fuel| fuel.0 == 0)),
            ("memory", self.memory.is_some_and(|size| size.0 == 0)),
            ("timeout", self.timeout.is_some_and(|time| time.duration().is_zero())),
        ];
        if let Some((name, _)) = zeros.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(WrongLimit::Zero(name));
        }
        match self.result_size {
            Some(is) if is.0 > RESULT_MAX => Err(WrongLimit::TooMuch {
                name: "result-size",
                is,
                most: Size(RESULT_MAX),
            }),
            _ => Ok(()),
        }
    }

    /// `base` with what is given here in its place.
    pub(crate) fn over(&self, base: Limits) -> Limits {
        Limits {
            fuel: self.fuel.map_or(base.fuel, |fuel| fuel.0),
            memory: self.memory.map_or(base.memory, |size| size.0),
            timeout: self.timeout.map_or(base.timeout, Time::duration),
            result: self.result_size.map_or(base.result, |size| size.0),
            handles: self.handles.unwrap_or(base.handles),
            in_flight: self.actions_in_flight.unwrap_or(base.in_flight),
            random: self.random_size.map_or(base.random, |size| size.0),
            headers: self.header_size.map_or(base.headers, |size| size.0.min(HEADERS_MAX)),
            log_rate: self.log_rate.map_or(base.log_rate, |size| size.0),
            log_size: self.log_size.map_or(base.log_size, |size| size.0),
        }
    }
}

/// What compiling one component may take. What is not given stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct CompileTable {
    /// How long. Default: 15s and 4s for each MB of the component, at most 2m.
    pub(crate) timeout: Option<Time>,
    /// How much. Default: 512MiB and 40 times the size of the component, at most 4GiB.
    pub(crate) memory: Option<Size>,
}

impl CompileTable {
    /// `base` with what is given here in its place.
    pub(crate) fn over(&self, base: CompileLimits) -> CompileLimits {
        CompileLimits {
            timeout: self.timeout.map(Time::duration).or(base.timeout),
            memory: self.memory.map(|size| size.0).or(base.memory),
        }
    }
}
