//! What is simulated, and the dice that decide in it.

use std::time::Duration;

use crate::{End, Moment, PolicyError, Quota, rng::Rng};

/// From one duration to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The shorter one, or the earlier.
    pub from: Duration,
    /// The longer one, or the later.
    pub to: Duration,
}

impl Span {
    /// From so many milliseconds to so many.
    pub const fn of_millis(from: u64, to: u64) -> Self {
        Self {
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
        }
    }
}

/// Workers that fail more often than the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bad {
    /// How many workers.
    pub count: u32,
    /// How often an attempt fails there, whatever the action, 0 to 1.
    pub rate: f64,
}

/// Workers, actions, and what is wrong with them. The scheduler is told nothing of it.
///
/// All randomness belongs to the attempt: what the second attempt of the tenth action comes to on a good worker, and
/// what on the third of the bad ones, follows from the seed alone, whatever decides. So policies are compared in the
/// same scenario and not in worlds of the same sort.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// How many workers there are, all in one pool. At least 1. Default 20.
    pub workers: u32,
    /// How many attempts each makes at once. At least 1. Default 1.
    pub slots: u32,
    /// How many actions there are, each asked for by a task of its own. Default 6,000.
    pub actions: u64,
    /// How many actions are open at most; the next is asked for when one is settled. At least 1. Default: all.
    pub open_max: u64,
    /// How long an action takes, wherever it is tried and whether it fails or not; each length is as likely. Default 50
    /// to 150 ms.
    pub lengths: Span,
    /// How long an attempt takes that fails because the worker is a bad one or a black hole. Default 0 to 1 ms: trouble
    /// is worst when it is fast.
    pub failing: Span,
    /// How often an attempt of a good action on a good worker fails by chance, 0 to 1. Default 0.
    pub flake: f64,
    /// Workers that fail more often. Default none.
    pub bad: Vec<Bad>,
    /// How many workers fail always. Default none.
    pub black_holes: u32,
    /// How many workers always fail actions of the first kind and no others. Default none.
    pub bad_at_one: u32,
    /// How many kinds of actions there are, which actions have in turn. At least 1. Default 1.
    pub kinds: u32,
    /// How many attempts of an action may fail. Default 0: as many as the policy says.
    pub attempts: u32,
    /// How many actions fail always, wherever they are tried. Default none.
    pub poison: u64,
    /// Whether the poison is spread evenly over all actions. Default: no, it comes first and in a row.
    pub poison_spread: bool,
    /// Whether poison traps, at the same place each time. Default: no, it looks like any failure.
    pub poison_traps: bool,
    /// Whether every failure by chance or of a bad worker is a trap, all at one place, as where a guest's error
    /// handling ends. Default: no.
    pub traps: bool,
    /// Whether a worker that tries poison reports that it is unfit. Default: no.
    pub poison_unfit: bool,
    /// Every attempt that begins during these fails, after as long as on a bad worker. Default none.
    pub hiccups: Vec<Span>,
    /// During these everything fails that ends then, as if the service that the workers use were down. Default none.
    pub outages: Vec<Span>,
    /// What the service that the workers use allows each account; all of these at once. Every attempt takes one unit,
    /// also one that fails. Default none: no limit.
    pub quotas: Vec<Quota>,
    /// How many accounts there are. Workers have them in turn, so that each belongs to as many of them. Default: each
    /// worker has its own.
    pub accounts: Option<u32>,
    /// Whether workers report what the service says of a quota, with every answer. Default: yes.
    pub reports: bool,
    /// By how much the resets that services report are too early. Default 0.
    pub resets_early: Duration,
    /// Whether services report resets by a clock of whole seconds, as a `Date` header has it: they seem up to a second
    /// later than they are. Default: no.
    pub dates: bool,
    /// By how many hundredths the services' clocks are slower than ours: less than zero if they are faster. Default 0.
    pub clocks_slow: i32,
    /// When the host is started anew: it forgets everything, what is in flight is lost, and what is not done is asked
    /// for again. Default: never.
    pub restarts: Option<Duration>,
    /// Decides everything. Default 1.
    pub seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            workers: 20,
            slots: 1,
            actions: 6000,
            open_max: u64::MAX,
            lengths: Span::of_millis(50, 150),
            failing: Span::of_millis(0, 1),
            flake: 0.0,
            bad: Vec::new(),
            black_holes: 0,
            bad_at_one: 0,
            kinds: 1,
            attempts: 0,
            poison: 0,
            poison_spread: false,
            poison_traps: false,
            traps: false,
            poison_unfit: false,
            hiccups: Vec::new(),
            outages: Vec::new(),
            quotas: Vec::new(),
            accounts: None,
            reports: true,
            resets_early: Duration::ZERO,
            dates: false,
            clocks_slow: 0,
            restarts: None,
            seed: 1,
        }
    }
}

/// The fingerprint of the traps of all poison: one mistake in the workers' code.
const FINGERPRINT: u64 = 1;

/// Two dice that are no worker's.
const SERVICE: u64 = u64::MAX;
const WINDOWS: u64 = u64::MAX - 1;

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Nature {
    Innocent,
    Bad { rate: f64 },
    BlackHole,
    BadAtOne,
}

