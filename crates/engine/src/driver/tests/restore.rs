//! What a run that is resumed knows of its quotas, workers and failed attempts.

use std::collections::BTreeMap;

use disperse_protocol::{
    control::Query,
    inbox::{ActionName, FailureClass, Reported},
};
use disperse_scheduler::{BucketHistory, Evicted, Health, Quota, WorkerCheckpoint};

use super::{
    resume::{Before, planner_of_one, with_task},
    *,
};
use crate::driver::{AttemptRecord, QuotaReserved, WorkerChanged};

const PER: Duration = Duration::from_secs(10);

/// Random numbers by xorshift (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }
}

fn bucket(quota: Quota) -> BucketSetup {
    BucketSetup {
        name: "requests".into(),
        label: "p0/w0:requests".to_owned(),
        quota,
        costs: Vec::new(),
    }
}

fn idempotent() -> Options {
    Options {
        idempotent: true,
        ..Options::default()
    }
}

/// A service that a run asks as much as its quota allows, while it is killed again and again.
struct Killed {
    quota: Quota,
    random: Random,
    now: Moment,
    /// What of the journal has survived.
    recorded: Vec<QuotaReserved>,
    /// When the service counted something.
    counted: Vec<Moment>,
}

impl Killed {
    fn new(quota: Quota, seed: u64) -> Self {
        Self {
            quota,
            random: Random(seed),
            now: Moment::START,
            recorded: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// Goes on with the run until it is killed, after this time.
    fn live(&mut self, time: Duration) {
        let before = Before {
            quotas: self.recorded.clone(),
            ..Before::default()
        };
        let set = Set {
            buckets: vec![bucket(self.quota)],
            ..Set::pools(&[workers(&[6, 6])])
        };
        let mut run = before.resume_at(self.now, set, []);
        run.turn([handed("")]);
        run.turn((1..=500).map(|number| asks_with(1, number, idempotent())));
        let killed = self.now + time;
        // What is in flight, by when it ends.
        let mut flying: BTreeMap<(Moment, String), Moment> = BTreeMap::new();
        loop {
            if self.random.below(2) == 0 {
                run.keep();
            }
            run.turn([]);
            for order in run.orders() {
                let took = self.random.up_to(Duration::from_millis(300));
                flying.insert((self.now + took, order), self.now);
            }
            let end = flying.keys().next().map(|(at, _)| *at);
            // A commit takes no longer than this.
            let commit = self.now + Duration::from_millis(5);
            let next = end.into_iter().chain(run.driver.next_moment()).chain([commit]).min();
            self.now = next.unwrap_or(commit).max(self.now);
            if self.now >= killed {
                break;
            }
            run.now = self.now;
            while let Some(first) = flying.first_entry().filter(|first| first.key().0 <= self.now) {
                let ((_, order), dispatched) = first.remove_entry();
                let counted = dispatched + self.random.up_to(self.now.since(dispatched));
                self.counted.push(counted);
                run.turn([carried_out(&order, "r")]);
            }
        }
        self.now = killed;
        // The service has seen what was sent.
        self.counted.extend(
            flying
                .into_values()
                .map(|dispatched| dispatched + self.random.up_to(killed.since(dispatched))),
        );
        let durable = run.fake.recorded().durable.unwrap();
        let mut records = std::mem::take(&mut run.fake.recorded().records);
        let mut survives = |turn| turn <= durable || self.random.below(2) == 0;
        let kept = records.iter().take_while(|(turn, _)| survives(*turn)).count();
        records.truncate(kept);
        run.fake.recorded().records = records;
        self.recorded.extend(quotas(&run));
    }

    /// The most that was counted within any time of this length.
    fn most_within(&mut self, time: Duration) -> usize {
        self.counted.sort_unstable();
        let within = |(at, first): (usize, &Moment)| {
            self.counted[at..]
                .iter()
                .take_while(|one| one.since(*first) < time)
                .count()
        };
        self.counted.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

/// 50 kills at random moments, each followed by a resumption sooner or later.
fn kill(quota: Quota, seed: u64) -> Killed {
    let mut killed = Killed::new(quota, seed);
    for _ in 0..50 {
        let (time, down) = (killed.random.up_to(PER / 2), killed.random.up_to(PER / 5));
        killed.live(time);
        if killed.random.below(2) == 0 {
            killed.now = killed.now + down;
        }
    }
    killed
}

#[test]
fn no_window_is_overrun_over_fifty_kills() {
    for (seed, limit) in [(1, 40), (2, 40), (3, 200), (4, 700)] {
        for quota in [Quota::Sliding { limit, per: PER }, Quota::Fixed { limit, per: PER }] {
            let mut killed = kill(quota, seed);
            let most = killed.most_within(PER);
            assert!(most <= limit as usize, "seed {seed}, {quota}: {most}");
            let windows = killed.now.since(Moment::START).as_secs() / PER.as_secs();
            let all = killed.counted.len() as u64;
            assert!(
                all > windows * u64::from(limit) / 3,
                "seed {seed}, {quota}: {all} in {windows} windows"
            );
        }
    }
}

#[test]
fn no_rate_is_exceeded_over_fifty_kills() {
    for seed in 1..4 {
        let (limit, burst) = (100, 30);
        let mut killed = kill(Quota::Rate { limit, per: PER, burst }, seed);
        for time in [1, 3, 10] {
            let most = killed.most_within(Duration::from_secs(time));
            let allowed = u64::from(burst) + u64::from(limit) * time / PER.as_secs();
            assert!(most as u64 <= allowed, "seed {seed}: {most} of {allowed} in {time} s");
        }
    }
}

#[test]
fn quota_with_a_short_memory_is_not_recorded_and_counts_as_spent_after_a_kill() {
    let per = Duration::from_secs(1);
    let mut killed = kill(Quota::Sliding { limit: 5, per }, 5);
    assert_eq!(killed.recorded, []);
    assert!(killed.most_within(per) <= 5);
    assert!(killed.counted.len() > 50);
}

#[test]
fn without_quotas_nothing_is_recorded_or_waits() {
    let mut run = Set {
        has_journal: true,
        ..Set::pools(&[workers(&[2])])
    }
    .run();
    run.turn([handed("")]);
    run.turn([asks_with(1, 1, idempotent())]);
    assert_eq!(run.orders().len(), 1);
    run.turn([done(attempt(1, 1), 0, "r")]);
    let records = std::mem::take(&mut run.fake.recorded().records);
    let is_other = |record: &Record| matches!(record, Record::QuotaReserved(_) | Record::WorkerChanged(_));
    assert!(!records.iter().flat_map(|(_, records)| records).any(is_other));
}

/// A recorded run of one worker that draws from a bucket.
fn with_quota(quota: Quota) -> Set {
    Set {
        has_journal: true,
        buckets: vec![bucket(quota)],
        ..Set::pools(&[workers(&[9])])
    }
}

#[test]
fn attempt_waits_until_its_units_are_reserved() {
    let mut run = with_quota(Quota::Sliding { limit: 128, per: PER }).run();
    run.turn([handed("")]);
    run.keep();
    run.turn([asks_with(1, 1, idempotent())]);
    assert_eq!(run.orders(), [""; 0]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a1#1"]);
    run.turn([asks_with(1, 2, idempotent())]);
    assert_eq!(run.orders(), ["w0 run a2#1"], "a block has two units");
    run.turn([asks_with(1, 3, idempotent())]);
    assert_eq!(run.orders(), [""; 0]);
}

#[test]
fn order_to_stop_does_not_overtake_an_attempt_that_waits_for_its_quota() {
    let mut run = with_quota(Quota::Sliding { limit: 10, per: PER }).run();
    run.turn([handed("")]);
    run.keep();
    run.turn([asks_with(1, 1, idempotent())]);
    run.turn([cancels(1, 1)]);
    assert_eq!(run.orders(), [""; 0]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a1#1", "w0 stop a1#1"]);
}

/// The parts of quotas that were recorded.
fn quotas(run: &Run) -> Vec<QuotaReserved> {
    let records = std::mem::take(&mut run.fake.recorded().records);
    let records = records.into_iter().flat_map(|(_, records)| records);
    records
        .filter_map(|record| match record {
            Record::QuotaReserved(reserved) => Some(reserved),
            _ => None,
        })
        .collect()
}

#[test]
fn report_of_what_others_have_spent_holds_after_a_kill() {
    let set = || with_quota(Quota::Fixed { limit: 64, per: PER });
    let mut run = set().run();
    run.turn([handed("")]);
    run.turn([asks_with(1, 1, idempotent())]);
    run.keep();
    run.turn([]);
    let mut reports = done(attempt(1, 1), 0, "r");
    if let Notice::AttemptEnded(ended) = &mut reports {
        ended.reports = Some(Box::new([Reported {
            bucket: "requests".into(),
            remaining: 3,
            resets: PER / 2,
        }]));
    }
    run.turn([reports]);
    let recorded = quotas(&run);
    assert_eq!(recorded.iter().map(|one| one.block.units).collect::<Vec<_>>(), [1, 0]);
    let before = Before {
        quotas: recorded,
        ..Before::default()
    };
    let mut run = before.resume_at(Moment::from_millis(100), set(), []);
    run.turn([handed("")]);
    run.turn((1..=9).map(|number| asks_with(1, number, idempotent())));
    run.keep();
    run.turn([]);
    assert_eq!(run.orders().len(), 3);
    run.pass(PER / 2);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders().len(), 6, "the window is over");
}

/// A worker as it was recorded.
fn recorded(worker: &str, health: Health) -> WorkerChanged {
    WorkerChanged {
        worker: worker.into(),
        checkpoint: WorkerCheckpoint {
            health,
            ..WorkerCheckpoint::FRESH
        },
        now_ms: 3,
    }
}

/// Resumes a run of one task, with two workers of which this is recorded.
fn resumed(workers_before: &[WorkerChanged]) -> Run {
    let before = Before {
        workers: workers_before.to_vec(),
        ..with_task()
    };
    let mut run = before.resume_at(
        Moment::from_millis(10),
        Set::pools(&[workers(&[1, 1])]),
        planner_of_one(),
    );
    run.keep();
    run
}

#[test]
fn evicted_worker_stays_evicted_until_it_is_readmitted() {
    let mut run = resumed(&[recorded("w0", Health::Evicted(Evicted::Unfit))]);
    run.turn([asks(1, 1), asks(1, 2)]);
    assert_eq!(run.orders(), ["w1 run a1#1"]);
    assert_eq!(run.reported(), ["w0 is Evicted"]);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let worker = "w0".to_owned();
    run.turn([control(Control::Query(Query::Readmit { worker }, reply))]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a2#1"]);
    assert_eq!(changes(&run), [("w0".to_owned(), Health::Healthy)]);
}

/// The health of the workers that was recorded.
fn changes(run: &Run) -> Vec<(String, Health)> {
    let records = std::mem::take(&mut run.fake.recorded().records);
    let records = records.into_iter().flat_map(|(_, records)| records);
    records
        .filter_map(|record| match record {
            Record::WorkerChanged(changed) => Some((changed.worker.to_string(), changed.checkpoint.health)),
            _ => None,
        })
        .collect()
}

#[test]
fn quarantined_worker_stays_so_for_the_rest_of_its_time() {
    let until = Moment::from_millis(500);
    let mut run = resumed(&[recorded("w0", Health::Quarantined { until, round: 1 })]);
    run.turn([asks(1, 1), asks(1, 2)]);
    assert_eq!(run.orders(), ["w1 run a1#1"]);
    run.now = Moment::from_millis(499);
    run.turn([]);
    assert_eq!(run.orders(), [""; 0]);
    run.now = until;
    run.turn([]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a2#1"], "it is on probation");
}

#[test]
fn busy_worker_rests_until_it_would_have() {
    let busy_until = Moment::from_millis(500);
    let mut busy = recorded("w0", Health::Healthy);
    busy.checkpoint.busy_until = busy_until;
    let mut run = resumed(&[busy]);
    run.turn([asks(1, 1), asks(1, 2)]);
    assert_eq!(run.orders(), ["w1 run a1#1"]);
    run.now = busy_until;
    run.turn([]);
    assert_eq!(run.orders(), ["w0 run a2#1"]);
}

#[test]
fn changes_of_workers_are_recorded_and_what_is_the_same_is_not() {
    let mut run = Set {
        has_journal: true,
        ..Set::pools(&[workers(&[1, 1])])
    }
    .run();
    run.turn([handed("")]);
    run.turn([asks_with(1, 1, idempotent()), asks_with(1, 2, idempotent())]);
    let orders = run.orders();
    run.turn([ended(attempt(1, 1), 0, End::Unstartable)]);
    assert_eq!(changes(&run), [("w0".to_owned(), Health::Evicted(Evicted::Unfit))]);
    run.turn([carried_out(&orders[1], "r")]);
    assert_eq!(changes(&run), []);
}

#[test]
fn score_of_a_worker_goes_on() {
    let mut bad = recorded("w0", Health::Healthy);
    bad.checkpoint.score = 4.0;
    let run = resumed(&[bad]);
    assert!((run.driver.scheduler.worker(WorkerId(0)).unwrap().score - 4.0).abs() < 1e-9);
}

fn failed(number: u32, worker: &str, class: FailureClass) -> AttemptRecord {
    AttemptRecord {
        action: ActionName {
            task: TaskId(1),
            request: 1,
        },
        kind: "k".into(),
        number,
        worker: worker.into(),
        class,
        message: format!("reason {number}"),
        now_ms: 5,
    }
}

#[test]
fn action_has_only_the_attempts_left_that_it_had() {
    let before = [(1, "w0", FailureClass::Transient), (2, "gone", FailureClass::Trap)];
    let before = before.map(|(number, worker, class)| failed(number, worker, class));
    let mut run = with_task().failed(&before).resume_at(
        Moment::from_millis(10),
        Set::pools(&[workers(&[1, 1])]),
        planner_of_one(),
    );
    run.keep();
    let options = Options {
        attempts: 3,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    assert_eq!(run.orders(), ["w1 run a1#3"], "w0 has failed it");
    run.turn([ended(attempt(1, 3), 1, End::Transient)]);
    run.keep();
    run.turn([]);
    assert!(run.reported().contains(&"a1 failed: Exhausted".to_owned()));
    let settled = |record: &Record| match record {
        Record::Settled(settled) => settled
            .value
            .clone()
            .err()
            .map(|refusal| (settled.attempts, refusal.message)),
        _ => None,
    };
    let records = &run.fake.recorded().records;
    let (attempts, message) = records
        .iter()
        .flat_map(|(_, records)| records)
        .find_map(settled)
        .unwrap();
    assert_eq!(attempts, 3);
    assert!(
        message.contains("attempt 1 on w0: reason 1\nattempt 2 on gone: reason 2\n"),
        "{message}"
    );
}

#[test]
fn action_without_an_attempt_left_has_failed() {
    let before = [1, 2].map(|number| failed(number, "w0", FailureClass::Transient));
    let mut run = with_task().failed(&before).resume_at(
        Moment::from_millis(10),
        Set::pools(&[workers(&[1, 1])]),
        planner_of_one(),
    );
    let options = Options {
        attempts: 2,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    run.keep();
    run.turn([]);
    assert_eq!(run.orders(), [""; 0]);
    assert!(run.reported().contains(&"a1 failed: Exhausted".to_owned()));
}

#[test]
fn losses_cost_no_attempt() {
    let before = [1, 2].map(|number| failed(number, "w0", FailureClass::Lost));
    let mut run = with_task().failed(&before).resume_at(
        Moment::from_millis(10),
        Set::pools(&[workers(&[1, 1])]),
        planner_of_one(),
    );
    run.keep();
    let options = Options {
        attempts: 2,
        ..Options::default()
    };
    run.turn([asks_with(1, 1, options)]);
    assert_eq!(run.orders(), ["w1 run a1#3"]);
}

#[test]
fn history_of_a_bucket_is_what_was_reserved_less_what_was_answered() {
    let reserved = |units, answered| disperse_scheduler::Block {
        units,
        answered,
        reported: Default::default(),
        closed_until: Moment::START,
    };
    let mut history = BucketHistory::default();
    history.add(Moment::from_millis(1), &reserved(4, 0));
    history.add(Moment::from_millis(9), &reserved(4, 3));
    assert_eq!(
        (history.answered, history.unanswered),
        (vec![(Moment::from_millis(9), 3)], 5)
    );
}
