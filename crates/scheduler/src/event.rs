//! Everything that can happen to the scheduler. The whole list is here and nowhere else.

use std::{fmt, time::Duration};

use crate::{
    bucket::BucketHistory,
    ids::{ActionId, AttemptId, BucketId, KindId, OwnerId, PoolId, TaskId, WorkerId},
    model::health::WorkerCheckpoint,
    moment::Moment,
    outcome::End,
    quota::{Quota, Report},
};

/// What happened. Facts only: what follows from them is the scheduler's to say, in [`Command`](crate::Command)s.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A sort of action exists and workers of these pools may perform it. Said once for each kind, before the first
    /// action of it. Workers of these pools join later or came earlier.
    KindDefined {
        /// The new kind.
        kind: KindId,
        /// The pools that serve it. Empty: every action of it is refused as unroutable.
        pools: Vec<PoolId>,
    },
    /// A quota exists. Said once for each bucket, before the first worker that draws from it.
    BucketDefined {
        /// The new bucket.
        bucket: BucketId,
        /// What it allows. An invalid one defines no bucket; see [`Quota::check`].
        quota: Quota,
        /// What actions of these kinds take from it. All others take 1.
        costs: Vec<(KindId, u32)>,
    },
    /// A worker is there and can be given work.
    WorkerJoined {
        /// Its identity; never one that joined before.
        worker: WorkerId,
        /// The pool that it belongs to.
        pool: PoolId,
        /// How many attempts it makes at once, from 1. 0 counts as 1.
        slots: u32,
        /// What it may spend, together with others that have the same.
        buckets: Vec<BucketId>,
        /// The owner, if its results count only when other owners have the same. None: it is believed.
        owner: Option<OwnerId>,
    },
    /// A service has reported how much of a quota remains, in its answer to an attempt that is not over.
    QuotaReported {
        /// The worker that makes the attempt.
        worker: WorkerId,
        /// The attempt.
        attempt: AttemptId,
        /// One of the worker's buckets.
        bucket: BucketId,
        /// What it reported.
        report: Report,
    },
    /// A worker is gone and will not end what it was doing. Its attempts count as lost.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
    },
    /// The operator takes a worker out: it ends what it is doing and is given nothing more.
    WorkerDrained {
        /// The worker.
        worker: WorkerId,
    },
    /// The operator readmits a worker: from any state, it becomes healthy with a clean record.
    WorkerReadmitted {
        /// The worker.
        worker: WorkerId,
    },
    /// A task asked for an action.
    Submitted {
        /// Its name; never one that was submitted before.
        action: ActionId,
        /// How it is to be treated.
        spec: Spec,
    },
    /// The same of an action that was asked for before the run was resumed, and whose attempts of then failed like this.
    Resubmitted {
        /// Its name; never one that was submitted before.
        action: ActionId,
        /// How it is to be treated.
        spec: Spec,
        /// In the order in which they failed.
        failed: Box<[FailedBefore]>,
    },
    /// A bucket goes on from what became of it before the run was resumed. Said before anything is spent of it.
    QuotaRestored {
        /// The bucket.
        bucket: BucketId,
        /// What became of it.
        history: Box<BucketHistory>,
    },
    /// A worker goes on from what it was before the run was resumed. Said before it is given anything.
    WorkerRestored {
        /// The worker.
        worker: WorkerId,
        /// What it was.
        before: Box<WorkerCheckpoint>,
    },
    /// Its task does not want it any more.
    Cancelled {
        /// Which.
        action: ActionId,
    },
    /// An attempt is over, in whichever way.
    AttemptEnded {
        /// Which, as it was assigned.
        attempt: AttemptId,
        /// The worker that made it, as it was assigned.
        worker: WorkerId,
        /// How it ended.
        end: End,
        /// How long the worker was at it, waiting in its queue left out.
        took: Duration,
    },
    /// No attempt is started from now on. Those that run go on to their end.
    DrainBegun,
    /// Nothing happened but time passed. Sent when [`Scheduler::next_wakeup`](crate::Scheduler::next_wakeup) is
    /// reached; harmless at any other time.
    Tick,
}

