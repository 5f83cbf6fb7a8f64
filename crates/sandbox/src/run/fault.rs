//! Failures of guests: their messages and outcome classes.

use std::{fmt, time::Duration};

use disperse_scheduler::End;
use wasmtime::{ThrownException, Trap, WasmBacktrace, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use super::{fingerprint, frames::frames};
use crate::{chain::chain, imports::limiter::DeniedGrowth, shortage::HostResource};
use disperse_protocol::{
    limits::Limits,
    text::bounded,
    units::{Fuel, Size, Time},
};

/// The least limit on the bytes that one call copies to the host.
const HOSTCALL_MIN: usize = 16 << 20;

/// The most bytes that one call copies to the host: 16 MiB, or twice the largest result.
pub(crate) fn hostcall_max(limits: &Limits) -> usize {
    let result = usize::try_from(limits.result).unwrap_or(usize::MAX);
    HOSTCALL_MIN.max(result.saturating_mul(2))
}

/// How a call into a guest failed. The instance cannot be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest ran out of fuel.
    Fuel { limit: u64 },
    /// The guest requested more memory than its limit, and trapped.
    Memory { limit: u64, wanted: u64 },
    /// The guest requested more memory than the host has for one instance, and trapped.
    HostMemory { most: u64, wanted: u64 },
    /// The host had run out of a resource, which is not the guest's fault. `begun`: whether the guest had started to
    /// run.
    HostFull { resource: HostResource, begun: bool },
    /// The guest recursed too deep.
    Stack { limit: u64 },
    /// The guest held more handles than its limit.
    Handles { limit: u32 },
    /// The guest held more resources of the host than its limit.
    Resources { limit: u32 },
    /// The attempt timed out.
    Timeout { limit: Duration },
    /// The guest ran for so long without yielding that another attempt in its instance timed out.
    StarvedOthers { held: Duration },
    /// The guest trapped.
    Trap {
        message: String,
        backtrace: Vec<String>,
        /// A fingerprint of the frames; see `fingerprint.rs`.
        fingerprint: u64,
    },
    /// The guest ended itself with an exit status, as programs do.
    Exit { status: i32 },
    /// The guest violated the contract or the component model.
    Broken(String),
    /// The result is larger than its limit.
    Oversize { limit: u64 },
    /// The guest passed more bytes to the host in one call than may be copied.
    Copied { limit: u64 },
    /// The instance could not be started.
    Start(String),
    /// The guest itself failed at its first start, so every other start would fail too.
    NeverStarts(String),
    /// The attempt was cancelled.
    Stopped,
}

impl Fault {
    /// Classifies wasmtime's error. `denied`: the memory growth beyond a limit during the call, if any.
    pub fn of(error: &wasmtime::Error, limits: &Limits, stack: u64, denied: Option<DeniedGrowth>) -> Self {
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        if let Some(resource) = HostResource::of(error) {
            return Self::HostFull { resource, begun: true };
        }
        if let Some(I32Exit(status)) = error.downcast_ref() {
            return Self::Exit { status: *status };
        }
        match (error.downcast_ref::<Trap>(), denied) {
            (Some(Trap::OutOfFuel), _) => Self::Fuel { limit: limits.fuel },
            (Some(Trap::StackOverflow), _) => Self::Stack { limit: stack },
            (Some(_), Some(denied)) => Self::of_denied(limits, denied),
            (Some(trap), None) => Self::Trap {
                message: match trap {
                    Trap::NoAsyncResult => "it waits for something that cannot happen".to_owned(),
                    trap => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
                },
                backtrace: backtrace.map(frames).unwrap_or_default(),
                fingerprint: fingerprint::of_frames(*trap, backtrace),
            },
            (None, None) if error.is::<ThrownException>() => Self::Trap {
                message: "an uncaught exception".to_owned(),
                backtrace: backtrace.map(frames).unwrap_or_default(),
                fingerprint: fingerprint::of_exception(backtrace),
            },
            // Without a backtrace the guest has returned, and reading its result failed.
            (None, _) if backtrace.is_none() && is_hostcall_limit(error) => Self::Oversize { limit: limits.result },
            (None, _) if is_hostcall_limit(error) => Self::Copied {
                limit: hostcall_max(limits) as u64,
            },
            (None, _) if is_handle_limit(error) => Self::Handles {
                limit: limits.handles.get(),
            },
            (None, _) if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => Self::Resources {
                limit: limits.handles.get(),
            },
            // The initial memories of the instance are over the limit.
            (None, Some(denied)) => Self::of_denied(limits, denied),
            (None, None) => Self::Broken(chain(error)),
        }
    }

    /// The fault for a resource that had run out before the guest ran.
    pub fn before(resource: HostResource) -> Self {
        Self::HostFull { resource, begun: false }
    }

    pub fn of_denied(limits: &Limits, DeniedGrowth { wanted, most }: DeniedGrowth) -> Self {
        match most {
            Some(most) => Self::HostMemory { most, wanted },
            None => Self::Memory {
                limit: limits.memory,
                wanted,
            },
        }
    }

