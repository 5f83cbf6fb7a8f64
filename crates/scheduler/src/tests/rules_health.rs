//! The standing of workers.

use super::script::check;

/// Everything is even, one failure is enough, backoff is nothing: only health is seen.
const SHORT: &str = "policy quarantine_jitter=0 blame=row1 quarantine_min=1s backoff_min=0ms backoff_max=0ms
    attempts=99 probation=2 forgive_after=2 evict_after=2 damping_min=10ms damping_max=40ms";

fn short(script: &str) -> String {
    SHORT.replace('\n', " ") + "\n0ms kind k0 pools=p0\n" + script
}

#[test]
fn failures_in_a_row_of_distinct_actions_put_into_quarantine() {
    check(
        "policy quarantine_jitter=0 blame=row2
         0ms kind k0 pools=p0
         join w1 p0 slots=9
         submit a1
         submit a2
         1ms join w2 p0 slots=9
         ended a1#1 w1 transient
         2ms ended a2#1 w1 trap",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms health w1 quarantined until=30002ms round=1
         2ms judged a1#1 w1 annulled
         2ms judged a2#1 w1 annulled
         2ms retry a2#1 w1 at=2ms
         2ms assign a2#2 w2",
    );
}

#[test]
fn success_ends_a_row_of_failures() {
    check(
        "policy blame=row2
         0ms kind k0 pools=p0
         join w1 p0 slots=9
         submit a1
         submit a2
         submit a3
         1ms join w2 p0 slots=9
         ended a1#1 w1 transient
         2ms ended a3#1 w1 ok
         3ms ended a2#1 w1 trap",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         0ms assign a3#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms settle a3 done #1
         3ms retry a2#1 w1 at=3ms
         3ms assign a2#2 w2",
    );
}

#[test]
fn one_action_that_fails_again_and_again_counts_once() {
    check(
        "policy blame=row2 backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         drain w2
         does w1 trap 1ms
         submit a1
         idle",
        "0ms health w2 draining
         0ms assign a1#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w1
         2ms retry a1#2 w1 at=2ms
         2ms assign a1#3 w1
         3ms retry a1#3 w1 at=3ms
         3ms assign a1#4 w1
         4ms settle a1 refused exhausted
         4ms judged a1#4 w1 cleared",
    );
}

#[test]
fn a_third_of_a_pool_may_be_in_quarantine_and_one_always() {
    check(
        &short(
            "join w1 p0 slots=1
             join w2 p0 slots=1
             join w3 p0 slots=1
             join w4 p0 slots=1
             submit a1
             submit a2
             submit a3
             submit a4
             1ms ended a1#1 w1 trap
             2ms ended a2#1 w2 trap",
        ),
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         0ms assign a3#1 w3
         0ms assign a4#1 w4
         1ms health w1 quarantined until=1001ms round=1
         1ms judged a1#1 w1 annulled
         1ms retry a1#1 w1 at=1ms
         2ms retry a2#1 w2 at=2ms
         2ms assign a1#2 w2",
    );
}

