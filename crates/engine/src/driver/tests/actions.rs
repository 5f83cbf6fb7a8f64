//! Submitting, delivering, cancelling, deadlines.

use super::*;

const NONE: [&str; 0] = [];

#[test]
fn submitted_action_is_assigned_in_the_same_turn() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
}

#[test]
fn result_is_delivered_in_the_turn_in_which_it_came() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    run.now = Moment::from_millis(30);
    run.turn([done(attempt(1, 1), 0, "r")]);
    assert_eq!(run.tasks(), ["t1 #1 at 30: 1 r"]);
}

#[test]
fn answers_of_one_turn_are_delivered_in_the_order_in_which_they_came() {
    let mut run = Run::with_task(&[workers(&[3])]);
    run.turn([asks(1, 1), asks(1, 2), asks(1, 3)]);
    run.turn([done(attempt(3, 1), 0, "c"), done(attempt(1, 1), 0, "a")]);
    run.turn([done(attempt(2, 1), 0, "b")]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 3 c", "t1 #2 at 0: 1 a", "t1 #3 at 0: 2 b"]);
}

#[test]
fn each_task_has_deliveries_of_its_own() {
    let mut run = Run::with_task(&[workers(&[2])]);
    run.turn([handed(""), asks(1, 1)]);
    run.turn([asks(2, 1)]);
    run.tasks();
    run.turn([done(attempt(2, 1), 0, "two"), done(attempt(1, 1), 0, "one")]);
    assert_eq!(run.tasks(), ["t2 #1 at 0: 1 two", "t1 #1 at 0: 1 one"]);
}

#[test]
fn end_of_an_attempt_and_the_next_order_of_its_worker_leave_together() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
    run.turn([done(attempt(1, 1), 0, "")]);
    assert_eq!(run.orders(), ["w0 run a2#1"]);
}

#[test]
fn worker_gets_no_more_than_its_slots() {
    let mut run = Run::with_task(&[workers(&[2, 1])]);
    run.turn((1..=5).map(|number| asks(1, number)));
    let mut orders = run.orders();
    orders.sort();
    assert_eq!(orders.len(), 3);
    assert!(orders.iter().filter(|order| order.starts_with("w0")).count() == 2);
}

#[test]
fn fuel_and_timeout_are_the_lower_of_what_is_asked_and_the_limit() {
    let mut run = Run::with_task(&[workers(&[3])]);
    let options = |fuel, timeout| Options {
        fuel,
        timeout: Duration::from_secs(timeout),
        ..Options::default()
    };
    run.turn([
        asks_with(1, 1, options(5, 1)),
        asks_with(1, 2, options(u64::MAX, 1_000_000)),
        asks(1, 3),
    ]);
    let orders = std::mem::take(&mut run.fake.recorded().orders);
    let limits = orders.iter().map(|(_, order)| match order {
        Order::Run(job) => (job.fuel, job.timeout),
        Order::Stop(_) => panic!("{order:?}"),
    });
    let all = (Limits::WORKER.fuel, Limits::WORKER.timeout);
    assert_eq!(limits.collect::<Vec<_>>(), [(5, Duration::from_secs(1)), all, all]);
}

#[test]
fn payload_reaches_the_worker_without_a_copy() {
    let mut run = Run::with_task(&[workers(&[1])]);
    let payload = Bytes::from(vec![7; 100]);
    let action = Action {
        kind: "k".into(),
        payload: payload.clone(),
    };
    run.turn([request(1, 1, Ask::Action(action, Options::default()))]);
    let orders = std::mem::take(&mut run.fake.recorded().orders);
    let [(_, Order::Run(job))] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(job.payload.as_ptr(), payload.as_ptr());
}

#[test]
fn action_goes_to_the_pool_that_lists_its_kind() {
    let pool = |kinds| Pool {
        kinds,
        slots: &[1],
        untrusted: false,
    };
    let mut run = Run::with_task(&[pool(&["a"]), pool(&["b"]), pool(&[])]);
    let ask = |kind, number| asks_for(kind, 1, number, Options::default());
    run.turn([ask("b", 1), ask("other", 2), ask("a", 3)]);
    assert_eq!(run.orders(), ["w1 run a1#1", "w2 run a2#1", "w0 run a3#1"]);
}

