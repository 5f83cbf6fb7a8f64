//! How flaky a kind of action is, learned from the ends of its attempts.

use crate::{ids::Wx, policy::Policy, slab::Slot};

/// What is left of an observation after each further one: after 1,000 of them it counts half. Arbitrary.
const KEEP: f64 = 1.0 - std::f64::consts::LN_2 / 1000.0;

/// The rate that is assumed before anything was seen, as so many failures of so many attempts. Arbitrary: one in ten.
const PRIOR: (f64, f64) = (2.0, 20.0);

/// Between which bounds the learned rate is believed. Arbitrary.
const RATE: (f64, f64) = (0.02, 0.40);

/// The highest rate where the failures of bad actions count. Arbitrary: a worker that fails everything is known by 66
/// failures in a row.
const RATE_OF_ALL_MAX: f64 = 0.9;

/// How much more often than the others a bad worker fails, and the bounds of that. Arbitrary; what follows from it is
/// simulated in `sim/presets.rs`.
const BAD_TIMES: f64 = 3.0;

const BAD_RATE: (f64, f64) = (0.5, 0.9);

/// How many good actions may be lost by chance alone: ln 1e-4 / ln rate attempts.
const LOST_PART: f64 = 1e-4;

/// The fewest traps at one place that prove that an action is at fault. With two, a pool of which two workers are bad
/// ones and have not failed before would lose each action that both have tried.
pub(crate) const TRAPS_MIN: u32 = 3;

/// When the weights of observations begin anew: far below the largest f64, and seldom.
const WEIGHT_MAX: f64 = 1e100;

/// Successes between two looks at the logarithms: they move by less than a hundredth meanwhile.
const REFRESH: u32 = 16;

/// Ends of attempts, each counted with its weight.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    ok: f64,
    /// Failures of which it is known that the action was not at fault.
    failed: f64,
    /// Failures of actions that died before enough workers had tried them.
    unproved: f64,
}

/// How flaky a kind of action is on any worker.
///
/// Observations count less as they age. Instead of making all of them smaller with each new one, the new one counts
/// more, and what is read is divided by that.
#[derive(Clone, Debug)]
pub(crate) struct FailureRate {
    all: Ends,
    /// The same of each worker, by its place. Whether a worker fails more than others is measured by the others alone,
    /// failures and successes: in a small pool it would otherwise set the rate that it is measured by.
    own: Vec<Ends>,
    /// Failures of actions that were at fault, on any worker.
    bad: f64,
    /// What the newest observation counts.
    weight: f64,
    /// What a success adds to a score (it is negative), by the rate as it was lately.
    pub(crate) relief: f64,
    unread: u32,
}

impl Default for FailureRate {
    fn default() -> Self {
        let mut failure_rate = Self {
            all: Ends::default(),
            own: Vec::new(),
            bad: 0.0,
            weight: 1.0,
            relief: 0.0,
            unread: 0,
        };
        failure_rate.refresh();
        failure_rate
    }
}

impl FailureRate {
    /// The rate at which attempts of this kind fail by chance.
    pub(crate) fn rate(&self) -> f64 {
        rate(self.all.failed / self.weight, self.all.ok / self.weight, RATE)
    }

    /// The rate at which attempts of this kind fail by chance on workers other than this one.
    pub(crate) fn rate_elsewhere(&self, wx: Wx) -> f64 {
        let others = self.others(wx);
        rate(others.failed, others.ok, RATE)
    }

    /// The rate at which attempts of this kind fail on any worker, as it follows from the other workers, and from bad
    /// actions wherever they were tried.
    pub(crate) fn rate_of_all(&self, wx: Wx) -> f64 {
        let others = self.others(wx);
        let usual = rate(others.failed + others.unproved, others.ok, (RATE.0, RATE_OF_ALL_MAX));
        let Ends { ok, failed, unproved } = self.all;
        let bad = self.bad / (ok + failed + unproved + self.bad).max(1.0);
        (usual + bad * (1.0 - usual)).min(RATE_OF_ALL_MAX)
    }

