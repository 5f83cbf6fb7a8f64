//! The status of a run.

use std::collections::BTreeMap;

use disperse_scheduler::{ActionState as Now, ActionView, Health, Moment};

use super::{
    LISTED_MAX,
    counts::Survey,
    counts::{WaitsFor, WorkerCounts, waits_for},
};
use crate::{driver::Driver, sink::time_left};
use disperse_protocol::{
    control::{RunRemark, RunStatus, Waiting},
    inbox::{HealthKind, HealthState, Held},
    units::Time,
};

/// How many open actions are looked at to say what they wait for: as many as take about a millisecond.
const LOOKED_AT_MAX: usize = 10_000;

/// How many workers are named, for completions. Arbitrary: more than anybody chooses from.
const NAMES_MAX: usize = 1000;

impl Driver<'_> {
    pub(super) fn explain_run(&self, survey: &Survey) -> RunStatus {
        let (tasks, actions, total) = (self.tasks.counts(), self.scheduler.counts(), self.tasks.total());
        let mut workers = BTreeMap::new();
        let mut notable = Vec::new();
        let mut notable_more = 0;
        let mut names = Vec::new();
        for view in self.scheduler.workers() {
            if names.len() < NAMES_MAX {
                names.push(self.name(view.worker));
            }
            let health = HealthState::from(view.health);
            *workers.entry(health.kind()).or_default() += 1;
            if view.health == Health::Healthy {
                continue;
            }
            if notable.len() < LISTED_MAX {
                notable.push((self.name(view.worker), health));
            } else {
                notable_more += 1;
            }
        }
        let by_pace = time_left(&tasks, total, self.now.since(Moment::START));
        // What is open takes at least as long as its quotas make it wait.
        let open = self.waiting_for_quota().and_then(|(_, eta)| eta).map(Time::from);
        let left = by_pace.max(open);
        RunStatus {
            id: self.evidence.id.to_string(),
            stopping: self.draining,
            tasks,
            tasks_total: total,
            left_ms: left.map(|time| time.0),
            actions_done: actions.done,
            actions_failed: actions.failed,
            actions_running: actions.running as u64,
            waiting: self.waiting(survey),
            retries: self.tally.retries(),
            remarks: self.remarks(survey, workers.get(&HealthKind::Suspect).copied().unwrap_or(0)),
            workers,
            notable,
            notable_more,
            names,
            quotas: self.quota_status(survey.quotas.iter()),
        }
    }

    /// The faults of the run as a whole. `suspect`: how many workers are.
    fn remarks(&self, survey: &Survey, suspect: u64) -> Vec<RunRemark> {
        let failing = self.failing_pools().into_iter();
        let mut remarks: Vec<RunRemark> = failing.map(|pool| RunRemark::PoolFailing { pool }).collect();
        let workers = survey.pools.values().fold(WorkerCounts::default(), WorkerCounts::and);
        let usable = workers.usable + workers.busy;
        if let Some(Held { results, line }) = self.held() {
            remarks.push(RunRemark::ResultsHeld { results, line });
        }
        if suspect > 0 && suspect == usable {
            remarks.push(RunRemark::AllSuspect);
        }
        if usable == 0 && workers.all > 0 {
            remarks.push(RunRemark::NoWorker);
        }
        remarks
    }

    fn waiting(&self, survey: &Survey) -> Waiting {
        let counts = self.scheduler.counts();
        let mut waiting = Waiting {
            all: counts.waiting as u64,
            resting: counts.backing_off as u64,
            ..Waiting::default()
        };
        if waiting.all == 0 {
            return waiting;
        }
        let mut kinds = BTreeMap::new();
        for (id, parked) in self.actions.open().take(LOOKED_AT_MAX) {
            let Some(ActionView {
                state: Now::Waiting { patience },
                ..
            }) = self.scheduler.action(id)
            else {
                continue;
            };
            waiting.looked_at += 1;
            let serving = kinds
                .entry(parked.kind)
                .or_insert_with(|| self.serving(parked.kind, survey));
            match waits_for(serving, patience) {
                WaitsFor::Free => waiting.for_a_free_worker += 1,
                WaitsFor::Limit | WaitsFor::Quota(..) => waiting.for_a_limit += 1,
                WaitsFor::Another => waiting.for_another_worker += 1,
                WaitsFor::Any => waiting.for_any_worker += 1,
            }
        }
        waiting
    }
}
