//! Second attempts beside slow ones.

use std::time::Duration;

use super::script::{check, play};
use crate::{HedgeView, KindId};

/// Three workers, and ten attempts that took 100 ms each: from 250 ms on an attempt is slow.
const KNOWN: &str = "
    0ms kind k0 pools=p0
    0ms join w1 p0 slots=1
    0ms join w2 p0 slots=1
    does w1 ok 100ms
    does w2 ok 100ms
    0ms submit a1 idempotent
    0ms submit a2 idempotent
    0ms submit a3 idempotent
    0ms submit a4 idempotent
    0ms submit a5 idempotent
    0ms submit a6 idempotent
    0ms submit a7 idempotent
    0ms submit a8 idempotent
    0ms submit a9 idempotent
    0ms submit a10 idempotent
    900ms run
    900ms join w3 p0 slots=1
    900ms join w4 p0 slots=1
";

/// What comes after ten attempts are known, without what comes before.
#[track_caller]
fn after(policy: &str, script: &str, expect: &str) {
    let known = play(&format!("{policy}\n{KNOWN}")).log.len();
    let log = play(&format!("{policy}\n{KNOWN}\n{script}")).log;
    let log = log.get(known..).unwrap_or_default().join("\n");
    let expect: Vec<&str> = expect.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(log, expect.join("\n"));
}

#[test]
fn a_slow_attempt_gets_a_second_one_and_the_first_result_counts() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent
        1s run
        2s run
        2s ended a20#2 w4 ok took=100ms
        2s ended a20#1 w3 stopped
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        2000ms stop a20#1 w3
        2000ms settle a20 done #2
        ",
    );
}

#[test]
fn the_first_attempt_may_still_win() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent
        2s run
        2s ended a20#1 w3 ok took=1s
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        2000ms stop a20#2 w4
        2000ms settle a20 done #1
        ",
    );
}

#[test]
fn only_idempotent_actions_are_hedged() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20
        9s run
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        ",
    );
}

#[test]
fn no_hedge_while_an_action_waits() {
    // a20 and a21 take all that there is, and a22 waits. When it is done, its worker helps with the oldest.
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent
        1s submit a21
        1s submit a22
        2s run
        2s ended a21#1 w4 ok took=1s
        3s run
        3s ended a22#1 w4 ok took=1s
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1000ms assign a21#1 w4
        2000ms settle a21 done #1
        2000ms assign a22#1 w4
        3000ms settle a22 done #1
        3000ms hedge a20#1
        3000ms assign a20#2 w4
        ",
    );
}

#[test]
fn one_of_two_that_fails_is_not_tried_again_while_the_other_goes_on() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent attempts=3
        2s run
        2s ended a20#1 w3 transient took=1s
        3s ended a20#2 w4 transient took=1s
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        3000ms retry a20#2 w4 at=5000ms
        ",
    );
}

#[test]
fn the_last_of_two_decides_when_no_attempt_is_left() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent attempts=1
        2s run
        2s ended a20#1 w3 transient took=1s
        3s ended a20#2 w4 busy took=1s
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        3000ms health w4 busy until=4000ms
        3000ms settle a20 refused exhausted
        3000ms judged a20#1 w3 unproved
        ",
    );
}

#[test]
fn a_cancelled_action_has_both_attempts_stopped() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent
        2s run
        2s cancel a20
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        2000ms stop a20#1 w3
        2000ms stop a20#2 w4
        2000ms settle a20 refused cancelled
        ",
    );
}

#[test]
fn hedged_action_survives_the_loss_of_one_worker() {
    after(
        "policy hedge=1",
        "
        1s drain w1
        1s drain w2
        1s submit a20 idempotent
        2s run
        2s left w3
        2s ended a20#2 w4 ok took=1s
        ",
        "
        1000ms health w1 draining
        1000ms health w2 draining
        1000ms assign a20#1 w3
        1250ms hedge a20#1
        1250ms assign a20#2 w4
        2000ms health w3 gone
        2000ms settle a20 done #2
        ",
    );
}

#[test]
fn no_hedge_before_ten_durations_are_known() {
    check(
        "
        policy hedge=1
        0ms kind k0 pools=p0
        0ms join w1 p0 slots=1
        0ms join w2 p0 slots=1
        0ms submit a1 idempotent
        60s run
        ",
        "0ms assign a1#1 w1",
    );
}

/// Two workers, and one attempt in 26 that takes forty times as long as the others, so many times.
fn now_and_then(policy: &str, slow: u32) -> HedgeView {
    let mut script = format!(
        "{policy}
        0ms kind k0 pools=p0
        0ms join w1 p0 slots=1
        0ms join w2 p0 slots=1
        "
    );
    for id in 0..slow * 26 {
        let length = if id % 26 == 25 { 400 } else { 10 };
        let at = id * 500;
        script += &format!(
            "{at}ms run
            does w1 ok {length}ms
            does w2 ok {length}ms
            {at}ms submit a{id} idempotent
            "
        );
    }
    script += "idle";
    let mut replay = play(&script);
    replay.scheduler().hedges(KindId(0)).expect("a kind")
}

#[test]
fn hedging_stops_when_it_seldom_wins() {
    // Whatever is slow is as slow the second time, and began first.
    let view = now_and_then("policy hedge=1", 30);
    assert_eq!((view.made, view.won, view.off), (20, 0, true), "{view:?}");
    assert_eq!(view.slow, Some(Duration::from_millis(250)));
}

#[test]
fn hedges_stay_below_their_share() {
    // One in 26 would be 4 %.
    let view = now_and_then("policy hedge=0.02", 15);
    assert_eq!(
        (view.made, view.off),
        (7, false),
        "2 % of 390 and of those themselves: {view:?}"
    );
    assert_eq!(now_and_then("policy hedge=0", 15).made, 0);
}
