//! What a worker is like at one kind of action.
//!
//! A worker may fail every action of one kind and do the others well. It is judged as a whole, by all that it does, and for each
//! kind by what it does of that. If it is bad at a kind and good at another one, it is *barred* from the first alone: it is given
//! nothing of it for as long as a quarantine takes. Then it has to prove itself: guilt bars it again, for longer.
//!
//! Waiting actions avoid workers that are barred from their kind as they avoid those that failed them. Those that stand in line
//! already are moved when such a worker comes for them.

use std::collections::VecDeque;

use crate::{
    blame::scored,
    command::Command,
    ids::{ActionId, Ax, KindId, Kx, Rx, WorkerId, Wx},
    luck::doubled,
    moment::Moment,
    policy::Blame,
    scheduler::Scheduler,
    timers::Timer,
    worker::{PAST_MAX, Past},
};

/// What was seen of a worker with actions of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Skill {
    kx: Kx,
    /// Its last failures, the oldest first.
    past: VecDeque<Past>,
    /// Its successes since the last of them.
    since: u32,
    /// As [`Record::score`](crate::worker::Record), for this kind.
    score: f64,
    /// Its successes since it was last barred.
    ok: u32,
    /// Its failures since its last success.
    straight: u32,
    /// How often it was barred, less one for each time that it proved itself.
    round: u32,
    /// Until when it is barred; [`Moment::NEVER`]: it is not.
    until: Moment,
    /// Whether it was barred and has not proved itself.
    on_trial: bool,
}

impl Skill {
    fn new(kx: Kx) -> Self {
        Self {
            kx,
            past: VecDeque::new(),
            since: 0,
            score: 0.0,
            ok: 0,
            straight: 0,
            round: 0,
            until: Moment::NEVER,
            on_trial: false,
        }
    }
}

impl Scheduler {
    /// Takes note that a worker succeeded with an action of this kind. `relief`: what that adds to its score.
    pub(crate) fn skill_shown(&mut self, wx: Wx, kx: Kx, relief: f64) {
        let probation = self.policy.probation;
        let Some(skill) = self.skill(wx, kx) else { return };
        skill.ok = skill.ok.saturating_add(1);
        skill.straight = 0;
        if !skill.past.is_empty() {
            skill.since = skill.since.saturating_add(1);
            skill.score = (skill.score + relief).max(0.0);
        }
        if skill.on_trial && skill.ok >= probation {
            skill.on_trial = false;
            skill.round = skill.round.saturating_sub(1);
        }
    }

    /// Takes note of a failure of which nobody knows yet whose fault it was.
    pub(crate) fn skill_missed(&mut self, wx: Wx, kx: Kx, action: ActionId) {
        let at = self.now;
        let Some(skill) = self.skill(wx, kx) else { return };
        skill.straight = skill.straight.saturating_add(1);
        if skill.past.len() >= PAST_MAX {
            skill.past.pop_front();
        }
        skill.past.push_back(Past {
            before: std::mem::take(&mut skill.since),
            action,
            kx: Some(kx),
            at,
            guilt: 0.0,
        });
    }

    /// A failure was the worker's fault. True: it is to be given nothing more of this kind, because it is bad at it and good at
    /// another one.
    pub(crate) fn is_unskilled(&mut self, wx: Wx, (kx, action): (Kx, ActionId), guilt: f64, relief: f64) -> bool {
        let enough = self.quarantine_score();
        let Some(skill) = self.skill(wx, kx) else { return false };
        skill.score = scored(&mut skill.past, skill.since, action, guilt, relief);
        let is_bad = skill.score >= enough || skill.on_trial && guilt > 0.0;
        let Some(worker) = self.workers.get(wx) else {
            return false;
        };
        let is_good = |other: &Skill| {
            other.kx != kx
                && other.until == Moment::NEVER
                && other.straight == 0
                && other.ok >= self.policy.probation
                && other.score < enough / 2.0
        };
        is_bad && worker.skills.iter().any(is_good)
    }

    /// The kinds that a worker is barred from, each with the moment until which it is. Empty for one that is not known.
    pub fn barred_from(&self, worker: WorkerId) -> impl Iterator<Item = (KindId, Moment)> {
        let worker = self.worker_ids.get(&worker).and_then(|wx| self.workers.get(*wx));
        let skills = worker.map_or(&[][..], |worker| &worker.skills).iter();
        let barred = skills.filter(|skill| skill.until != Moment::NEVER);
        barred.filter_map(|skill| Some((self.kinds.get(skill.kx)?.id, skill.until)))
    }

    /// What is known of a worker at one kind. None while there is only one kind.
    fn skill(&mut self, wx: Wx, kx: Kx) -> Option<&mut Skill> {
        if self.kind_ids.len() < 2 || self.policy.blame != Blame::Deferred {
            return None;
        }
        let skills = &mut self.workers.get_mut(wx)?.skills;
        let index = match skills.binary_search_by_key(&kx, |skill| skill.kx) {
            Ok(index) => index,
            Err(index) => {
                skills.insert(index, Skill::new(kx));
                index
            }
        };
        skills.get_mut(index)
    }

