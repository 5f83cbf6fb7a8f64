//! Tasks and the planner; draining, cancelling and the end of the run.

use super::*;

const NONE: [&str; 0] = [];

#[test]
fn planner_is_asked_for_what_there_is_room_for() {
    let mut run = Set {
        tasks_max: 3,
        ..Set::pools(&[workers(&[1])])
    }
    .run();
    assert_eq!(run.tasks(), ["next 3"]);
    run.turn([handed("a"), handed("b")]);
    assert_eq!(
        run.tasks(),
        ["start t1: a", "start t2: b"],
        "it still has to hand out one"
    );
    run.turn([planner(PlannerNotice::Paused { none: false })]);
    assert_eq!(run.tasks(), ["next 1"]);
}

#[test]
fn planner_that_has_nothing_is_asked_again_after_a_collect() {
    let mut run = Set::pools(&[workers(&[1])]).run();
    run.turn([handed("a"), planner(PlannerNotice::Paused { none: true })]);
    run.tasks();
    run.turn([task_ended(1, "r")]);
    assert_eq!(run.tasks(), ["collect t1: r"]);
    run.turn([planner(PlannerNotice::Collected)]);
    assert_eq!(run.tasks(), ["next 10"]);
}

#[test]
fn planner_that_has_nothing_is_finished_when_nothing_is_in_flight() {
    let mut run = Set::pools(&[workers(&[1])]).run();
    run.tasks();
    run.turn([planner(PlannerNotice::Paused { none: true })]);
    assert_eq!(run.tasks(), ["finish"]);
    assert!(run.turn([planner(PlannerNotice::Finished(Ok(())))]), "the run is over");
}

#[test]
fn planner_that_fails_ends_the_run() {
    let mut run = Set::pools(&[workers(&[1])]).run();
    assert!(run.turn([planner(PlannerNotice::Failed("it trapped".into()))]));
    assert_eq!(run.driver.summary().failure.as_deref(), Some("it trapped"));
}

#[test]
fn tasks_are_collected_as_they_end() {
    let mut run = Set::pools(&[workers(&[1])]).run();
    run.turn([handed("a"), handed("b")]);
    run.tasks();
    run.turn([task_ended(2, "second"), task_ended(1, "first")]);
    assert_eq!(run.tasks(), ["collect t2: second", "collect t1: first"]);
}

#[test]
fn ordered_run_collects_tasks_in_the_order_of_handing_out() {
    let mut run = Set {
        ordered: true,
        ..Set::pools(&[workers(&[1])])
    }
    .run();
    run.turn([handed("a"), handed("b"), handed("c")]);
    run.tasks();
    run.turn([task_ended(3, "third"), task_ended(2, "second")]);
    assert_eq!(run.tasks(), NONE);
    run.turn([task_ended(1, "first")]);
    assert_eq!(
        run.tasks(),
        ["collect t1: first", "collect t2: second", "collect t3: third"]
    );
}

#[test]
fn task_that_failed_is_collected_with_its_error() {
    let mut run = Set::pools(&[workers(&[1])]).run();
    run.turn([handed("a")]);
    run.tasks();
    let end = TaskEnd::failed("it trapped".into());
    let (task, room) = (TaskId(1), TaskRoom::default());
    run.turn([Notice::TaskEnded { task, end, room }]);
    assert_eq!(run.tasks(), ["collect t1 failed: it trapped"]);
    assert_eq!(run.reported(), ["t1 failed: it trapped"]);
}

#[test]
fn actions_of_a_task_that_ended_are_stopped() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    run.orders();
    run.turn([task_ended(1, "r")]);
    assert_eq!(run.orders(), ["w0 stop a1#1"]);
    assert_eq!(run.tasks(), ["collect t1: r"], "nothing is delivered any more");
}

#[test]
fn requests_of_a_task_that_ended_are_dropped() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([task_ended(1, "r")]);
    run.tasks();
    run.turn([asks(1, 1), sleeps(1, 2, 0), cancels(1, 1)]);
    assert_eq!((run.orders(), run.tasks()), (vec![], vec![]));
}

#[test]
fn drained_run_starts_nothing_more_and_waits_for_what_runs() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    run.orders();
    assert!(!run.turn([control(Control::Drain)]));
    run.turn([done(attempt(1, 1), 0, "r")]);
    assert_eq!(run.orders(), NONE);
    assert!(run.tasks().contains(&"t1 #1 at 0: 1 r".to_owned()));
}

#[test]
fn drained_run_is_over_when_no_attempt_runs_and_tasks_wait() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    run.turn([control(Control::Drain)]);
    assert!(run.turn([done(attempt(1, 1), 0, "r")]) || run.turn([asks(1, 3)]));
    let summary = run.driver.summary();
    assert!(summary.interrupted);
    assert_eq!(summary.undone.tasks, 1);
}

#[test]
fn cancelled_run_is_over_at_once() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    assert!(run.turn([control(Control::Cancel)]));
    assert!(run.driver.summary().interrupted);
}

#[test]
fn output_is_written_in_the_order_of_notices() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([output("a"), output("b")]);
    run.turn([output("c")]);
    assert_eq!(run.reported(), ["output: a", "output: b", "output: c"]);
}

#[test]
fn while_the_report_is_full_only_the_operator_is_heard() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.fake.recorded().is_full = true;
    run.turn([asks(1, 1), output("a")]);
    assert_eq!((run.orders(), run.reported()), (vec![], vec![]));
    run.turn([control(Control::Drain)]);
    assert!(run.driver.draining);
    run.fake.recorded().is_full = false;
    run.turn([]);
    assert_eq!(run.reported(), ["output: a"], "what waited comes in its order");
}

#[test]
fn notices_that_waited_for_the_report_keep_their_order() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.fake.recorded().is_full = true;
    run.turn([output("a")]);
    run.turn([output("b")]);
    run.fake.recorded().is_full = false;
    run.turn([output("c")]);
    run.turn([]);
    assert_eq!(run.reported(), ["output: a", "output: b", "output: c"]);
}

#[test]
fn run_ends_when_the_reader_of_its_results_has_gone() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    run.fake.recorded().is_lost = true;
    assert!(run.turn([output("a")]));
    assert!(run.driver.summary().interrupted);
}

#[test]
fn run_halts_when_so_many_tasks_have_failed() {
    let mut run = Set {
        halt: Some("2".parse().unwrap()),
        ..Set::pools(&[workers(&[1])])
    }
    .run();
    run.turn([handed("a"), handed("b"), handed("c"), handed("d")]);
    let failed = |task| Notice::TaskEnded {
        task: TaskId(task),
        end: TaskEnd::failed("no".to_owned()),
        room: TaskRoom::default(),
    };
    run.turn([failed(1), task_ended(2, "r")]);
    assert!(!run.driver.draining);
    run.reported();
    run.turn([failed(3), failed(4)]);
    let reported = run.reported();
    assert_eq!(reported[1], "Notice(Halted { failed: 2, ended: 3 })", "{reported:?}");
    assert_eq!(reported.len(), 3, "it halts once: {reported:?}");
    let summary = run.driver.summary();
    assert!(summary.interrupted && summary.halted);
}