    /// What guilt adds to this worker's score.
    pub(crate) fn guilt(&self, wx: Wx) -> f64 {
        let usual = self.rate_elsewhere(wx);
        (bad(usual) / usual).ln()
    }

    /// What a failure adds to this worker's score if so many workers failed the action before it died: each bears an
    /// equal part, and it is nothing where as many actions die on the others.
    pub(crate) fn suspicion(&self, wx: Wx, workers: usize) -> f64 {
        let others = self.others(wx);
        let usual = rate(others.failed + others.unproved, others.ok, (RATE.0, 1.0));
        (bad(usual) / usual).ln().max(0.0) / workers.max(1) as f64
    }

    /// How many traps at one place prove that an action is at fault, and not chance: all traps of a kind may be at one
    /// place, as where each error of a guest ends.
    pub(crate) fn traps(&self) -> u32 {
        row_below(LOST_PART, self.rate()).max(TRAPS_MIN)
    }

    /// How many attempts may fail before chance alone is no explanation.
    pub(crate) fn attempts(&self, policy: &Policy) -> u32 {
        row_below(LOST_PART, self.rate()).clamp(policy.attempts_min, policy.attempts_max)
    }

    /// What was seen of all workers but one, by what it counts now.
    fn others(&self, wx: Wx) -> Ends {
        let own = self.own.get(wx.index() as usize).copied().unwrap_or_default();
        let part = |all: f64, own: f64| (all - own).max(0.0) / self.weight;
        Ends {
            ok: part(self.all.ok, own.ok),
            failed: part(self.all.failed, own.failed),
            unproved: part(self.all.unproved, own.unproved),
        }
    }

    pub(crate) fn succeeded(&mut self, wx: Wx) {
        self.see(wx, |ends, weight| ends.ok += weight);
        self.unread += 1;
        if self.unread >= REFRESH {
            self.refresh();
        }
    }

    pub(crate) fn convicted(&mut self, wx: Wx, failures: u32) {
        self.see(wx, |ends, weight| ends.failed += f64::from(failures) * weight);
        self.refresh();
    }

    pub(crate) fn unproved(&mut self, wx: Wx, failures: u32) {
        self.see(wx, |ends, weight| ends.unproved += f64::from(failures) * weight);
        self.refresh();
    }

    /// So many failures were the fault of their action. That makes what was seen of workers no older.
    pub(crate) fn note_bad(&mut self, failures: u32) {
        self.bad += f64::from(failures) * self.weight;
    }

    fn see(&mut self, wx: Wx, add: impl Fn(&mut Ends, f64)) {
        self.weight *= 1.0 / KEEP;
        let index = wx.index() as usize;
        if self.own.len() <= index {
            self.own.resize(index + 1, Ends::default());
        }
        add(&mut self.all, self.weight);
        if let Some(own) = self.own.get_mut(index) {
            add(own, self.weight);
        }
        if self.weight > WEIGHT_MAX {
            for ends in self.own.iter_mut().chain([&mut self.all]) {
                ends.ok /= self.weight;
                ends.failed /= self.weight;
                ends.unproved /= self.weight;
            }
            self.bad /= self.weight;
            self.weight = 1.0;
        }
    }

    fn refresh(&mut self) {
        self.unread = 0;
        // A worker that succeeds where many actions die has shown more.
        let failed = self.all.failed + self.all.unproved;
        let usual = rate(failed / self.weight, self.all.ok / self.weight, RATE);
        self.relief = ((1.0 - bad(usual)) / (1.0 - usual)).ln();
    }
}

/// How many failures in a row are less likely than this where attempts fail at this rate.
pub(crate) fn row_below(chance: f64, rate: f64) -> u32 {
    (chance.ln() / rate.ln()).ceil() as u32
}

/// The rate that so many failures and successes speak for.
fn rate(failed: f64, ok: f64, (least, most): (f64, f64)) -> f64 {
    let (before, all) = PRIOR;
    ((failed + before) / (ok + failed + all)).clamp(least, most)
}

/// How often a bad worker fails where all others fail at this rate.
fn bad(usual: f64) -> f64 {
    (BAD_TIMES * usual).clamp(BAD_RATE.0, BAD_RATE.1)
}