    /// Whether a worker may be barred from a kind: another one is left for it, and not too much of the pool is barred already.
    pub(crate) fn may_bar(&self, wx: Wx, kx: Kx) -> bool {
        let (Some(worker), Some(kind)) = (self.workers.get(wx), self.kinds.get(kx)) else {
            return false;
        };
        let Some(pool) = self.pools.get(worker.px) else {
            return false;
        };
        let barred = kind
            .barred
            .iter()
            .filter(|other| **other != wx && self.is_usable(**other));
        let is_mate = |other: &&Wx| self.workers.get(**other).is_some_and(|other| other.px == worker.px);
        let (all, mates) = (barred.clone().count(), barred.filter(is_mate).count());
        let share = (pool.members as f64 * self.policy.quarantine_share) as usize;
        worker.standing.is_usable()
            && !self.is_systemic(worker.px)
            && self.usable(kind.rx) > all + 1
            && mates < share.max(1)
    }

    /// Gives a worker nothing of a kind for a while.
    pub(crate) fn bar_kind(&mut self, wx: Wx, kx: Kx, out: &mut Vec<Command>) {
        let policy = &self.policy;
        let (min, max, jitter) = (policy.quarantine_min, policy.quarantine_max, policy.quarantine_jitter);
        let Some(skill) = self.skill(wx, kx) else { return };
        let length = doubled(min, skill.round, max);
        skill.round = skill.round.saturating_add(1);
        skill.past.clear();
        (skill.since, skill.score, skill.ok, skill.on_trial) = (0, 0.0, 0, true);
        let before = skill.until;
        let until = self.now + self.luck.around(length, jitter);
        if let Some(skill) = self.skill(wx, kx) {
            skill.until = until;
        }
        self.timers.clear(before, Timer::Barred(wx, kx));
        self.timers.set(until, Timer::Barred(wx, kx));
        let (Some(worker), Some(kind)) = (self.workers.get_mut(wx), self.kinds.get_mut(kx)) else {
            return;
        };
        // It pays for this kind here, and not once more as a whole.
        for past in worker.record.past.iter_mut().filter(|past| past.kx == Some(kx)) {
            past.guilt = 0.0;
        }
        worker.record.score = 0.0;
        if let Err(index) = kind.barred.binary_search(&wx) {
            kind.barred.insert(index, wx);
        }
        out.push(Command::Barred {
            worker: worker.id,
            kind: kind.id,
            until: Some(until),
        });
        let rx = kind.rx;
        self.annul_kind(wx, kx, out);
        self.move_choosy(rx, kx, None, out);
    }

    /// A worker is given actions of a kind again.
    pub(crate) fn unbar(&mut self, wx: Wx, kx: Kx, out: &mut Vec<Command>) {
        let before = match self.skill(wx, kx) {
            Some(skill) => std::mem::replace(&mut skill.until, Moment::NEVER),
            None => return,
        };
        self.timers.clear(before, Timer::Barred(wx, kx));
        let (Some(worker), Some(kind)) = (self.workers.get(wx), self.kinds.get_mut(kx)) else {
            return;
        };
        kind.barred.retain(|other| *other != wx);
        let rx = kind.rx;
        out.push(Command::Barred {
            worker: worker.id,
            kind: kind.id,
            until: None,
        });
        self.move_choosy(rx, kx, Some(wx), out);
        self.stirred.push(wx);
    }

    /// Looks again at the actions of a kind that avoid this worker, or any.
    fn move_choosy(&mut self, rx: Rx, kx: Kx, wx: Option<Wx>, out: &mut Vec<Command>) {
        let is_of = |ax: &Ax| self.actions.get(*ax).is_some_and(|action| action.kx == kx);
        let moved: Vec<Ax> = self.queues.choosy(rx, wx).into_iter().filter(is_of).collect();
        for ax in moved {
            self.place_again(ax, out);
        }
    }

    /// Forgets what is known of a worker at all kinds.
    pub(crate) fn forget_skills(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let barred: Vec<Kx> = match self.workers.get(wx) {
            Some(worker) => worker
                .skills
                .iter()
                .filter(|skill| skill.until != Moment::NEVER)
                .map(|skill| skill.kx)
                .collect(),
            None => return,
        };
        for kx in barred {
            self.unbar(wx, kx, out);
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.skills.clear();
        }
    }

    /// Whether a worker is barred from the kind of an action. If it came for it in line, the action avoids it from now on.
    pub(crate) fn turns_away(&mut self, ax: Ax, wx: Wx, out: &mut Vec<Command>) -> bool {
        let Some(kx) = self.actions.get(ax).map(|action| action.kx) else {
            return false;
        };
        let is_barred = self.is_barred(wx, kx);
        if is_barred {
            self.place_again(ax, out);
        }
        is_barred
    }

    /// Whether a worker is given nothing of a kind.
    pub(crate) fn is_barred(&self, wx: Wx, kx: Kx) -> bool {
        let kind = self.kinds.get(kx);
        kind.is_some_and(|kind| kind.barred.binary_search(&wx).is_ok())
    }
}
