//! How attempts and actions end.
//!
//! Four words that are easily mixed up: an attempt has an [`End`] (what was seen), a failed end has a [`Class`] (what
//! it costs and what it accuses), an action has an [`Outcome`] (what its task is told), and a worker has a [`Health`].

use std::{fmt, time::Duration};

use crate::moment::Moment;

/// How one attempt ended, as the host saw it. A guest only hints; the host decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// It has a result.
    Ok,
    /// It has a result, of a worker that has an owner: it counts when a worker of another owner agrees.
    Vote {
        /// Results of one action with the same number are the same.
        ballot: u32,
    },
    /// The worker is at its limit. Costs no attempt and accuses neither; the worker is given nothing until then.
    Busy {
        /// How long the worker asked to be left alone. Zero: it did not say.
        wait: Duration,
    },
    /// The action can never work. Not retried; accuses the action.
    Permanent,
    /// The result was larger than allowed. Not retried; accuses the action.
    Oversize,
    /// It may work another time: the guest reported so, or the attempt was over its timeout.
    Transient,
    /// The guest trapped, ran out of fuel or memory, or overflowed its stack.
    Trap {
        /// Same number, same trap at the same place; 0: not known.
        fingerprint: u64,
    },
    /// The worker could not be started. Costs no attempt; the worker is quarantined at once.
    Faulty,
    /// The worker reports that it can do no more work. Costs no attempt; the worker is on probation until it is known
    /// whether the action makes others say so too, and evicted if it does not: see `rules/unfit.rs`.
    Unfit,
    /// No instance of the worker's component ever started. Costs no attempt; the worker is evicted at once.
    Unstartable,
    /// Unknown: the worker went away with it.
    Lost,
    /// The host had none left of something that the attempt needs: address space, open files, threads, memory. Costs no
    /// attempt and accuses neither; the worker rests, longer each time in a row
    /// ([`Policy::host_min`](crate::Policy::host_min)).
    Host {
        /// Whether the guest had begun. If not, nothing of a quota can have been used.
        begun: bool,
    },
    /// It was stopped on purpose, or because another attempt spent the instance that both were in. Costs nothing:
    /// whatever spends an instance costs an attempt, so this cannot go on for ever.
    Stopped,
}

impl End {
    /// What it costs and what it accuses.
    pub fn class(self) -> Class {
        match self {
            Self::Ok | Self::Vote { .. } => Class::Ok,
            Self::Busy { .. } => Class::Busy,
            Self::Permanent | Self::Oversize => Class::Permanent,
            Self::Transient => Class::Transient,
            Self::Trap { .. } => Class::Trap,
            Self::Faulty | Self::Unfit | Self::Unstartable => Class::WorkerFault,
            Self::Lost => Class::Lost,
            Self::Host { .. } => Class::Host,
            Self::Stopped => Class::Neutral,
        }
    }
}

/// The outcome classes. See the table in `docs/book/src/internals/scheduler.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A result. No attempt spent.
    Ok,
    /// The worker waits. No attempt spent, nothing accused.
    Busy,
    /// The action is at fault and is over.
    Permanent,
    /// One attempt spent; whose fault is undecided.
    Transient,
    /// One attempt spent; undecided, leaning to the action. The instance is spent too.
    Trap,
    /// No attempt spent; the worker is at fault, or if it reports that it is unfit and another one does too, the
    /// action.
    WorkerFault,
    /// One loss spent, of a budget of its own.
    Lost,
    /// The machine is at fault. Nothing spent, nothing accused; made again after a rest.
    Host,
    /// Nothing spent, nothing accused.
    Neutral,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Trap => "trap",
            Self::WorkerFault => "worker-fault",
            Self::Lost => "lost",
            Self::Host => "host",
            Self::Neutral => "neutral",
        })
    }
}

