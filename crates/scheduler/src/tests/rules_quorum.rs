//! Untrusted workers.

use super::script::{check, play};
use crate::WorkerId;

#[test]
fn a_result_counts_when_another_owner_says_the_same() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o1
         join w3 p0 slots=1 owner=o2
         does w1 vote=0 5ms
         does w2 vote=0 5ms
         does w3 vote=0 5ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         5ms assign a1#2 w3
         10ms settle a1 done #2",
    );
}

#[test]
fn trusted_worker_decides_and_dissenters_are_guilty() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         does w1 vote=1 5ms
         submit a1
         1ms join w2 p0 slots=1
         does w2 vote=0 5ms
         idle",
        "0ms assign a1#1 w1
         5ms assign a1#2 w2
         10ms settle a1 done #2
         10ms judged a1#1 w1 guilty",
    );
}

#[test]
fn further_votes_decide_between_two_results() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         join w3 p0 slots=1 owner=o3
         does w1 vote=7 5ms
         does w2 vote=0 5ms
         does w3 vote=0 5ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         5ms assign a1#2 w2
         10ms assign a1#3 w3
         15ms settle a1 done #3
         15ms judged a1#1 w1 guilty",
    );
}

#[test]
fn five_different_results_fail_the_action_and_no_worker_is_guilty() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         join w3 p0 slots=1 owner=o3
         join w4 p0 slots=1 owner=o4
         join w5 p0 slots=1 owner=o5
         join w6 p0 slots=1 owner=o6
         does w1 vote=1 1ms
         does w2 vote=2 1ms
         does w3 vote=3 1ms
         does w4 vote=4 1ms
         does w5 vote=5 1ms
         does w6 vote=6 1ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         1ms assign a1#2 w2
         2ms assign a1#3 w3
         3ms assign a1#4 w4
         4ms assign a1#5 w5
         5ms settle a1 refused exhausted",
    );
}

#[test]
fn action_without_a_second_owner_fails() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o1
         does w1 vote=0 5ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         5ms settle a1 refused unroutable",
    );
}

#[test]
fn action_waits_for_a_worker_that_could_confirm_it() {
    // w2 could not be started and is back after half a minute.
    check(
        "policy quarantine_jitter=0
         0ms kind k0 pools=p0
         join w2 p0 slots=1 owner=o2
         does w2 faulty,vote=0 1ms
         submit a1
         1ms run
         does w1 vote=0 5ms
         1ms join w1 p0 slots=1 owner=o1
         idle",
        "0ms assign a1#1 w2
         1ms health w2 quarantined until=30001ms round=1
         1ms retry a1#1 w2 at=1ms
         1ms assign a1#2 w1
         30001ms health w2 probation round=1
         30001ms assign a1#3 w2
         30002ms settle a1 done #3",
    );
}

#[test]
fn action_fails_when_the_last_possible_voter_leaves() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         does w1 vote=0 5ms
         submit a1
         submit a2
         5ms run
         6ms left w2",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         6ms health w2 gone
         6ms settle a1 refused unroutable
         6ms retry a2#1 w2 at=6ms
         6ms assign a2#2 w1",
    );
}

#[test]
fn permanent_failure_needs_confirmation() {
    // Where an action has no result no worker is guilty, as ever; but w2 has to prove itself anew.
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         join w3 p0 slots=1 owner=o3
         does w1 permanent 5ms
         does w2 vote=0 5ms
         does w3 permanent 5ms
         submit a1
         idle",
        "0ms assign a1#1 w1
         5ms assign a1#2 w2
         10ms assign a1#3 w3
         15ms settle a1 refused permanent
         15ms judged a1#2 w2 cleared",
    );
}

#[test]
fn new_worker_of_an_owner_that_voted_is_not_asked() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         does w1 vote=0 5ms
         submit a1
         submit a2
         5ms run
         5ms join w3 p0 slots=1 owner=o1
         9ms ended a2#1 w2 vote=0",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         9ms assign a2#2 w3
         9ms assign a1#2 w2",
    );
}

/// So many actions on three workers, the first of which lies in some of them.
fn many(actions: u32, first: &str) -> super::script::Replay {
    let mut script = format!(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         join w3 p0 slots=1 owner=o3
         does w1 {first} 5ms
         does w2 vote=0 5ms
         does w3 vote=0 5ms
         "
    );
    for id in 1..=actions {
        script += &format!("{}ms submit a{id}\n", id * 50);
        script += &format!("{}ms run\n", id * 50 + 49);
    }
    script += "idle";
    play(&script)
}

