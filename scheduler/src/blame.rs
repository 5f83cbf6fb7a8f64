//! Whose fault it was: the deferred verdict.
//!
//! A failure says little by itself: the action may be bad, or the worker. So it is only *pending*, and what becomes of the
//! action decides. If it succeeds elsewhere, those who failed it were guilty, each with an equal part; if it dies wherever
//! it goes, they are cleared. Guilt adds to a worker's score, success takes from it (CUSUM: the score is the logarithm of
//! how much likelier a bad worker is than one that is as flaky as everybody), and the score has to be high before anything
//! follows. How flaky everybody is, is learned for each kind.
//!
//! When a worker is taken out, what it did to actions counts no more: their failures there are annulled, once for each
//! action, and an action that is about to die while one that failed it is under strong suspicion is held for a moment.

use std::collections::BTreeMap;

use crate::{
    command::Command,
    ids::{ActionId, AttemptId, Ax, Kx, WorkerId, Wx},
    moment::Moment,
    outcome::{End, Verdict},
    policy::{Blame, Policy},
    scheduler::Scheduler,
    worker::{Past, Record, Standing, Trust},
};

/// What is left of an observation after each further one: after 1,000 of them it counts half. scheduler-policy.
const KEEP: f64 = 1.0 - std::f64::consts::LN_2 / 1000.0;

/// The rate that is assumed before anything was seen, as so many failures of so many attempts. scheduler-policy.
const PRIOR: (f64, f64) = (2.0, 20.0);

/// Between which bounds the learned rate is believed. scheduler-policy.
const RATE: (f64, f64) = (0.02, 0.40);

/// How much more often than everybody a bad worker fails, and the bounds of that. scheduler-policy.
const BAD_TIMES: f64 = 3.0;
const BAD_RATE: (f64, f64) = (0.5, 0.9);

/// How many good actions may be lost by chance alone. scheduler-policy: ln 1e-4 / ln p0 attempts.
const LOST_PART: f64 = 1e-4;

/// From which part of the score that condemns a worker on an action waits for what becomes of the worker. Chosen freely.
const DOUBT: f64 = 0.5;

/// How many of a worker's last failures are weighed. Chosen freely: more than a bad worker needs to be found, and less than
/// a kilobyte.
const PAST_MAX: usize = 32;

/// Successes between two looks at the logarithms: they move by less than a hundredth meanwhile.
const REFRESH: u32 = 16;

/// How flaky a kind of action is, whoever tries it.
#[derive(Clone, Debug)]
pub(crate) struct Flake {
    failed: f64,
    ok: f64,
    /// What a success adds to a score (it is negative), by the rate as it was lately.
    relief: f64,
    unread: u32,
    /// How many observations there were in all.
    seen: u64,
    /// Who was found guilty how often, as of which observation. Whether somebody fails more than others is measured by the
    /// others: in a small pool a bad worker would otherwise set the rate that it is measured by.
    shares: BTreeMap<Wx, (f64, u64)>,
}

impl Default for Flake {
    fn default() -> Self {
        let mut flake = Self {
            failed: 0.0,
            ok: 0.0,
            relief: 0.0,
            unread: 0,
            seen: 0,
            shares: BTreeMap::new(),
        };
        flake.refresh();
        flake
    }
}

impl Flake {
    /// The rate at which attempts of this kind fail by chance.
    pub(crate) fn rate(&self) -> f64 {
        rate(self.failed, self.ok)
    }

    /// What guilt adds to this worker's score.
    fn guilt(&self, wx: Wx) -> f64 {
        let own = self.shares.get(&wx).map_or(0.0, |share| self.faded(*share));
        let usual = rate((self.failed - own).max(0.0), self.ok);
        (bad(usual) / usual).ln()
    }

    /// What of a share still counts.
    fn faded(&self, (failures, at): (f64, u64)) -> f64 {
        failures * KEEP.powf((self.seen - at) as f64)
    }

    /// How many attempts may fail before chance alone is no explanation.
    pub(crate) fn attempts(&self, policy: &Policy) -> u32 {
        let wanted = (LOST_PART.ln() / self.rate().ln()).ceil();
        (wanted as u32).clamp(policy.attempts_min, policy.attempts_max)
    }

    fn succeeded(&mut self) {
        self.seen(0.0, 1.0);
        self.unread += 1;
        if self.unread >= REFRESH {
            self.refresh();
        }
    }

    fn convicted(&mut self, wx: Wx, failures: u32) {
        let failures = f64::from(failures);
        self.seen(failures, 0.0);
        let before = self.shares.get(&wx).map_or(0.0, |share| self.faded(*share));
        self.shares.insert(wx, (before + failures, self.seen));
        self.refresh();
    }

    fn seen(&mut self, failed: f64, ok: f64) {
        self.seen += 1;
        self.failed = self.failed * KEEP + failed;
        self.ok = self.ok * KEEP + ok;
    }

    fn refresh(&mut self) {
        self.unread = 0;
        let usual = self.rate();
        self.relief = ((1.0 - bad(usual)) / (1.0 - usual)).ln();
    }
}

