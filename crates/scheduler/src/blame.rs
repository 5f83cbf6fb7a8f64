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

use std::collections::{BTreeSet, VecDeque};

use crate::{
    action::Action,
    command::Command,
    flake::TRAPS_MIN,
    ids::{ActionId, AttemptId, Ax, Kx, Px, Rx, WorkerId, Wx},
    moment::Moment,
    outcome::{End, Verdict},
    policy::Blame,
    scheduler::Scheduler,
    systemic::Spells,
    worker::{PAST_MAX, Past, Record, Standing, Trust},
};

/// From which part of the score that condemns a worker on an action waits for what becomes of the worker. Arbitrary.
const DOUBT: f64 = 0.5;

/// How many verdicts in a run leave the score as it is that condemns a worker; with twice, three times as many and so on a bad worker
/// has to be as many times likelier. Chosen by simulation: with none of this, two of five attempts failing by chance cost 0.7
/// innocents in 33,000 attempts, and one in five 0.16 in 7,500 (`simulate --preset flaky-fast` and `flaky`); with this 0.03 and 0.
const VERDICTS: f64 = 5.0;

/// How many workers that fail an action are enough to hold that it was at fault. As many as actions make a worker suspect by
/// default.
const JURY: usize = 3;

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
    /// How many of the last of them in a row have that.
    alike: u32,
    /// It gave a result, which others have contradicted.
    is_outvoted: bool,
}

/// How sure it is that a worker was at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The action died, and nothing is proved.
    Open,
    /// Another worker had a result.
    Result,
    /// Others had the same result, which was another one.
    Votes,
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
            alike: 1,
            is_outvoted: true,
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
    pub(crate) fn failed(&mut self, action: ActionId, kx: Option<Kx>, at: Moment) {
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            before: std::mem::take(&mut self.since),
            action,
            kx,
            at,
            guilt: 0.0,
        });
    }

    /// Whether this failure belongs to a spell in which the worker failed another action, and that counts already.
    fn is_told(&self, action: ActionId, spells: &Spells) -> bool {
        let mut all = self.past.iter().rev();
        let spell = all
            .find(|past| past.action == action)
            .and_then(|past| spells.at(past.at));
        spell.is_some_and(|spell| {
            let counts = |past: &Past| {
                past.action != action && past.guilt > 0.0 && (spell.since..=spell.until).contains(&past.at)
            };
            self.past.iter().any(counts)
        })
    }

    /// It was the worker's fault.
    fn convict(&mut self, action: ActionId, guilt: f64, relief: f64) {
        self.score = scored(&mut self.past, self.since, action, guilt, relief);
    }
}

/// The score by these failures, with so many successes after the last, when one of them is known to be the worker's fault. What
/// it did well before and after is weighed in its order, however late this is known: a hundred successes after a failure mean the
/// same whether they came before its verdict or behind it.
pub(crate) fn scored(past: &mut VecDeque<Past>, since: u32, action: ActionId, guilt: f64, relief: f64) -> f64 {
    if let Some(past) = past.iter_mut().rev().find(|past| past.action == action) {
        past.guilt = guilt;
    }
    let after = |score: f64, successes: u32| (score + f64::from(successes) * relief).max(0.0);
    let score = past
        .iter()
        .fold(0.0, |score, past| after(score, past.before) + past.guilt);
    after(score, since)
}

impl Scheduler {
    /// Takes note that a worker succeeded with an action of this kind.
    pub(crate) fn relieve(&mut self, wx: Wx, kx: Kx) {
        let Some(kind) = self.kinds.get_mut(kx) else { return };
        kind.flake.succeeded(wx);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        if !record.past.is_empty() {
            record.since = record.since.saturating_add(1);
            record.score = (record.score + kind.flake.relief).max(0.0);
        }
        let relief = kind.flake.relief;
        self.skill_shown(wx, kx, relief);
    }

