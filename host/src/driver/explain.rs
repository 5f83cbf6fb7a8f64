//! From what is known and kept to what is said of it. Nothing here changes the run but what `readmit` and `drain` ask for.

use std::collections::BTreeMap;

use disperse_scheduler::{
    ActionId, ActionState as Now, ActionView, AttemptId, BucketId, Class, Event, Health, KindId, Moment, Outcome,
    PoolId, QuotaView, Reason, Verdict, WorkerId, WorkerView,
};

use super::{
    Driver,
    actions::Parked,
    evidence::{Case, Try},
};
use crate::{
    control::{
        ActionExplained, ActionState, AttemptExplained, Explained, FailureExplained, HealthTurn, Kept, Problem, Query,
        RunExplained, Said, Waiting, WorkerBrief, WorkerExplained, find_worker, forgotten,
    },
    report::{QuotaSummary, health_with_reason, health_word, time_left},
    units::Time,
};

/// How many open actions are looked at to say what they wait for: as many as take about a millisecond.
const LOOKED_AT_MAX: usize = 10_000;

/// How many workers a run lists, and attempts a worker. Chosen freely: a screen.
const LISTED_MAX: usize = 20;

/// How many workers and open actions are kept of a run that has ended, beside those of which there is more to say.
const KEPT_MAX: usize = 5000;

/// The workers of some pools, counted by what they could do for an action that waits.
#[derive(Clone, Copy, Default)]
struct Crew {
    all: u64,
    /// Given work as it comes.
    usable: u64,
    /// Of those, who makes as many attempts as it can.
    at_work: u64,
    busy: u64,
    quarantined: u64,
    out: u64,
}

impl Crew {
    fn count(&mut self, view: &WorkerView) {
        self.all += 1;
        match view.health {
            Health::Busy { .. } => self.busy += 1,
            Health::Quarantined { .. } => self.quarantined += 1,
            Health::Draining | Health::Evicted(_) | Health::Gone => self.out += 1,
            _ => {
                self.usable += 1;
                self.at_work += u64::from(view.holds >= view.slots);
            }
        }
    }

    fn and(mut self, other: &Self) -> Self {
        self.all += other.all;
        self.usable += other.usable;
        self.at_work += other.at_work;
        self.busy += other.busy;
        self.quarantined += other.quarantined;
        self.out += other.out;
        self
    }