/// The rate that so many failures and successes speak for.
fn rate(failed: f64, ok: f64) -> f64 {
    let (before, all) = PRIOR;
    ((failed + before) / (ok + failed + all)).clamp(RATE.0, RATE.1)
}

/// How often a bad worker fails where everybody fails at this rate.
fn bad(usual: f64) -> f64 {
    (BAD_TIMES * usual).clamp(BAD_RATE.0, BAD_RATE.1)
}

/// A worker that failed an action, as long as nobody knows whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accused {
    pub(crate) wx: Wx,
    /// The last attempt that failed there.
    number: u32,
    /// How many failed there.
    spent: u32,
    /// When the last of them failed.
    at: Moment,
    /// What the last of them has in common with failures elsewhere.
    mark: Mark,
}

/// What two failures of one action on different workers may have in common, so that they speak against the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    /// The place of a trap.
    Trap(u64),
    /// The worker reported that it is unfit.
    Unfit,
}

impl Accused {
    /// Of a worker that said something else than others.
    pub(crate) fn of_lie(wx: Wx, number: u32, at: Moment) -> Self {
        Self {
            wx,
            number,
            spent: 1,
            at,
            mark: Mark::None,
        }
    }

    /// Says what became of the accusation.
    fn judged(&self, action: ActionId, worker: WorkerId, verdict: Verdict) -> Command {
        Command::Judged {
            attempt: AttemptId {
                action,
                number: self.number,
            },
            worker,
            verdict,
        }
    }
}

impl Record {
    /// Takes note of a failure of which nobody knows yet whose fault it was.
    pub(crate) fn failed(&mut self, action: ActionId) {
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            before: std::mem::take(&mut self.since),
            action,
            guilt: 0.0,
        });
    }

    /// It was the worker's fault. What it did well before and after is weighed in its order, however late this is known: a
    /// hundred successes after a failure mean the same whether they came before its verdict or behind it.
    fn convict(&mut self, action: ActionId, guilt: f64, relief: f64) {
        if let Some(past) = self.past.iter_mut().rev().find(|past| past.action == action) {
            past.guilt = guilt;
        }
        let after = |score: f64, successes: u32| (score + f64::from(successes) * relief).max(0.0);
        let score = self
            .past
            .iter()
            .fold(0.0, |score, past| after(score, past.before) + past.guilt);
        self.score = after(score, self.since);
    }
}

impl Scheduler {
    /// Takes note that a worker succeeded with an action of this kind.
    pub(crate) fn relieve(&mut self, wx: Wx, kx: Kx) {
        let Some(kind) = self.kinds.get_mut(kx) else { return };
        kind.flake.succeeded();
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        if !record.past.is_empty() {
            record.since = record.since.saturating_add(1);
            record.score = (record.score + kind.flake.relief).max(0.0);
        }
    }

    /// Takes note that an action failed on a worker. True: it broke two workers that can be trusted in the same way, so the
    /// fault is its own.
    pub(crate) fn accuse(&mut self, ax: Ax, wx: Wx, number: u32, end: End) -> bool {
        let mark = match end {
            End::Trap { fingerprint } if fingerprint != 0 && self.is_trusted(wx) => Mark::Trap(fingerprint),
            End::Unfit => Mark::Unfit,
            _ => Mark::None,
        };
        let spent = u32::from(mark != Mark::Unfit);
        let now = self.now;
        let works = |wx: Wx| self.workers.get(wx).is_some_and(|worker| worker.tally.ok > 0);
        let has_worked = works(wx);
        let Some(action) = self.actions.get_mut(ax) else {
            return false;
        };
        let trials = action.trials.get_or_insert_default();
        let poison = trials.accused.iter().any(|other| match mark {
            Mark::None => false,
            Mark::Trap(_) => other.mark == mark && other.wx != wx,
            // One that is unfit for an action twice, and succeeded with others, is as good as two.
            Mark::Unfit => other.mark == mark && (has_worked || works(other.wx)),
        });
        match trials.accused.iter_mut().find(|accused| accused.wx == wx) {
            Some(accused) => {
                accused.number = number;
                accused.spent += spent;
                accused.at = now;
                accused.mark = mark;
            }
            None => trials.accused.push(Accused {
                wx,
                number,
                spent,
                at: now,
                mark,
            }),
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.accusers.insert(ax);
        }
        poison
    }

