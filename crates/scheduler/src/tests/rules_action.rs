//! The life of an action: how it is settled, and that it is settled once.

use super::script::{check, play};
use crate::{ActionId, ActionState, Moment, Policy, PolicyError, Scheduler, WorkerId};

#[test]
fn result_settles_action() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         9ms ended a1#1 w1 ok",
        "0ms assign a1#1 w1
         9ms settle a1 done #1",
    );
}

#[test]
fn permanent_and_oversize_settle_at_once() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=2
         submit a1 attempts=9
         submit a2 attempts=9
         1ms ended a1#1 w1 permanent
         2ms ended a2#1 w1 oversize",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         1ms settle a1 refused permanent
         2ms settle a2 refused oversize",
    );
}

#[test]
fn the_last_attempt_that_fails_exhausts() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         submit a1 attempts=2
         1ms ended a1#1 w1 transient
         2ms ended a1#2 w2 trap",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms settle a1 refused exhausted
         2ms judged a1#1 w1 cleared
         2ms judged a1#2 w2 cleared",
    );
}

#[test]
fn attempts_default_to_the_policy() {
    check(
        "policy attempts=1
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         1ms ended a1#1 w1 trap",
        "0ms assign a1#1 w1
         1ms settle a1 refused exhausted
         1ms judged a1#1 w1 cleared",
    );
}

#[test]
fn losses_have_a_budget_of_their_own() {
    check(
        "policy losses=1
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         join w3 p0 slots=1
         submit a1 attempts=1
         1ms left w1
         2ms left w2",
        "0ms assign a1#1 w1
         1ms health w1 gone
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms health w2 gone
         2ms settle a1 refused exhausted",
    );
}

#[test]
fn busy_and_stopped_spend_no_attempt_and_accuse_no_worker() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1 attempts=1
         1ms ended a1#1 w1 busy=0.001ms
         1.001ms tick
         2ms ended a1#2 w1 stopped
         3ms ended a1#3 w1 ok",
        "0ms assign a1#1 w1
         1ms health w1 busy until=1.001ms
         1.001ms health w1 healthy
         1.001ms assign a1#2 w1
         2ms assign a1#3 w1
         3ms settle a1 done #3",
    );
}

#[test]
fn worker_fault_costs_no_attempt() {
    check(
        "policy quarantine_jitter=0
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         submit a1 attempts=1
         1ms ended a1#1 w1 faulty
         2ms ended a1#2 w2 ok",
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=30001ms round=1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms settle a1 done #2",
    );
}

#[test]
fn a_kind_without_pools_is_unroutable_at_once() {
    check(
        "0ms kind k0 pools=
         submit a1
         submit a2 kind=k9",
        "0ms settle a1 refused unroutable
         0ms settle a2 refused unroutable",
    );
}

#[test]
fn actions_wait_until_the_first_worker_joins() {
    check(
        "0ms kind k0 pools=p0
         submit a1
         5ms join w1 p0 slots=1",
        "5ms assign a1#1 w1",
    );
}

#[test]
fn waiting_action_is_unroutable_when_the_last_worker_leaves() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         submit a2
         1ms drain w1
         2ms submit a3
         3ms ended a1#1 w1 transient",
        "0ms assign a1#1 w1
         1ms health w1 draining
         1ms settle a2 refused unroutable
         2ms settle a3 refused unroutable
         3ms judged a1#1 w1 annulled
         3ms settle a1 refused unroutable",
    );
}

#[test]
fn resting_action_is_unroutable_when_the_last_worker_leaves() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         1ms ended a1#1 w1 transient
         2ms left w1",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=567.562ms
         2ms health w1 gone
         2ms settle a1 refused unroutable
         2ms judged a1#1 w1 cleared",
    );
}

#[test]
fn another_pool_of_the_kind_keeps_it_routable() {
    check(
        "0ms kind k0 pools=p0,p1
         join w1 p0 slots=1
         join w2 p1 slots=1
         submit a1
         submit a2
         submit a3
         1ms left w1
         2ms ended a2#1 w2 ok",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         1ms health w1 gone
         1ms retry a1#1 w1 at=1ms
         2ms settle a2 done #1
         2ms assign a1#2 w2",
    );
}

#[test]
fn a_readmitted_worker_makes_it_routable_again() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         drain w1
         1ms submit a1
         2ms readmit w1
         3ms submit a2",
        "0ms health w1 draining
         1ms settle a1 refused unroutable
         2ms health w1 healthy
         3ms assign a2#1 w1",
    );
}

#[test]
fn unknown_ids_and_repeated_events_are_ignored() {
    check(
        "0ms ended a9#1 w9 ok
         left w9
         drain w9
         readmit w9
         cancel a9
         tick
         kind k0 pools=p0,p0
         kind k0 pools=
         join w1 p0 slots=0
         join w1 p0 slots=5
         submit a1
         submit a1
         submit a2
         1ms ended a1#2 w1 ok
         ended a1#0 w1 ok
         ended a2#1 w1 ok
         2ms ended a1#1 w1 transient
         ended a1#1 w1 trap
         3ms left w1
         left w1
         readmit w1",
        "0ms assign a1#1 w1
         2ms retry a1#1 w1 at=568.562ms
         2ms assign a2#1 w1
         3ms health w1 gone
         3ms settle a1 refused unroutable
         3ms judged a1#1 w1 cleared
         3ms settle a2 refused unroutable",
    );
}

#[test]
fn invalid_policy_is_rejected() {
    let policy = Policy {
        open_max: 0,
        ..Policy::default()
    };
    let error = PolicyError {
        field: "open-max",
        wanted: "at least 1",
    };
    assert_eq!(Scheduler::new(policy, 1).err(), Some(error));
}

#[test]
fn views_report_every_action_and_worker() {
    let mut replay = play(
        "policy open_max=3
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1 attempts=2
         1ms ended a1#1 w1 trap took=1ms
         submit a2
         submit a3
         2ms cancel a2
         submit a4",
    );
    let scheduler = replay.scheduler();
    let counts = scheduler.counts();
    assert_eq!(
        (counts.waiting, counts.running, counts.backing_off, counts.stopping),
        (2, 0, 1, 1)
    );
    assert_eq!(
        (counts.failed, counts.done, counts.workers, counts.quarantined),
        (1, 0, 1, 0)
    );
    assert!(scheduler.is_full() && !scheduler.is_idle());
    assert_eq!((scheduler.open(), scheduler.in_flight()), (3, 1));
    let action = scheduler.action(ActionId(1)).expect("it is open");
    assert_eq!(
        (action.attempts, action.failed, action.failed_max, action.lost),
        (1, 1, 2, 0)
    );
    assert!(matches!(action.state, ActionState::BackingOff { .. }));
    let state = ActionState::Waiting {
        patience: Moment::NEVER,
    };
    assert_eq!(scheduler.action(ActionId(3)).map(|action| action.state), Some(state));
    assert_eq!(scheduler.action(ActionId(2)), None);
    let worker = scheduler.worker(WorkerId(1)).expect("it joined");
    assert_eq!((worker.in_flight, worker.failed, worker.ok), (1, 1, 0));
    assert_eq!(scheduler.workers().count(), 1);
}