impl Scenario {
    /// Whether every number is valid.
    ///
    /// # Errors
    /// The first number that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let fail = |field, wanted| Err(PolicyError { field, wanted });
        for (field, value) in [
            ("workers", u64::from(self.workers)),
            ("slots", u64::from(self.slots)),
            ("kinds", u64::from(self.kinds)),
            ("open", self.open_max),
        ] {
            if value == 0 {
                return fail(field, "at least 1");
            }
        }
        for (field, span) in [("duration", self.lengths), ("failing", self.failing)] {
            if span.from > span.to {
                return fail(field, "a range from the shorter to the longer");
            }
        }
        if self
            .outages
            .iter()
            .chain(&self.hiccups)
            .any(|outage| outage.from > outage.to)
        {
            return fail("outage", "a range from the earlier to the later");
        }
        if !(0.0..=1.0).contains(&self.flake) {
            return fail("flake", "between 0 and 1");
        }
        if self.bad.iter().any(|bad| !(0.0..=1.0).contains(&bad.rate)) {
            return fail("bad", "a number of workers and a rate between 0 and 1");
        }
        if self.guilty() > u64::from(self.workers) {
            return fail("bad and black-holes", "together at most as many as there are workers");
        }
        if self.poison > self.actions {
            return fail("poison", "at most as many as there are actions");
        }
        if self.quotas.iter().any(|quota| quota.check().is_err()) {
            return fail("quota", "at least 1 unit, in a time longer than zero");
        }
        if !(1..=self.workers).contains(&self.account_count()) {
            return fail("accounts", "at least 1, and at most as many as there are workers");
        }
        Ok(())
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> u32 {
        self.accounts.unwrap_or(self.workers)
    }

    /// The account, from 0, of a worker, from 0 in the order of joining.
    pub fn account(&self, worker: u32) -> u32 {
        worker % self.account_count().max(1)
    }

    /// How many workers are bad ones, if only for one kind, or black holes.
    pub fn guilty(&self) -> u64 {
        let bad: u64 = self.bad.iter().map(|bad| u64::from(bad.count)).sum();
        bad + u64::from(self.black_holes) + u64::from(self.bad_at_one)
    }

    /// The workers in the order of joining: black holes, the bad ones, those bad at one kind, the innocent.
    pub(super) fn natures(&self) -> impl Iterator<Item = Nature> {
        let holes = std::iter::repeat_n(Nature::BlackHole, self.black_holes as usize);
        let bad = self
            .bad
            .iter()
            .flat_map(|bad| std::iter::repeat_n(Nature::Bad { rate: bad.rate }, bad.count as usize));
        let narrow = std::iter::repeat_n(Nature::BadAtOne, self.bad_at_one as usize);
        let rest = std::iter::repeat(Nature::Innocent);
        holes.chain(bad).chain(narrow).chain(rest).take(self.workers as usize)
    }

    /// The kind, from 0, of the action of this number, from 0.
    pub(super) fn kind(&self, action: u64) -> u32 {
        u32::try_from(action % u64::from(self.kinds.max(1))).unwrap_or(0)
    }

    /// Whether the action of this number, from 0, always fails.
    pub(crate) fn is_poison(&self, action: u64) -> bool {
        if !self.poison_spread {
            return action < self.poison;
        }
        let before = |index: u64| u128::from(index) * u128::from(self.poison) / u128::from(self.actions.max(1));
        before(action) != before(action + 1)
    }

    /// How long an attempt that begins now will take, and how it will end.
    pub(super) fn fate(&self, now: Moment, action: u64, number: u32, worker: u32, nature: Nature) -> (Duration, End) {
        let mut own = self.dice([action, u64::from(number), 1 + u64::from(worker)]);
        let own_fault = match nature {
            Nature::Innocent => false,
            Nature::Bad { rate } => chance(&mut own, rate),
            Nature::BlackHole => true,
            Nature::BadAtOne => self.kind(action) == 0,
        };
        let begun = now.since(Moment::START);
        let hiccup = self.hiccups.iter().any(|span| (span.from..span.to).contains(&begun));
        let failure = match self.traps {
            true => End::Trap {
                fingerprint: FINGERPRINT,
            },
            false => End::Transient,
        };
        if own_fault || hiccup {
            return (between(&mut own, self.failing), failure);
        }
        let took = between(&mut self.dice([action, 0, 0]), self.lengths);
        let at = (now + took).since(Moment::START);
        let is_out = self.outages.iter().any(|outage| (outage.from..outage.to).contains(&at));
        let end = if self.is_poison(action) {
            match (self.poison_traps, self.poison_unfit) {
                (true, _) => End::Trap {
                    fingerprint: FINGERPRINT,
                },
                (false, true) => End::Unfit,
                (false, false) => End::Transient,
            }
        } else if is_out {
            End::Transient
        } else if chance(&mut self.dice([action, u64::from(number), 0]), self.flake) {
            failure
        } else {
            End::Ok
        };
        (took, end)
    }

    /// How long after the beginning of an attempt its service counts it, if the attempt takes so long.
    pub(super) fn counted_after(&self, action: u64, number: u32, took: Duration) -> Duration {
        self.dice([action, u64::from(number), SERVICE]).up_to(took)
    }

    /// When the windows of an account's service begin.
    pub(super) fn window_rng(&self, account: u32, quota: usize) -> Rng {
        self.dice([u64::from(account), quota as u64, WINDOWS])
    }

    fn dice(&self, of: [u64; 3]) -> Rng {
        // The seed is stirred first: side by side, seeds and numbers of actions would be each other's, and every seed
        // would have the same randomness in another order.
        let mixed = of.into_iter().fold(Rng::new(self.seed).next_u64(), |mixed, number| {
            Rng::new(mixed ^ number).next_u64()
        });
        Rng::new(mixed)
    }
}

fn chance(dice: &mut Rng, rate: f64) -> bool {
    // 53 bits are what a f64 has: from 0 to just below 1.
    let drawn = (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    drawn < rate
}

fn between(dice: &mut Rng, span: Span) -> Duration {
    span.from + dice.up_to(span.to.saturating_sub(span.from))
}
