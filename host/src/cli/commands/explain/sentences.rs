//! The sentences about the facts of a response.

use crate::{
    control::{ActionState as State, AttemptStatus, FailureCause, Fate, HeldAttempt, ServingWorkers, WaitCause},
    inbox::{FailureClass, FailureReason, FaultVerdict, QuotaSummary},
    report::{dissent_words, quota_words},
    units::Time,
};

pub(super) fn cause(cause: FailureCause) -> String {
    match cause {
        FailureCause::Message(message) => message,
        FailureCause::Dissent(dissent) => dissent_words(&dissent),
    }
}

pub(super) fn state_words(state: &State, now_ms: u64) -> String {
    let since = |ms: u64| Time(now_ms.saturating_sub(ms));
    let until = |ms: u64| Time(ms.saturating_sub(now_ms));
    match state {
        State::Running {
            worker,
            second: None,
            attempt,
            since_ms,
        } => format!("running on {worker} for {}, as attempt {attempt}", since(*since_ms)),
        State::Running {
            worker,
            second: Some(second),
            attempt,
            since_ms,
        } => format!(
            "running on {worker}, which is slow, and on {second}, for {}, as attempt {attempt}",
            since(*since_ms)
        ),
        State::Resting { until_ms, busy } => {
            let why = if *busy {
                "workers were busy"
            } else {
                "every worker failed it"
            };
            format!("{why}; it is tried again in {}", until(*until_ms))
        }
        State::Waiting {
            cause,
            serving,
            asked_ms,
        } => {
            let cause = match cause {
                WaitCause::Stopping => "it waits: the run is being stopped and starts no more attempts".to_owned(),
                WaitCause::FreeWorker => "it waits for a free worker".to_owned(),
                WaitCause::Limit => "it waits for workers that are at a limit".to_owned(),
                WaitCause::Quota {
                    quota,
                    refills_ms: None,
                } => format!("it waits for the quota {quota}, which is spent"),
                WaitCause::Quota {
                    quota,
                    refills_ms: Some(refills_ms),
                } => format!(
                    "it waits for the quota {quota}, which is spent; more in {}",
                    until(*refills_ms)
                ),
                WaitCause::AnyWorker => "it waits for workers that are out of service".to_owned(),
                WaitCause::AnotherWorker { until_ms } => format!(
                    "it waits for a worker that has not failed it, for another {} at most",
                    until(*until_ms)
                ),
            };
            format!(
                "{cause} ({}); requested {} ago",
                serving_words(serving),
                since(*asked_ms)
            )
        }
        State::Settled(fate) => fate_words(fate),
        State::Forgotten => {
            "it is settled; no record is left: it succeeded at once, or its failures are long ago".to_owned()
        }
    }
}

