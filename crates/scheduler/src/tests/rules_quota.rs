//! Greedy workers on one bucket, against services that count at unknown moments: nothing is ever refused.

mod crash;

use std::{collections::BTreeMap, time::Duration};

use super::{fate::roll, service::service};
use crate::{
    Moment,
    bucket::{Block, Bucket, Reservation},
    quota::{Quota, Report},
    rng::Rng,
    sim::service::{Service, micros},
};

/// Some seconds without optimization, and with it.
const HISTORIES: u64 = if cfg!(debug_assertions) { 2_000 } else { 10_000 };

/// What is to come.
#[derive(Clone, Copy)]
enum Coming {
    /// The service counts an attempt.
    Counts(u64),
    /// Its report arrives.
    Reports(u64, Report),
    /// It is over. `sent`, or certainly not.
    Ends(u64, bool),
}

/// How long things take, and what is reported.
#[derive(Clone, Copy)]
struct Ways {
    /// The longest latency, and that of one attempt in so many.
    usual: u64,
    rare: u64,
    rarely: u64,
    /// Of a hundred attempts: how many report, report without the reset, are lost, are never sent.
    reports: u64,
    blind: u64,
    lost: u64,
    unsent: u64,
    cost: u64,
    /// One of so many steps is a crash; 0: none is.
    crashes: u64,
}

/// Nothing takes long, is lost or costs more than 1, and there are no reports.
const STEADY: Ways = Ways {
    usual: 0,
    rare: 0,
    rarely: 1_000_000,
    reports: 0,
    blind: 0,
    lost: 0,
    unsent: 0,
    cost: 1,
    crashes: 0,
};

struct Scenario {
    rng: Rng,
    now: Moment,
    bucket: Bucket,
    service: Service,
    ways: Ways,
    coming: BTreeMap<(Moment, u64), Coming>,
    planned: u64,
    /// When an idle worker looks again.
    looks: Option<Moment>,
    /// Units of each attempt in flight, whether it reports, and when it is over.
    flying: BTreeMap<u64, (u64, Moment)>,
    dispatched: u64,
    /// What each idle worker is about to spend.
    wanted: Vec<u64>,
    /// Units counted, by the end of the service's window.
    counted: BTreeMap<u64, u64>,
    spent: u64,
    quota: Quota,
    /// What is recorded, to go on with after a crash.
    reservation: Option<Reservation>,
    recorded: Vec<(Moment, Block)>,
}

impl Scenario {
    fn new(quota: Quota, is_fixed: bool, ways: Ways, workers: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let service = service(quota, is_fixed, &mut rng);
        let mut world = Self {
            now: Moment::START,
            bucket: Bucket::new(quota),
            service,
            ways,
            coming: BTreeMap::new(),
            planned: 0,
            looks: None,
            flying: BTreeMap::new(),
            dispatched: 0,
            wanted: Vec::new(),
            counted: BTreeMap::new(),
            spent: 0,
            quota,
            reservation: Reservation::of(quota, 0),
            recorded: Vec::new(),
            rng,
        };
        world.wanted = (0..workers).map(|_| 1 + roll(&mut world.rng, ways.cost)).collect();
        world
    }

    fn plan(&mut self, at: Moment, coming: Coming) {
        self.planned += 1;
        self.coming.insert((at, self.planned), coming);
    }

    fn latency(&mut self) -> u64 {
        let most = if roll(&mut self.rng, self.ways.rarely) == 0 {
            self.ways.rare
        } else {
            self.ways.usual
        };
        roll(&mut self.rng, most + 1)
    }

    /// A moment from the one to the other, often one of these two.
    fn between(&mut self, first: Moment, last: Moment) -> Moment {
        match roll(&mut self.rng, 4) {
            0 => first,
            1 => last,
            _ => first + self.rng.up_to(last.since(first)),
        }
    }

