//! An action, in words.

use disperse_scheduler::{ActionId, ActionState as Now, ActionView, Class, Moment, Outcome, Reason, Verdict};

use super::{
    Survey,
    crew::{WaitsFor, waits_for},
};
use crate::{
    control::{ActionExplained, ActionState, AttemptExplained, Problem, forgotten},
    driver::{
        Driver,
        actions::Parked,
        evidence::{Case, Try},
    },
    units::Time,
};

impl Driver<'_> {
    pub(super) fn explain_action(&self, id: ActionId, survey: &Survey) -> Result<ActionExplained, Problem> {
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
            Now::BackingOff { until: moment, busy } => {
                let why = if busy {
                    "workers were busy with it"
                } else {
                    "every worker failed it"
                };
                let words = format!("{why}; it rests for another {}", until(moment));
                (ActionState::Resting, words)
            }
            Now::Waiting { patience } => {
                let crew = self.crew(parked.kind, survey);
                let what = match waits_for(&crew, patience) {
                    _ if self.draining => "it waits: the run is being stopped and starts no more attempts".to_owned(),
                    WaitsFor::Free => "it waits for a worker to be free".to_owned(),
                    WaitsFor::Limit => "it waits for workers that are at a limit".to_owned(),
                    WaitsFor::Quota(refills, bucket) => {
                        let quota = self.quotas.label(bucket);
                        match refills {
                            Moment::NEVER => format!("it waits for the quota {quota}, which is spent"),
                            refills => format!(
                                "it waits for the quota {quota}, which is spent; more in {}",
                                until(refills)
                            ),
                        }
                    }
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

    /// What became of an action, in words.
    pub(super) fn fate(&self, case: &Case) -> String {
        match (case.outcome, case.passed) {
            (None, _) => "it is not settled yet".to_owned(),
            (Some(Outcome::Done { .. }), Some((worker, number))) => {
                format!("it passed on {} at attempt {number}", self.name(worker))
            }
            (Some(Outcome::Done { .. }), None) => "it passed elsewhere".to_owned(),
            (Some(Outcome::Failed(reason)), _) => format!("it was given up: {}", refused(reason)),
        }
    }
}

/// What a failed attempt means for its worker and its action.
pub(super) fn verdict(one: &Try) -> String {
    let fixed = match (one.class, one.verdict) {
        (_, Some(Verdict::Guilty { shares: 1 })) => "the worker was at fault",
        (_, Some(Verdict::Guilty { shares })) => return format!("the worker was at fault, as one of {shares}"),
        (_, Some(Verdict::Cleared)) => "the worker was not at fault",
        (_, Some(Verdict::Unproved)) => {
            "too few workers tried it to tell whose fault it was; it counts a little against the worker"
        }
        (_, Some(Verdict::Annulled)) => "the worker was taken out, so it does not count against the action",
        (Class::Transient | Class::Trap, None) => "nobody knows yet whose fault it was",
        (Class::Permanent, None) => "it is held against the action alone",
        (Class::WorkerFault, None) => "it is held against the worker, unless others say the same of the action",
        (Class::Lost | Class::Ok | Class::Busy | Class::Host | Class::Neutral, None) => "it is held against nobody",
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
pub(super) fn class(class: Class) -> String {
    match class {
        Class::Ok => "outvoted".to_owned(),
        other => other.to_string(),
    }
}
