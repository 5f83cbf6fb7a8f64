//! When everything fails: the service is down, or the work is bad, and no worker is to blame.
//!
//! Nobody would be convicted then anyway, since nothing succeeds elsewhere. But the work would be spent on a service that is
//! not there, attempt after attempt. So after a while in which a pool had no success, with enough failures from enough actions
//! on enough workers, it is only *probed*: one attempt, then a long pause; every success doubles what may be tried until the
//! next pause. Traps do not count: a service that is down makes nobody trap, bad actions do.
//!
//! Less than that is a *spell*: most workers of a pool fail within a moment, with no success of an attempt that began in
//! between. It may be a hiccup of the service or a row of bad actions, and is one piece of evidence against each of them however
//! often it failed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    command::Command,
    ids::{ActionId, Px, Wx},
    moment::Moment,
    policy::Blame,
    scheduler::Scheduler,
    timers::Timer,
};

/// How many failures without a success it takes. scheduler-policy: "the last 20 attempts".
const FAILURES: u32 = 20;

/// From how many actions they have to be. decisions 25.
const ACTIONS: usize = 5;

/// How many attempts between two pauses are enough to say that it is over.
const OVER: u32 = 8;

/// From when to when nothing worked in a pool, the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    pub(crate) since: Moment,
    pub(crate) until: Moment,
}

/// Failures of a pool's workers that are further apart than this do not make a spell. Arbitrary: a service that restarts
/// or moves its address is away for about as long.
pub(crate) const SPELL: Duration = Duration::from_secs(2);

/// How many spells are remembered. Arbitrary: verdicts come within seconds, and there is one spell at most for each success.
const SPELLS: usize = 64;

/// When most workers of a pool failed, the last times.
#[derive(Debug, Default)]
pub(crate) struct Spells {
    /// When the youngest attempt began that had a result.
    worked_at: Moment,
    /// The last failure of each worker since then.
    failed: BTreeMap<Wx, Moment>,
    /// The same by when it was.
    by_time: BTreeSet<(Moment, Wx)>,
    /// The oldest first.
    last: VecDeque<Outage>,
}

impl Spells {
    fn failed(&mut self, now: Moment, wx: Wx, usable: usize) {
        if let Some(before) = self.failed.insert(wx, now) {
            self.by_time.remove(&(before, wx));
        }
        self.by_time.insert((now, wx));
        while let Some((at, wx)) = self.by_time.first().copied()
            && at + SPELL < now
        {
            self.forget(at, wx);
        }
        let many = self.by_time.len();
        if many < 2 || 2 * many <= usable {
            return;
        }
        let since = self.worked_at;
        match self.last.back_mut() {
            Some(spell) if spell.since == since => spell.until = now,
            _ => {
                if self.last.len() >= SPELLS {
                    self.last.pop_front();
                }
                self.last.push_back(Outage { since, until: now });
            }
        }
    }

    /// An attempt that began then has a result: what failed before is over.
    fn worked(&mut self, begun: Moment) {
        self.worked_at = self.worked_at.max(begun);
        while let Some((at, wx)) = self.by_time.first().copied()
            && at < self.worked_at
        {
            self.forget(at, wx);
        }
    }

    fn forget(&mut self, at: Moment, wx: Wx) {
        self.by_time.remove(&(at, wx));
        self.failed.remove(&wx);
    }

    /// How long there has been one, if there is one now.
    fn lasts(&self, now: Moment) -> Option<Duration> {
        let last = self.last.back();
        let last = last.filter(|spell| spell.since == self.worked_at && now <= spell.until + SPELL);
        last.map(|spell| now.since(spell.since))
    }

    /// The one in which this moment is.
    pub(crate) fn at(&self, at: Moment) -> Option<Outage> {
        let mut spells = self.last.iter().rev();
        spells.find(|spell| (spell.since..=spell.until).contains(&at)).copied()
    }
}

/// What happened in a pool since its last success.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    /// How many there were before.
    number: u32,
    /// When the first of them failed.
    since: Moment,
    failures: u32,
    /// Some of their actions, as many as matter.
    actions: Vec<ActionId>,
    workers: BTreeSet<Wx>,
}

/// How a pool is probed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// When more may be tried; [`Moment::NEVER`] while more may be tried now.
    until: Moment,
    /// How many more attempts may be tried before the next pause.
    left: u32,
    /// How many in all.
    width: u32,
}

impl Streak {
    /// Whether it is enough, and spread over enough of the workers, to blame something else.
    fn is_everywhere(&self, usable: usize) -> bool {
        self.failures >= FAILURES && self.actions.len() >= ACTIONS && 2 * self.workers.len() > usable
    }
}

impl Scheduler {
    /// Whether nobody of this pool may be given anything now.
    pub(crate) fn is_held_back(&self, px: Px) -> bool {
        let probe = self.pools.get(px).and_then(|pool| pool.probe);
        probe.is_some_and(|probe| probe.left == 0)
    }