    /// Plays until then, or so many attempts. What was refused, or what else is wrong.
    fn play(&mut self, until: Moment, attempts: u64) -> Result<(), String> {
        loop {
            self.spend()?;
            let first = self.coming.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = first.into_iter().chain(self.looks).min() else {
                return Err(format!("{}: no worker can ever spend anything", self.now));
            };
            if at > until || self.dispatched >= attempts {
                return Ok(());
            }
            self.now = at;
            if self.ways.crashes > 0 && roll(&mut self.rng, self.ways.crashes) == 0 {
                self.crash()?;
                continue;
            }
            if first != Some(at) {
                continue;
            }
            let Some((_, coming)) = self.coming.pop_first() else {
                continue;
            };
            match coming {
                Coming::Counts(seq) => {
                    let (units, over) = self.flying[&seq];
                    let report = self.service.count(at, units);
                    let report = report.map_err(|refused| format!("{at}: {refused}"))?;
                    if let Some(ends) = self.service.window_ends(at) {
                        *self.counted.entry(ends).or_default() += units;
                    }
                    let is_blind = roll(&mut self.rng, 100) < self.ways.blind;
                    if roll(&mut self.rng, 100) < self.ways.reports {
                        let resets_in = if is_blind { Duration::ZERO } else { report.resets_in };
                        let arrives = self.between(at, over);
                        self.plan(arrives, Coming::Reports(seq, Report { resets_in, ..report }));
                    }
                    self.plan(over, Coming::Ends(seq, true));
                }
                Coming::Reports(seq, report) => {
                    self.bucket.report(at, seq, report);
                    self.record();
                }
                Coming::Ends(seq, sent) => {
                    let (units, _) = self.flying.remove(&seq).expect("in flight");
                    if sent {
                        self.service.answer(units);
                    } else {
                        self.spent -= units;
                    }
                    self.bucket.ended(at, seq, sent);
                    let cost = 1 + roll(&mut self.rng, self.ways.cost);
                    self.wanted.push(cost);
                }
            }
        }
    }

    /// Every idle worker spends what is there.
    fn spend(&mut self) -> Result<(), String> {
        let now = self.now;
        let mut soonest: Option<Moment> = None;
        for units in std::mem::take(&mut self.wanted) {
            if u64::from(self.bucket.available(now)) >= units {
                self.dispatch(units);
                continue;
            }
            self.wanted.push(units);
            let when = self.bucket.when(now, units as u32);
            self.is_exact(units, when)?;
            soonest = soonest.into_iter().chain(when).min();
        }
        self.looks = soonest;
        Ok(())
    }

    fn is_exact(&self, units: u64, when: Option<Moment>) -> Result<(), String> {
        let now = self.now;
        let has = |at: Moment| u64::from(self.bucket.available(at)) >= units;
        let far = now + Duration::from_secs(1_000_000);
        let (is_right, before) = match when {
            None => (!has(far), far),
            Some(at) => (at > now && has(at), Moment::from_micros(at.as_micros() - 1)),
        };
        if !is_right || has(before) {
            return Err(format!("{now}: {units} units are not there from {when:?} on"));
        }
        Ok(())
    }

    fn dispatch(&mut self, units: u64) {
        let now = self.now;
        self.dispatched += 1;
        let seq = self.dispatched;
        self.bucket.debit(now, seq, units as u32);
        self.record();
        self.spent += units;
        let mut over = now + Duration::from_micros(self.latency());
        let counts = self.between(now, over);
        if roll(&mut self.rng, 100) < self.ways.lost {
            // It is noticed much later, or at once.
            let rare = Duration::from_micros(self.ways.rare);
            over = counts + self.rng.up_to(rare);
        }
        self.flying.insert(seq, (units, over));
        if roll(&mut self.rng, 100) < self.ways.unsent {
            self.plan(over, Coming::Ends(seq, false));
        } else {
            self.plan(counts, Coming::Counts(seq));
        }
    }
}

fn random_per(rng: &mut Rng) -> Duration {
    let least = [100, 1_000, 10_000, 100_000, 3_600_000][roll(rng, 5) as usize];
    Duration::from_millis(least + roll(rng, least * 3))
}

fn random_ways(rng: &mut Rng, per: u64) -> Ways {
    let part = [100, 1, 10, 1_000, 3][roll(rng, 5) as usize];
    Ways {
        usual: per / part,
        rare: per * (1 + roll(rng, 3)),
        rarely: [5, 20, 1_000_000][roll(rng, 3) as usize],
        reports: [0, 50, 100][roll(rng, 3) as usize],
        blind: [0, 0, 30, 100][roll(rng, 4) as usize],
        lost: [0, 0, 10][roll(rng, 3) as usize],
        unsent: [0, 0, 10][roll(rng, 3) as usize],
        cost: 1 + roll(rng, 5),
        crashes: 0,
    }
}