    /// Whether a trap on this worker speaks against the action.
    fn is_trusted(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| {
            matches!(
                worker.standing,
                Standing::Usable {
                    trust: Trust::Healthy | Trust::Suspect { .. },
                    ..
                }
            )
        })
    }

    /// The action had a result from `by`: whoever failed it before was guilty.
    pub(crate) fn convict(
        &mut self,
        ax: Ax,
        id: ActionId,
        kx: Kx,
        by: Option<Wx>,
        accused: &[Accused],
        out: &mut Vec<Command>,
    ) {
        // Whoever made good for its own failure says nothing about who fails more than others, nor does a failure when
        // nothing worked.
        let is_guilty = |accused: &Accused| {
            let px = self.workers.get(accused.wx).map(|worker| worker.px);
            Some(accused.wx) != by && px.is_some_and(|px| !self.was_out(px, accused.at))
        };
        let (guilty, innocent): (Vec<Accused>, Vec<Accused>) = accused.iter().partition(|accused| is_guilty(accused));
        let others = guilty.len();
        let own = innocent.iter().find(|accused| Some(accused.wx) == by);
        if let (Some(own), Some(kind)) = (own, self.kinds.get_mut(kx)) {
            // How flaky the kind is, it says all the same.
            kind.flake.convicted(own.wx, own.spent);
        }
        self.acquit(ax, id, &innocent, out);
        for accused in &guilty {
            self.decided(ax, id, accused, others, out);
        }
        for accused in &guilty {
            let Some(kind) = self.kinds.get_mut(kx) else { return };
            let (guilt, relief) = (kind.flake.guilt(accused.wx), kind.flake.relief);
            kind.flake.convicted(accused.wx, accused.spent);
            if self.policy.blame != Blame::Deferred {
                continue;
            }
            let Some(worker) = self.workers.get_mut(accused.wx) else {
                continue;
            };
            // One that had a success since then is fit after all: it only failed.
            if accused.mark == Mark::Unfit && worker.record.unfit.contains(&id) {
                self.evict_unfit(accused.wx, out);
                continue;
            }
            worker.record.convict(id, guilt / others as f64, relief);
            let Standing::Usable { trust, rest } = worker.standing else {
                continue;
            };
            let enough = worker.record.score >= self.policy.quarantine_score;
            match trust {
                Trust::Healthy | Trust::Suspect { .. } if !enough => {}
                // It reported once that it is unfit, and was never quarantined.
                Trust::Probation { round: 0, .. } if !enough => {}
                _ if self.may_condemn(accused.wx) => self.condemn(accused.wx, true, out),
                Trust::Suspect { .. } => {}
                _ => self.suspect(accused.wx, 0, rest, out),
            }
        }
    }

    /// An accusation is resolved with this weight: one part of so many. 0: it has none.
    fn decided(&mut self, ax: Ax, id: ActionId, accused: &Accused, shares: usize, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(accused.wx) else {
            return;
        };
        worker.accusers.remove(&ax);
        worker.record.row.retain(|action| *action != id);
        self.stirred.push(accused.wx);
        let verdict = match shares {
            0 => Verdict::Cleared,
            shares => Verdict::Guilty { shares: shares as u32 },
        };
        out.push(accused.judged(id, worker.id, verdict));
    }

    /// The action died wherever it went, or nobody wants to know any more: nobody is guilty.
    pub(crate) fn acquit(&mut self, ax: Ax, id: ActionId, accused: &[Accused], out: &mut Vec<Command>) {
        for accused in accused {
            self.decided(ax, id, accused, 0, out);
            self.fit_again(accused.wx, id, out);
            let suspect_after = self.policy.suspect_after as usize;
            let Some(worker) = self.workers.get(accused.wx) else {
                continue;
            };
            let Standing::Usable { trust, rest } = worker.standing else {
                continue;
            };
            let trust = match trust {
                Trust::Suspect { .. }
                    if worker.record.row.len() < suspect_after
                        && worker.record.score < self.policy.quarantine_score =>
                {
                    Trust::Healthy
                }
                Trust::Probation { .. } if worker.record.row.is_empty() => trust,
                _ => continue,
            };
            let rest = rest.undamped();
            self.stand(accused.wx, Standing::Usable { trust, rest }, out);
        }
    }

    /// A worker was taken out: what failed there was not the actions' fault.
    pub(crate) fn annul(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let id = worker.id;
        worker.record.row.clear();
        self.stirred.push(wx);
        for ax in std::mem::take(&mut worker.accusers) {
            let Some(action) = self.actions.get_mut(ax) else {
                continue;
            };
            let Some(trials) = action.trials.as_deref_mut() else {
                continue;
            };
            let Some(index) = trials.accused.iter().position(|accused| accused.wx == wx) else {
                continue;
            };
            let is_free = trials.accused.get(index).is_some_and(|accused| accused.spent == 0);
            if !is_free && std::mem::replace(&mut trials.revived, true) {
                continue;
            }
            let accused = trials.accused.swap_remove(index);
            action.failed = action.failed.saturating_sub(accused.spent);
            out.push(accused.judged(action.id, id, Verdict::Annulled));
            self.revive(ax, out);
        }
    }

    /// Whether an action that has no attempt left should wait for what becomes of one of those who failed it.
    pub(crate) fn is_in_doubt(&self, ax: Ax) -> bool {
        let Some(trials) = self.actions.get(ax).and_then(|action| action.trials.as_deref()) else {
            return false;
        };
        let doubtful = |accused: &Accused| {
            self.workers.get(accused.wx).is_some_and(|worker| {
                worker.standing.is_usable() && worker.record.score >= DOUBT * self.policy.quarantine_score
            })
        };
        self.policy.blame == Blame::Deferred && !trials.revived && trials.accused.iter().any(doubtful)
    }
}
