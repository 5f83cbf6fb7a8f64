//! What a run that is resumed begins with.

use super::script::{check, play};
use crate::{Event, Evicted, Health, Moment, WorkerCheckpoint, WorkerId};

const TWO: &str = "policy backoff_min=0ms backoff_max=0ms patience=1s
    0ms kind k0 pools=p0
    join w1 p0 slots=1
    join w2 p0 slots=1
";

#[test]
fn failed_attempts_of_before_count_and_are_not_repeated() {
    check(
        &(TWO.to_owned()
            + "submit a9 attempts=1
               resubmit a1 failed=1@w1,2@w1 attempts=3
               3ms ended a1#3 w2 transient"),
        "0ms assign a9#1 w1
         0ms assign a1#3 w2
         3ms settle a1 refused exhausted
         3ms judged a1#2 w1 cleared
         3ms judged a1#3 w2 cleared",
    );
}

#[test]
fn action_without_an_attempt_left_is_refused() {
    check(
        &(TWO.to_owned() + "resubmit a1 failed=1@w1,2@ attempts=2"),
        "0ms settle a1 refused exhausted
         0ms judged a1#1 w1 unproved",
    );
}

#[test]
fn losses_of_before_cost_no_attempt() {
    check(
        &(TWO.to_owned() + "resubmit a1 failed=1@w1/lost,2@w1/lost attempts=1"),
        "0ms assign a1#3 w2",
    );
}

#[test]
fn worker_that_failed_before_is_guilty_when_another_succeeds() {
    check(
        &(TWO.to_owned()
            + "resubmit a1 failed=1@w1 attempts=3
               3ms ended a1#2 w2 ok"),
        "0ms assign a1#2 w2
         3ms settle a1 done #2
         3ms judged a1#1 w1 guilty",
    );
}

#[test]
fn failure_on_a_worker_that_was_taken_out_does_not_count() {
    check(
        &(TWO.to_owned()
            + "submit a9
               1ms ended a9#1 w1 unstartable
               2ms resubmit a1 failed=1@w1 attempts=1"),
        "0ms assign a9#1 w1
         1ms health w1 evicted unfit
         1ms retry a9#1 w1 at=1ms
         1ms assign a9#2 w2
         2ms judged a1#1 w1 annulled",
    );
}

/// Two workers, the first of which was this.
fn restored(before: WorkerCheckpoint) -> WorkerCheckpoint {
    let mut replay = play(TWO);
    let worker = WorkerId(1);
    let event = Event::WorkerRestored {
        worker,
        before: Box::new(before),
    };
    replay
        .scheduler()
        .handle(Moment::from_millis(10), event, &mut Vec::new());
    replay.scheduler().worker_checkpoint(worker).unwrap()
}

#[test]
fn worker_goes_on_as_what_it_was() {
    let later = Moment::from_millis(11);
    for health in [
        Health::Healthy,
        Health::Probation { round: 2 },
        Health::Quarantined { until: later, round: 2 },
        Health::Draining,
        Health::Evicted(Evicted::Unfit),
    ] {
        let is_usable = matches!(health, Health::Healthy | Health::Probation { .. });
        let before = WorkerCheckpoint {
            health,
            judged: matches!(health, Health::Quarantined { .. }),
            busy_until: if is_usable { later } else { Moment::START },
            quarantines: 4,
            round: 2,
            unproved_quarantines: 1,
            score: 3.25,
        };
        assert_eq!(restored(before), before);
    }
}

#[test]
fn worker_whose_quarantine_is_over_is_on_probation() {
    let health = Health::Quarantined {
        until: Moment::from_millis(9),
        round: 2,
    };
    let before = WorkerCheckpoint {
        health,
        busy_until: Moment::from_millis(10),
        ..WorkerCheckpoint::FRESH
    };
    let after = restored(before);
    assert_eq!(
        (after.health, after.busy_until),
        (Health::Probation { round: 2 }, Moment::START)
    );
}
