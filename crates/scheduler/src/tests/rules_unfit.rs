//! Workers that report that they are unfit.

use super::script::check;

#[test]
fn unfit_worker_is_evicted_when_another_worker_does_the_action() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 unfit 1ms
         does w2 ok 5ms
         submit a1 attempts=1
         idle",
        "0ms assign a1#1 w1
         1ms health w1 probation round=0
         1ms retry a1#1 w1 at=1ms
         1ms assign a1#2 w2
         6ms settle a1 done #2
         6ms judged a1#1 w1 guilty
         6ms health w1 evicted unfit",
    );
}

#[test]
fn action_for_which_two_workers_are_unfit_is_poison_and_both_stay() {
    check(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 ok,unfit,ok 1ms
         does w2 unfit,ok 2ms
         submit a1
         submit a2
         idle
         submit a3
         submit a4
         idle",
        "0ms assign a1#1 w1
         0ms assign a2#1 w2
         1ms settle a1 done #1
         2ms health w2 probation round=0
         2ms retry a2#1 w2 at=2ms
         2ms assign a2#2 w1
         3ms health w1 probation round=0
         3ms settle a2 refused poison
         3ms judged a2#1 w2 cleared
         3ms health w2 healthy
         3ms judged a2#2 w1 cleared
         3ms health w1 healthy
         3ms assign a3#1 w2
         3ms assign a4#1 w1
         4ms settle a4 done #1
         5ms settle a3 done #1",
    );
}

#[test]
fn lone_worker_that_is_unfit_for_three_actions_in_a_row_is_evicted() {
    let log = super::script::play(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 unfit 1ms
         submit a1
         submit a2
         submit a3
         submit a4
         idle",
    )
    .log;
    let tries = log.iter().filter(|line| line.contains("assign")).count();
    assert_eq!(tries, 3, "{log:?}");
    assert!(
        log.iter().any(|line| line.ends_with("health w1 evicted unfit")),
        "{log:?}"
    );
    let refused = log.iter().filter(|line| line.ends_with("refused unroutable")).count();
    assert_eq!(refused, 4, "{log:?}");
}

#[test]
fn lone_worker_that_has_worked_outlives_an_action_for_which_it_is_unfit() {
    let log = super::script::play(
        "0ms kind k0 pools=p0
         join w1 p0 slots=1
         does w1 ok,unfit 1ms
         submit a1
         submit a2
         idle
         does w1 unfit,unfit,ok 1ms
         submit a3
         idle
         submit a4
         submit a5
         idle",
    )
    .log;
    assert!(!log.iter().any(|line| line.contains("evicted")), "{log:?}");
    let done = log.iter().filter(|line| line.contains("done")).count();
    let poison = log.iter().filter(|line| line.ends_with("refused poison")).count();
    assert_eq!((done, poison), (3, 2), "{log:?}");
}

#[test]
fn pool_in_which_every_worker_is_unfit_does_not_go_on_for_ever() {
    let mut script = "0ms kind k0 pools=p0
         join w1 p0 slots=1
         join w2 p0 slots=1
         does w1 unfit 1ms
         does w2 unfit 1ms"
        .to_owned();
    for action in 1..=100 {
        script += &format!("\nsubmit a{action}");
    }
    let log = super::script::play(&(script + "\nidle")).log;
    let evicted = log.iter().filter(|line| line.contains("evicted unfit")).count();
    let tries = log.iter().filter(|line| line.contains("assign")).count();
    assert_eq!(evicted, 2, "{log:?}");
    assert!(tries <= 40, "{tries} attempts by workers of which none is fit");
}