    /// Whether workers of this pool are judged at all.
    pub(crate) fn is_systemic(&self, px: Px) -> bool {
        self.pools.get(px).is_some_and(|pool| pool.probe.is_some())
    }

    /// An attempt was given to a worker of a pool.
    pub(crate) fn probed(&mut self, px: Px) {
        let until = self.later(self.policy.probe_every);
        let Some(probe) = self.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
            return;
        };
        probe.left = probe.left.saturating_sub(1);
        if probe.left == 0 {
            probe.until = until;
            self.timers.set(until, Timer::Probe(px));
        }
    }

    /// A worker of this pool failed.
    pub(crate) fn one_fails(&mut self, px: Px, wx: Wx) {
        let now = self.now;
        if let Some(pool) = self.pools.get_mut(px) {
            pool.spells.failed(now, wx, pool.usable);
        }
    }

    /// For how long most workers of a pool have failed, if they do now.
    pub(crate) fn spell(&self, px: Px) -> Option<Duration> {
        self.pools.get(px)?.spells.lasts(self.now)
    }

    /// A worker of this pool failed an action in a way that a service which is down explains.
    pub(crate) fn all_fail(&mut self, px: Px, wx: Wx, action: ActionId, out: &mut Vec<Command>) {
        let (now, pause, after) = (self.now, self.policy.probe_every, self.policy.systemic_after);
        if self.policy.blame != Blame::Deferred || self.is_notorious(px, action) {
            return;
        }
        let Some(pool) = self.pools.get_mut(px) else { return };
        let streak = &mut pool.streak;
        if streak.failures == 0 {
            streak.since = now;
        }
        streak.failures = streak.failures.saturating_add(1);
        if streak.actions.len() < ACTIONS && !streak.actions.contains(&action) {
            streak.actions.push(action);
        }
        streak.workers.insert(wx);
        let all = streak.is_everywhere(pool.usable) && now.since(streak.since) >= after;
        if !all || pool.probe.is_some() {
            return;
        }
        pool.probe = Some(Probe {
            until: now + pause,
            left: 0,
            width: 1,
        });
        let pool = pool.id;
        self.timers.set(now + pause, Timer::Probe(px));
        out.push(Command::Systemic { pool, on: true });
    }

    /// Whether an action that just failed did so before, with a success of somebody in between: that says something of the
    /// action, and nothing of the service.
    fn is_notorious(&mut self, px: Px, action: ActionId) -> bool {
        let Some(number) = self.pools.get(px).map(|pool| pool.streak.number) else {
            return false;
        };
        let ax = self.action_ids.get(&action).copied();
        let Some(action) = ax.and_then(|ax| self.actions.get_mut(ax)) else {
            return false;
        };
        let trials = action.trials.get_or_insert_default();
        if trials.streaks == 0 || trials.last_streak != number {
            trials.streaks = trials.streaks.saturating_add(1);
            trials.last_streak = number;
        }
        trials.streaks > 1
    }

    /// A worker of this pool had a result, after `took`.
    pub(crate) fn one_works(&mut self, px: Px, took: Duration, out: &mut Vec<Command>) {
        let now = self.now;
        let Some(pool) = self.pools.get_mut(px) else { return };
        pool.spells.worked(now.before(took));
        if pool.streak.failures > 0 {
            let next = Streak {
                number: pool.streak.number.wrapping_add(1),
                ..Streak::default()
            };
            let streak = std::mem::replace(&mut pool.streak, next);
            if streak.is_everywhere(pool.usable) {
                pool.outage = Some(Outage {
                    since: streak.since,
                    until: now,
                });
            }
        }
        let Some(probe) = &mut pool.probe else { return };
        let until = std::mem::replace(&mut probe.until, Moment::NEVER);
        probe.left = probe.left.saturating_add(probe.width);
        probe.width = probe.width.saturating_mul(2);
        if probe.width > OVER {
            pool.probe = None;
            out.push(Command::Systemic {
                pool: pool.id,
                on: false,
            });
        }
        self.timers.clear(until, Timer::Probe(px));
        self.let_go(px);
    }

    /// Whether nothing worked in a pool at that moment, so that a failure then says nothing about who failed.
    pub(crate) fn was_out(&self, px: Px, at: Moment) -> bool {
        let outage = self.pools.get(px).and_then(|pool| pool.outage);
        outage.is_some_and(|outage| (outage.since..=outage.until).contains(&at))
    }

    /// The pause is over.
    pub(crate) fn probe(&mut self, px: Px) {
        let Some(probe) = self.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
            return;
        };
        // Another pause without a success, or with fewer than were hoped for.
        probe.width = (probe.width / 2).max(1);
        probe.left = probe.width;
        probe.until = Moment::NEVER;
        self.let_go(px);
    }

    /// Has every worker of a pool that has room look for work.
    fn let_go(&mut self, px: Px) {
        let Some(pool) = self.pools.get(px) else { return };
        let free = pool.free.iter().chain(&pool.prefetch).map(|entry| entry.wx);
        self.stirred.extend(free);
    }
}