/// An attempt of an action that failed before the run was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedBefore {
    /// Which of its attempts.
    pub number: u32,
    /// The worker that made it. None: it has not joined again.
    pub worker: Option<WorkerId>,
    /// Whether it got lost, which costs no attempt.
    pub is_lost: bool,
}

/// How one action is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The task that asked.
    pub task: TaskId,
    /// Which sort it is.
    pub kind: KindId,
    /// Higher goes first. 0 is usual.
    pub priority: i32,
    /// How many attempts may fail before it is given up, from 1. 0: [`Policy::attempts`](crate::Policy::attempts).
    pub attempts: u32,
    /// When it is given up, whatever its state. [`Moment::NEVER`]: not at all.
    pub deadline: Moment,
    /// Whether a second run of it does no harm.
    pub idempotent: bool,
}

impl Spec {
    /// As usual: priority 0, as many attempts as the policy says, no deadline, not idempotent.
    pub const fn usual(task: TaskId, kind: KindId) -> Self {
        Self {
            task,
            kind,
            priority: 0,
            attempts: 0,
            deadline: Moment::NEVER,
            idempotent: false,
        }
    }
}

impl fmt::Display for Event {
    /// One line, as scripts of the tests and a recorded schedule have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KindDefined { kind, pools } => {
                write!(f, "kind {kind} pools=")?;
                for (index, pool) in pools.iter().enumerate() {
                    write!(f, "{}{pool}", if index == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::BucketDefined { bucket, quota, costs } => {
                write!(f, "bucket {bucket} {quota}")?;
                costs.iter().try_for_each(|(kind, cost)| write!(f, " {kind}={cost}"))
            }
            Self::WorkerJoined {
                worker,
                pool,
                slots,
                buckets,
                owner,
            } => {
                write!(f, "join {worker} {pool} slots={slots}")?;
                if let Some(owner) = owner {
                    write!(f, " owner={owner}")?;
                }
                buckets.iter().try_for_each(|bucket| write!(f, " {bucket}"))
            }
            Self::QuotaReported {
                worker,
                attempt,
                bucket,
                report,
            } => {
                let resets = Moment::START + report.resets_in;
                write!(
                    f,
                    "report {worker} {attempt} {bucket} remaining={} resets={resets}",
                    report.remaining
                )
            }
            Self::WorkerLeft { worker } => write!(f, "left {worker}"),
            Self::WorkerDrained { worker } => write!(f, "drain {worker}"),
            Self::WorkerReadmitted { worker } => write!(f, "readmit {worker}"),
            Self::Submitted { action, spec } => write!(f, "submit {action} {spec}"),
            Self::Resubmitted { action, spec, failed } => {
                write!(f, "resubmit {action} failed=")?;
                for (index, before) in failed.iter().enumerate() {
                    write!(f, "{}{before}", if index == 0 { "" } else { "," })?;
                }
                write!(f, " {spec}")
            }
            Self::QuotaRestored { bucket, history } => write!(f, "restore {bucket} {history:?}"),
            Self::WorkerRestored { worker, before } => write!(f, "restore {worker} {before:?}"),
            Self::Cancelled { action } => write!(f, "cancel {action}"),
            Self::AttemptEnded {
                attempt,
                worker,
                end,
                took,
            } => write!(f, "ended {attempt} {worker} {end} took={}", Moment::START + *took),
            Self::DrainBegun => f.write_str("drain"),
            Self::Tick => f.write_str("tick"),
        }
    }
}

impl fmt::Display for FailedBefore {
    /// As `2@w1`, or `2@w1/lost`; without a worker `2@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.number)?;
        self.worker.map_or(Ok(()), |worker| write!(f, "{worker}"))?;
        f.write_str(if self.is_lost { "/lost" } else { "" })
    }
}

impl fmt::Display for Spec {
    /// What is as usual is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task={} kind={}", self.task, self.kind)?;
        if self.priority != 0 {
            write!(f, " priority={}", self.priority)?;
        }
        if self.attempts != 0 {
            write!(f, " attempts={}", self.attempts)?;
        }
        if self.deadline != Moment::NEVER {
            write!(f, " deadline={}", self.deadline)?;
        }
        if self.idempotent {
            f.write_str(" idempotent")?;
        }
        Ok(())
    }
}
