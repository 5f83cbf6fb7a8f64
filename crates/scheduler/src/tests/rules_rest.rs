//! How long an action rests between its attempts.

use super::script::{Replay, play};

/// Two workers on which so many actions fail in the end, among others that do not: none that rested had a result.
fn after_failures(bad: u32) -> Replay {
    let mut script =
        "0ms kind k0 pools=p0\njoin w1 p0 slots=1\njoin w2 p0 slots=1\ndoes w1 ok 1ms\ndoes w2 ok 1ms\n".to_owned();
    for action in 1..=bad {
        script += &format!("limits a{action} transient\nsubmit a{action}\n");
    }
    let mut replay = play(&script);
    work(&mut replay, 1000, 4000);
    // The retries of the last were behind fresh work: now they are before it again.
    work(&mut replay, 5000, 400);
    assert_eq!(replay.scheduler().counts().failed, u64::from(bad));
    replay
}

/// So many actions that have a result, the first with this number, and time until all are settled.
fn work(replay: &mut Replay, first: u32, count: u32) {
    for action in first..first + count {
        replay.line(&format!("submit a{action}"));
    }
    replay.line("idle");
}

/// How long after its first attempt ended the last one of an action began, in milliseconds.
fn spread(replay: &Replay, action: u32) -> f64 {
    let assigned = format!(" assign a{action}#");
    let at = replay.log.iter().filter_map(|line| {
        let (at, _) = line.split_once(&assigned)?;
        at.strip_suffix("ms")?.parse::<f64>().ok()
    });
    let at: Vec<f64> = at.collect();
    assert_eq!(at.len(), 4, "attempts of a{action}");
    at[3] - at[0] - 1.0
}

#[test]
fn action_rests_briefly_where_no_rest_has_helped_and_one_at_a_time_in_full() {
    let mut replay = after_failures(40);
    replay.line("limits a101,a102,a103 transient");
    replay.line("submit a101");
    replay.line("submit a102");
    replay.line("submit a103");
    work(&mut replay, 10_000, 4000);
    assert!(spread(&replay, 101) >= 1000.0, "the sample");
    for action in [102, 103] {
        assert!(spread(&replay, action) < 50.0, "a{action}: {}", spread(&replay, action));
    }
}

#[test]
fn action_rests_in_full_until_enough_are_known_to_rest_in_vain() {
    let mut replay = after_failures(31);
    replay.line("limits a101,a102 transient");
    replay.line("submit a101");
    replay.line("submit a102");
    work(&mut replay, 10_000, 4000);
    assert!(spread(&replay, 101) >= 1000.0 && spread(&replay, 102) >= 1000.0);
}

#[test]
fn action_rests_in_full_while_its_pool_has_not_worked_since_it_failed() {
    let mut replay = after_failures(40);
    replay.line("limits a101,a102,a103 transient");
    for action in [101, 102, 103] {
        replay.line(&format!("submit a{action}"));
    }
    replay.line("idle");
    for action in [101, 102, 103] {
        assert!(
            spread(&replay, action) >= 1000.0,
            "a{action}: {}",
            spread(&replay, action)
        );
    }
}

#[test]
fn actions_rest_in_full_again_when_one_has_a_result_after_a_rest() {
    let mut replay = after_failures(40);
    replay.line("limits a101,a102,a103 transient");
    replay.line("submit a101");
    let now = replay.now;
    for action in 10_000..14_000 {
        replay.line(&format!("submit a{action}"));
    }
    replay.line(&format!("{} run", now + std::time::Duration::from_millis(900)));
    replay.line("limits a101 ok");
    replay.line("idle");
    assert!(replay.log.iter().any(|line| line.contains("settle a101 done")));
    replay.line("submit a102");
    replay.line("submit a103");
    work(&mut replay, 20_000, 4000);
    assert!(spread(&replay, 102) >= 1000.0 && spread(&replay, 103) >= 1000.0);
}
