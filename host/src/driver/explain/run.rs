//! A whole run, in words.

use std::collections::BTreeMap;

use disperse_scheduler::{ActionState as Now, ActionView, Health, Moment};

use super::{
    LISTED_MAX, Survey,
    crew::{Crew, WaitsFor, waits_for},
};
use crate::{
    control::{RunExplained, Waiting, WorkerBrief},
    driver::Driver,
    report::{health_with_reason, health_word, time_left},
    units::Time,
};

/// How many open actions are looked at to say what they wait for: as many as take about a millisecond.
const LOOKED_AT_MAX: usize = 10_000;

/// How many workers are named, for completions. Arbitrary: more than anybody chooses from.
const NAMES_MAX: usize = 1000;

impl Driver<'_> {
    pub(super) fn explain_run(&self, survey: &Survey) -> RunExplained {
        let (tasks, actions, total) = (self.tasks.counts(), self.scheduler.counts(), self.tasks.total());
        let mut workers = BTreeMap::new();
        let mut notable = Vec::new();
        let mut notable_more = 0;
        let mut names = Vec::new();
        for view in self.scheduler.workers() {
            if names.len() < NAMES_MAX {
                names.push(self.name(view.worker));
            }
            *workers.entry(health_word(view.health)).or_default() += 1;
            if view.health == Health::Healthy {
                continue;
            }
            if notable.len() < LISTED_MAX {
                notable.push(WorkerBrief {
                    id: self.name(view.worker),
                    words: health_with_reason(view.health, self.now),
                });
            } else {
                notable_more += 1;
            }
        }
        let by_pace = time_left(&tasks, total, self.now.since(Moment::START));
        // What is open takes at least as long as its quotas make it wait.
        let open = self.waiting_for_quota().and_then(|(_, eta)| eta).map(Time::from);
        let left = by_pace.max(open);
        RunExplained {
            id: self.evidence.id.to_string(),
            stopping: self.draining,
            tasks_done: tasks.done,
            tasks_failed: tasks.failed,
            tasks_in_flight: tasks.in_flight,
            tasks_total: total,
            left_ms: left.map(|time| time.0),
            actions_done: actions.done,
            actions_refused: actions.failed,
            actions_running: actions.running as u64,
            waiting: self.waiting(survey),
            retries: self.tally.retries(),
            remarks: self.remarks(survey, workers.get(&health_word(Health::Suspect)).copied().unwrap_or(0)),
            workers,
            notable,
            notable_more,
            names,
            quotas: self.quota_lines(survey.quotas.iter()),
        }
    }

    /// What is wrong with the run as a whole.
    fn remarks(&self, survey: &Survey, suspect: u64) -> Vec<String> {
        let failing = self.tally.failing_pools();
        let mut remarks: Vec<String> = failing
            .iter()
            .map(|pool| format!("in the pool {pool} everything fails, whoever tries it: the work or the service is failing, not the workers"))
            .collect();
        let crew = survey.crews.values().fold(Crew::default(), Crew::and);
        let usable = crew.usable + crew.busy;
        if let Some(held) = self.held() {
            remarks.push(format!(
                "{} results wait for that of line {}, which is not done; --unordered writes results as they come",
                held.results, held.line
            ));
        }
        if suspect > 0 && suspect == usable {
            remarks.push(
                "every worker that is left keeps failing: the work, or what all of them need, may be at fault"
                    .to_owned(),
            );
        }
        if usable == 0 && crew.all > 0 {
            remarks.push("no worker is given work now".to_owned());
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
            let crew = kinds
                .entry(parked.kind)
                .or_insert_with(|| self.crew(parked.kind, survey));
            match waits_for(crew, patience) {
                WaitsFor::Free => waiting.for_a_free_worker += 1,
                WaitsFor::Limit | WaitsFor::Quota(..) => waiting.for_a_limit += 1,
                WaitsFor::Another => waiting.for_another_worker += 1,
                WaitsFor::Any => waiting.for_any_worker += 1,
            }
        }
        waiting
    }
}
