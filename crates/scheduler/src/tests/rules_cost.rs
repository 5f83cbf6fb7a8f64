//! Actions that cost more of a quota than others, and which workers save for them.

use super::script::{check, play};
use crate::{BucketId, WorkerId};

#[test]
fn worker_spends_what_a_reset_takes_away_while_a_costly_action_waits() {
    // 5 of 10 remain until 10 s: not enough for a2, which stands in front, but for a3 and a4. a2 is first after the
    // reset.
    check(
        "0ms bucket b0 fixed=10/10s k1=8
         kind k0 pools=p0
         kind k1 pools=p0
         join w1 p0 slots=1 b0
         submit a1
         1ms report w1 a1#1 b0 remaining=5 resets=10s
         ended a1#1 w1 ok
         does w1 ok 1ms
         submit a2 kind=k1
         submit a3 kind=k0
         submit a4 kind=k0
         idle",
        "0ms assign a1#1 w1
         1ms settle a1 done #1
         1ms assign a3#1 w1
         2ms settle a3 done #1
         2ms assign a4#1 w1
         3ms settle a4 done #1
         10101ms assign a2#1 w1
         10102ms settle a2 done #1",
    );
}

#[test]
fn worker_saves_for_a_costly_action_while_units_come_back_one_by_one() {
    // A sliding window gives back what was spent a window ago: whatever is spent on a3 now is missing for a2 then.
    check(
        "0ms bucket b0 sliding=10/10s k1=8
         kind k0 pools=p0
         kind k1 pools=p0
         join w1 p0 slots=1 b0
         does w1 ok 1ms
         submit a11
         submit a12
         submit a13
         submit a14
         5s run
         5s submit a2 kind=k1
         submit a3 kind=k0
         idle",
        "0ms assign a11#1 w1
         1ms settle a11 done #1
         1ms assign a12#1 w1
         2ms settle a12 done #1
         2ms assign a13#1 w1
         3ms settle a13 done #1
         3ms assign a14#1 w1
         4ms settle a14 done #1
         10112.500ms assign a2#1 w1
         10113.500ms settle a2 done #1
         10113.500ms assign a3#1 w1
         10114.500ms settle a3 done #1",
    );
}

/// Costly work is always there, and cheap work too: nothing of a window is left over, and neither starves.
#[test]
fn fixed_windows_are_used_up_by_cheap_work_between_costly_work() {
    let mut script = "0ms bucket b0 fixed=100/10s k1=30\nkind k0 pools=p0\nkind k1 pools=p0\n\
                      join w1 p0 slots=2 b0\ndoes w1 ok 20ms\n"
        .to_owned();
    for action in 1..=30 {
        script += &format!("submit a{action} kind=k1 task=t1\n");
    }
    for action in 101..=200 {
        script += &format!("submit a{action} kind=k0 task=t2\n");
    }
    // A report of the first attempt says when windows end; each later one follows from time alone.
    script += "10ms report w1 a1#1 b0 remaining=70 resets=9990ms\n";
    let mut replay = play(&format!("{script}\n9900ms run"));
    let view = replay
        .scheduler()
        .quotas()
        .find(|view| view.bucket == BucketId(0))
        .unwrap()
        .is;
    assert_eq!(view.used, 100, "three costly ones and ten cheap ones: {view:?}");
    replay.line("200s run");
    assert_eq!(replay.scheduler().open(), 0, "all are done in the end");
}

/// Each unit of an account that many share wakes one of them, and not all: what an event costs does not grow with their
/// number.
#[test]
fn account_of_many_workers_wakes_as_many_as_it_has_units_for() {
    for workers in [10, 2000] {
        let mut script = "0ms bucket b0 rate=1000/1s/1\nkind k0 pools=p0\n".to_owned();
        for worker in 1..=workers {
            script += &format!("join w{worker} p0 slots=1 b0\ndoes w{worker} ok 1ms\n");
        }
        for action in 1..=2000 {
            script += &format!("submit a{action}\n");
        }
        let mut replay = play(&format!("{script}idle"));
        assert_eq!(replay.scheduler().open(), 0);
        // In turn: none has more than twice its part.
        for worker in 1..=workers {
            let ok = replay.scheduler().worker(WorkerId(worker)).unwrap().ok;
            assert!(
                ok <= 2 * 2000_u64.div_ceil(u64::from(workers)),
                "w{worker} of {workers}: {ok}"
            );
        }
        let waited = replay.scheduler().state.waited;
        assert!(
            waited <= u64::from(workers) + 3 * 2000,
            "{workers} workers began to wait {waited} times"
        );
    }
}
