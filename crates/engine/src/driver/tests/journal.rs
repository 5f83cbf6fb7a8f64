//! What is recorded of a turn, and what waits until it is durable.

use super::*;
use crate::driver::{Delivered, PlannerCalled, Settled};
use disperse_protocol::inbox::PlannerStep;

const NONE: [&str; 0] = [];

fn run_with_journal(pools: &[Pool]) -> Run {
    let mut run = Set {
        has_journal: true,
        ..Set::pools(pools)
    }
    .run();
    run.turn([handed("in")]);
    run.keep();
    run.turn([]);
    run.tasks();
    run.fake.recorded().records.clear();
    run
}

fn idempotent() -> Options {
    Options {
        idempotent: true,
        ..Options::default()
    }
}

/// The records since they were last asked for, by turn.
fn records(run: &Run) -> Vec<Record> {
    let records = std::mem::take(&mut run.fake.recorded().records);
    records.into_iter().flat_map(|(_, records)| records).collect()
}

#[test]
fn nothing_is_recorded_without_a_journal() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), output("o")]);
    run.turn([done(attempt(1, 1), 0, "r"), task_ended(1, "t")]);
    assert_eq!(records(&run), []);
}

#[test]
fn settled_action_is_recorded_before_its_delivery() {
    let mut run = run_with_journal(&[workers(&[2])]);
    run.turn([asks_with(1, 1, idempotent()), asks_with(1, 2, idempotent())]);
    assert_eq!(records(&run), [], "requests follow from what is recorded");
    run.now = Moment::from_millis(5);
    run.turn([done(attempt(2, 1), 0, "two"), ended(attempt(1, 1), 0, End::Permanent)]);
    let mut records = records(&run);
    records.retain(|record| !matches!(record, Record::AttemptFailed(_)));
    let settled_and_delivered = |one: &Record| match one {
        Record::Settled(Settled { action, now_ms: 5, .. }) => (action.task, "settled", action.request),
        Record::Delivered(Delivered {
            task,
            number,
            now_ms: 5,
            requests,
        }) => (*task, if *number == 1 { "first" } else { "second" }, requests[0]),
        other => panic!("{other:?}"),
    };
    let seen: Vec<_> = records.iter().map(settled_and_delivered).collect();
    let expected = [("settled", 2), ("first", 2), ("settled", 1), ("second", 1)];
    assert_eq!(seen, expected.map(|(what, request)| (TaskId(1), what, request)));
}

#[test]
fn calls_of_the_planner_and_start_and_end_of_a_task_are_recorded() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.now = Moment::from_millis(7);
    let called = PlannerCalled {
        step: PlannerStep::Next,
        now_ms: 6,
    };
    let PlannerCalled { step, now_ms } = called;
    run.turn([
        planner(PlannerNotice::Begun { step, now_ms }),
        handed("next"),
        task_ended(1, "r"),
    ]);
    let expected = [
        Record::PlannerCalled(called),
        Record::TaskStarted {
            task: TaskId(2),
            input: "next".into(),
            now_ms: 7,
        },
        Record::TaskEnded {
            task: TaskId(1),
            outcome: Ok("r".into()),
            now_ms: 7,
        },
    ];
    assert_eq!(records(&run), expected);
}

#[test]
fn output_waits_until_the_call_that_writes_it_is_durable() {
    let mut run = run_with_journal(&[workers(&[1])]);
    let (step, now_ms) = (PlannerStep::Next, 0);
    let begun = || planner(PlannerNotice::Begun { step, now_ms });
    run.turn([begun(), output("a")]);
    run.turn([begun(), output("b")]);
    assert_eq!(run.reported(), NONE);
    let both = run.driver.effects.recorded();
    run.fake.recorded().durable = Some(both - 1);
    run.turn([]);
    assert_eq!(run.reported(), ["output: a"]);
    run.keep();
    run.turn([]);
    assert_eq!(run.reported(), ["output: b"]);
}

#[test]
fn deliveries_and_calls_do_not_wait() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([asks_with(1, 1, idempotent()), handed("b")]);
    run.turn([done(attempt(1, 1), 0, "r"), task_ended(2, "x")]);
    assert_eq!(run.tasks(), ["start t2: b", "t1 #1 at 0: 1 r", "collect t2: x"]);
}

#[test]
fn attempt_that_must_not_be_made_twice_waits_for_what_its_task_has_seen() {
    let mut run = run_with_journal(&[workers(&[1, 1, 1, 1])]);
    run.turn([handed("b"), asks_with(2, 1, idempotent()), asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a1#1", "w1 run a2#1"]);
    run.turn([asks(2, 2)]);
    assert_eq!(run.orders(), NONE, "the start of its task is not durable");
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w2 run a3#1"]);
    run.turn([done(attempt(1, 1), 0, "r")]);
    run.turn([asks(1, 2), asks(2, 3)]);
    assert_eq!(run.orders(), ["w3 run a4#1"], "only task 2 has been answered");
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a5#1"]);
}

#[test]
fn turn_without_records_waits_only_for_those_before_it() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a1#1"], "all that its task has seen is durable");
    assert_eq!(records(&run), []);
}

#[test]
fn action_that_waits_for_the_journal_keeps_no_worker_from_others() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([handed("b"), asks(2, 1), asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a2#1"]);
    run.keep();
    run.turn([done(attempt(2, 1), 0, "r")]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
}

#[test]
fn action_that_is_cancelled_before_it_may_leave_never_does() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([handed("b"), asks(2, 1)]);
    run.turn([cancels(2, 1)]);
    assert_eq!(run.tasks(), ["start t2: b", "t2 #1 at 0: 1 cancelled"]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), NONE);
}

#[test]
fn journal_that_fails_ends_the_run_and_nothing_more_leaves_it() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([task_ended(1, "r"), output("a"), handed("b"), asks(2, 1)]);
    run.reported();
    run.fake.recorded().journal_failure = Some("the disk is full".to_owned());
    assert!(run.turn([]), "it is over");
    assert_eq!((run.orders().len(), run.reported()), (0, Vec::new()));
    let shortage = run.driver.summary().shortage;
    assert_eq!(
        shortage.as_deref(),
        Some("the journal cannot be written: the disk is full")
    );
}

#[test]
fn no_tasks_begin_while_the_journal_is_behind() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.fake.recorded().journal_is_behind = true;
    run.turn([planner(PlannerNotice::Paused { none: false })]);
    assert_eq!(run.tasks(), NONE);
    run.fake.recorded().journal_is_behind = false;
    run.turn([]);
    assert_eq!(run.tasks(), ["next 9"]);
}
