//! Failed attempts: where they go next, what they cost, and what is told of them.

use super::*;

const NONE: [&str; 0] = [];

fn other(worker: &str) -> u32 {
    u32::from(worker.starts_with("w0"))
}

/// A run with two workers whose first action was given to the first of these; and the other.
fn run_with_attempt() -> (Run, u32, u32) {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    run.turn([asks(1, 1)]);
    let free = other(&run.orders()[0]);
    (run, 1 - free, free)
}

#[test]
fn failed_attempt_is_retried_on_another_worker_in_the_same_turn() {
    let (mut run, first, second) = run_with_attempt();
    run.turn([ended(attempt(1, 1), first, End::Transient)]);
    assert_eq!(run.orders(), [format!("w{second} run a1#2")]);
    assert_eq!(run.tasks(), NONE);
    assert_eq!(run.reported(), [format!("a1#1 failed on w{first}: Transient")]);
}

#[test]
fn task_learns_nothing_of_a_retry_that_works() {
    let (mut run, first, second) = run_with_attempt();
    run.turn([ended(attempt(1, 1), first, End::Transient)]);
    run.turn([done(attempt(1, 2), second, "r")]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 r"]);
}

#[test]
fn permanent_failure_is_not_retried() {
    let (mut run, first, _) = run_with_attempt();
    run.turn([ended(attempt(1, 1), first, End::Permanent)]);
    assert_eq!(run.orders(), NONE);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 permanent"]);
}

#[test]
fn oversize_result_is_not_retried() {
    let (mut run, first, _) = run_with_attempt();
    run.turn([ended(attempt(1, 1), first, End::Oversize)]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 oversize"]);
}

#[test]
fn one_attempt_is_all_if_one_is_asked_for() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    let options = Options {
        attempts: 1,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    let first = 1 - other(&run.orders()[0]);
    run.turn([ended(attempt(1, 1), first, End::Transient)]);
    assert_eq!(run.orders(), NONE);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 exhausted"]);
}

#[test]
fn action_that_fails_everywhere_is_exhausted_and_names_each_attempt() {
    let (mut run, first, _) = run_with_attempt();
    let mut worker = first;
    let mut number = 1;
    while run.fake.recorded().tasks.is_empty() {
        assert!(number < 20, "it goes on for ever");
        run.turn([ended(attempt(1, number), worker, End::Transient)]);
        for _ in 0..100 {
            if run.fake.recorded().tasks.is_empty() && run.fake.recorded().orders.is_empty() {
                run.pass(Duration::from_secs(1));
            }
        }
        number += 1;
        if let Some(order) = run.orders().first() {
            worker = 1 - other(order);
        }
    }
    assert!(number > 4, "the policy gives at least four attempts: {number}");
    let told = run.tasks();
    assert!(told.len() == 1 && told[0].ends_with("1 exhausted"), "{told:?}");
    let failed = run.reported().iter().filter(|line| line.starts_with("a1#")).count();
    assert_eq!(failed + 1, number as usize);
}

#[test]
fn busy_worker_costs_nothing_and_rests() {
    let (mut run, first, second) = run_with_attempt();
    let wait = Duration::from_secs(5);
    run.turn([ended(attempt(1, 1), first, End::Busy { wait })]);
    assert_eq!(run.orders(), [format!("w{second} run a1#2")]);
    run.turn([asks(1, 2)]);
    assert_eq!(run.orders(), NONE, "one is at work, the other rests");
    run.pass(Duration::from_millis(4999));
    assert_eq!(run.orders(), NONE);
    // Those that were busy do not all come back at once.
    run.pass(Duration::from_secs(1));
    assert_eq!(run.orders(), [format!("w{first} run a2#1")]);
    assert!(!run.reported().iter().any(|line| line.contains("failed")));
}

#[test]
fn shortage_of_the_host_costs_no_attempt_and_accuses_nobody() {
    let mut run = Run::with_task(&[workers(&[1])]);
    let options = Options {
        attempts: 1,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    run.orders();
    run.turn([ended(attempt(1, 1), 0, End::Host { begun: false })]);
    run.pass(Duration::from_secs(1));
    assert_eq!(run.orders(), ["w0 run a1#2"]);
    assert_eq!(run.reported(), NONE);
    assert_eq!(run.tasks(), NONE);
}

#[test]
fn shortage_that_does_not_pass_ends_the_run() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1)]);
    for number in 1..100 {
        if run.driver.draining {
            break;
        }
        run.turn([ended(attempt(1, number), 0, End::Host { begun: false })]);
        run.pass(Duration::from_secs(1));
    }
    assert!(run.driver.draining);
    assert!(run.now >= Moment::from_millis(10_000), "{}", run.now);
    assert_eq!(run.driver.summary().shortage.as_deref(), Some("Host { begun: false }"));
}

#[test]
fn unfit_worker_is_given_no_more_once_another_can_do_it() {
    let (mut run, first, second) = run_with_attempt();
    run.turn([ended(attempt(1, 1), first, End::Unfit)]);
    assert_eq!(run.orders(), [format!("w{second} run a1#2")]);
    run.turn([done(attempt(1, 2), second, "")]);
    assert!(run.reported().contains(&format!("w{first} is Evicted")));
    run.turn([asks(1, 2), asks(1, 3)]);
    assert_eq!(run.orders(), [format!("w{second} run a2#1")]);
}

#[test]
fn denials_are_told_once_for_each_thing() {
    let (mut run, first, _) = run_with_attempt();
    let denied = |number| {
        let mut notice = ended(attempt(1, number), first, End::Ok);
        if let Notice::AttemptEnded(ended) = &mut notice {
            let what = vec!["HTTP to example.org".to_owned()];
            ended.denied = Some(Box::new(disperse_protocol::inbox::Denied { count: 3, what }));
        }
        notice
    };
    run.turn([denied(1), denied(2)]);
    assert_eq!(run.reported(), [format!("w{first} was denied: HTTP to example.org")]);
}
