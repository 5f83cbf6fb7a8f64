//! Verdicts on workers.

use super::script::{check, play};

/// Three workers of which the first one fails whatever it is given, until its fourth time.
const ONE_FAILS: &str = "policy quarantine_score=5.3 quarantine_jitter=0 quarantine_min=1s
    0ms kind k0 pools=p0
    join w1 p0 slots=1
    join w2 p0 slots=1
    join w3 p0 slots=1
    does w1 transient 1ms
    does w2 ok 10ms
    does w3 ok 10ms";

#[test]
fn worker_is_guilty_of_failures_that_succeed_elsewhere_and_is_quarantined() {
    // ln(0.5 / 0.1) = 1.6 for each: the fourth is more than 5.3.
    check(
        &format!(
            "{ONE_FAILS}
             submit a1
             idle
             submit a2
             idle
             submit a3
             idle
             submit a4
             idle
             submit a5
             idle
             submit a6
             submit a7
             submit a8
             100ms run
             submit a9
             submit a10
             submit a11
             idle"
        ),
        "0ms assign a1#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         11ms settle a1 done #2
         11ms judged a1#1 w1 guilty
         11ms assign a2#1 w3
         21ms settle a2 done #1
         21ms assign a3#1 w1
         22ms retry a3#1 w1 at=22ms
         22ms assign a3#2 w2
         32ms settle a3 done #2
         32ms judged a3#1 w1 guilty
         32ms assign a4#1 w3
         42ms settle a4 done #1
         42ms assign a5#1 w1
         43ms retry a5#1 w1 at=43ms
         43ms assign a5#2 w2
         53ms settle a5 done #2
         53ms judged a5#1 w1 guilty
         53ms assign a6#1 w3
         53ms assign a7#1 w1
         53ms assign a8#1 w2
         54ms retry a7#1 w1 at=54ms
         63ms settle a6 done #1
         63ms assign a7#2 w3
         63ms settle a8 done #1
         73ms settle a7 done #2
         73ms judged a7#1 w1 guilty
         73ms health w1 quarantined until=1073ms round=1
         100ms assign a9#1 w2
         100ms assign a10#1 w3
         110ms settle a9 done #1
         110ms assign a11#1 w2
         110ms settle a10 done #1
         120ms settle a11 done #1
         1073ms health w1 probation round=1",
    );
}

#[test]
fn suspect_worker_is_damped_until_verdict() {
    check(
        &ONE_FAILS
            .replace("does w2 ok 10ms", "does w2 ok 900ms")
            .replace(
                "does w3 ok 10ms",
                "submit a1\nsubmit a2\nsubmit a3\nsubmit a4\nsubmit a5\nsubmit a6\n1000ms run",
            )
            .replace("join w3 p0 slots=1", ""),
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         1ms retry a1#1 w1 at=1ms
         1ms assign a3#1 w1
         2ms retry a3#1 w1 at=2ms
         2ms assign a4#1 w1
         3ms health w1 suspect
         3ms retry a4#1 w1 at=3ms
         253ms assign a5#1 w1
         254ms retry a5#1 w1 at=254ms
         754ms assign a6#1 w1
         755ms retry a6#1 w1 at=755ms
         900ms settle a2 done #1
         900ms assign a1#2 w2",
    );
}

#[test]
fn action_that_fails_everywhere_clears_its_workers() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=3
         submit a1 attempts=2
         submit a2 attempts=2
         submit a3 attempts=2
         join w2 p0 slots=3
         does w1 ok 1ms
         does w2 transient 1ms
         1ms ended a1#1 w1 transient
         ended a2#1 w1 transient
         ended a3#1 w1 transient
         idle",
        "0ms assign a1#1 w1
         0ms assign a2#1 w1
         0ms assign a3#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         1ms retry a2#1 w1 at=1ms
         1ms assign a2#2 w2
         1ms health w1 suspect
         1ms retry a3#1 w1 at=1ms
         1ms assign a3#2 w2
         2ms settle a1 refused exhausted
         2ms judged a1#1 w1 cleared
         2ms health w1 healthy
         2ms judged a1#2 w2 cleared
         2ms settle a2 refused exhausted
         2ms judged a2#1 w1 cleared
         2ms judged a2#2 w2 cleared
         2ms settle a3 refused exhausted
         2ms judged a3#1 w1 cleared
         2ms judged a3#2 w2 cleared",
    );
}

#[test]
fn quarantine_gives_actions_an_attempt_back() {
    check(
        "policy quarantine_jitter=0
         0ms kind k0 pools=p0
         join w1 p0 slots=2
         join w2 p0 slots=1
         submit a1 attempts=2
         submit a2
         submit a3
         1ms ended a1#1 w1 transient
         2ms ended a3#1 w1 faulty
         3ms ended a2#1 w2 ok
         4ms ended a1#2 w2 transient
         join w3 p0 slots=1
         5ms ended a1#3 w3 ok",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         0ms assign a3#1 w1
         1ms retry a1#1 w1 at=1ms
         2ms health w1 quarantined until=30002ms round=1
         2ms judged a1#1 w1 annulled
         2ms retry a3#1 w1 at=2ms
         3ms settle a2 done #1
         3ms assign a1#2 w2
         4ms retry a1#2 w2 at=749.782ms
         4ms assign a3#2 w2",
    );
}