fn serving_words(serving: &ServingWorkers) -> String {
    let parts = [
        (serving.at_work, "at work"),
        (serving.free, "free or slowed down"),
        (serving.spent, "with a spent quota"),
        (serving.busy, "busy"),
        (serving.quarantined, "quarantined"),
        (serving.out, "out of service"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    format!("of {} that serve its kind: {}", serving.all, parts.join(", "))
}

pub(super) fn fate_words(fate: &Fate) -> String {
    match fate {
        Fate::Forgotten => "no longer recorded".to_owned(),
        Fate::Open => "it is not settled yet".to_owned(),
        Fate::Passed(Some((worker, number))) => format!("it passed on {worker} at attempt {number}"),
        Fate::Passed(None) => "it passed elsewhere".to_owned(),
        Fate::Failed(reason) => format!("it failed: {}", reason_words(*reason)),
    }
}

fn reason_words(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Permanent => "a worker reported that it can never succeed",
        FailureReason::Exhausted => "all of its attempts failed",
        FailureReason::Poison => "it broke distinct workers in the same way",
        FailureReason::Unroutable => "no worker that could perform it was left",
        FailureReason::Cancelled => "it was no longer needed",
        FailureReason::Deadline => "its deadline passed",
        FailureReason::Oversize => "its result is too large",
    }
}

/// The meaning of a failed attempt for its worker and its action.
pub(super) fn verdict(attempt: &AttemptStatus) -> String {
    let fixed = match (attempt.class, attempt.verdict) {
        (_, Some(FaultVerdict::Guilty { shares: 1 })) => "the worker was at fault",
        (_, Some(FaultVerdict::Guilty { shares })) => return format!("the worker was at fault, as one of {shares}"),
        (_, Some(FaultVerdict::Cleared)) => "the worker was not at fault",
        (_, Some(FaultVerdict::Unproved)) => {
            "too few workers tried it to tell whether the worker was at fault; it counts a little against the worker"
        }
        (_, Some(FaultVerdict::Annulled)) => {
            "the worker was taken out of service, so it does not count against the action"
        }
        (FailureClass::Transient | FailureClass::Trap, None) => "it is not known yet whether the worker was at fault",
        (FailureClass::Permanent, None) => "it counts against the action only",
        (FailureClass::WorkerFault, None) => {
            "it counts against the worker, unless other workers report the same of the action"
        }
        (FailureClass::Lost | FailureClass::Outvoted, None) => "it counts against neither the worker nor the action",
    };
    fixed.to_owned()
}

pub(super) fn held_line(held: &HeldAttempt, now_ms: u64) -> String {
    let (id, number) = (held.attempt.action, held.attempt.number);
    match &held.action {
        Some((kind, since_ms)) => {
            let lasts = Time(now_ms.saturating_sub(*since_ms));
            format!("action {id} ({kind}), attempt {number}, for {lasts}")
        }
        None => format!("action {id}, attempt {number}, which is no longer needed"),
    }
}

pub(super) fn quota_line(quota: &QuotaSummary, now_ms: u64) -> String {
    let until = |at_ms: u64| Time(at_ms.saturating_sub(now_ms));
    let allows = quota_words(quota.terms);
    let mut line = format!("quota {}: {allows}, {} spent", quota.quota, quota.used);
    if quota.capacity > 0 {
        line += &format!(" of {} offered", quota.capacity);
    }
    if quota.resets > 0 {
        line += &format!(
            ", {} unused at the last reset and {} in all",
            quota.wasted_last, quota.wasted
        );
    }
    if let Some(resets_at_ms) = quota.resets_at_ms {
        line += &format!(", resets in {}", until(resets_at_ms));
    }
    if let Some(refills_at_ms) = quota.refills_at_ms {
        line += &format!("; no units left, more in {}", until(refills_at_ms));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        control::{ActionStatus, ControlResponse, Status},
        inbox::{AttemptNumber, Dissent},
    };

    #[test]
    fn every_state_of_an_action_has_its_sentence_and_survives_serde() {
        let worker = || "w/1".to_owned();
        let serving = ServingWorkers {
            all: 5,
            at_work: 2,
            free: 1,
            busy: 2,
            ..ServingWorkers::default()
        };
        let waiting = |cause| State::Waiting {
            cause,
            serving,
            asked_ms: 1_000,
        };
        let waits = |what: &str| {
            format!("{what} (of 5 that serve its kind: 2 at work, 1 free or slowed down, 2 busy); requested 9s ago")
        };
        let quota = |refills_ms| {
            let quota = "w/1".to_owned();
            waiting(WaitCause::Quota { quota, refills_ms })
        };
        let running = |second: Option<&str>| State::Running {
            worker: worker(),
            second: second.map(str::to_owned),
            attempt: 3,
            since_ms: 8_000,
        };
        let resting = |busy| State::Resting { until_ms: 11_000, busy };
        let failure = |why: &str| format!("it failed: {why}");
        let failed = |reason| State::Settled(Fate::Failed(reason));
        let rows = [
            (
                waiting(WaitCause::Stopping),
                waits("it waits: the run is being stopped and starts no more attempts"),
            ),
            (waiting(WaitCause::FreeWorker), waits("it waits for a free worker")),
            (
                waiting(WaitCause::Limit),
                waits("it waits for workers that are at a limit"),
            ),
            (quota(None), waits("it waits for the quota w/1, which is spent")),
            (
                quota(Some(12_000)),
                waits("it waits for the quota w/1, which is spent; more in 2s"),
            ),
            (
                waiting(WaitCause::AnyWorker),
                waits("it waits for workers that are out of service"),
            ),
            (
                waiting(WaitCause::AnotherWorker { until_ms: 13_000 }),
                waits("it waits for a worker that has not failed it, for another 3s at most"),
            ),
            (running(None), "running on w/1 for 2s, as attempt 3".to_owned()),
            (
                running(Some("w/2")),
                "running on w/1, which is slow, and on w/2, for 2s, as attempt 3".to_owned(),
            ),
            (resting(true), "workers were busy; it is tried again in 1s".to_owned()),
            (
                resting(false),
                "every worker failed it; it is tried again in 1s".to_owned(),
            ),
            (
                State::Settled(Fate::Passed(Some((worker(), 2)))),
                "it passed on w/1 at attempt 2".to_owned(),
            ),
            (State::Settled(Fate::Passed(None)), "it passed elsewhere".to_owned()),
            (State::Settled(Fate::Open), "it is not settled yet".to_owned()),
            (State::Settled(Fate::Forgotten), "no longer recorded".to_owned()),
            (
                failed(FailureReason::Permanent),
                failure("a worker reported that it can never succeed"),
            ),
            (failed(FailureReason::Exhausted), failure("all of its attempts failed")),
            (
                failed(FailureReason::Poison),
                failure("it broke distinct workers in the same way"),
            ),
            (
                failed(FailureReason::Unroutable),
                failure("no worker that could perform it was left"),
            ),
            (failed(FailureReason::Cancelled), failure("it was no longer needed")),
            (failed(FailureReason::Deadline), failure("its deadline passed")),
            (failed(FailureReason::Oversize), failure("its result is too large")),
            (
                State::Forgotten,
                "it is settled; no record is left: it succeeded at once, or its failures are long ago".to_owned(),
            ),
        ];
        for (state, words) in rows {
            assert_eq!(state_words(&state, 10_000), words);
            let response = ControlResponse {
                run: "r".into(),
                ended: false,
                at_ms: 10_000,
                status: Status::Action(Box::new(ActionStatus {
                    id: 1,
                    task: 1,
                    kind: "k".into(),
                    state,
                    attempts: Vec::new(),
                })),
            };
            let text = serde_json::to_string(&response).unwrap();
            assert_eq!(
                serde_json::from_str::<ControlResponse>(&text).unwrap(),
                response,
                "{text}"
            );
        }
    }

    #[test]
    fn verdict_words_depend_on_the_class_until_there_is_a_verdict() {
        let found = |class, verdict| {
            super::verdict(&AttemptStatus {
                attempt: AttemptNumber { action: 1, number: 1 },
                worker: "w/1".into(),
                class,
                cause: FailureCause::Dissent(Dissent::Fuel { own: 1, others: 2 }),
                at_ms: 0,
                took: Duration::ZERO,
                verdict,
            })
        };
        for (class, verdict, words) in [
            (
                FailureClass::Trap,
                None,
                "it is not known yet whether the worker was at fault",
            ),
            (FailureClass::Permanent, None, "it counts against the action only"),
            (
                FailureClass::Lost,
                None,
                "it counts against neither the worker nor the action",
            ),
            (
                FailureClass::Outvoted,
                Some(FaultVerdict::Guilty { shares: 1 }),
                "the worker was at fault",
            ),
            (
                FailureClass::Trap,
                Some(FaultVerdict::Guilty { shares: 3 }),
                "the worker was at fault, as one of 3",
            ),
            (
                FailureClass::Trap,
                Some(FaultVerdict::Cleared),
                "the worker was not at fault",
            ),
        ] {
            assert_eq!(found(class, verdict), words);
        }
    }
}