    /// Whether the guest's own behaviour caused the fault, on any machine.
    pub fn is_of_guest(&self) -> bool {
        match self {
            Self::Fuel { .. }
            | Self::Memory { .. }
            | Self::HostMemory { .. }
            | Self::Stack { .. }
            | Self::Handles { .. }
            | Self::Resources { .. }
            | Self::Trap { .. }
            | Self::Exit { .. } => true,
            Self::Timeout { .. }
            | Self::StarvedOthers { .. }
            | Self::Broken(_)
            | Self::Oversize { .. }
            | Self::Copied { .. }
            | Self::Start(_)
            | Self::NeverStarts(_)
            | Self::HostFull { .. }
            | Self::Stopped => false,
        }
    }

    /// Whether the message only describes how the guest ended, and not why.
    pub fn is_symptom(&self) -> bool {
        matches!(self, Self::Trap { .. } | Self::Exit { .. })
    }

    /// Whether the machine had run out of a resource.
    pub fn is_of_machine(&self) -> bool {
        matches!(
            self,
            Self::HostFull {
                resource: HostResource::Machine { .. },
                ..
            }
        )
    }

    /// The outcome for the scheduler. `stderr`: the end of the guest's stderr, which distinguishes places of traps.
    pub fn end(&self, stderr: &str) -> End {
        match self {
            Self::Fuel { .. } => End::Trap {
                fingerprint: fingerprint::FUEL,
            },
            Self::Stack { .. } => End::Trap {
                fingerprint: fingerprint::STACK,
            },
            Self::Trap { fingerprint, .. } => End::Trap {
                fingerprint: fingerprint::after_words(*fingerprint, stderr),
            },
            // An instance can accumulate these over many attempts, so they are no evidence against the last action.
            Self::Memory { .. }
            | Self::HostMemory { .. }
            | Self::Handles { .. }
            | Self::Resources { .. }
            | Self::Exit { .. }
            | Self::Copied { .. }
            | Self::Broken(_) => End::Trap { fingerprint: 0 },
            Self::Timeout { .. } | Self::StarvedOthers { .. } => End::Transient,
            Self::Oversize { .. } => End::Oversize,
            Self::Start(_) => End::Faulty,
            Self::NeverStarts(_) => End::Unstartable,
            Self::HostFull { begun, .. } => End::Host { begun: *begun },
            Self::Stopped => End::Stopped,
        }
    }
}

impl fmt::Display for Fault {
    /// Names the limit, the amount used and the flag that raises it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fuel { limit } => {
                write!(f, "ran out of fuel: used all of {}; raise it with --fuel", Fuel(*limit))
            }
            Self::Memory { limit, wanted } => write!(
                f,
                "ran out of memory: wanted {} of {}; raise it with --memory",
                Size(*wanted),
                Size(*limit)
            ),
            Self::HostMemory { most, wanted } => write!(
                f,
                "ran out of memory: wanted {}, and one instance can have {} of what there is for all; raise that with \
                 --host-memory",
                Size(*wanted),
                Size(*most)
            ),
            Self::HostFull { resource, .. } => resource.fmt(f),
            Self::Stack { limit } => write!(
                f,
                "recursed too deep: used all of {} of stack; raise it with --stack",
                Size(*limit)
            ),
            Self::Handles { limit } => {
                write!(f, "held too many handles: used all of {limit}; raise it with --handles")
            }
            Self::Resources { limit } => {
                write!(
                    f,
                    "held too many resources of the host: used all of {limit}; raise it with --handles"
                )
            }
            Self::Timeout { limit } => {
                write!(f, "was not done within {}; raise it with --timeout", Time::from(*limit))
            }
            Self::StarvedOthers { held } => write!(
                f,
                "kept the other attempts of its instance waiting for {} without a break; lower --concurrency for workers that \
                 compute",
                Time::from(*held)
            ),
            Self::Trap { message, backtrace, .. } => {
                write!(f, "trapped: {message}")?;
                backtrace.iter().try_for_each(|frame| write!(f, "\n  at {frame}"))
            }
            Self::Exit { status } => write!(f, "ended itself with the exit status {status}; a guest returns instead"),
            Self::Broken(text) => write!(f, "broke the contract: {text}"),
            Self::Oversize { limit } => {
                write!(f, "returned more than {}; raise it with --result-size", Size(*limit))
            }
            Self::Copied { limit } => write!(
                f,
                "passed more than {} to the host in one call; pass less at once, or raise it with --result-size",
                Size(*limit)
            ),
            Self::Start(text) | Self::NeverStarts(text) => write!(f, "could not be started: {text}"),
            Self::Stopped => f.write_str("was stopped"),
        }
    }
}

/// The message of an error's root cause.
fn root(error: &wasmtime::Error) -> String {
    bounded(error.root_cause(), "").unwrap_or_default()
}

/// Whether wasmtime failed because a guest passed more than the hostcall fuel. The error's type is not public;
/// `tests/facts/engine.rs` fails when its text changes.
fn is_hostcall_limit(error: &wasmtime::Error) -> bool {
    root(error).contains("allocated for hostcalls has been exhausted")
}

/// Whether wasmtime failed because a guest has too many handles. The error's type is not public.
fn is_handle_limit(error: &wasmtime::Error) -> bool {
    root(error).contains("handle limit exceeded")
}