/// Three convictions: a doubt, and not enough. Then an action has no attempt left.
const DOUBTED: &str = "policy quarantine_score=5.3 quarantine_jitter=0
         0ms kind k0 pools=p0
         join w1 p0 slots=9
         submit a1
         submit a2
         submit a3
         submit a4
         submit a5 attempts=2
         join w2 p0 slots=9
         1ms ended a1#1 w1 transient
         ended a2#1 w1 transient
         ended a3#1 w1 transient
         2ms ended a1#2 w2 ok
         ended a2#2 w2 ok
         ended a3#2 w2 ok
         3ms ended a4#1 w1 transient
         ended a5#1 w1 transient
         4ms ended a5#2 w2 transient";

/// What comes of it.
const DOUBTED_SAYS: &str = "0ms assign a1#1 w1
         0ms assign a2#1 w1
         0ms assign a3#1 w1
         0ms assign a4#1 w1
         0ms assign a5#1 w1
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         1ms retry a2#1 w1 at=1ms
         1ms assign a2#2 w2
         1ms health w1 suspect
         1ms retry a3#1 w1 at=1ms
         1ms assign a3#2 w2
         2ms settle a1 done #2
         2ms judged a1#1 w1 guilty
         2ms settle a2 done #2
         2ms judged a2#1 w1 guilty
         2ms settle a3 done #2
         2ms judged a3#1 w1 guilty
         3ms retry a4#1 w1 at=3ms
         3ms assign a4#2 w2
         3ms retry a5#1 w1 at=3ms
         3ms assign a5#2 w2";

#[test]
fn spent_action_awaits_the_verdict_on_a_suspect_worker() {
    check(
        &format!("{DOUBTED}\n5ms does w2 ok 1ms\nended a4#2 w2 ok\nidle"),
        &format!(
            "{DOUBTED_SAYS}
         5ms settle a4 done #2
         5ms judged a4#1 w1 guilty
         5ms health w1 quarantined until=30005ms round=1
         5ms judged a5#1 w1 annulled
         750.782ms assign a5#3 w2
         751.782ms settle a5 done #3
         751.782ms judged a5#2 w2 cleared
         30005ms health w1 probation round=1"
        ),
    );
}

#[test]
fn wait_for_a_verdict_ends() {
    check(
        &format!("{DOUBTED}\n9000ms run"),
        &format!(
            "{DOUBTED_SAYS}
         5004ms settle a5 refused exhausted
         5004ms judged a5#1 w1 cleared
         5004ms health w1 healthy
         5004ms judged a5#2 w2 cleared"
        ),
    );
}

#[test]
fn outage_is_probed_and_no_worker_is_judged() {
    let script = "policy quarantine_jitter=0 damping_max=250ms systemic_after=1s attempts=99 retries=99
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 ok,transient 100ms
         submit a99
         idle
         does w1 transient 100ms
         does w2 transient 100ms
         submit a1
         submit a2
         submit a3
         submit a4
         submit a5
         submit a6
         30000ms run
         does w1 ok 100ms
         does w2 ok 100ms
         idle";
    let log = play(script).log;
    let lines: Vec<&str> = log.iter().map(String::as_str).collect();
    let on = lines
        .iter()
        .position(|line| line.ends_with("systemic p0 on"))
        .expect("it begins");
    let off = lines
        .iter()
        .position(|line| line.ends_with("systemic p0 off"))
        .expect("it ends");
    let probes: Vec<&str> = lines[on..off]
        .iter()
        .copied()
        .filter(|line| line.contains("assign"))
        .collect();
    // One, a pause of 10 s, one more, a pause; then it works, and there is no hurry to be had any more.
    let probed = probes
        .iter()
        .map(|line| line.split_whitespace().next().unwrap_or_default());
    assert_eq!(
        probed.collect::<Vec<_>>(),
        [
            "11730.075ms",
            "21730.075ms",
            "31730.075ms",
            "31830.075ms",
            "31930.075ms",
            "31930.075ms",
            "32030.075ms"
        ]
    );
    assert!(!log.iter().any(|line| line.contains("quarantined")), "{log:?}");
}

#[test]
fn the_attempts_of_a_kind_follow_from_how_flaky_it_is() {
    let mut script = "policy blame=no-worker retries=0
         0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 ok,transient 1ms
         does w2 ok,ok,ok,ok,ok,transient 1ms"
        .to_owned();
    for action in 1..200 {
        script += &format!("\nsubmit a{action}");
    }
    script += "\nidle\nsubmit a1000";
    let mut replay = play(&script);
    let view = replay.scheduler().action(crate::ActionId(1000)).expect("open");
    assert_eq!(view.failed_max, 8);
}

#[test]
fn retries_beyond_the_budget_go_behind_fresh_work() {
    let order = |retries: &str| {
        let log = play(&format!(
            "policy retries={retries} suspect_after=9
             0ms kind k0 pools=p0
             join w1 p0 slots=1
             join w2 p0 slots=1
             does w1 transient 1ms
             does w2 ok 5ms
             submit a1
             submit a2
             submit a3
             submit a4
             submit a5
             submit a6
             submit a7
             12ms run"
        ));
        let assigned = log.log.into_iter().filter(|line| line.contains("assign"));
        assigned
            .map(|line| line.split_whitespace().nth(2).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        order("1"),
        ["a1#1", "a2#1", "a3#1", "a4#1", "a5#1", "a6#1", "a1#2", "a7#1", "a3#2"]
    );
    assert_eq!(
        order("0"),
        ["a1#1", "a2#1", "a3#1", "a4#1", "a5#1", "a6#1", "a7#1", "a1#2"]
    );
}
