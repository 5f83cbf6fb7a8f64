//! Which worker gets which action, and in which order.

use super::script::check;

#[test]
fn order_is_priority_then_older_task_then_submission() {
    check(
        "0ms kind k0 pools=p0
         submit a1 task=t2
         submit a2 task=t1
         submit a3 task=t1
         submit a4 task=t9 priority=1
         submit a5 task=t0 priority=-1
         1ms join w1 p0 slots=5",
        "1ms assign a4#1 w1
         1ms assign a2#1 w1
         1ms assign a3#1 w1
         1ms assign a1#1 w1
         1ms assign a5#1 w1",
    );
}

#[test]
fn retry_goes_before_fresh_work_of_its_priority() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         submit a1 task=t9
         submit a2
         submit a3
         submit a4 priority=1
         1ms ended a1#1 w1 transient
         2ms ended a2#1 w2 ok
         3ms ended a3#1 w2 ok",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         1ms retry a1#1 w1 at=1ms
         1ms assign a4#1 w1
         2ms settle a2 done #1
         2ms assign a1#2 w2",
    );
}

#[test]
fn the_least_loaded_worker_then_the_least_recently_used() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=2
         join w2 p0 slots=2
         submit a1
         submit a2
         submit a3
         1ms ended a2#1 w2 ok
         2ms ended a1#1 w1 ok
         3ms ended a3#1 w1 ok
         4ms submit a4",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         0ms assign a3#1 w1
         1ms settle a2 done #1
         2ms settle a1 done #1
         3ms settle a3 done #1
         4ms assign a4#1 w2",
    );
}

#[test]
fn a_kind_is_only_given_to_its_pools() {
    check(
        "0ms kind k0 pools=p0
         kind k1 pools=p1
         kind k2 pools=p0,p1
         join w1 p0 slots=1
         join w2 p1 slots=2
         submit a1 kind=k1
         submit a2 kind=k1
         submit a3 kind=k1
         submit a4 kind=k2",
        "0ms assign a1#1 w2
         0ms assign a2#1 w2
         0ms assign a4#1 w1",
    );
}

#[test]
fn pools_of_a_worker_are_compared_over_kinds() {
    check(
        "0ms kind k0 pools=p0
         kind k1 pools=p0,p1
         submit a1 kind=k0 task=t2
         submit a2 kind=k1 task=t1
         1ms join w1 p0 slots=1",
        "1ms assign a2#1 w1",
    );
}

#[test]
fn short_attempts_are_prefetched_once_all_slots_are_full() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         submit a1
         ended a1#1 w1 ok took=0.1ms
         submit a2
         ended a2#1 w1 ok took=0.1ms
         submit a3
         ended a3#1 w1 ok took=0.1ms
         1ms submit a4
         submit a5
         2ms ended a4#1 w1 ok took=0.1ms
         submit a6
         submit a7
         3ms join w2 p0 slots=1
         4ms submit a8",
        "0ms assign a1#1 w1
         0ms settle a1 done #1
         0ms assign a2#1 w1
         0ms settle a2 done #1
         0ms assign a3#1 w1
         0ms settle a3 done #1
         1ms assign a4#1 w1
         2ms settle a4 done #1
         2ms assign a5#1 w1
         2ms assign a6#1 w1
         3ms assign a7#1 w2",
    );
}

#[test]
fn long_attempts_are_not_prefetched() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 ok 1ms
         submit a1
         submit a2
         submit a3
         submit a4
         submit a5
         submit a6
         idle",
        "0ms assign a1#1 w1
         1ms settle a1 done #1
         1ms assign a2#1 w1
         2ms settle a2 done #1
         2ms assign a3#1 w1
         3ms settle a3 done #1
         3ms assign a4#1 w1
         4ms settle a4 done #1
         4ms assign a5#1 w1
         5ms settle a5 done #1
         5ms assign a6#1 w1
         6ms settle a6 done #1",
    );
}

#[test]
fn a_failure_ends_prefetching() {
    check(
        "policy backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 ok,ok,ok,ok,transient,ok 0.1ms
         submit a1
         submit a2
         submit a3
         submit a4
         submit a5
         submit a6
         submit a7
         idle",
        "0ms assign a1#1 w1
         0.100ms settle a1 done #1
         0.100ms assign a2#1 w1
         0.200ms settle a2 done #1
         0.200ms assign a3#1 w1
         0.300ms settle a3 done #1
         0.300ms assign a4#1 w1
         0.400ms settle a4 done #1
         0.400ms assign a5#1 w1
         0.400ms assign a6#1 w1
         0.500ms retry a5#1 w1 at=0.500ms
         0.500ms settle a6 done #1
         0.500ms assign a5#2 w1
         0.500ms assign a7#1 w1
         0.600ms settle a5 done #2
         0.600ms judged a5#1 w1 cleared
         0.600ms settle a7 done #1",
    );
}

#[test]
fn drained_worker_ends_its_attempts_and_gets_no_more() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=2
         join w2 p0 slots=1
         submit a1
         submit a2
         1ms drain w1
         submit a3
         2ms ended a1#1 w1 ok
         3ms ended a2#1 w2 ok",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         1ms health w1 draining
         2ms settle a1 done #1
         3ms settle a2 done #1
         3ms assign a3#1 w2",
    );
}

/// What an action costs does not grow with the number of pools that serve it, and it goes where it would go among few.
#[test]
fn kind_of_many_pools_goes_to_the_worker_that_was_idle_for_longest() {
    let pools: Vec<String> = (0..40).map(|pool| format!("p{pool}")).collect();
    let mut script = format!("0ms kind k0 pools={}\n", pools.join(","));
    for worker in 1..=80 {
        script += &format!("join w{worker} p{} slots=1\n", worker % 40);
    }
    for action in 1..=80 {
        script += &format!("submit a{action}\n");
    }
    script += "1ms ended a7#1 w7 ok\n2ms ended a50#1 w50 ok\n3ms ended a3#1 w3 ok\n4ms submit a100\nsubmit a101\nsubmit a102\nsubmit a103\n";
    script += "5ms ended a80#1 w80 ok\n";
    let mut replay = super::script::play(&script);
    super::integrity::check(replay.scheduler()).unwrap();
    let given: Vec<&str> = replay
        .log
        .iter()
        .filter(|line| line.contains("assign a10"))
        .map(String::as_str)
        .collect();
    let later: Vec<&str> = given.into_iter().filter(|line| !line.starts_with("0ms")).collect();
    assert_eq!(
        later,
        [
            "4ms assign a100#1 w3",
            "4ms assign a101#1 w7",
            "4ms assign a102#1 w50",
            "5ms assign a103#1 w80"
        ]
    );
}
