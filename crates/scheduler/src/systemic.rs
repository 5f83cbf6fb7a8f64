//! When everything fails: the service is down, or the work is bad, and no worker is to blame.
//!
//! Nobody would be convicted then anyway, since nothing succeeds elsewhere. But the work would be spent on a service that is
//! not there, attempt after attempt. So after a while in which a pool had no success, with enough failures from enough actions
//! on enough workers, it is only *probed*: one attempt, then a long pause; every success doubles what may be tried until the
//! next pause. Traps do not count: a service that is down makes nobody trap, bad actions do.
//!
//! Less than that is a *spell*: most workers of a pool fail within a moment, with no success of an attempt that began in
//! between. It may be a hiccup of the service or a row of bad actions, and is one piece of evidence against each of them however
//! often it failed meanwhile. If it goes on, the workers that fail in it pause, longer the longer it takes, and are then tried with
//! what never failed. The first of them that succeeds ends the pauses of all. Actions that failed in a row of failures which a
//! success ended soon, and fail again, are bad ones: nobody pauses for these.
//!
//! A pool in which nothing ever worked is neither probed nor does it pause: more likely than a service that is down when the run
//! begins are a mistake in each action or in the workers' code, and then a run is to end soon and say so.

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
    worker::{Pool, Standing, Trust},
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

/// For how long most workers of a pool may fail at once before they are slowed down for it. Chosen by simulation: with twice as
/// much, outages cost actions that fail in each of them (`outages_again_and_again_lose_nothing`); with none, a row of bad
/// actions holds up a pool of 5 for a fifth of the run (`simulate --preset poison-5`).
const UNPRESSED: Duration = Duration::from_millis(500);

/// Then a pool makes an attempt each time that another such part of the time has passed that it has failed so far: its workers pause
/// for as many parts as they are. So a service that is back is idle for no more than such a part of the time that it was away. Chosen
/// by simulation: with twice as many attempts, outages again and again cost actions; with half as many, a service that was
/// away for a second is idle for longer (`simulate --preset hiccup-2`).
const PRESSED_PARTS: u32 = 16;

/// How much such a pause varies, as a part of it: workers that failed at the same moment are not to try again at the same moment.
pub(crate) const PRESSED_JITTER: f64 = 0.5;

/// How many spells are remembered. Arbitrary: verdicts come within seconds, and there is one spell at most for each success.
const SPELLS: usize = 64;

/// When most workers of a pool failed, the last times.
#[derive(Debug, Default)]
pub(crate) struct Spells {
    /// When the youngest attempt began that had a result.
    pub(crate) worked_at: Moment,
    /// The last failure of each worker since then.
    failed: BTreeMap<Wx, Moment>,
    /// The same by when it was.
    by_time: BTreeSet<(Moment, Wx)>,
    /// The oldest first.
    last: VecDeque<Outage>,
    /// The first failure of the last of them.
    began: Moment,
    /// When an action last failed that has not failed in an earlier row: see [`Scheduler::is_notorious`].
    news: Moment,
}

/// A spell that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    /// When the youngest attempt began that had a result before.
    pub(crate) since: Moment,
    /// How long ago the first failure was.
    pub(crate) lasts: Duration,
    /// Whether more than actions failed that had failed before.
    has_news: bool,
    /// How many usable workers the pool has.
    workers: u32,
}

impl Spell {
    /// How long a worker pauses after a failure in it.
    pub(crate) fn pause(&self) -> Duration {
        self.lasts.saturating_mul(self.workers) / PRESSED_PARTS
    }

    /// Whether it is to be expected that the service is down, which is not to be pressed then.
    pub(crate) fn is_long(&self) -> bool {
        self.has_news && self.lasts >= UNPRESSED
    }
}

