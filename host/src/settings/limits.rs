//! Limits in the form of a manifest's table and of flags.

use std::num::NonZeroU32;

use clap::Args;
use disperse::settings::{LimitSettings, WrongLimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{CompileLimits, Limits},
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

impl LimitsTable {
    /// The same without its form.
    pub(crate) fn settings(&self) -> LimitSettings {
        LimitSettings {
            fuel: self.fuel,
            memory: self.memory,
            timeout: self.timeout,
            result_size: self.result_size,
            handles: self.handles,
            actions_in_flight: self.actions_in_flight,
            random_size: self.random_size,
            header_size: self.header_size,
            log_rate: self.log_rate,
            log_size: self.log_size,
        }
    }

    /// See [`LimitSettings::check`].
    pub(crate) fn check(&self) -> Result<(), WrongLimit> {
        self.settings().check()
    }

    /// See [`LimitSettings::over`].
    pub(crate) fn over(&self, base: Limits) -> Limits {
        self.settings().over(base)
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
