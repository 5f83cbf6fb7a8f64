//! What is recorded of a turn, and what waits until it is durable.

use super::*;

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
    let records = records(&run);
    let settled_and_delivered = |one: &Record| match one {
        Record::Settled { action, .. } => (action.task, "settled", action.request),
        Record::Delivered {
            task,
            number,
            now_ms: 5,
            requests,
        } => (*task, if *number == 1 { "first" } else { "second" }, requests[0]),
        other => panic!("{other:?}"),
    };
    let seen: Vec<_> = records.iter().map(settled_and_delivered).collect();
    let expected = [("settled", 2), ("first", 2), ("settled", 1), ("second", 1)];
    assert_eq!(seen, expected.map(|(what, request)| (TaskId(1), what, request)));
}

#[test]
fn start_and_end_of_a_task_and_output_are_recorded() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([handed("next"), task_ended(1, "r"), output("12345")]);
    let (task, bytes) = (None, 5);
    let expected = [
        Record::TaskStarted {
            task: TaskId(2),
            input: "next".into(),
        },
        Record::TaskEnded {
            task: TaskId(1),
            outcome: Ok("r".into()),
        },
        Record::Output { task, bytes },
    ];
    assert_eq!(records(&run), expected);
}

#[test]
fn output_waits_until_its_turn_is_durable() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([output("a")]);
    run.turn([output("b")]);
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
fn only_attempts_that_must_not_be_made_twice_wait() {
    let mut run = run_with_journal(&[workers(&[1, 1])]);
    run.turn([handed("b"), asks_with(1, 1, idempotent())]);
    assert_eq!(run.orders().len(), 1);
    run.turn([asks(1, 2)]);
    assert_eq!(run.orders(), NONE, "the task that was handed out is not durable");
    run.keep();
    run.turn([]);
    assert_eq!(run.orders().len(), 1);
}

#[test]
fn turn_without_records_waits_only_for_those_before_it() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a1#1"], "all that its task has seen is durable");
    assert_eq!(records(&run), []);
}

#[test]
fn orders_never_overtake_each_other() {
    let mut run = run_with_journal(&[workers(&[1])]);
    run.turn([handed("b"), asks(1, 1)]);
    run.turn([cancels(1, 1)]);
    assert_eq!(run.orders(), NONE, "the worker would not know what to stop");
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a1#1", "w0 stop a1#1"]);
}
