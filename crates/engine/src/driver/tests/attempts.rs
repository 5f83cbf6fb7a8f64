//! Every attempt is reported, to a sink that takes them.

use super::*;

/// A run whose only action was given to its only worker.
fn run_with_attempt() -> Run {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
    run
}

#[test]
fn attempts_are_reported_with_and_without_a_result() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    run.turn([asks(1, 1)]);
    let first: u32 = run.orders()[0][1..2].parse().unwrap();
    let second = 1 - first;
    run.turn([ended(attempt(1, 1), first, End::Transient)]);
    run.turn([done(attempt(1, 2), second, "six...")]);
    assert_eq!(
        run.attempts(),
        [
            format!("a1#1 of t1 on w{first}: transient, 7 sent, 0 received"),
            format!("a1#2 of t1 on w{second}: ok, 7 sent, 6 received"),
        ]
    );
}

#[test]
fn attempt_is_reported_though_its_action_is_settled_before() {
    let mut run = run_with_attempt();
    run.turn([cancels(1, 1)]);
    run.turn([ended(attempt(1, 1), 0, End::Transient)]);
    assert_eq!(run.attempts(), ["a1#1 of t1 on w0: transient, 7 sent, 0 received"]);
}

#[test]
fn attempts_of_a_worker_that_left_are_reported_as_lost() {
    let mut run = run_with_attempt();
    run.turn([Notice::WorkerLeft { worker: WorkerId(0) }]);
    assert_eq!(run.attempts(), ["a1#1 of t1 on w0: lost, 7 sent, 0 received"]);
}