#[test]
fn a_fault_is_not_capped() {
    check(
        &short(
            "join w1 p0 slots=1
             submit a1
             1ms ended a1#1 w1 faulty",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms",
    );
}

#[test]
fn unfit_evicts_at_once_even_the_last() {
    check(
        &short(
            "join w1 p0 slots=2
             submit a1
             submit a2
             submit a3
             1ms ended a1#1 w1 unfit
             2ms ended a2#1 w1 ok",
        ),
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         1ms health w1 evicted unfit
         1ms settle a3 refused unroutable
         1ms settle a1 refused unroutable
         2ms settle a2 done #1",
    );
}

#[test]
fn probation_is_one_at_a_time_and_passes_after_some_successes() {
    check(
        &short(
            "join w1 p0 slots=3
             submit a1
             1ms ended a1#1 w1 faulty
             submit a2
             submit a3
             submit a4
             submit a5
             1001ms run
             1002ms ended a1#2 w1 ok
             1003ms ended a2#1 w1 ok",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms
         1001ms health w1 probation round=1
         1001ms assign a1#2 w1
         1002ms settle a1 done #2
         1002ms assign a2#1 w1
         1003ms health w1 healthy
         1003ms settle a2 done #1
         1003ms assign a3#1 w1
         1003ms assign a4#1 w1
         1003ms assign a5#1 w1",
    );
}

#[test]
fn a_failure_on_probation_is_the_next_round_and_too_many_evict() {
    check(
        &short(
            "join w1 p0 slots=1
             join w2 p0 slots=9
             does w1 trap 1ms
             does w2 ok 1ms
             submit a1
             1500ms run
             1500ms submit a2
             submit a3
             9000ms run
             submit a4
             submit a5
             idle",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms judged a1#1 w1 annulled
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms settle a1 done #2
         1001ms health w1 probation round=1
         1500ms assign a2#1 w1
         1500ms assign a3#1 w2
         1501ms health w1 quarantined until=3501ms round=2
         1501ms judged a2#1 w1 annulled
         1501ms retry a2#1 w1 at=1501ms
         1501ms assign a2#2 w2
         1501ms settle a3 done #1
         1502ms settle a2 done #2
         3501ms health w1 probation round=2
         9000ms assign a4#1 w1
         9000ms assign a5#1 w2
         9001ms health w1 evicted unreliable quarantines=2
         9001ms judged a4#1 w1 annulled
         9001ms retry a4#1 w1 at=9001ms
         9001ms assign a4#2 w2
         9001ms settle a5 done #1
         9002ms settle a4 done #2",
    );
}

#[test]
fn the_last_usable_worker_is_not_evicted_for_being_unreliable() {
    check(
        &short(
            "join w1 p0 slots=1
             does w1 faulty,faulty,trap,ok 1ms
             submit a1
             idle",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms
         1001ms health w1 probation round=1
         1001ms assign a1#2 w1
         1002ms health w1 quarantined until=3002ms round=2
         1002ms retry a1#2 w1 at=1002ms
         3002ms health w1 probation round=2
         3002ms assign a1#3 w1
         3003ms retry a1#3 w1 at=3003ms
         3003ms assign a1#4 w1
         3004ms settle a1 done #4
         3004ms judged a1#3 w1 cleared",
    );
}

#[test]
fn successes_forgive_a_quarantine() {
    check(
        &short(
            "join w1 p0 slots=1
             does w1 faulty,ok,ok,ok,ok,faulty 1ms
             submit a1
             submit a2
             submit a3
             submit a4
             submit a5
             8000ms run
             left w1",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms
         1001ms health w1 probation round=1
         1001ms assign a1#2 w1
         1002ms settle a1 done #2
         1002ms assign a2#1 w1
         1003ms health w1 healthy
         1003ms settle a2 done #1
         1003ms assign a3#1 w1
         1004ms settle a3 done #1
         1004ms assign a4#1 w1
         1005ms settle a4 done #1
         1005ms assign a5#1 w1
         1006ms health w1 quarantined until=2006ms round=1
         1006ms retry a5#1 w1 at=1006ms
         2006ms health w1 probation round=1
         2006ms assign a5#2 w1
         2007ms health w1 quarantined until=4007ms round=2
         2007ms retry a5#2 w1 at=2007ms
         4007ms health w1 probation round=2
         4007ms assign a5#3 w1
         4008ms settle a5 done #3
         8000ms health w1 gone",
    );
}

#[test]
fn readmission_resets_health() {
    check(
        &short(
            "join w1 p0 slots=1
             submit a1
             1ms ended a1#1 w1 faulty
             2ms readmit w1
             3ms ended a1#2 w1 faulty
             4ms drain w1
             5ms readmit w1
             submit a2",
        ),
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms
         2ms health w1 healthy
         2ms assign a1#2 w1
         3ms health w1 quarantined until=1003ms round=1
         3ms retry a1#2 w1 at=3ms
         4ms health w1 draining
         4ms settle a1 refused unroutable
         5ms health w1 healthy
         5ms assign a2#1 w1",
    );
}

#[test]
fn attempts_of_a_quarantined_worker_end_normally() {
    check(
        &short(
            "join w1 p0 slots=2
             join w2 p0 slots=1
             submit a1
             submit a2
             submit a3
             1ms ended a1#1 w1 trap
             2ms ended a3#1 w1 ok",
        ),
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         0ms assign a3#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms judged a1#1 w1 annulled
         1ms retry a1#1 w1 at=1ms
         2ms settle a3 done #1",
    );
}
