//! Limits in the form of a manifest's table and of flags.

use std::num::NonZeroU32;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{CompileLimits, HEADERS_MAX, Limits},
    units::{Fuel, Size, Time},
};

/// Limits of one attempt and, except for the time, of planner and tasks. A missing value leaves the limit as it is.
#[derive(Args, Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[command(next_help_heading = "Limits")]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// Computation for one attempt, in units of fuel: 100G are 5 to 100 seconds of a core, depending on the code, and hours of
    /// thrown exceptions, which the timeout ends [default: 100G]
    #[arg(
        long,
        help = "Computation for one attempt [default: 100G]",
        long_help = "Computation for one attempt, in units of fuel: 100G are 5 to 100 seconds of a core, depending on the code, and \
                     hours of thrown exceptions, which the timeout ends [default: 100G]"
    )]
    pub(crate) fuel: Option<Fuel>,
    /// Memory of one instance [default: 64MiB; 1GiB for a planner]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Maximum time of one attempt [default: 30s]
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
    /// Stack of a guest, in bytes, which limits recursion; the same for the whole run [default: 512KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) stack: Option<Size>,
    /// Maximum number of handles of one instance: streams, folders, requests, futures and the like [default: 4096]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) handles: Option<NonZeroU32>,
    /// Maximum number of unanswered actions of one task; the next one waits [default: 1024]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) actions_in_flight: Option<NonZeroU32>,
    /// Largest number of random bytes per call [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) random_size: Option<Size>,
    /// The largest URL, and the largest headers of an HTTP request or response, each counted with 32 bytes more; at most 256KiB [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) header_size: Option<Size>,
    /// Maximum log output of one guest per second; the rest is dropped [default: 64KiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) log_rate: Option<Size>,
    /// Maximum log output of a worker per attempt; the rest is dropped [default: 1MiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(crate) log_size: Option<Size>,
}

/// The largest value of `result-size`: a guest has an address space of 4 GiB, and holds a payload or result twice.
const RESULT_MAX: u64 = 2 << 30;

/// An invalid limit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongLimit {
    #[error("`{0}` is 0, which no guest could run with")]
    Zero(&'static str),
    #[error("`{name}` is {is}, and the maximum is {most}")]
    TooMuch { name: &'static str, is: Size, most: Size },
}

impl LimitsTable {
    /// Checks the ranges of the limits.
    ///
    /// # Errors
    /// A limit is zero that must not be, or is above its maximum.
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

    /// `base`, overridden by the values that are given here.
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

/// The limits for compiling one component. A missing value leaves the limit as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct CompileTable {
    /// Maximum time. Default: 15s plus 4s per MB of the component, at most 2m.
    pub(crate) timeout: Option<Time>,
    /// Maximum memory. Default: 512MiB plus 40 times the size of the component, at most 4GiB.
    pub(crate) memory: Option<Size>,
}

impl CompileTable {
    /// `base`, overridden by the values that are given here.
    pub(crate) fn over(&self, base: CompileLimits) -> CompileLimits {
        CompileLimits {
            timeout: self.timeout.map(Time::duration).or(base.timeout),
            memory: self.memory.map(|size| size.0).or(base.memory),
        }
    }
}
