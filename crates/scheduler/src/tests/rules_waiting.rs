//! A hundred thousand actions and a thousand workers, each with a window of its own: every action is given out at the
//! very moment at which a window opens, none looks before, and none looks in between.
//!
//! When a window opens is worked out here once more, from the dispatches and answers of its worker alone.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    ActionId, AttemptId, BucketId, Command, End, Event, KindId, Moment, Policy, PoolId, Quota, Report, Scheduler, Spec,
    TaskId, WorkerId, sim::service::micros,
};

const WORKERS: u32 = 1_000;
const ACTIONS: u64 = 100_000;

/// The shortest window. Those of the others are longer, each by a little, so that hardly any two open together.
const PER: Duration = Duration::from_secs(60);

/// One worker, what it may spend, and what it has done so far.
struct Account {
    quota: Quota,
    /// How long its attempts take; not so short that it would be given one more to lie ready.
    takes: Duration,
    answered: Vec<Moment>,
    /// Of a rate: when all that was spent is earned again.
    earned: Moment,
}

impl Account {
    fn new(number: u32) -> Self {
        let limit = 1 + number % 5;
        // Such that a hundredth of it can be divided by every limit.
        let per = PER + Duration::from_millis(u64::from(number) * 6);
        let quota = match number % 3 {
            0 => Quota::Sliding { limit, per },
            1 => Quota::Fixed { limit, per },
            _ => Quota::Rate {
                limit,
                per,
                burst: 1 + number % 2,
            },
        };
        Self {
            quota,
            takes: Duration::from_micros(2_000 + u64::from(number) * 37),
            answered: Vec::new(),
            earned: Moment::START,
        }
    }

    /// By how much a window is taken to be longer: a hundredth, at least 50 ms and at most a second.
    fn margin(per: Duration) -> Duration {
        (per / 100).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// When the service's window of this moment is over, if its windows are fixed. The first one is shorter by a third.
    fn window_ends(per: Duration, at: Moment) -> Moment {
        let begun = micros(per) / 3;
        let before = (at.as_micros() + begun) / micros(per);
        Moment::from_micros((before + 1) * micros(per) - begun)
    }

    fn answer(&mut self, now: Moment) {
        self.answered.push(now);
        if let Quota::Rate { limit, per, .. } = self.quota {
            self.earned = self.earned.max(now) + Duration::from_micros(Self::unit(limit, per));
        }
    }

    /// What the service says in an answer.
    fn report(&self, now: Moment) -> Option<Report> {
        let Quota::Fixed { limit, per } = self.quota else {
            return None;
        };
        Some(Report {
            remaining: limit - self.in_window(per, now) as u32 - 1,
            resets_in: Self::window_ends(per, now).since(now),
        })
    }

    /// How many were answered in the window of this moment.
    fn in_window(&self, per: Duration, at: Moment) -> usize {
        let ends = Self::window_ends(per, at);
        let answers = self.answered.iter().rev();
        answers.take_while(|at| Self::window_ends(per, **at) == ends).count()
    }

    /// A unit takes a hundredth longer here than the service says.
    fn unit(limit: u32, per: Duration) -> u64 {
        let hundredth = micros(per) / 100;
        assert_eq!(hundredth % u64::from(limit), 0, "no rounding here");
        hundredth * 101 / u64::from(limit)
    }

    /// When it can be given something, its attempts being over.
    fn opens(&self) -> Moment {
        let Some(last) = self.answered.last().copied() else {
            return Moment::START;
        };
        let opens = match self.quota {
            // What was answered a window and the margin ago has left, in steps of an eighth of the margin.
            Quota::Sliding { limit, per } => match self.answered.len().checked_sub(limit as usize) {
                Some(index) => {
                    let margin = Self::margin(per);
                    let step = (micros(margin) / 8).max(micros(per) / 4096);
                    let over = self.answered[index] + per + margin;
                    Moment::from_micros(over.as_micros().next_multiple_of(step))
                }
                None => Moment::START,
            },
            // The service has said when the next window begins.
            Quota::Fixed { limit, per } if self.in_window(per, last) < limit as usize => Moment::START,
            Quota::Fixed { per, .. } => Self::window_ends(per, last) + Self::margin(per),
            Quota::Rate { limit, per, burst } => {
                let spare = u64::from(burst - 1) * Self::unit(limit, per);
                Moment::from_micros(self.earned.as_micros().saturating_sub(spare))
            }
            Quota::Concurrent { .. } => Moment::START,
        };
        opens.max(last)
    }
}

/// The scheduler, its workers, and what is to come.
struct Scenario {
    scheduler: Scheduler,
    now: Moment,
    accounts: Vec<Account>,
    ends: BTreeSet<(Moment, WorkerId, AttemptId)>,
    /// When idle workers can be given something, and which.
    opens: BTreeSet<(Moment, WorkerId)>,
    given: u64,
    out: Vec<Command>,
}

impl Scenario {
    fn new() -> Self {
        let accounts: Vec<Account> = (0..WORKERS).map(Account::new).collect();
        let mut world = Self {
            scheduler: Scheduler::new(Policy::default(), 1).expect("a valid policy"),
            now: Moment::START,
            opens: (0..WORKERS).map(|worker| (Moment::START, WorkerId(worker))).collect(),
            accounts,
            ends: BTreeSet::new(),
            given: 0,
            out: Vec::new(),
        };
        let (kind, pool) = (KindId(0), PoolId(0));
        world.tell(Event::KindDefined {
            kind,
            pools: vec![pool],
        });
        for number in 0..WORKERS {
            let quota = world.accounts[number as usize].quota;
            world.tell(Event::BucketDefined {
                bucket: BucketId(number),
                quota,
                costs: Vec::new(),
            });
            world.tell(Event::WorkerJoined {
                worker: WorkerId(number),
                pool,
                slots: 1,
                buckets: vec![BucketId(number)],
                owner: None,
            });
        }
        for number in 1..=ACTIONS {
            let spec = Spec::usual(TaskId(1 + number / 1_000), kind);
            world.tell(Event::Submitted {
                action: ActionId(number),
                spec,
            });
        }
        world
    }

