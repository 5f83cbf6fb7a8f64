//! The WIT records and variants of `wit/`, as wasmtime lifts and lowers them, and their conversion to the host's types.
//!
//! Wasmtime checks each of these against the component's own types, so one that differs from the WIT is rejected.

use std::time::Duration;

use bytes::Bytes;
use disperse_scheduler::Reason;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Lower, WasmList, WasmStr},
    format_err,
};

use super::state::State;
use disperse_protocol::{inbox, logger};

/// `types.action` on its way out of a guest.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Action {
    /// Read in place: it is nearly always the same kind as the action before.
    pub kind: WasmStr,
    pub payload: Vec<u8>,
}

/// The longest kind, in bytes.
const KIND_MAX: usize = 256;

impl Action {
    /// Copies the action out of the guest.
    ///
    /// # Errors
    /// The kind is not UTF-8, or longer than [`KIND_MAX`]; traps the guest.
    pub(crate) fn read(self, store: &mut StoreContextMut<'_, State>) -> wasmtime::Result<inbox::Action> {
        let kind = self.kind.to_str(&*store)?;
        if kind.len() > KIND_MAX {
            return Err(format_err!(
                "a kind of {} bytes is over the limit of {KIND_MAX}",
                kind.len()
            ));
        }
        let last = &store.data().last_kind;
        let kind = if **last == *kind { last.clone() } else { kind.into() };
        store.data_mut().last_kind = kind.clone();
        Ok(inbox::Action {
            kind,
            payload: self.payload.into(),
        })
    }
}

/// `types.action` on its way into a guest, without a copy on this side.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ActionRef<'a> {
    pub kind: &'a str,
    pub payload: &'a [u8],
}

/// `types.action` on its way into a guest that is entered later.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct OwnedAction {
    pub kind: std::sync::Arc<str>,
    pub payload: Vec<u8>,
}

/// `types.options`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(record)]
pub struct Options {
    priority: i32,
    timeout: u32,
    deadline: u32,
    fuel: u32,
    attempts: u32,
    idempotent: bool,
}

impl From<Options> for inbox::Options {
    fn from(options: Options) -> Self {
        Self {
            priority: options.priority,
            timeout: Duration::from_millis(options.timeout.into()),
            deadline: Duration::from_millis(options.deadline.into()),
            fuel: u64::from(options.fuel) * 1_000_000,
            attempts: options.attempts,
            idempotent: options.idempotent,
        }
    }
}

/// `types.failure`.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub enum Failure {
    #[component(name = "retryable")]
    Retryable(String),
    #[component(name = "permanent")]
    Permanent(String),
    #[component(name = "busy")]
    Busy(u32),
    #[component(name = "unfit")]
    Unfit(String),
}

/// `types.reason`.
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WitReason {
    #[component(name = "permanent")]
    Permanent,
    #[component(name = "exhausted")]
    Exhausted,
    #[component(name = "poison")]
    Poison,
    #[component(name = "unroutable")]
    Unroutable,
    #[component(name = "cancelled")]
    Cancelled,
    #[component(name = "deadline")]
    Deadline,
    #[component(name = "oversize")]
    Oversize,
}

/// `types.refusal`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Refusal {
    reason: WitReason,
    message: String,
}

impl From<inbox::Refusal> for Refusal {
    fn from(refusal: inbox::Refusal) -> Self {
        Self {
            reason: match refusal.reason {
                Reason::Permanent => WitReason::Permanent,
                Reason::Exhausted => WitReason::Exhausted,
                Reason::Poison => WitReason::Poison,
                Reason::Unroutable => WitReason::Unroutable,
                Reason::Cancelled => WitReason::Cancelled,
                Reason::Deadline => WitReason::Deadline,
                Reason::Oversize => WitReason::Oversize,
            },
            message: refusal.message,
        }
    }
}

/// What `perform` and similar functions return. Bytes are lowered as they are stored, without a copy on this side.
pub(crate) type Outcome = Result<Payload, Refusal>;

/// `list<u8>` on its way into a guest.
pub(crate) type Payload = Vec<u8>;

/// Converts an answer for a guest. A result without other references is moved, not copied.
pub(crate) fn outcome(value: Result<Bytes, inbox::Refusal>) -> Outcome {
    match value {
        Ok(bytes) => Ok(bytes.into()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// `log.level`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "values are lifted out of guests")]
pub enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warning")]
    Warning,
    #[component(name = "error")]
    Error,
}

impl From<Level> for logger::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

/// `attempt.info`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct AttemptInfo {
    pub action: String,
    pub number: u32,
    pub remaining: u32,
    pub worker: String,
}

/// `quota.report`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct QuotaReport {
    /// Read in place, so that a name that is too long is not copied.
    pub bucket: WasmStr,
    pub remaining: u32,
    pub resets: u32,
}

/// `http-types.header` on its way out of a guest, read in place.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WasmHeader {
    pub name: WasmStr,
    pub value: WasmStr,
}

/// `http-types.header` on its way into a guest.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Header {
    pub name: String,
    pub value: String,
}

/// `http-types.request`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct HttpRequest {
    // Read in place, as an `ExecCommand`.
    pub verb: WasmStr,
    pub url: WasmStr,
    pub headers: WasmList<WasmHeader>,
    pub body: WasmList<u8>,
    pub timeout: u32,
}

/// `http-types.response`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct HttpResponse {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

/// `http-types.problem`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum HttpProblem {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "timeout")]
    Timeout(String),
    #[component(name = "unreachable")]
    Unreachable(String),
    #[component(name = "oversize")]
    Oversize(String),
}

/// `exec.command`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ExecCommand {
    // Read in place, so that sizes are checked before anything is copied.
    pub program: WasmStr,
    pub arguments: WasmList<WasmStr>,
    pub input: WasmList<u8>,
    pub timeout: u32,
}

/// `exec.ended`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct ExecEnded {
    pub code: Option<i32>,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
}

/// `exec.problem`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum ExecProblem {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "failed")]
    Failed(String),
    #[component(name = "timeout")]
    Timeout(String),
    #[component(name = "oversize")]
    Oversize(String),
}
