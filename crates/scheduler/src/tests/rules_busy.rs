//! Workers at their limit, and ends that accuse no worker.

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
         does w1 busy,busy,ok,busy,ok,ok 0.5ms
         submit a1
         submit a2
         submit a3
         idle",
        "0ms assign a1#1 w1
         0.500ms health w1 busy until=1000.500ms
         1000.500ms health w1 healthy
         1000.500ms assign a2#1 w1
         1001ms health w1 busy until=3001ms
         3001ms health w1 healthy
         3001ms assign a3#1 w1
         3001.500ms settle a3 done #1
         3001.500ms assign a1#2 w1
         3002ms health w1 busy until=4002ms
         3002ms health w1 healthy
         3002ms assign a2#2 w1
         3002.500ms settle a2 done #2
         4002ms assign a1#3 w1
         4002.500ms settle a1 done #3",
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
         1ms health w1 busy until=1001ms",
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
         1056.656ms assign a2#1 w1
         1056.656ms health w1 busy until=2131.234ms
         2131.234ms health w1 healthy
         2131.234ms assign a1#2 w1
         2131.234ms health w1 busy until=3228.335ms
         2131.234ms retry a1#2 w1 at=2131.234ms
         3228.335ms health w1 healthy
         3228.335ms assign a1#3 w1
         3228.335ms settle a1 done #3
         3228.335ms judged a1#2 w1 cleared
         3228.335ms assign a2#2 w1
         3228.335ms health w1 busy until=4272.761ms
         3228.335ms health w1 healthy
         4272.761ms assign a2#3 w1
         4272.761ms health w1 busy until=5349.051ms
         5349.051ms health w1 healthy
         5349.051ms assign a2#4 w1
         5349.051ms settle a2 done #4",
    );
}

#[test]
fn busy_with_spent_quota_is_no_failure() {
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
fn repeated_busy_halves_the_width_and_success_restores_it() {
    let width = |script: &str| {
        let mut replay = play(&format!(
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
        replay.scheduler().worker(WorkerId(1)).expect("a worker").width
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
fn halved_worker_takes_no_more_than_its_width() {
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
         3000ms health w1 healthy
         5000ms settle a2 done #1
         5000ms settle a3 done #1
         5000ms settle a4 done #1
         5000ms assign a1#3 w1",
    );
}

#[test]
fn busy_action_goes_behind_fresh_work_until_its_worker_woke_and_patience_is_over() {
    // a1 goes behind a2 and a3; when w1 has been awake for 5 s, a1 goes before a5, which is younger.
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 busy=1s,ok,ok,ok,ok,ok 4s
         submit a1
         submit a2
         submit a3
         submit a4
         submit a5
         idle",
        "0ms assign a1#1 w1
         4000ms health w1 busy until=5056.656ms
         5056.656ms health w1 healthy
         5056.656ms assign a2#1 w1
         9056.656ms settle a2 done #1
         9056.656ms assign a3#1 w1
         13056.656ms settle a3 done #1
         13056.656ms assign a1#2 w1
         17056.656ms settle a1 done #2
         17056.656ms assign a4#1 w1
         21056.656ms settle a4 done #1
         21056.656ms assign a5#1 w1
         25056.656ms settle a5 done #1",
    );
}

#[test]
fn action_that_made_two_workers_busy_rests_until_the_first_of_them_wakes() {
    // Nothing else is there that they could be tried with, and the action alone says nothing new.
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         join w3 p0 slots=1
         does w1 busy=4s,ok 1ms
         does w2 busy=2s,ok 1ms
         does w3 ok 1ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         1ms health w1 busy until=4227.625ms
         1ms assign a1#2 w2
         2ms health w2 busy until=2151.157ms
         2ms health w1 healthy
         2151.157ms health w2 healthy
         2151.157ms assign a1#3 w3
         2152.157ms settle a1 done #3",
    );
}

#[test]
fn limit_is_the_actions_if_a_worker_that_rests_for_it_succeeds_with_other_work() {
    // w1 is tried with a2; then w2 is woken as well, and a1 makes no worker busy any more, however often it is.
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 ok 1ms
         does w2 ok 1ms
         limits a1 busy=3600s
         submit a1
         1s run
         1s submit a2
         submit a3
         2000s run
         2000s submit a4
         4000s run",
        "0ms assign a1#1 w1
         1ms health w1 busy until=3803963.167ms
         1ms assign a1#2 w2
         2ms health w2 busy until=3868483.433ms
         2ms health w1 healthy
         1000ms assign a2#1 w1
         1001ms health w2 healthy
         1001ms settle a2 done #1
         1001ms assign a3#1 w1
         1002ms settle a3 done #1
         2000000ms assign a4#1 w2
         2000001ms settle a4 done #1
         3803963.167ms assign a1#3 w1",
    );
}

#[test]
fn limit_is_the_workers_if_one_that_is_tried_is_busy_with_other_work() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 busy=60s,busy=60s,ok 1ms
         does w2 busy=60s,ok 1ms
         submit a1
         1s run
         1s submit a2
         idle",
        "0ms assign a1#1 w1
         1ms health w1 busy until=63400.370ms
         1ms assign a1#2 w2
         2ms health w2 busy until=64476.691ms
         2ms health w1 healthy
         1000ms assign a2#1 w1
         1001ms health w1 busy until=66827.017ms
         64476.691ms health w2 healthy
         64476.691ms assign a1#3 w2
         64477.691ms settle a1 done #3
         64477.691ms assign a2#2 w2
         64478.691ms health w2 busy until=127144.846ms
         66827.017ms health w1 healthy
         66827.017ms assign a2#3 w1
         66828.017ms settle a2 done #3
         127144.846ms health w2 healthy",
    );
}

/// Actions that no worker may do now stand in front: the others do not wait for them, neither at first nor later.
#[test]
fn actions_with_limits_of_their_own_hold_up_no_others() {
    let cases = [
        ("busy=5s", 4, "15s"),
        ("busy", 1, "15s"),
        ("busy=500ms", 1, "4s"),
        ("busy", 4, "75s"),
    ];
    for (hint, limited, within) in cases {
        let mut script = "0ms kind k0 pools=p0\n".to_owned();
        for worker in 1..=4 {
            script += &format!("join w{worker} p0 slots=1\ndoes w{worker} ok 20ms\n");
        }
        for action in 1..=limited {
            script += &format!("limits a{action} {hint}\n");
        }
        for action in 1..=400 + limited {
            script += &format!("submit a{action} task=t{}\n", action / 50);
        }
        let mut replay = play(&format!("{script}\n{within} run"));
        let counts = replay.scheduler().counts();
        assert_eq!(counts.done, 400, "{limited} times {hint}");
        assert_eq!(counts.failed, 0, "they are busy, and have not failed");
        // One comes each second for a while, whatever the limited ones did meanwhile.
        for action in 0..300 {
            let now = replay.now + std::time::Duration::from_secs(1);
            replay.line(&format!("{now} run"));
            replay.line(&format!("{now} submit a{} task=t100", 1000 + action));
        }
        let now = replay.now + std::time::Duration::from_millis(100);
        replay.line(&format!("{now} run"));
        assert_eq!(replay.scheduler().counts().done, 700, "{limited} times {hint}");
    }
}