#[test]
fn proven_worker_is_checked_by_chance() {
    let mut replay = many(2000, "vote=0");
    let attempts: u64 = (1..=3)
        .map(|id| replay.scheduler().worker(WorkerId(id)).expect("a worker").ok)
        .sum();
    let second = attempts - 2000;
    // About 15 until all are known; after that one in ten and ever fewer, in the end one in 50.
    assert!((60..240).contains(&second), "{second} second attempts");
}

#[test]
fn worker_with_wrong_results_is_quarantined() {
    let mut replay = many(60, "vote=9");
    let liar = replay.scheduler().worker(WorkerId(1)).expect("a worker");
    assert!(liar.outvoted >= 4 && liar.quarantines >= 1, "{liar:?}");
    let settled = replay.log.iter().filter(|line| line.contains("settle")).count();
    assert_eq!(settled, 60);
    let wrong = replay
        .log
        .iter()
        .filter(|line| line.contains("guilty") && !line.contains(" w1 "));
    assert_eq!(wrong.count(), 0);
}

/// One of six fails and is taken out for as long as the test takes, which is all that may be: two more lie, each in its
/// own way.
#[test]
fn workers_with_wrong_results_are_quarantined_beyond_the_share() {
    let mut script = "policy quarantine_min=1000000s quarantine_max=1000000s quarantine_share=0.2
         0ms kind k0 pools=p0
         join w6 p0 slots=1
         does w6 transient 1ms
         "
    .to_owned();
    for (worker, vote) in [(1, 8), (2, 9), (3, 0), (4, 0), (5, 0)] {
        script += &format!("join w{worker} p0 slots=1 owner=o{worker}\ndoes w{worker} vote={vote} 5ms\n");
    }
    for id in 1..=500 {
        script += &format!("{}ms submit a{id}\n{}ms run\n", id * 500, id * 500 + 499);
    }
    let mut replay = play(&format!("{script}\n300s run"));
    let worker = |replay: &mut super::script::Replay, id| replay.scheduler().worker(WorkerId(id)).unwrap();
    for bad in [1, 2, 6] {
        let bad = worker(&mut replay, bad);
        assert!(bad.quarantines == 1 && bad.outvoted < 30, "of 500: {bad:?}");
    }
    for honest in 3..=5 {
        assert_eq!(worker(&mut replay, honest).quarantines, 0);
    }
    assert_eq!(replay.scheduler().counts().done, 500);
}

/// What is not confirmed is no success: otherwise a worker with wrong results would pass its probation by them.
#[test]
fn vote_that_is_not_confirmed_passes_no_probation() {
    // w2 takes so long that w1 votes on a1 to a3 before any of it is confirmed.
    let script = "policy quarantine_jitter=0 probation=2
         0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         does w1 faulty,vote=0,vote=0,vote=0,vote=0,vote=0 1ms
         does w2 vote=0 100s
         submit a0
         31s run
         31s submit a1
         submit a2
         submit a3
         32s run";
    let mut replay = play(script);
    let health = |replay: &mut super::script::Replay| replay.scheduler().worker(WorkerId(1)).unwrap().health;
    assert_eq!(
        health(&mut replay),
        crate::Health::Probation { round: 1 },
        "{:?}",
        replay.log
    );
    replay.line("350s run");
    assert_eq!(
        health(&mut replay),
        crate::Health::Healthy,
        "they are confirmed: {:?}",
        replay.log
    );
}

#[test]
fn every_result_is_confirmed_if_that_is_asked_for() {
    let mut replay = play(&format!(
        "policy trusted_after={}\n{}",
        u32::MAX,
        "0ms kind k0 pools=p0
         join w1 p0 slots=1 owner=o1
         join w2 p0 slots=1 owner=o2
         does w1 vote=0 1ms
         does w2 vote=0 1ms"
    ));
    for id in 1..=100 {
        replay.line(&format!("{}ms submit a{id}", id * 10));
        replay.line(&format!("{}ms run", id * 10 + 9));
    }
    let ok = |id, replay: &mut super::script::Replay| replay.scheduler().worker(WorkerId(id)).unwrap().ok;
    assert_eq!((ok(1, &mut replay), ok(2, &mut replay)), (100, 100));
}
