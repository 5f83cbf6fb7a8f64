//! The checksums of the rows that a replay depends on, the same when they are written and read.

use disperse_scheduler::Reason;

use crate::codec::Checksum;

pub(crate) fn call(number: u64, turn: u64, step: &str, task: Option<u64>, now_ms: u64) -> u32 {
    let sum = Checksum::of(3).number(number).number(turn).bytes(step.as_bytes());
    let task = task.map(u64::to_le_bytes);
    let task = task.as_ref().map(<[u8; 8]>::as_slice);
    sum.maybe(task).number(now_ms).finish()
}

pub(crate) fn start(task: u64, turn: u64, input: Option<&[u8]>, digest: &[u8], now_ms: u64) -> u32 {
    let sum = Checksum::of(4).number(task).number(turn);
    sum.maybe(input).bytes(digest).number(now_ms).finish()
}

pub(crate) fn end(task: u64, turn: u64, ok: bool, value: Option<&[u8]>, digest: Option<&[u8]>, now_ms: u64) -> u32 {
    let sum = Checksum::of(5).number(task).number(turn).number(ok.into());
    sum.maybe(value).maybe(digest).number(now_ms).finish()
}

pub(crate) fn delivery((id, task): (u64, u64), number: u32, turn: u64, requests: &[u8], now_ms: u64) -> u32 {
    let sum = Checksum::of(6).number(id).number(task).number(number.into());
    let sum = sum.number(turn);
    sum.bytes(requests).number(now_ms).finish()
}

/// A row of `settled`.
pub(crate) struct SettledRow<'a> {
    pub(crate) id: u64,
    pub(crate) task: u64,
    pub(crate) request: u32,
    pub(crate) turn: u64,
    pub(crate) kind: &'a str,
    pub(crate) payload_digest: &'a [u8],
    pub(crate) beginning: &'a [u8],
    /// None: there is a result.
    pub(crate) reason: Option<&'a str>,
    /// The result or the message, or none if it is in `payloads`.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) value_digest: Option<&'a [u8]>,
    pub(crate) attempts: u32,
    pub(crate) settled_ms: u64,
    /// The number of the delivery that has this answer alone and at the same time, if there is one.
    pub(crate) delivery: Option<u32>,
}

impl SettledRow<'_> {
    pub(crate) fn checksum(&self) -> u32 {
        Checksum::of(7)
            .number(self.id)
            .number(self.task)
            .number(self.request.into())
            .number(self.turn)
            .bytes(self.kind.as_bytes())
            .bytes(self.payload_digest)
            .bytes(self.beginning)
            .maybe(self.reason.map(str::as_bytes))
            .maybe(self.value)
            .maybe(self.value_digest)
            .number(self.attempts.into())
            .number(self.settled_ms)
            .number(self.delivery.unwrap_or_default().into())
            .finish()
    }
}

/// The name of a reason in the file, which stays what it is whatever the program calls it.
pub(crate) fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Permanent => "permanent",
        Reason::Exhausted => "exhausted",
        Reason::Poison => "poison",
        Reason::Unroutable => "unroutable",
        Reason::Cancelled => "cancelled",
        Reason::Deadline => "deadline",
        Reason::Oversize => "oversize",
    }
}

/// The reason of a name. None: no reason has it.
pub(crate) fn reason_of(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason_name(*reason) == name)
}
