//! Attempts for which the host had not enough of something.

use super::script::check;

#[test]
fn host_shortage_costs_no_attempt_and_rests_the_worker_longer_each_time() {
    check(
        "policy attempts=1 host_min=10ms host_max=40ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 host,host,host=begun,host,ok,host,ok 1ms
         submit a1
         submit a2
         idle",
        "0ms assign a1#1 w1
         11ms assign a1#2 w1
         32ms assign a1#3 w1
         73ms assign a1#4 w1
         114ms assign a1#5 w1
         115ms settle a1 done #5
         115ms assign a2#1 w1
         126ms assign a2#2 w1
         127ms settle a2 done #2",
    );
}

#[test]
fn host_shortage_keeps_the_standing_of_a_worker() {
    check(
        "policy quarantine_jitter=0 quarantine_min=1s probation=1 host_min=10ms suspect_after=1
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 faulty,host,ok 1ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         1ms health w1 quarantined until=1001ms round=1
         1ms retry a1#1 w1 at=1ms
         1001ms health w1 probation round=1
         1001ms assign a1#2 w1
         1012ms assign a1#3 w1
         1013ms health w1 healthy
         1013ms settle a1 done #3",
    );
}

#[test]
fn worker_that_is_not_short_takes_the_action_at_once() {
    check(
        "policy host_min=10ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 host 1ms
         does w2 ok 1ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         1ms assign a1#2 w2
         2ms settle a1 done #2",
    );
}

#[test]
fn attempt_that_never_began_leaves_its_quota() {
    check(
        "policy host_min=10ms
         0ms kind k0 pools=p0
         bucket b0 fixed=2/60000ms
         join w1 p0 slots=1 b0
         does w1 host,host,host,ok,host=begun 1ms
         submit a1
         submit a2
         idle",
        "0ms assign a1#1 w1
         11ms assign a1#2 w1
         32ms assign a1#3 w1
         73ms assign a1#4 w1
         74ms settle a1 done #4
         74ms assign a2#1 w1
         60675ms assign a2#2 w1
         60696ms assign a2#3 w1
         60737ms assign a2#4 w1
         60818ms assign a2#5 w1
         60819ms settle a2 done #5",
    );
}