    fn words(&self) -> String {
        let parts = [
            (self.at_work, "at work"),
            (self.usable - self.at_work, "free or slowed down"),
            (self.busy, "busy"),
            (self.quarantined, "quarantined"),
            (self.out, "out"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("of {} that serve its kind: {}", self.all, said.join(", "))
    }
}

/// What is looked at once for all that is to be explained.
struct Survey {
    /// The workers of each pool.
    crews: BTreeMap<PoolId, Crew>,
    /// By bucket.
    quotas: Vec<QuotaView>,
}

/// What an action waits for.
#[derive(Clone, Copy)]
enum WaitsFor {
    Free,
    Limit,
    Another,
    Any,
}

impl Driver<'_> {
    /// Answers what is asked from outside.
    ///
    /// # Errors
    /// What is meant is not there, or cannot be done.
    pub(super) fn answer(&mut self, query: &Query) -> Result<Said, Problem> {
        let explained = match query {
            Query::Run => Explained::Run(Box::new(self.explain_run(&self.survey()))),
            Query::Action { id } => Explained::Action(Box::new(self.explain_action(ActionId(*id), &self.survey())?)),
            Query::Worker { name } => {
                let view = self.called(name)?;
                Explained::Worker(Box::new(self.explain_worker(&view, &self.survey())))
            }
            Query::Readmit { worker } => self.readmit(worker)?,
            Query::Drain { worker: None } => self.drain_all(),
            Query::Drain { worker: Some(worker) } => self.drain_worker(worker)?,
        };
        Ok(Said {
            run: self.evidence.id.to_string(),
            ended: false,
            at_ms: self.now.as_millis(),
            explained,
        })
    }

    /// All that could have been asked, for when there is nobody left to ask.
    pub(super) fn kept(&self) -> Kept {
        let survey = self.survey();
        let is_notable = |view: &WorkerView| view.health != Health::Healthy || self.evidence.failures(view.worker) > 0;
        let (notable, others): (Vec<_>, Vec<_>) = self.scheduler.workers().partition(is_notable);
        let mut views: Vec<_> = notable.into_iter().chain(others).take(KEPT_MAX).collect();
        views.sort_by_key(|view| view.worker);
        let mut actions = self.evidence.actions();
        actions.extend(
            self.actions
                .open()
                .map(|(id, _)| id)
                .filter(|id| self.evidence.case(*id).is_none())
                .take(KEPT_MAX),
        );
        Kept::new(
            self.now.as_millis(),
            self.actions.last(),
            self.explain_run(&survey),
            views.iter().map(|view| self.explain_worker(view, &survey)).collect(),
            actions
                .into_iter()
                .filter_map(|id| self.explain_action(id, &survey).ok())
                .collect(),
        )
    }

    fn survey(&self) -> Survey {
        let mut crews: BTreeMap<PoolId, Crew> = BTreeMap::new();
        for view in self.scheduler.workers() {
            crews.entry(view.pool).or_default().count(&view);
        }
        Survey {
            crews,
            quotas: self.scheduler.quotas().collect(),
        }
    }

    fn explain_run(&self, survey: &Survey) -> RunExplained {
        let (tasks, actions, total) = (self.tasks.counts(), self.scheduler.counts(), self.tasks.total());
        let mut workers = BTreeMap::new();
        let mut notable = Vec::new();
        let mut notable_more = 0;
        for view in self.scheduler.workers() {
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
            actions_refused: actions.refused,
            actions_running: actions.running as u64,
            waiting: self.waiting(survey),
            retries: self.tally.retries(),
            remarks: self.remarks(survey, workers.get(&health_word(Health::Suspect)).copied().unwrap_or(0)),
            workers,
            notable,
            notable_more,
            quotas: self.quota_lines(survey.quotas.iter()),
        }
    }

    /// What was spent of the first of these quotas.
    fn quota_lines<'a>(&self, views: impl Iterator<Item = &'a QuotaView>) -> Vec<String> {
        let name = |worker| self.tally.worker_name(worker);
        let now_ms = self.now.as_millis();
        let line = |quota: QuotaSummary| {
            let mut line = format!("quota {}: {}, {} spent", quota.quota, quota.allows, quota.used);
            if quota.capacity > 0 {
                line += &format!(" of {} that were offered", quota.capacity);
            }
            if quota.resets > 0 {
                line += &format!(
                    ", {} left over at the last reset and {} in all",
                    quota.wasted_last, quota.wasted
                );
            }
            if let Some(resets) = quota.resets_at_ms {
                line += &format!(", resets in {}", Time(resets.saturating_sub(now_ms)));
            }
            line
        };
        let listed = self.quotas.summary(views.take(LISTED_MAX), name);
        listed.into_iter().map(line).collect()
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
                WaitsFor::Limit => waiting.for_a_limit += 1,
                WaitsFor::Another => waiting.for_another_worker += 1,
                WaitsFor::Any => waiting.for_any_worker += 1,
            }
        }
        waiting
    }

    /// The workers that serve a kind.
    fn crew(&self, kind: KindId, survey: &Survey) -> Crew {
        let pools = self.routes.pools(kind).iter();
        let serving = pools.filter_map(|pool| survey.crews.get(pool));
        serving.fold(Crew::default(), Crew::and)
    }

    fn explain_action(&self, id: ActionId, survey: &Survey) -> Result<ActionExplained, Problem> {
        let case = self.evidence.case(id);
        let attempts = case.into_iter().flat_map(|case| self.evidence.tries(case));
        let attempts = attempts.map(|one| self.explain_attempt(one)).collect();
        if let (Some(parked), Some(view)) = (self.actions.get(id), self.scheduler.action(id)) {
            let (state, words) = self.state(parked, &view, survey);
            return Ok(ActionExplained {
                id: id.0,
                task: parked.task.0,
                kind: parked.name.to_string(),
                state,
                words,
                attempts,
            });
        }
        let Some(case) = case else {
            return forgotten(id.0, self.actions.last());
        };
        let state = match case.outcome {
            Some(Outcome::Done { .. }) => ActionState::Done,
            _ => ActionState::Refused,
        };
        Ok(ActionExplained {
            id: id.0,
            task: case.task.0,
            kind: case.kind.to_string(),
            state,
            words: self.fate(case),
            attempts,
        })
    }

    /// What happens to an open action.
    fn state(&self, parked: &Parked, view: &ActionView, survey: &Survey) -> (ActionState, String) {
        let lasts = |since: Moment| Time::from(self.now.since(since));
        let until = |moment: Moment| Time::from(moment.since(self.now));
        match view.state {
            Now::Running { worker, second } => {
                let for_time = lasts(parked.given);
                let (who, number) = (self.name(worker), view.attempts);
                let words = match second {
                    None => format!("{who} has it for {for_time}, as attempt {number}"),
                    Some(second) => {
                        let second = self.name(second);
                        format!(
                            "{who} has it and is slow, so {second} tries it too, for {for_time}, as attempt {number}"
                        )
                    }
                };
                (ActionState::Running, words)
            }
            Now::BackingOff { until: moment } => {
                let words = format!("every worker failed it; it rests for another {}", until(moment));
                (ActionState::Resting, words)
            }
            Now::Waiting { patience } => {
                let crew = self.crew(parked.kind, survey);
                let what = match waits_for(&crew, patience) {
                    _ if self.draining => "it waits: the run is being stopped and starts no more attempts".to_owned(),
                    WaitsFor::Free => "it waits for a worker to be free".to_owned(),
                    WaitsFor::Limit => "it waits for workers that are at a limit".to_owned(),
                    WaitsFor::Any => "it waits for workers that are given no work now".to_owned(),
                    WaitsFor::Another => {
                        format!(
                            "it waits for a worker that has not failed it, for another {} at most",
                            until(patience)
                        )
                    }
                };
                let asked = lasts(parked.asked);
                (
                    ActionState::Waiting,
                    format!("{what} ({}); asked for {asked} ago", crew.words()),
                )
            }
        }
    }

    fn explain_attempt(&self, one: &Try) -> AttemptExplained {
        AttemptExplained {
            attempt: one.attempt.number,
            worker: self.name(one.worker),
            class: class(one.class),
            message: one.message.to_string(),
            at_ms: one.at.as_millis(),
            run_ms: one.took.as_secs_f64() * 1e3,
            verdict: verdict(one),
        }
    }

    fn explain_worker(&self, view: &WorkerView, survey: &Survey) -> WorkerExplained {
        let worker = view.worker;
        let failures: Vec<_> = self
            .evidence
            .of_worker(worker)
            .map(|(one, case)| FailureExplained {
                action: one.attempt.action.0,
                attempt: one.attempt.number,
                kind: case.map_or_else(String::new, |case| case.kind.to_string()),
                class: class(one.class),
                message: one.message.to_string(),
                at_ms: one.at.as_millis(),
                passed: case
                    .and_then(|case| case.outcome)
                    .map(|outcome| matches!(outcome, Outcome::Done { .. })),
                fate: case.map_or_else(|| "not known any more".to_owned(), |case| self.fate(case)),
                verdict: verdict(one),
            })
            .collect();
        let mut attempts = self.scheduler.attempts(worker);
        attempts.sort_unstable();
        let turn = |turn: &super::evidence::Turn| HealthTurn {
            at_ms: turn.at.as_millis(),
            health: health_word(turn.health),
            words: health_with_reason(turn.health, turn.at),
        };
        let failed = self.evidence.failures(worker);
        let quota = |bucket: &BucketId| survey.quotas.get(bucket.0 as usize);
        WorkerExplained {
            id: self.name(worker),
            health: health_word(view.health),
            words: health_with_reason(view.health, self.now),
            since_ms: self.evidence.since(worker).as_millis(),
            ok: view.ok,
            failed,
            lost: view.lost,
            busy: view.busy,
            faults: view.faults,
            quarantines: view.quarantines,
            slots: view.slots,
            has: attempts
                .iter()
                .take(LISTED_MAX)
                .map(|attempt| self.has(*attempt))
                .collect(),
            holds: view.holds,
            quotas: self.quota_lines(self.quotas.of(worker).iter().filter_map(quota)),
            failures_forgotten: failed.saturating_sub(failures.len() as u64),
            failures,
            history: self.evidence.turns(worker).map(turn).collect(),
        }
    }

    /// What a worker is doing, in words.
    fn has(&self, attempt: AttemptId) -> String {
        let (id, number) = (attempt.action.0, attempt.number);
        match self.actions.get(attempt.action) {
            Some(parked) => {
                let for_time = Time::from(self.now.since(parked.given));
                format!("action {id} ({}), attempt {number}, for {for_time}", parked.name)
            }
            None => format!("action {id}, attempt {number}, which nobody needs any more"),
        }
    }

    /// What became of an action, in words.
    fn fate(&self, case: &Case) -> String {
        match (case.outcome, case.passed) {
            (None, _) => "it is not settled yet".to_owned(),
            (Some(Outcome::Done { .. }), Some((worker, number))) => {
                format!("it passed on {} at attempt {number}", self.name(worker))
            }
            (Some(Outcome::Done { .. }), None) => "it passed elsewhere".to_owned(),
            (Some(Outcome::Refused(reason)), _) => format!("it was given up: {}", refused(reason)),
        }
    }

    fn name(&self, worker: WorkerId) -> String {
        self.tally.worker_name(worker).to_string()
    }

    /// The worker that is meant.
    ///
    /// # Errors
    /// None is called so, or several are.
    fn called(&self, name: &str) -> Result<WorkerView, Problem> {
        let at = find_worker(name, self.tally.worker_names())?;
        let found = u32::try_from(at)
            .ok()
            .and_then(|at| self.scheduler.worker(WorkerId(at)));
        found.ok_or_else(|| Problem::new(format!("there is no worker `{name}`")))
    }

    fn readmit(&mut self, name: &str) -> Result<Explained, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if view.health == Health::Gone {
            return Err(Problem::new(format!("{name} is gone for good")));
        }
        let was = health_with_reason(view.health, self.now);
        self.tell(Event::WorkerReadmitted { worker: view.worker });
        let given = if self.draining {
            "though the run is being stopped and starts no more attempts"
        } else {
            "and is given work again"
        };
        Ok(Explained::Done {
            message: format!("{name} has a clean record {given}; it was {was}"),
        })
    }

    fn drain_worker(&mut self, name: &str) -> Result<Explained, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if matches!(view.health, Health::Draining | Health::Evicted(_) | Health::Gone) {
            let message = format!(
                "{name} is given nothing as it is: {}",
                health_with_reason(view.health, self.now)
            );
            return Ok(Explained::Done { message });
        }
        if self.scheduler.is_last(view.worker) && !self.draining {
            return Err(
                Problem::new(format!("{name} is the last worker for what it does")).hint(
                    "what waits for it would be given up; `readmit` another one first, or stop the run with `drain`",
                ),
            );
        }
        self.tell(Event::WorkerDrained { worker: view.worker });
        let message = format!("{name} is given nothing more; {}", let_end(view.holds as usize));
        Ok(Explained::Done { message })
    }

    fn drain_all(&mut self) -> Explained {
        let message = if self.draining {
            "the run is being stopped already".to_owned()
        } else {
            self.report.stopping();
            self.drain();
            format!("the run starts no more attempts; {}", let_end(self.scheduler.held()))
        };
        Explained::Done { message }
    }
}

