//! Exit codes. If several apply, the first one in this order is used: 70, that of a signal, 4, 3, 1.

use std::collections::BTreeSet;

use crate::inbox::{HealthState, RunSummary, WorkerSummary};

/// Success.
pub(crate) const DONE: u8 = 0;
/// A task, the operation itself or a test failed.
pub(crate) const FAILED: u8 = 1;
/// Invalid usage, manifest or component; nothing ran.
pub(crate) const USAGE: u8 = 2;
/// The workers, or a service they depend on, failed: actions had no worker left, or tasks failed while a whole pool failed or
/// had no worker in service at the end.
pub(crate) const SYSTEMIC: u8 = 3;
/// The machine failed: the output cannot be written, or the machine is short of memory, open files or threads.
pub(crate) const MACHINE: u8 = 4;
/// A bug of the host.
pub(crate) const BUG: u8 = 70;
/// Stopped by SIGHUP, as when its terminal is closed.
pub(crate) const HUNG_UP: u8 = 129;
/// Stopped by SIGINT, that is Ctrl-C, or by `drain`.
pub(crate) const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;

/// The exit code of a run that has ended. `signal`: the exit code of the signal that stopped it, or 0.
pub(crate) fn code(summary: &RunSummary, signal: u8) -> u8 {
    // A run that stops by itself has failed.
    if summary.interrupted && !(summary.halted && signal == 0) {
        // Without a signal, `drain` stopped the run through its socket.
        if signal == 0 { INTERRUPTED } else { signal }
    } else if summary.unroutable > 0 || (summary.tasks.failed > 0 && is_any_pool_out(summary)) {
        SYSTEMIC
    } else if summary.failure.is_some() || summary.tasks.failed > 0 {
        FAILED
    } else {
        DONE
    }
}

/// Whether some pool fails as a whole, or has no worker in service.
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
    fn code_is_systemic_if_tasks_failed_and_a_pool_has_no_worker_in_service() {
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
        let mut handled = summary(&all);
        handled.tasks.failed = 0;
        assert_eq!(code(&handled, 0), DONE);
        handled.unroutable = 1;
        assert_eq!(code(&handled, 0), SYSTEMIC);
    }
}
