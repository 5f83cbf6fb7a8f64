//! What is not wanted any more, comes too late, or is left for another run.

use super::script::check;

#[test]
fn cancel_settles_a_waiting_action() {
    check(
        "0ms kind k0 pools=p0
         submit a1
         1ms cancel a1
         2ms cancel a1
         3ms join w1 p0 slots=1",
        "1ms settle a1 refused cancelled",
    );
}

#[test]
fn cancel_settles_a_running_action_and_its_end_frees_the_slot() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         submit a2
         1ms cancel a1
         2ms ended a1#1 w1 stopped",
        "0ms assign a1#1 w1
         1ms stop a1#1 w1
         1ms settle a1 refused cancelled
         2ms assign a2#1 w1",
    );
}

#[test]
fn deadline_settles_waiting_and_stops_running_actions() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1 deadline=5ms
         submit a2 deadline=6ms
         5ms tick
         6ms tick
         7ms submit a3 deadline=7ms",
        "0ms assign a1#1 w1
         5ms stop a1#1 w1
         5ms settle a1 refused deadline
         6ms settle a2 refused deadline
         7ms settle a3 refused deadline",
    );
}

#[test]
fn a_deadline_ends_a_backoff() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1 deadline=9ms
         1ms ended a1#1 w1 transient
         9ms run",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=567.562ms
         9ms settle a1 refused deadline
         9ms judged a1#1 w1 cleared",
    );
}

#[test]
fn a_stale_failure_is_ignored() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         submit a1 attempts=2
         1ms ended a1#1 w1 lost
         2ms ended a1#1 w1 transient
         3ms ended a1#1 w1 unfit
         4ms ended a1#2 w2 ok",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         4ms settle a1 done #2",
    );
}

#[test]
fn a_stale_success_settles_and_the_newer_attempt_is_stopped() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         submit a1
         1ms left w1
         2ms ended a1#1 w1 ok
         3ms ended a1#2 w2 ok",
        "0ms assign a1#1 w1
         1ms health w1 gone
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms stop a1#2 w2
         2ms settle a1 done #1",
    );
}

#[test]
fn stale_success_settles_a_waiting_action() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         1ms ended a1#1 w1 lost
         2ms ended a1#1 w1 ok",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=567.562ms
         2ms settle a1 done #1",
    );
}

#[test]
fn drain_starts_no_attempt_and_fails_no_action() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         submit a2
         1ms drain
         2ms ended a1#1 w1 ok
         3ms submit a3
         4ms join w2 p0 slots=1
         5ms left w1
         6ms left w2",
        "0ms assign a1#1 w1
         2ms settle a1 done #1
         5ms health w1 gone
         6ms health w2 gone",
    );
}

#[test]
fn result_before_the_deadline_is_noticed_counts() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1 deadline=5ms
         6ms ended a1#1 w1 ok",
        "0ms assign a1#1 w1
         6ms settle a1 done #1",
    );
}