fn let_end(attempts: usize) -> String {
    match attempts {
        0 => "none runs".to_owned(),
        1 => "the one that runs is let end".to_owned(),
        some => format!("the {some} that run are let end"),
    }
}

fn waits_for(crew: &Crew, patience: Moment) -> WaitsFor {
    if patience != Moment::NEVER {
        WaitsFor::Another
    } else if crew.usable > 0 {
        WaitsFor::Free
    } else if crew.busy > 0 {
        WaitsFor::Limit
    } else {
        WaitsFor::Any
    }
}

/// What a failed attempt means for its worker and its action.
fn verdict(one: &Try) -> String {
    let fixed = match (one.class, one.verdict) {
        (_, Some(Verdict::Guilty { shares: 1 })) => "the worker was at fault",
        (_, Some(Verdict::Guilty { shares })) => return format!("the worker was at fault, as one of {shares}"),
        (_, Some(Verdict::Cleared)) => "the worker was not at fault",
        (_, Some(Verdict::Annulled)) => "the worker was taken out, so it does not count against the action",
        (Class::Transient | Class::Trap, None) => "nobody knows yet whose fault it was",
        (Class::Permanent, None) => "it is held against the action alone",
        (Class::WorkerFault, None) => "it is held against the worker alone",
        (Class::Lost | Class::Ok | Class::Busy | Class::Neutral, None) => "it is held against nobody",
    };
    fixed.to_owned()
}

fn refused(reason: Reason) -> &'static str {
    match reason {
        Reason::Permanent => "a worker says that it can never work",
        Reason::Exhausted => "all of its attempts failed",
        Reason::Poison => "it broke distinct workers in the same way",
        Reason::Unroutable => "no worker that could do it was left",
        Reason::Cancelled => "nobody wanted it any more",
        Reason::Deadline => "its deadline passed",
        Reason::Oversize => "its result is too large",
    }
}

/// The class of a failed attempt in a word. One that had a result is here because others had another.
fn class(class: Class) -> String {
    match class {
        Class::Ok => "outvoted".to_owned(),
        other => other.to_string(),
    }
}