/// `make` gives a quota for a limit and a window. `is_fixed`: the windows of its service are.
fn is_never_refused(make: fn(u32, Duration, u32) -> Quota, is_fixed: bool) {
    for seed in 0..HISTORIES {
        let mut rng = Rng::new(seed ^ 0xB0C4);
        let per = random_per(&mut rng);
        let more = [5, 30, 100][roll(&mut rng, 3) as usize];
        let limit = 5 + roll(&mut rng, more) as u32;
        let burst = 5 + roll(&mut rng, 20) as u32;
        let ways = random_ways(&mut rng, micros(per));
        let workers = 1 + roll(&mut rng, 12) as usize;
        let quota = make(limit, per, burst);
        let attempts = 4 * u64::from(limit) + 20;
        let mut world = Scenario::new(quota, is_fixed, ways, workers, seed);
        let fate = world.play(Moment::NEVER, attempts.min(150));
        fate.unwrap_or_else(|wrong| panic!("seed {seed}, {quota}, {workers} workers: {wrong}"));
        let view = world.bucket.view(world.now);
        assert_eq!(view.used, world.spent, "seed {seed}, {quota}");
    }
}

#[test]
fn quota_of_a_sliding_window_is_never_overrun() {
    is_never_refused(|limit, per, _| Quota::Sliding { limit, per }, false);
}

#[test]
fn quota_of_a_fixed_window_is_never_overrun() {
    is_never_refused(|limit, per, _| Quota::Fixed { limit, per }, true);
}

#[test]
fn quota_that_is_sliding_holds_for_fixed_windows_too() {
    is_never_refused(|limit, per, _| Quota::Sliding { limit, per }, true);
}

#[test]
fn quota_of_tokens_is_never_overdrawn() {
    is_never_refused(|limit, per, burst| Quota::Rate { limit, per, burst }, false);
}

#[test]
fn quota_of_attempts_at_once_is_never_exceeded() {
    is_never_refused(|limit, _, _| Quota::Concurrent { limit }, false);
}

/// Answers come fast, every worker spends as much as possible: hardly anything is left over.
#[test]
fn quota_of_a_fixed_window_is_used_with_reports_and_without() {
    for seed in 0..HISTORIES / 10 {
        let mut rng = Rng::new(seed ^ 0xF111);
        let per = random_per(&mut rng).max(Duration::from_secs(1));
        let limit = 10 + roll(&mut rng, 190) as u32;
        let reports = 100 * (seed % 2);
        let ways = Ways {
            usual: micros(per) / 2_000,
            reports,
            ..STEADY
        };
        let workers = 1 + roll(&mut rng, 8) as usize;
        let quota = Quota::Fixed { limit, per };
        let mut world = Scenario::new(quota, true, ways, workers, seed);
        let told = format!("seed {seed}, {quota}, {workers} workers, {reports} % report");
        let end = Moment::START + per * 3;
        world
            .play(end, u64::MAX)
            .unwrap_or_else(|wrong| panic!("{told}: {wrong}"));
        let most = u64::from(limit) * 3;
        assert!(world.spent * 100 >= most * 97, "{told}: {} of {most}", world.spent);
        if reports > 0 {
            // Each window of the service, one by one; most of the first was before the start.
            world.play(end + per * 3, u64::MAX).expect("nothing is refused");
            let ended = world.counted.range(..end.as_micros() + micros(per) * 2);
            for (ends, counted) in ended.skip(1) {
                assert!(
                    *counted * 100 >= u64::from(limit) * 97,
                    "{told}: {counted} until {ends}"
                );
            }
        }
    }
}

/// Nothing but time and steady work: a rate is used but for the hundredth that it is slower.
#[test]
fn quota_of_a_rate_is_used() {
    for seed in 0..HISTORIES / 10 {
        let mut rng = Rng::new(seed ^ 0x9A7E);
        let per = random_per(&mut rng).max(Duration::from_secs(1));
        let (limit, burst) = (10 + roll(&mut rng, 90) as u32, 5 + roll(&mut rng, 20) as u32);
        let ways = Ways {
            usual: micros(per) / 5_000,
            ..STEADY
        };
        let quota = Quota::Rate { limit, per, burst };
        let mut world = Scenario::new(quota, false, ways, 4, seed);
        let fate = world.play(Moment::START + per * 5, u64::MAX);
        fate.unwrap_or_else(|wrong| panic!("seed {seed}, {quota}: {wrong}"));
        let view = world.bucket.view(Moment::START + per * 5);
        assert!(view.used * 100 >= view.capacity * 97, "seed {seed}: {view:?}");
    }
}
