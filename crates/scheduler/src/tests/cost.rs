//! What an event costs with many workers and many pools: as much as with a few.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    ActionId, AttemptId, BucketId, Command, End, Event, KindId, Moment, Policy, PoolId, Quota, Scheduler, Spec, TaskId,
    WorkerId,
};

/// How long an attempt takes, in virtual time: too long for anything to lie ready behind it.
const LENGTH: Duration = Duration::from_millis(5);

/// How much more an event may cost with a hundred times as many. It is up to twice as much where memory is not in a
/// cache; a look at each of them costs 25 to 500 times as much.
const TIMES: f64 = 6.0;

/// A scheduler with work and workers, in virtual time.
struct Load {
    scheduler: Scheduler,
    now: Moment,
    coming: VecDeque<(Moment, AttemptId, WorkerId)>,
    events: u32,
    asked: u64,
    settled: u64,
}

impl Load {
    fn new(opening: impl IntoIterator<Item = Event>) -> Self {
        let mut load = Self {
            scheduler: Scheduler::new(Policy::default(), 1).expect("the usual policy"),
            now: Moment::START,
            coming: VecDeque::new(),
            events: 0,
            asked: 0,
            settled: 0,
        };
        for event in opening {
            load.tell(event);
        }
        load
    }

    fn tell(&mut self, event: Event) {
        self.events += 1;
        let mut out = Vec::new();
        self.scheduler.handle(self.now, event, &mut out);
        for command in out {
            match command {
                Command::Assign { attempt, worker } => self.coming.push_back((self.now + LENGTH, attempt, worker)),
                Command::Settle { .. } => self.settled += 1,
                _ => {}
            }
        }
    }

    /// Settles so many more actions, of which `open` are open at a time.
    fn settle(&mut self, more: u64, open: u64) {
        let all = self.settled + more;
        while self.settled < all {
            while self.asked - self.settled < open {
                let spec = Spec::usual(TaskId(self.asked / 10), KindId(0));
                let action = ActionId(self.asked);
                self.asked += 1;
                self.tell(Event::Submitted { action, spec });
            }
            let end = self.coming.front().map(|(at, ..)| *at);
            self.now = end
                .into_iter()
                .chain(self.scheduler.next_wakeup())
                .min()
                .expect("something comes");
            match self.coming.pop_front_if(|(at, ..)| *at <= self.now) {
                Some((_, attempt, worker)) => self.tell(Event::AttemptEnded {
                    attempt,
                    worker,
                    end: End::Ok,
                    took: LENGTH,
                }),
                None => self.tell(Event::Tick),
            }
        }
    }

    /// Seconds for each event, when every worker has had something to do.
    fn cost(&mut self, open: u64) -> f64 {
        self.settle(open, open);
        let round = || {
            let before = self.events;
            #[expect(clippy::disallowed_methods, reason = "what is measured is what the scheduler costs")]
            let begun = Instant::now();
            self.settle(3000, open);
            begun.elapsed().as_secs_f64() / f64::from(self.events - before)
        };
        // What else the machine does makes it only slower.
        std::iter::repeat_with(round).take(7).fold(f64::INFINITY, f64::min)
    }
}

fn join(worker: u32, pool: u32, buckets: Vec<BucketId>) -> Event {
    Event::WorkerJoined {
        worker: WorkerId(worker),
        pool: PoolId(pool),
        slots: 1,
        buckets,
        owner: None,
    }
}

fn compare(what: &str, opening: impl Fn(u32) -> Vec<Event>) {
    let cost = |number: u32| Load::new(opening(number)).cost(2 * u64::from(number));
    let (few, many) = (cost(100), cost(10_000));
    assert!(
        many < TIMES * few,
        "{what}: {many} s for an event with 10,000, {few} s with 100"
    );
}

#[test]
fn event_costs_the_same_whether_many_workers_share_an_account_or_few() {
    compare("workers of one account", |workers| {
        let quota = Quota::Rate {
            limit: 1000,
            per: Duration::from_secs(1),
            burst: 1,
        };
        let bucket = BucketId(0);
        let costs = Vec::new();
        let pools = vec![PoolId(0)];
        let kind = KindId(0);
        let mut opening = vec![
            Event::BucketDefined { bucket, quota, costs },
            Event::KindDefined { kind, pools },
        ];
        opening.extend((0..workers).map(|worker| join(worker, 0, vec![bucket])));
        opening
    });
}

#[test]
fn event_costs_the_same_whether_a_kind_has_many_pools_or_few() {
    compare("pools of one kind", |number| {
        let kind = KindId(0);
        let pools = (0..number).map(PoolId).collect();
        let mut opening = vec![Event::KindDefined { kind, pools }];
        opening.extend((0..number).map(|worker| join(worker, worker, Vec::new())));
        opening
    });
}