    /// Says how many were given something.
    fn tell(&mut self, event: Event) -> u64 {
        let before = self.given;
        let mut out = std::mem::take(&mut self.out);
        self.scheduler.handle(self.now, event, &mut out);
        for command in out.drain(..) {
            match command {
                Command::Assign { attempt, worker } => self.assigned(attempt, worker),
                Command::Settle { .. } => {}
                other => panic!("{}: {other}", self.now),
            }
        }
        self.out = out;
        self.given - before
    }

    fn assigned(&mut self, attempt: AttemptId, worker: WorkerId) {
        let account = &self.accounts[worker.0 as usize];
        let opens = account.opens();
        assert_eq!(
            opens, self.now,
            "when {worker} with {} was given {attempt}",
            account.quota
        );
        assert!(self.opens.remove(&(opens, worker)), "{worker} is at it already");
        self.ends.insert((self.now + account.takes, worker, attempt));
        self.given += 1;
    }

    fn ended(&mut self, worker: WorkerId, attempt: AttemptId) {
        let account = &mut self.accounts[worker.0 as usize];
        let (report, took) = (account.report(self.now), account.takes);
        account.answer(self.now);
        self.opens.insert((account.opens(), worker));
        if let Some(report) = report {
            self.tell(Event::QuotaReported {
                worker,
                attempt,
                bucket: BucketId(worker.0),
                report,
            });
        }
        self.tell(Event::AttemptEnded {
            attempt,
            worker,
            end: End::Ok,
            took,
        });
    }
}

#[test]
fn worker_wakes_when_its_window_opens_and_never_before() {
    let mut world = Scenario::new();
    let (mut wakeups, mut moments) = (0_u64, BTreeSet::new());
    assert_eq!(world.given, u64::from(WORKERS), "all windows are open in the beginning");
    while world.given < ACTIONS {
        let end = world.ends.first().copied();
        let wakes = world.scheduler.next_wakeup();
        if let Some((at, worker, attempt)) = end
            && wakes.is_none_or(|wakes| at <= wakes)
        {
            world.ends.pop_first();
            world.now = at;
            world.ended(worker, attempt);
        } else {
            let wakes = wakes.expect("an action waits for a window");
            let (opens, worker) = *world.opens.first().expect("no worker is busy");
            assert_eq!(wakes, opens, "the next window is that of {worker}");
            // A microsecond too soon nothing happens, and nothing more is to happen.
            world.now = Moment::from_micros(wakes.as_micros() - 1);
            assert_eq!(world.tell(Event::Tick), 0);
            assert_eq!(world.scheduler.next_wakeup(), Some(wakes));
            world.now = wakes;
            assert!(world.tell(Event::Tick) > 0, "{wakes}: woken for nothing");
            wakeups += 1;
            moments.insert(wakes);
        }
        let (opens, worker) = world.opens.first().copied().expect("a worker is free");
        assert!(
            opens > world.now || world.given == ACTIONS,
            "{worker} could be given something since {opens}, and it is {}",
            world.now
        );
        let waiting = world.scheduler.counts().waiting as u64;
        assert_eq!(waiting, ACTIONS - world.given);
    }
    assert_eq!(
        wakeups,
        moments.len() as u64,
        "one for each moment at which a window opens"
    );
    // Workers that still wait when there is nothing left do so once.
    for left in (0..=WORKERS).rev() {
        let end = world.ends.pop_first();
        if let Some((at, worker, attempt)) = end {
            world.now = at;
            world.ended(worker, attempt);
        } else if let Some(wakes) = world.scheduler.next_wakeup() {
            world.now = wakes;
            world.tell(Event::Tick);
        } else {
            break;
        }
        assert!(left > 0, "it goes on waking when nothing is left");
    }
}
