//! Workers at their limit, and ends that accuse nobody.

use super::script::{check, play};
use crate::WorkerId;

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

#[test]
fn busy_too_many_times_in_a_row_is_a_failure() {
    // The third time costs an attempt, and the worker is left alone all the same. A success begins a new row.
    check(
        "policy busy_row=3 backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 busy=1s,busy=1s,busy=1s,ok,busy=1s,busy=1s,ok 0ms
         submit a1
         submit a2
         idle",
        "0ms assign a1#1 w1
         0ms health w1 busy until=1056.656ms
         1056.656ms health w1 healthy
         1056.656ms assign a1#2 w1
         1056.656ms health w1 busy until=2131.234ms
         2131.234ms health w1 healthy
         2131.234ms assign a1#3 w1
         2131.234ms health w1 busy until=3228.335ms
         2131.234ms retry a1#3 w1 at=2131.234ms
         3228.335ms health w1 healthy
         3228.335ms assign a1#4 w1
         3228.335ms settle a1 done #4
         3228.335ms judged a1#3 w1 cleared
         3228.335ms assign a2#1 w1
         3228.335ms health w1 busy until=4272.761ms
         4272.761ms health w1 healthy
         4272.761ms assign a2#2 w1
         4272.761ms health w1 busy until=5349.051ms
         5349.051ms health w1 healthy
         5349.051ms assign a2#3 w1
         5349.051ms settle a2 done #3",
    );
}

#[test]
fn whoever_has_spent_its_quota_may_be_busy_as_often_as_it_likes() {
    check(
        "policy busy_row=1 narrow_within=60s
         0ms kind k0 pools=p0
         bucket b0 sliding=1/1s
         join w1 p0 slots=1 b0
         does w1 busy=1s,busy=1s,ok 0ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         0ms health w1 busy until=1056.656ms
         1056.656ms health w1 healthy
         1056.656ms assign a1#2 w1
         1056.656ms health w1 busy until=2131.234ms
         2131.234ms health w1 healthy
         2131.234ms assign a1#3 w1
         2131.234ms settle a1 done #3",
    );
}

#[test]
fn whoever_is_busy_again_soon_is_given_half_as_much_and_more_with_success() {
    let width = |script: &str| {
        let mut desk = play(&format!(
            "policy widen_after=2
             0ms kind k0 pools=p0
             join w1 p0 slots=8
             submit a1
             submit a2
             submit a3
             submit a4
             submit a5
             submit a6
             submit a7
             submit a8
             submit a9
             {script}"
        ));
        desk.scheduler().worker(WorkerId(1)).expect("a worker").width
    };
    let first = "1s ended a1#1 w1 busy=1s\n1s ended a2#1 w1 busy=1s\n";
    assert_eq!(width(first), 8, "both slots met the same limit");
    let soon = format!("{first} 5s tick\n 5s ended a3#1 w1 busy=1s\n");
    assert_eq!(width(&soon), 4);
    let late = format!("{first} 62s tick\n 62s ended a3#1 w1 busy=1s\n");
    assert_eq!(width(&late), 8, "a minute is over");
    let again = format!("{soon} 10s tick\n 10s ended a4#1 w1 busy=1s\n 20s tick\n 20s ended a5#1 w1 busy=1s\n");
    assert_eq!(width(&again), 1);
    let more = format!("{again} 30s tick\n 30s ended a6#1 w1 busy=1s\n");
    assert_eq!(width(&more), 1, "never none");
    let better = format!("{soon} 10s ended a4#1 w1 ok\n 10s ended a5#1 w1 ok\n");
    assert_eq!(width(&better), 5);
    let readmitted = format!("{soon} 10s readmit w1\n");
    assert_eq!(width(&readmitted), 8);
    let never_more = format!("{first} 5s ended a3#1 w1 ok\n 5s ended a4#1 w1 ok\n");
    assert_eq!(width(&never_more), 8);
}

#[test]
fn whoever_is_given_half_as_much_has_room_only_for_that() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=4
         submit a1
         submit a2
         submit a3
         submit a4
         1s ended a1#1 w1 busy=1s
         3s tick
         3s ended a1#2 w1 busy=1s
         5s tick
         5s ended a2#1 w1 ok
         5s ended a3#1 w1 ok
         5s ended a4#1 w1 ok",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         0ms assign a3#1 w1
         0ms assign a4#1 w1
         1000ms health w1 busy until=2056.656ms
         3000ms health w1 healthy
         3000ms assign a1#2 w1
         3000ms health w1 busy until=4074.578ms
         5000ms health w1 healthy
         5000ms settle a2 done #1
         5000ms settle a3 done #1
         5000ms assign a1#3 w1
         5000ms settle a4 done #1",
    );
}