    /// Takes note that an action failed on a worker. True: it broke distinct workers that can be trusted in the same way, so often
    /// that the fault is its own.
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
        let kx = action.kx;
        let trials = action.trials.get_or_insert_default();
        // One that is unfit for an action twice, and succeeded with others, is as good as two.
        let mut accused = trials.accused.iter();
        let is_unfit =
            mark == Mark::Unfit && accused.any(|other| other.mark == mark && (has_worked || works(other.wx)));
        trials.first_failed.get_or_insert(now);
        trials.has_trapped |= end != End::Transient;
        match trials.accused.iter_mut().find(|accused| accused.wx == wx) {
            Some(accused) => {
                accused.number = number;
                accused.spent += spent;
                accused.at = now;
                accused.alike = if accused.mark == mark { accused.alike + 1 } else { 1 };
                accused.mark = mark;
            }
            None => trials.accused.push(Accused {
                wx,
                number,
                spent,
                at: now,
                mark,
                alike: 1,
                is_outvoted: false,
            }),
        }
        let alike = trials.accused.iter().filter(|other| other.mark == mark);
        let (workers, traps) = alike.fold((0, 0), |(workers, traps), other| (workers + 1, traps + other.alike));
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.accusers.insert(ax);
        }
        let proof = self.kinds.get(kx).map_or(TRAPS_MIN, |kind| kind.flake.traps());
        is_unfit || matches!(mark, Mark::Trap(_)) && workers > 1 && traps >= proof && !self.is_in_doubt(ax)
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
        self.acquit(ax, (id, kx), &innocent, out);
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
            let record = self.workers.get(accused.wx).map(|worker| &worker.record);
            // One that had a success since then is fit after all: it only failed.
            if accused.mark == Mark::Unfit && record.is_some_and(|record| record.unfit.contains(&id)) {
                self.evict_unfit(accused.wx, out);
                continue;
            }
            let proof = if accused.is_outvoted {
                Proof::Votes
            } else {
                Proof::Result
            };
            self.weigh(accused.wx, (id, kx), (guilt / others as f64, relief), proof, out);
        }
    }

    /// A failure says this much against a worker, a success that much for it: it is quarantined if that makes it enough, and
    /// on probation for any guilt that is proved.
    fn weigh(
        &mut self,
        wx: Wx,
        (id, kx): (ActionId, Kx),
        (guilt, relief): (f64, f64),
        proof: Proof,
        out: &mut Vec<Command>,
    ) {
        let px = self.workers.get(wx).map(|worker| worker.px);
        if self.is_barred(wx, kx) {
            // It pays for this kind already.
            return;
        }
        let spells = px.and_then(|px| Some(&self.pools.get(px)?.spells));
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let guilt = match spells {
            Some(spells) if worker.record.is_told(id, spells) => 0.0,
            _ => guilt,
        };
        worker.record.convict(id, guilt, relief);
        self.verdicts = self.verdicts.saturating_add(1);
        let is_unskilled = self.is_unskilled(wx, (kx, id), guilt, relief);
        let Some(worker) = self.workers.get(wx) else { return };
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        if is_unskilled && matches!(trust, Trust::Healthy | Trust::Suspect { .. }) && self.may_bar(wx, kx) {
            return self.bar_kind(wx, kx, out);
        }
        let enough = worker.record.score
            >= match proof {
                // By chance alone others do not agree on another result.
                Proof::Votes => self.policy.quarantine_score,
                Proof::Open | Proof::Result => self.quarantine_score(),
            };
        match trust {
            Trust::Healthy | Trust::Suspect { .. } if !enough => {}
            // It reported once that it is unfit, and was never quarantined.
            Trust::Probation { round: 0, .. } if !enough => {}
            Trust::Probation { .. } if !enough && proof == Proof::Open => {}
            // What was proved wrong is no matter of chance: the share of a pool that may be taken out does not protect it.
            _ if proof == Proof::Votes && self.may_condemn_outvoted(wx) => self.condemn(wx, false, out),
            _ if self.may_condemn(wx) => self.condemn(wx, true, out),
            Trust::Suspect { .. } => {}
            _ => self.suspect(wx, Some(kx), 0, rest, out),
        }
    }

    /// From which score on a worker is quarantined for failing now. Each verdict is one more chance for chance: the more there were,
    /// the surer it has to be.
    pub fn quarantine_score(&self) -> f64 {
        self.policy.quarantine_score + (1.0 + self.verdicts as f64 / VERDICTS).ln()
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
    pub(crate) fn acquit(&mut self, ax: Ax, (id, kx): (ActionId, Kx), accused: &[Accused], out: &mut Vec<Command>) {
        for accused in accused {
            self.decided(ax, id, accused, 0, out);
            self.fit_again(accused.wx, id, out);
            let suspect_after = self.suspect_after(accused.wx, Some(kx));
            let Some(worker) = self.workers.get(accused.wx) else {
                continue;
            };
            let Standing::Usable { trust, rest } = worker.standing else {
                continue;
            };
            let trust = match trust {
                Trust::Suspect { .. }
                    if worker.record.row.len() < suspect_after && worker.record.score < self.quarantine_score() =>
                {
                    Trust::Healthy
                }
                Trust::Probation { .. } if worker.record.row.is_empty() => trust,
                _ => continue,
            };
            let rest = match self.is_pressed(accused.wx) {
                true => rest,
                false => rest.undamped(),
            };
            self.stand(accused.wx, Standing::Usable { trust, rest }, out);
        }
    }

    /// The action died, or its asker lost interest, before it was known whose fault it was. If enough workers failed it that is
    /// no evidence against them; if only few tried it, it is none for them either.
    pub(crate) fn close_open(
        &mut self,
        ax: Ax,
        id: ActionId,
        (kx, rx): (Kx, Rx),
        accused: &[Accused],
        out: &mut Vec<Command>,
    ) {
        let failed_by = accused.len();
        if failed_by >= JURY.min(self.usable(rx)) || self.policy.blame != Blame::Deferred {
            return self.acquit(ax, (id, kx), accused, out);
        }
        for accused in accused {
            let px = self.workers.get(accused.wx).map(|worker| worker.px);
            let is_told = |px: Px| {
                let spell = self.pools.get(px).and_then(|pool| pool.spells.at(accused.at));
                self.is_systemic(px) || self.was_out(px, accused.at) || spell.is_some()
            };
            if accused.spent == 0 || px.is_none_or(is_told) {
                self.acquit(ax, (id, kx), &[*accused], out);
                continue;
            }
            let Some(kind) = self.kinds.get_mut(kx) else { return };
            let (guilt, relief) = (kind.flake.suspicion(accused.wx, failed_by), kind.flake.relief);
            kind.flake.unproved(accused.wx, accused.spent);
            if let Some(worker) = self.workers.get_mut(accused.wx) {
                worker.accusers.remove(&ax);
                self.stirred.push(accused.wx);
                out.push(accused.judged(id, worker.id, Verdict::Unproved));
            }
            self.weigh(accused.wx, (id, kx), (guilt, relief), Proof::Open, out);
            // On probation a worker waits for verdicts, and this is the last word.
            if let Some(worker) = self.workers.get_mut(accused.wx)
                && let Standing::Usable { trust, rest } = worker.standing
                && matches!(trust, Trust::Probation { .. })
            {
                worker.record.row.retain(|action| *action != id);
                if worker.record.row.is_empty() {
                    let rest = rest.undamped();
                    self.stand(accused.wx, Standing::Usable { trust, rest }, out);
                }
            }
        }
    }

    /// An action that too few workers have tried has no attempt left and waits for what becomes of those that failed it: its own
    /// failures count already.
    pub(crate) fn weigh_open(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let Some(action) = self.actions.get(ax) else { return };
        let (id, kx, rx) = (action.id, action.kx, action.rx);
        let accused: Vec<Accused> = action
            .trials
            .as_ref()
            .map_or_else(Vec::new, |trials| trials.accused.clone());
        if accused.len() >= JURY.min(self.usable(rx)) {
            return;
        }
        for one in &accused {
            let Some(kind) = self.kinds.get(kx).filter(|_| one.spent > 0) else {
                continue;
            };
            let evidence = (kind.flake.suspicion(one.wx, accused.len()), kind.flake.relief);
            self.weigh(one.wx, (id, kx), evidence, Proof::Open, out);
        }
    }

    /// A worker was taken out: what failed there was not the actions' fault.
    pub(crate) fn annul(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        worker.record.row.clear();
        let accusers = std::mem::take(&mut worker.accusers);
        self.annul_each(wx, accusers, out);
    }

    /// A worker was barred from a kind: what failed there of it was not the actions' fault.
    pub(crate) fn annul_kind(&mut self, wx: Wx, kx: Kx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let (actions, is_of) = (&self.actions, |action: &Action| action.kx == kx);
        let all = std::mem::take(&mut worker.accusers);
        let (of_it, rest) = all.into_iter().partition(|ax| actions.get(*ax).is_some_and(is_of));
        worker.accusers = rest;
        worker.record.row.clear();
        self.annul_each(wx, of_it, out);
    }

    fn annul_each(&mut self, wx: Wx, accusers: BTreeSet<Ax>, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get(wx) else { return };
        let id = worker.id;
        self.stirred.push(wx);
        for ax in accusers {
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
            self.is_less_choosy(ax, out);
        }
    }

    /// Whether an action that has no attempt left should wait for what becomes of one of those who failed it.
    pub(crate) fn is_in_doubt(&self, ax: Ax) -> bool {
        let Some(trials) = self.actions.get(ax).and_then(|action| action.trials.as_deref()) else {
            return false;
        };
        let doubtful = |accused: &Accused| {
            self.workers.get(accused.wx).is_some_and(|worker| {
                worker.standing.is_usable() && worker.record.score >= DOUBT * self.quarantine_score()
            })
        };
        self.policy.blame == Blame::Deferred && !trials.revived && trials.accused.iter().any(doubtful)
    }
}
