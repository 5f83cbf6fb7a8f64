//! The sentences that sinks and other readers make of facts.

use crate::control::{Change, RunRemark};
use disperse_protocol::{
    inbox::{Dissent, FailureClass, FailureReason, HealthKind, HealthState, HostNotice, QuotaTerms},
    logger::Level,
    units::Time,
};

/// The health of a worker in one word.
pub fn health_word(health: HealthKind) -> &'static str {
    match health {
        HealthKind::Healthy => "healthy",
        HealthKind::Suspect => "suspect",
        HealthKind::Quarantined => "quarantined",
        HealthKind::Probation => "probation",
        HealthKind::Busy => "busy",
        HealthKind::Draining => "draining",
        HealthKind::Evicted => "evicted",
        HealthKind::Gone => "gone",
    }
}

/// The same with its reason and times.
pub fn health(health: &HealthState, now_ms: u64) -> String {
    let left = |until_ms: u64| Time(until_ms.saturating_sub(now_ms));
    match *health {
        HealthState::Quarantined { until_ms, round } => {
            format!("quarantined for {} (round {round})", left(until_ms))
        }
        HealthState::Probation { round: 0 } => "on probation: it reported that it is unfit".to_owned(),
        HealthState::Probation { round } => format!("on probation after quarantine {round}"),
        HealthState::Busy { until_ms } => format!("busy for {}", left(until_ms)),
        HealthState::EvictedUnfit => "evicted: it can do no more work".to_owned(),
        HealthState::EvictedUnreliable { quarantines } => {
            format!("evicted: {quarantines} quarantines without passing probation")
        }
        HealthState::Suspect => {
            "suspect: several of its attempts failed, and it is not known yet whose fault that is".to_owned()
        }
        other @ (HealthState::Healthy | HealthState::Draining | HealthState::Gone) => {
            health_word(other.kind()).to_owned()
        }
    }
}

/// The class of a failed attempt in one word.
pub fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "transient",
        FailureClass::Trap => "trap",
        FailureClass::Permanent => "permanent",
        FailureClass::WorkerFault => "worker-fault",
        FailureClass::Lost => "lost",
        FailureClass::Outvoted => "outvoted",
    }
}

/// The reason of a failed action in one word.
pub fn reason(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Permanent => "permanent",
        FailureReason::Exhausted => "exhausted",
        FailureReason::Poison => "poison",
        FailureReason::Unroutable => "unroutable",
        FailureReason::Cancelled => "cancelled",
        FailureReason::Deadline => "deadline",
        FailureReason::Oversize => "oversize",
    }
}

/// How an outvoted result differed.
pub fn dissent(dissent: &Dissent) -> String {
    match dissent {
        Dissent::Fuel { own, others } => format!("it took {own} units of fuel for what takes {others}"),
        Dissent::Result { own, others } => {
            format!("its result of {own} bytes is not the one of {others} bytes that others have")
        }
    }
}

/// A notice of the host, and how much it matters.
pub fn notice(notice: &HostNotice) -> (Level, String) {
    match notice {
        HostNotice::Unconfirmed { pools } => {
            let text = format!(
                "pool {}: no result can be confirmed, because all workers belong to one owner; actions will fail as unroutable",
                pools.join(", ")
            );
            (Level::Warning, text)
        }
        HostNotice::Unreachable { error } => {
            let text = format!("explain, readmit and drain cannot reach this run: {error}");
            (Level::Warning, text)
        }
        HostNotice::Stopping => {
            let text = "stopping, as `drain` asks: attempts that run are let end";
            (Level::Info, text.to_owned())
        }
        HostNotice::Halted { failed, ended } => {
            let text =
                format!("stopping, as --halt asks: {failed} of {ended} tasks failed; attempts that run are let end");
            (Level::Warning, text)
        }
        HostNotice::LinesDropped { lines } => (Level::Warning, format!("{lines} log lines came too fast to be shown")),
        HostNotice::ResultsUnwritten { results, line } => {
            let text = format!("{results} results are not written: they waited for that of line {line}");
            (Level::Warning, text)
        }
    }
}

/// What a quota allows.
pub fn quota(terms: QuotaTerms) -> String {
    match terms {
        QuotaTerms::Sliding { limit, per } => format!("{limit} in any {}", Time::from(per)),
        QuotaTerms::Fixed { limit, per } => format!("{limit} in each window of {}", Time::from(per)),
        QuotaTerms::Rate { limit, per, burst } => format!("{limit} each {}, {burst} at once", Time::from(per)),
        QuotaTerms::Concurrent { limit } => format!("{limit} at once"),
    }
}

/// The effect of a request that changed the run.
pub fn change(change: &Change, now_ms: u64) -> String {
    match change {
        Change::Readmitted { worker, was, stopping } => {
            let given = if *stopping {
                "though the run is being stopped and starts no more attempts"
            } else {
                "and is given work again"
            };
            format!("{worker} has a clean record {given}; it was {}", health(was, now_ms))
        }
        Change::WorkerDraining { worker, running } => {
            format!("{worker} is given nothing more; {}", let_end(*running))
        }
        Change::AlreadyOut { worker, health: is } => {
            format!("{worker} is given nothing as it is: {}", health(is, now_ms))
        }
        Change::Joined { names: None } => "no worker was asked for".to_owned(),
        Change::Joined {
            names: Some((first, last)),
        } => {
            if first == last {
                format!("{first} has joined")
            } else {
                format!("{first} to {last} have joined")
            }
        }
        Change::Stopping { running } => {
            format!("the run starts no more attempts; {}", let_end(*running))
        }
        Change::AlreadyStopping => "the run is being stopped already".to_owned(),
    }
}

fn let_end(attempts: u64) -> String {
    match attempts {
        0 => "none runs".to_owned(),
        1 => "the one that runs is let end".to_owned(),
        some => format!("the {some} that run are let end"),
    }
}

/// A fault of a run as a whole.
pub fn remark(remark: &RunRemark) -> String {
    match remark {
        RunRemark::PoolFailing { pool } => format!(
            "in the pool {pool} everything fails, on every worker: the work or the service is failing, not the workers"
        ),
        RunRemark::ResultsHeld { results, line } => format!(
            "{results} results wait for that of line {line}, which is not done; --unordered writes results as they come"
        ),
        RunRemark::AllSuspect => {
            "every worker that is left keeps failing: the work, or what all of them need, may be at fault".to_owned()
        }
        RunRemark::NoWorker => "no worker is given work now".to_owned(),
    }
}

/// A message in one piece: all but its first line is indented, so that no text of one source looks like a line of another.
pub fn host(level: Level, text: &str) -> String {
    let text = text.replace('\n', "\n    ");
    match level {
        Level::Debug | Level::Info => text,
        Level::Warning => format!("warning: {text}"),
        Level::Error => format!("error: {text}"),
    }
}

/// A line of a guest, or of the host.
pub fn line(source: Option<&str>, level: Level, text: &str) -> String {
    match source {
        Some(source) => format!("[{source}] {}", host(level, text)),
        None => host(level, text),
    }
}
