//! When the action is at fault.

use super::script::{check, play};

/// At first one attempt in ten is taken to fail by chance: four equal failures are less likely than one in 10,000.
#[test]
fn equal_traps_that_chance_does_not_explain_are_poison() {
    let ends = |before: &str| {
        let log = play(&format!(
            "policy backoff_min=0ms backoff_max=0ms attempts=9
             0ms kind k0 pools=p0
             join w1 p0 slots=1
             join w2 p0 slots=1
             does w1 {before}trap=7 1ms
             does w2 {before}trap=7 1ms
             submit a1
             idle"
        ));
        log.log
            .into_iter()
            .filter(|line| line.contains(" a1"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ends(""),
        [
            "0ms assign a1#1 w1",
            "1ms retry a1#1 w1 at=1ms",
            "1ms assign a1#2 w2",
            "2ms retry a1#2 w2 at=2ms",
            "2ms assign a1#3 w1",
            "3ms retry a1#3 w1 at=3ms",
            "3ms assign a1#4 w2",
            "4ms settle a1 refused poison",
            "4ms judged a1#3 w1 cleared",
            "4ms judged a1#4 w2 cleared"
        ]
    );
    // Failures that are not alike say no more than any others.
    let refused = "settle a1 refused exhausted";
    assert!(ends("transient,").iter().any(|line| line.ends_with(refused)));
}

/// Where chance is rare three are enough, and where it is not it takes more.
#[test]
fn proof_of_poison_follows_from_the_learned_rate() {
    let attempts = |fails: &str| {
        let mut script = format!(
            "policy backoff_min=0ms backoff_max=0ms suspect_after=99
             0ms kind k0 pools=p0
             join w1 p0 slots=1
             join w2 p0 slots=1
             does w1 ok,ok,{fails} 1ms
             does w2 ok,ok,ok,ok,ok,ok,{fails} 1ms\n"
        );
        for action in 1..=300 {
            script += &format!("submit a{action}\n");
        }
        script += "idle\ndoes w1 trap=7 1ms\ndoes w2 trap=7 1ms\nsubmit a999\nidle";
        let log = play(&script).log;
        assert!(log.iter().any(|line| line.ends_with("settle a999 refused poison")));
        log.iter().filter(|line| line.contains("assign a999")).count()
    };
    assert_eq!(attempts("ok"), 3);
    assert!(attempts("transient") > 4, "{}", attempts("transient"));
}

#[test]
fn equal_traps_are_no_poison_while_a_worker_that_works_is_left() {
    let log = play(
        "policy backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         join w3 p0 slots=1
         does w1 trap=7 1ms
         does w2 trap=7 1ms
         does w3 ok 9ms
         submit a1
         submit a2
         submit a3
         submit a4
         idle",
    )
    .log;
    assert_eq!(log.iter().filter(|line| line.contains("done")).count(), 4, "{log:?}");
}

#[test]
fn different_or_unknown_traps_are_no_poison() {
    check(
        "policy backoff_min=0ms backoff_max=0ms
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         join w3 p0 slots=1
         does w1 trap=7 1ms
         does w2 trap=8 1ms
         does w3 ok 1ms
         submit a1
         idle
         1000ms does w1 trap 1ms
         does w2 trap 1ms
         submit a2
         idle",
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         2ms retry a1#2 w2 at=2ms
         2ms assign a1#3 w3
         3ms settle a1 done #3
         3ms judged a1#1 w1 guilty 1/2
         3ms judged a1#2 w2 guilty 1/2
         1000ms assign a2#1 w1
         1001ms retry a2#1 w1 at=1001ms
         1001ms assign a2#2 w2
         1002ms retry a2#2 w2 at=1002ms
         1002ms assign a2#3 w3
         1003ms settle a2 done #3
         1003ms judged a2#1 w1 guilty 1/2
         1003ms judged a2#2 w2 guilty 1/2",
    );
}

#[test]
fn lost_action_runs_solo_and_is_poison_when_lost_solo_twice() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=2
         join w2 p0 slots=2
         join w3 p0 slots=2
         submit a1
         submit a2
         submit a3
         submit a4
         1ms ended a1#1 w1 lost
         2ms ended a4#1 w1 ok
         ended a2#1 w2 ok
         submit a5
         submit a6
         submit a7
         submit a8
         submit a9
         submit a10
         3ms ended a1#2 w2 lost
         4ms ended a3#1 w3 ok
         5ms ended a6#1 w3 ok
         6ms ended a9#1 w3 ok
         7ms ended a1#3 w3 lost",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         0ms assign a3#1 w3
         0ms assign a4#1 w1
         1ms retry a1#1 w1 at=1ms
         2ms settle a4 done #1
         2ms settle a2 done #1
         2ms assign a1#2 w2
         2ms assign a5#1 w1
         2ms assign a6#1 w3
         2ms assign a7#1 w1
         3ms retry a1#2 w2 at=3ms
         3ms assign a8#1 w2
         3ms assign a9#1 w2
         4ms settle a3 done #1
         5ms settle a6 done #1
         5ms assign a1#3 w3
         7ms settle a1 refused poison
         7ms assign a10#1 w3",
    );
}
