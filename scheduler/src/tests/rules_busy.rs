//! Workers at their limit, and ends that accuse nobody.

use super::script::check;

#[test]
fn busy_lost_permanent_and_stopped_accuse_no_worker() {
    check(
        "policy blame=row1 backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=9
             join w2 p0 slots=1
             drain w2
             submit a1
             submit a2
             submit a3
             1ms ended a1#1 w1 permanent
             ended a2#1 w1 stopped
             ended a3#1 w1 lost",
        "0ms health w2 draining
         0ms assign a1#1 w1
         0ms assign a2#1 w1
         0ms assign a3#1 w1
         1ms settle a1 refused permanent
         1ms assign a2#2 w1
         1ms retry a3#1 w1 at=1ms",
    );
}

#[test]
fn busy_without_a_hint_doubles_until_a_success() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 busy,busy,ok,busy,ok 0.5ms
         submit a1
         submit a2
         idle",
        "0ms assign a1#1 w1
         0.500ms health w1 busy until=60000.500ms
         60000.500ms health w1 healthy
         60000.500ms assign a1#2 w1
         60001ms health w1 busy until=180001ms
         180001ms health w1 healthy
         180001ms assign a1#3 w1
         180001.500ms settle a1 done #3
         180001.500ms assign a2#1 w1
         180002ms health w1 busy until=240002ms
         240002ms health w1 healthy
         240002ms assign a2#2 w1
         240002.500ms settle a2 done #2",
    );
}

#[test]
fn busy_with_a_hint_is_never_shorter_and_at_most_a_tenth_longer() {
    check(
        "policy busy_max=60s
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 busy=3600s,ok 0ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         0ms health w1 busy until=3803962.167ms
         3803962.167ms health w1 healthy
         3803962.167ms assign a1#2 w1
         3803962.167ms settle a1 done #2",
    );
}

#[test]
fn several_slots_that_meet_the_same_limit_are_busy_once() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=2
         submit a1
         submit a2
         1ms ended a1#1 w1 busy
         2ms ended a2#1 w1 busy",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         1ms health w1 busy until=60001ms",
    );
}
