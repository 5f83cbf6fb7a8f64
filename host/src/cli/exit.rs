//! Exit codes. Where several hold, the first in this order counts: 70, one of a signal, 4, 3, 1.

use std::collections::BTreeSet;

use crate::inbox::{HealthState, RunSummary, WorkerSummary};

/// Every task is done.
pub(super) const DONE: u8 = 0;
/// Some task ended in an error, or the operation itself failed.
pub(super) const FAILED: u8 = 1;
/// Wrong usage, manifest or component; nothing ran.
pub(super) const USAGE: u8 = 2;
/// The workers or what they depend on failed: actions were left for which no worker was, or tasks failed while everything
/// failed in a pool or none of its workers was in use in the end.
pub(super) const SYSTEMIC: u8 = 3;
/// The machine stopped it: the output cannot be written, or there is no memory, open file or thread left that it needs.
pub(super) const MACHINE: u8 = 4;
/// A bug of ours.
pub(super) const BUG: u8 = 70;
/// Stopped by SIGHUP, as when its terminal is closed.
pub(super) const HUNG_UP: u8 = 129;
/// Stopped by SIGINT, that is Ctrl-C, or by `drain`.
pub(super) const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub(super) const TERMINATED: u8 = 143;

/// For a run that came to an end. `signal`: what stopped it, or 0.
pub(super) fn code(summary: &RunSummary, signal: u8) -> u8 {
    if summary.interrupted {
        // Without a signal somebody asked for it through the socket.
        if signal == 0 { INTERRUPTED } else { signal }
    } else if summary.unroutable > 0 || (summary.tasks.failed > 0 && is_any_pool_out(summary)) {
        SYSTEMIC
    } else if summary.failure.is_some() || summary.tasks.failed > 0 {
        FAILED
    } else {
        DONE
    }
}

/// Whether everything fails in some pool, or all of its workers are taken out.
fn is_any_pool_out(summary: &RunSummary) -> bool {
    let is_out = |worker: &WorkerSummary| {
        matches!(
            worker.health,
            HealthState::Quarantined { .. }
                | HealthState::EvictedUnfit
                | HealthState::EvictedUnreliable { .. }
                | HealthState::Gone
        )
    };
    let is_empty = |pool: &str| {
        let mut workers = summary.workers.iter().filter(|worker| worker.pool == pool);
        workers.all(is_out)
    };
    let pools: BTreeSet<&str> = summary.workers.iter().map(|worker| worker.pool.as_str()).collect();
    !summary.systemic.is_empty() || pools.into_iter().any(is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARANTINED: HealthState = HealthState::Quarantined { until_ms: 9, round: 1 };

    fn summary(healths: &[(&str, HealthState)]) -> RunSummary {
        let worker = |(pool, health): &(&str, HealthState)| WorkerSummary {
            pool: (*pool).to_owned(),
            health: *health,
            ..WorkerSummary::default()
        };
        let mut summary = RunSummary {
            workers: healths.iter().map(worker).collect(),
            ..RunSummary::default()
        };
        summary.tasks.failed = 1;
        summary
    }

    #[test]
    fn pool_without_a_worker_in_use_is_seen_in_the_code_if_tasks_failed() {
        let all = [
            ("a", QUARANTINED),
            ("a", HealthState::EvictedUnfit),
            ("b", HealthState::Healthy),
        ];
        assert_eq!(code(&summary(&all), 0), SYSTEMIC);
        assert_eq!(code(&summary(&all[1..]), 0), SYSTEMIC);
        assert_eq!(
            code(&summary(&[("a", QUARANTINED), ("a", HealthState::Suspect)]), 0),
            FAILED
        );
        let mut coped = summary(&all);
        coped.tasks.failed = 0;
        assert_eq!(code(&coped, 0), DONE);
        coped.unroutable = 1;
        assert_eq!(code(&coped, 0), SYSTEMIC);
    }
}
