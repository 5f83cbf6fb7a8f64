//! Who gets what, and in which order.

use super::script::check;

#[test]
fn priority_then_the_older_task_then_the_order_of_asking() {
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
fn what_failed_goes_before_fresh_work_of_its_priority() {
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
fn a_worker_that_is_drained_ends_what_it_does_and_gets_no_more() {
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