impl Spells {
    fn failed(&mut self, now: Moment, wx: Wx, is_news: bool, usable: usize) {
        if is_news {
            self.news = now;
        }
        if let Some(before) = self.failed.insert(wx, now) {
            self.by_time.remove(&(before, wx));
        }
        self.by_time.insert((now, wx));
        while let Some((at, wx)) = self.by_time.first().copied()
            && at + SPELL < now
        {
            self.forget(at, wx);
        }
        let (many, first) = (self.by_time.len(), self.by_time.first().map_or(now, |(at, _)| *at));
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
                self.began = first;
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

    /// The one that goes on, if there is one now.
    fn now(&self, now: Moment, usable: usize) -> Option<Spell> {
        let since = self.worked_at;
        let last = self.last.back();
        last.filter(|spell| spell.since == since && now <= spell.until + SPELL)?;
        Some(Spell {
            since,
            lasts: now.since(self.began),
            has_news: self.news >= self.began,
            workers: u32::try_from(usable).unwrap_or(u32::MAX),
        })
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

impl Pool {
    /// Whether this row of failures is over and was short. One in which enough failed for so long that the pool was probed was an
    /// outage; before its first success a pool has none.
    fn refutes(&self, streak: Option<u32>) -> bool {
        streak.is_some_and(|number| number != self.streak.number && !self.long_streaks.contains(&number))
    }
}

impl Scheduler {
    /// Whether neither a pool nor any other that serves the same kinds ever had a success, and each of their workers has failed: then
    /// the work is bad or the workers are, and it is to end soon. A service that is down when a run begins looks the same; the last
    /// attempts of actions wait for it, see [`Scheduler::may_be_down`].
    pub(crate) fn is_hopeless(&self, px: Px) -> bool {
        let is_lost = |pool: &Pool| !pool.has_worked && pool.blemished >= pool.usable;
        self.pools
            .get(px)
            .is_some_and(|pool| is_lost(pool) && pool.routes.iter().all(|rx| self.over_route(*rx).all(is_lost)))
    }

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

    /// A worker of this pool failed an action.
    pub(crate) fn one_fails(&mut self, px: Px, wx: Wx, action: ActionId) {
        let now = self.now;
        self.note_streak(px, action);
        let is_news = !self.is_notorious(wx, action);
        if let Some(pool) = self.pools.get_mut(px) {
            pool.spells.failed(now, wx, is_news, pool.usable);
        }
    }

    /// Most workers of a pool failed, and now one of them succeeded: the pauses of the others are over.
    fn end_pauses(&mut self, pressed: &[Wx], out: &mut Vec<Command>) {
        for wx in pressed {
            let Some(Standing::Usable { trust, rest }) = self.workers.get(*wx).map(|worker| worker.standing) else {
                continue;
            };
            let trust = match trust {
                Trust::Suspect { .. } => Trust::Suspect { further: 0 },
                trust => trust,
            };
            let now = self.now;
            if let Some(worker) = self.workers.get_mut(*wx) {
                worker.record.failing_since = now;
            }
            let rest = rest.undamped();
            self.stand(*wx, Standing::Usable { trust, rest }, out);
            self.stirred.push(*wx);
        }
    }

    /// Whether a worker has failed since its last success, as most of its pool for so long that they are slowed down for it. It is
    /// to be probed with what never failed: if the front of the line is bad work, that is found out.
    pub(crate) fn is_pressed(&self, wx: Wx) -> bool {
        let worker = self.workers.get(wx).filter(|worker| worker.record.straight > 0);
        worker.is_some_and(|_| self.spell(wx).is_some_and(|spell| spell.is_long()))
    }

    /// The spell in which this worker fails since its last success as most of its pool. Not if it failed before: then it is no better
    /// for the others being worse.
    pub(crate) fn spell(&self, wx: Wx) -> Option<Spell> {
        let worker = self.workers.get(wx)?;
        let pool = self.pools.get(worker.px).filter(|pool| pool.has_worked)?;
        let spell = pool.spells.now(self.now, pool.usable)?;
        (worker.record.failing_since >= spell.since).then_some(spell)
    }

    /// A worker of this pool failed an action in a way that a service which is down explains.
    pub(crate) fn all_fail(&mut self, px: Px, wx: Wx, action: ActionId, out: &mut Vec<Command>) {
        let (now, pause, after) = (self.now, self.policy.probe_every, self.policy.systemic_after);
        if self.policy.blame != Blame::Deferred {
            return;
        }
        if self.is_notorious(wx, action) {
            return self.probe_again(px);
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
        if !all || !pool.has_worked || pool.probe.is_some() {
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

    /// Takes note that an action failed in the row of failures that its pool is in.
    fn note_streak(&mut self, px: Px, action: ActionId) {
        let ax = self.action_ids.get(&action).copied();
        let pool = self.pools.get(px);
        let (Some(pool), Some(action)) = (pool, ax.and_then(|ax| self.actions.get_mut(ax))) else {
            return;
        };
        let trials = action.trials.get_or_insert_default();
        if trials.last_streak != Some(pool.streak.number) {
            trials.is_notorious |= pool.refutes(trials.last_streak);
            trials.last_streak = Some(pool.streak.number);
        }
    }

    /// Whether an action failed in an earlier row of failures of this worker's pool, which a success of another one ended so soon that
    /// nothing but the action explains it.
    pub(crate) fn is_notorious(&self, wx: Wx, action: ActionId) -> bool {
        let pool = self.workers.get(wx).and_then(|worker| self.pools.get(worker.px));
        let ax = self.action_ids.get(&action).copied();
        let trials = ax.and_then(|ax| self.actions.get(ax)?.trials.as_deref());
        pool.zip(trials)
            .is_some_and(|(pool, trials)| trials.is_notorious || pool.refutes(trials.last_streak))
    }

    /// This worker of the pool had a result, after `took`.
    pub(crate) fn one_works(&mut self, px: Px, wx: Wx, took: Duration, out: &mut Vec<Command>) {
        let now = self.now;
        let Some(pool) = self.pools.get_mut(px) else { return };
        let had_worked = std::mem::replace(&mut pool.has_worked, true);
        // One that failed as the others did: they would succeed as well.
        let is_over = pool.spells.failed.contains_key(&wx)
            && pool.spells.now(now, pool.usable).is_some_and(|spell| spell.is_long());
        let pressed: Vec<Wx> = match is_over {
            true => pool.spells.failed.keys().copied().collect(),
            false => Vec::new(),
        };
        pool.spells.worked(now.before(took));
        if pool.streak.failures > 0 {
            let next = Streak {
                number: pool.streak.number.wrapping_add(1),
                ..Streak::default()
            };
            let streak = std::mem::replace(&mut pool.streak, next);
            let is_long = now.since(streak.since) >= self.policy.systemic_after;
            if had_worked && is_long && streak.is_everywhere(pool.usable) {
                if pool.long_streaks.len() >= SPELLS {
                    pool.long_streaks.pop_front();
                }
                pool.long_streaks.push_back(streak.number);
            }
            if streak.is_everywhere(pool.usable) {
                pool.outage = Some(Outage {
                    since: streak.since,
                    until: now,
                });
            }
        }
        self.end_pauses(&pressed, out);
        let Some(probe) = self.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
            return;
        };
        let until = std::mem::replace(&mut probe.until, Moment::NEVER);
        probe.left = probe.left.saturating_add(probe.width);
        probe.width = probe.width.saturating_mul(2);
        if probe.width > OVER
            && let Some(pool) = self.pools.get_mut(px)
        {
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

    /// A probe was spent on an action that says nothing about the service: another one may be made at once.
    pub(crate) fn probe_again(&mut self, px: Px) {
        let Some(probe) = self.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
            return;
        };
        let until = std::mem::replace(&mut probe.until, Moment::NEVER);
        probe.left = probe.left.saturating_add(1);
        self.timers.clear(until, Timer::Probe(px));
        self.let_go(px);
    }

    /// Has every worker of a pool that has room look for work.
    fn let_go(&mut self, px: Px) {
        let Some(pool) = self.pools.get(px) else { return };
        let free = pool.free.iter().chain(&pool.prefetch).map(|entry| entry.wx);
        self.stirred.extend(free);
    }
}