#[test]
fn kind_that_no_pool_serves_is_unroutable_at_once() {
    let pool = Pool {
        kinds: &["a"],
        slots: &[1],
        untrusted: false,
    };
    let mut run = Run::with_task(&[pool]);
    run.turn([asks(1, 1)]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 unroutable"]);
    assert_eq!(run.orders(), NONE);
    assert_eq!(run.reported(), ["a1 failed: Unroutable"]);
}

#[test]
fn oversize_payload_fails_without_an_attempt() {
    let mut run = Run::with_task(&[workers(&[1])]);
    let ask = Ask::Oversize {
        kind: "k".into(),
        message: "a payload of 9MiB".into(),
    };
    run.turn([request(1, 1, ask)]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 oversize"]);
    assert_eq!(run.orders(), NONE);
}

#[test]
fn higher_priority_goes_first() {
    let mut run = Run::with_task(&[workers(&[1])]);
    let priority = |priority| Options {
        priority,
        ..Options::default()
    };
    run.turn([asks(1, 1), asks(1, 2), asks_with(1, 3, priority(1))]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
    run.turn([done(attempt(1, 1), 0, "")]);
    assert_eq!(run.orders(), ["w0 run a3#1"]);
}

#[test]
fn cancelled_action_that_runs_is_stopped() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    run.orders();
    run.turn([cancels(1, 1)]);
    assert_eq!(run.orders(), ["w0 stop a1#1"]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 cancelled"]);
}

#[test]
fn cancelled_action_that_waits_never_starts() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2), cancels(1, 2)]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
    run.turn([done(attempt(1, 1), 0, "")]);
    assert_eq!(run.orders(), NONE);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 2 cancelled", "t1 #2 at 0: 1"]);
}

#[test]
fn late_result_of_a_stopped_attempt_changes_nothing() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    run.turn([cancels(1, 1)]);
    run.tasks();
    run.orders();
    run.turn([done(attempt(1, 1), 0, "late")]);
    assert_eq!(run.tasks(), NONE);
    run.turn([asks(1, 2)]);
    assert_eq!(run.orders(), ["w0 run a2#1"], "its slot is free again");
}

#[test]
fn second_end_of_one_attempt_changes_nothing() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2), asks(1, 3)]);
    run.turn([done(attempt(1, 1), 0, "r"), done(attempt(1, 1), 0, "again")]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 r"]);
    assert_eq!(run.orders(), ["w0 run a1#1", "w0 run a2#1"], "one slot was freed, once");
}

#[test]
fn deadline_stops_the_attempt_and_answers() {
    let mut run = Run::with_task(&[workers(&[1])]);
    let options = Options {
        deadline: Duration::from_millis(50),
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    run.orders();
    run.pass(Duration::from_millis(49));
    assert_eq!(run.tasks(), NONE);
    run.pass(Duration::from_millis(1));
    assert_eq!(run.orders(), ["w0 stop a1#1"]);
    assert_eq!(run.tasks(), ["t1 #1 at 50: 1 deadline"]);
}

#[test]
fn sleep_is_answered_when_it_is_over_and_not_before() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([sleeps(1, 1, 20), sleeps(1, 2, 10), sleeps(1, 3, 20)]);
    run.pass(Duration::from_millis(25));
    assert_eq!(run.tasks(), ["t1 #1 at 10: 2", "t1 #2 at 20: 1, 3"]);
}

#[test]
fn cancelled_sleep_is_answered_at_once_and_once() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([sleeps(1, 1, 20), cancels(1, 1)]);
    run.pass(Duration::from_millis(25));
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1"]);
}

#[test]
fn slow_idempotent_attempt_gets_a_second_one_and_the_first_end_counts() {
    let mut set = Set::pools(&[workers(&[1, 1])]);
    set.policy.hedge = 1.0;
    let mut run = set.run();
    run.turn([handed("")]);
    let options = Options {
        idempotent: true,
        ..Options::default()
    };
    // How long such actions take is learned from many.
    for number in 1..=60 {
        run.turn([asks_with(1, number, options)]);
        let worker = run.orders()[0].starts_with("w1").into();
        run.now = run.now + Duration::from_millis(1);
        let mut notice = done(attempt(number.into(), 1), worker, "");
        if let Notice::AttemptEnded(ended) = &mut notice {
            ended.used.wall = Duration::from_millis(1);
        }
        run.turn([notice]);
    }
    run.turn([asks_with(1, 61, options)]);
    run.tasks();
    let slow: u32 = run.orders()[0].starts_with("w1").into();
    run.pass(Duration::from_secs(5));
    let other = 1 - slow;
    assert_eq!(run.orders(), [format!("w{other} run a61#2")]);
    run.turn([done(attempt(61, 2), other, "second")]);
    assert_eq!(run.orders(), [format!("w{slow} stop a61#1")]);
    assert_eq!(run.tasks(), ["t1 #61 at 5060: 61 second"]);
}