/// Why an action ended without a result. Guests get it as the WIT enum `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reason {
    /// A worker reported that it can never work.
    Permanent,
    /// Every attempt that it was given failed.
    Exhausted,
    /// It broke distinct healthy workers in the same way.
    Poison,
    /// No worker that could do it exists, or none is left.
    Unroutable,
    /// Its task dropped it, or the run is being stopped.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// Its result was larger than allowed.
    Oversize,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Permanent,
        Self::Exhausted,
        Self::Poison,
        Self::Unroutable,
        Self::Cancelled,
        Self::Deadline,
        Self::Oversize,
    ];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Poison => "poison",
            Self::Unroutable => "unroutable",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Oversize => "oversize",
        })
    }
}

/// How an action ended, once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// The attempt of this number has the result.
    Done {
        /// Which of the action's attempts.
        number: u32,
    },
    /// There is no result.
    Failed(Reason),
}

/// The health of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is given work.
    Healthy,
    /// It failed several times in a row, but quarantine would take too much of the pool: it is given work more slowly.
    Suspect,
    /// It is given nothing until then.
    Quarantined {
        /// When probation begins.
        until: Moment,
        /// Which quarantine in a row this is, from 1.
        round: u32,
    },
    /// It is given one action at a time until it has proved itself.
    Probation {
        /// How many quarantines led here; 0: it reported that it is unfit.
        round: u32,
    },
    /// It is at its limit and is given nothing until then. It is not at fault.
    Busy {
        /// When it is given work again.
        until: Moment,
    },
    /// The operator takes it out. Final unless readmitted.
    Draining,
    /// It is given nothing any more. Final unless readmitted.
    Evicted(Evicted),
    /// It is gone. Final.
    Gone,
}

/// Why a worker was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// It reported that it can do no more work.
    Unfit,
    /// It was quarantined too many times without passing probation.
    Unreliable {
        /// How many times.
        quarantines: u32,
    },
}

/// What became of an accusation: an attempt that failed accuses its worker until there is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The action succeeded elsewhere. So many workers had failed it, and each bears an equal part.
    Guilty {
        /// How many.
        shares: u32,
    },
    /// The action was at fault: it died wherever it went; or the worker made good for it.
    Cleared,
    /// The action failed for good, or was cancelled, before enough workers had tried it. Counts against the worker, but
    /// less.
    Unproved,
    /// The worker was taken out, and the action does not count what failed there.
    Annulled,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guilty { shares: 1 } => f.write_str("guilty"),
            Self::Guilty { shares } => write!(f, "guilty 1/{shares}"),
            Self::Cleared => f.write_str("cleared"),
            Self::Unproved => f.write_str("unproved"),
            Self::Annulled => f.write_str("annulled"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Vote { ballot } => write!(f, "vote={ballot}"),
            Self::Busy { wait } if wait.is_zero() => f.write_str("busy"),
            Self::Busy { wait } => write!(f, "busy={}", Moment::START + *wait),
            Self::Permanent => f.write_str("permanent"),
            Self::Oversize => f.write_str("oversize"),
            Self::Transient => f.write_str("transient"),
            Self::Trap { fingerprint: 0 } => f.write_str("trap"),
            Self::Trap { fingerprint } => write!(f, "trap={fingerprint}"),
            Self::Faulty => f.write_str("faulty"),
            Self::Unfit => f.write_str("unfit"),
            Self::Unstartable => f.write_str("unstartable"),
            Self::Lost => f.write_str("lost"),
            Self::Host { begun: false } => f.write_str("host"),
            Self::Host { begun: true } => f.write_str("host=begun"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { number } => write!(f, "done #{number}"),
            Self::Failed(reason) => write!(f, "refused {reason}"),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Suspect => f.write_str("suspect"),
            Self::Quarantined { until, round } => write!(f, "quarantined until={until} round={round}"),
            Self::Probation { round } => write!(f, "probation round={round}"),
            Self::Busy { until } => write!(f, "busy until={until}"),
            Self::Draining => f.write_str("draining"),
            Self::Evicted(why) => write!(f, "evicted {why}"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit => f.write_str("unfit"),
            Self::Unreliable { quarantines } => write!(f, "unreliable quarantines={quarantines}"),
        }
    }
}
