//! Workers that join, leave, vanish, and are not trusted; quotas.

use disperse_scheduler::Quota;

use super::*;

const NONE: [&str; 0] = [];

fn left(worker: u32) -> Notice {
    let worker = WorkerId(worker);
    Notice::WorkerLeft { worker }
}

#[test]
fn attempts_of_a_worker_that_left_go_elsewhere() {
    let mut run = Run::with_task(&[workers(&[2, 2])]);
    run.turn([asks(1, 1), asks(1, 2), asks(1, 3)]);
    let (lost, mut kept): (Vec<String>, Vec<String>) =
        run.orders().into_iter().partition(|order| order.starts_with("w0"));
    assert!(!lost.is_empty() && !kept.is_empty());
    run.turn([left(0)]);
    assert!(run.reported().contains(&"w0 is Gone".to_owned()));
    let mut again = run.orders();
    while let Some(order) = kept.pop().or_else(|| again.pop()) {
        assert!(order.starts_with("w1 run "), "{order}");
        run.turn([carried_out(&order, "r")]);
        again.extend(run.orders());
    }
    assert_eq!(run.tasks().len(), 3, "every action has a result");
    assert_eq!(run.fake.recorded().left, [WorkerId(0)]);
}

#[test]
fn loss_is_no_failure_of_the_action() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    let options = Options {
        attempts: 1,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    let worker = u32::from(run.orders()[0].starts_with("w1"));
    run.turn([left(worker)]);
    assert_eq!(run.orders(), [format!("w{} run a1#2", 1 - worker)]);
}

#[test]
fn order_that_does_not_reach_its_worker_is_a_lost_attempt() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    run.fake.recorded().unreachable.insert(WorkerId(0));
    run.turn([asks(1, 1), asks(1, 2)]);
    let first = run.orders();
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(run.reported().contains(&"w0 is Gone".to_owned()));
    run.turn([carried_out(&first[0], "r")]);
    let second = run.orders();
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(second[0].starts_with("w1"));
    run.turn([carried_out(&second[0], "r")]);
    assert_eq!(run.tasks().len(), 2, "both have a result");
}

#[test]
fn late_end_from_a_worker_that_left_is_ignored() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    run.turn([asks(1, 1)]);
    let worker = u32::from(run.orders()[0].starts_with("w1"));
    run.turn([left(worker)]);
    run.turn([
        done(attempt(1, 1), worker, "late"),
        ended(attempt(1, 1), worker, End::Permanent),
    ]);
    assert_eq!(run.tasks(), NONE);
    run.turn([done(attempt(1, 2), 1 - worker, "r")]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 r"]);
}

#[test]
fn worker_that_joins_later_is_given_what_waits() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    run.orders();
    run.driver.add_workers("p0", 1).unwrap();
    run.turn([]);
    assert_eq!(run.orders(), ["w1 run a2#1"]);
}

#[test]
fn action_waits_for_nobody_if_its_last_worker_left() {
    let mut run = Run::with_task(&[workers(&[1])]);
    run.turn([asks(1, 1), asks(1, 2)]);
    run.turn([left(0)]);
    let mut told = run.tasks();
    told.sort();
    assert_eq!(told, ["t1 #1 at 0: 1 unroutable, 2 unroutable"]);
}

#[test]
fn worker_that_left_twice_left_once() {
    let mut run = Run::with_task(&[workers(&[1, 1])]);
    run.turn([left(0), left(0)]);
    let gone = run.reported().iter().filter(|line| *line == "w0 is Gone").count();
    assert_eq!(gone, 1);
}

fn untrusted(slots: &'static [u32]) -> Pool {
    Pool {
        kinds: &[],
        slots,
        untrusted: true,
    }
}

#[test]
fn untrusted_result_counts_once_another_owner_confirms_it() {
    let mut run = Run::with_task(&[untrusted(&[1, 1, 1])]);
    run.turn([asks(1, 1)]);
    let first = run.orders();
    run.turn([carried_out(&first[0], "r")]);
    assert_eq!(run.tasks(), NONE);
    let second = run.orders();
    assert_eq!(second.len(), 1, "{second:?}");
    assert_ne!(first[0][..2], second[0][..2]);
    run.turn([carried_out(&second[0], "r")]);
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 r"]);
}

#[test]
fn third_owner_decides_between_two_results() {
    let mut run = Run::with_task(&[untrusted(&[1, 1, 1])]);
    run.turn([asks(1, 1)]);
    let mut orders = run.orders();
    for result in ["true", "false", "true"] {
        let order = orders.pop().unwrap();
        run.turn([carried_out(&order, result)]);
        orders.extend(run.orders());
    }
    assert_eq!(run.tasks(), ["t1 #1 at 0: 1 true"]);
}

#[test]
fn worker_whose_quota_is_spent_waits_for_its_window() {
    let mut set = Set::pools(&[workers(&[4])]);
    set.buckets = vec![BucketSetup {
        name: "".into(),
        label: "p0/w0".into(),
        quota: Quota::Sliding {
            limit: 2,
            per: Duration::from_secs(10),
        },
        costs: Vec::new(),
    }];
    let mut run = set.run();
    run.turn([handed("")]);
    run.tasks();
    run.turn([asks(1, 1), asks(1, 2), asks(1, 3)]);
    assert_eq!(run.orders(), ["w0 run a1#1", "w0 run a2#1"]);
    run.turn([done(attempt(1, 1), 0, ""), done(attempt(2, 1), 0, "")]);
    run.pass(Duration::from_millis(9999));
    assert_eq!(run.orders(), NONE);
    run.pass(Duration::from_secs(10));
    assert_eq!(run.orders(), ["w0 run a3#1"]);
    assert!(!run.reported().iter().any(|line| line.contains("failed")));
}
