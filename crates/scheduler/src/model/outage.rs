//! When a whole pool fails: bursts, streaks, outages and probes.
//!
//! - A **burst**: most workers of a pool fail within a moment, with no success of an attempt that began in between. It may be a
//!   hiccup of the service or a row of bad actions, and is one piece of evidence against each of them.
//! - A **streak**: the failures of a pool since its last success.
//! - An **outage**: a streak that was long enough, over enough actions and workers, to blame the service.
//! - A **probe**: during an outage a pool makes one attempt, then pauses; each success doubles what it may try.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    ids::{ActionId, Wx},
    moment::Moment,
};

/// How many failures without a success it takes. Arbitrary: with five actions on over half of the workers, more than
/// chance explains.
const FAILURES: u32 = 20;

/// From how many actions they have to be. Arbitrary: a single bad action, or a few, is no outage.
const ACTIONS: usize = 5;

/// From when to when nothing worked in a pool, the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    pub(crate) since: Moment,
    pub(crate) until: Moment,
}

/// Failures of a pool's workers that are further apart than this do not make a burst. Arbitrary: a service that
/// restarts or moves its address is away for about as long.
pub(crate) const BURST: Duration = Duration::from_secs(2);

/// For how long most workers of a pool may fail at once before they are slowed down for it. Chosen by simulation: with
/// twice as much, outages cost actions that fail in each of them (`outages_again_and_again_lose_nothing`); with none, a
/// row of bad actions holds up a pool of 5 for a fifth of the run (`simulate --preset poison-5`).
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Then a pool makes an attempt each time that another such part of the time has passed that it has failed so far: its
/// workers pause for as many parts as they are. So a service that is back is idle for no more than such a part of the
/// time that it was away. Chosen by simulation: with twice as many attempts, outages again and again cost actions; with
/// half as many, a service that was away for a second is idle for longer (`simulate --preset hiccup-2`).
const PAUSE_PARTS: u32 = 16;

/// How many bursts are remembered. Arbitrary: verdicts come within seconds, and there is one burst at most for each
/// success.
pub(crate) const BURSTS: usize = 64;

/// When most workers of a pool failed, the last times.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
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
    /// When an action last failed that has not failed in an earlier row: see `rules/outage.rs`.
    news: Moment,
}

/// A burst that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// When the youngest attempt began that had a result before.
    pub(crate) since: Moment,
    /// How long ago the first failure was.
    pub(crate) lasts: Duration,
    /// Whether more than actions failed that had failed before.
    has_news: bool,
    /// How many usable workers the pool has.
    workers: u32,
}

impl Burst {
    /// How long a worker pauses after a failure in it.
    pub(crate) fn pause(&self) -> Duration {
        self.lasts.saturating_mul(self.workers) / PAUSE_PARTS
    }

    /// Whether it is to be expected that the service is down, which is not to be pressed then.
    pub(crate) fn is_long(&self) -> bool {
        self.has_news && self.lasts >= SLOW_AFTER
    }
}

impl Bursts {
    pub(crate) fn failed(&mut self, now: Moment, wx: Wx, is_news: bool, usable: usize) {
        if is_news {
            self.news = now;
        }
        if let Some(before) = self.failed.insert(wx, now) {
            self.by_time.remove(&(before, wx));
        }
        self.by_time.insert((now, wx));
        while let Some((at, wx)) = self.by_time.first().copied()
            && at + BURST < now
        {
            self.forget(at, wx);
        }
        let (many, first) = (self.by_time.len(), self.by_time.first().map_or(now, |(at, _)| *at));
        if many < 2 || 2 * many <= usable {
            return;
        }
        let since = self.worked_at;
        match self.last.back_mut() {
            Some(burst) if burst.since == since => burst.until = now,
            _ => {
                if self.last.len() >= BURSTS {
                    self.last.pop_front();
                }
                self.last.push_back(Outage { since, until: now });
                self.began = first;
            }
        }
    }

    /// An attempt that began then has a result: what failed before is over.
    #[inline]
    pub(crate) fn worked(&mut self, begun: Moment) {
        self.worked_at = self.worked_at.max(begun);
        while let Some((at, wx)) = self.by_time.first().copied()
            && at < self.worked_at
        {
            self.forget(at, wx);
        }
    }

    /// The workers that failed since, if this one did as well and the burst is long: they would succeed now.
    #[inline]
    pub(crate) fn slowed_with(&self, wx: Wx, now: Moment, usable: usize) -> Vec<Wx> {
        let is_long = self.failed.contains_key(&wx) && self.now(now, usable).is_some_and(|burst| burst.is_long());
        match is_long {
            true => self.failed.keys().copied().collect(),
            false => Vec::new(),
        }
    }

    fn forget(&mut self, at: Moment, wx: Wx) {
        self.by_time.remove(&(at, wx));
        self.failed.remove(&wx);
    }

    /// The one that goes on, if there is one now.
    pub(crate) fn now(&self, now: Moment, usable: usize) -> Option<Burst> {
        let since = self.worked_at;
        let last = self.last.back();
        last.filter(|burst| burst.since == since && now <= burst.until + BURST)?;
        Some(Burst {
            since,
            lasts: now.since(self.began),
            has_news: self.news >= self.began,
            workers: u32::try_from(usable).unwrap_or(u32::MAX),
        })
    }

    /// The one in which this moment is.
    pub(crate) fn at(&self, at: Moment) -> Option<Outage> {
        let mut bursts = self.last.iter().rev();
        bursts.find(|burst| (burst.since..=burst.until).contains(&at)).copied()
    }
}

/// What happened in a pool since its last success.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    /// How many there were before.
    number: u32,
    /// Whether there was a failure, of any sort.
    has_begun: bool,
    /// When the first of those failed that an outage explains.
    since: Moment,
    /// How many of those there were.
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
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Records a failure of any sort.
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Records a failure that an outage explains.
    pub(crate) fn note_failure(&mut self, now: Moment, wx: Wx, action: ActionId) {
        if self.failures == 0 {
            self.since = now;
        }
        self.failures = self.failures.saturating_add(1);
        if self.actions.len() < ACTIONS && !self.actions.contains(&action) {
            self.actions.push(action);
        }
        self.workers.insert(wx);
    }

    /// Whether it lasts at least so long and is enough, on enough of the workers, for an outage.
    pub(crate) fn is_outage(&self, now: Moment, least: Duration, usable: usize) -> bool {
        self.is_everywhere(usable) && now.since(self.since) >= least
    }

    /// Ends it, if it has begun, and begins the next one.
    #[inline]
    pub(crate) fn end(&mut self) -> Option<Self> {
        if !self.has_begun {
            return None;
        }
        let next = Self {
            number: self.number.wrapping_add(1),
            ..Self::default()
        };
        Some(std::mem::replace(self, next))
    }

    /// From its first failure until now, if it was enough for an outage however short it was.
    pub(crate) fn outage(&self, now: Moment, usable: usize) -> Option<Outage> {
        let since = self.since;
        self.is_everywhere(usable).then_some(Outage { since, until: now })
    }

    /// Whether it is enough, and spread over enough of the workers, to blame something else.
    fn is_everywhere(&self, usable: usize) -> bool {
        self.failures >= FAILURES && self.actions.len() >= ACTIONS && 2 * self.workers.len() > usable
    }
}

/// From how many attempts between two pauses on an outage is over.
const WIDTH_MAX: u32 = 8;

impl Probe {
    /// A pause begins.
    pub(crate) fn paused(until: Moment) -> Self {
        Self {
            until,
            left: 0,
            width: 1,
        }
    }

    /// Whether no attempt may be made before the pause is over.
    pub(crate) fn is_pausing(&self) -> bool {
        self.left == 0
    }

    /// An attempt is made. Whether a pause begins, until then.
    pub(crate) fn spend(&mut self, until: Moment) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.until = until;
        }
        self.left == 0
    }

    /// A success doubles what may be tried. Whether the outage is over, and when the pause would have been.
    pub(crate) fn note_success(&mut self) -> (bool, Moment) {
        self.left = self.left.saturating_add(self.width);
        self.width = self.width.saturating_mul(2);
        (
            self.width > WIDTH_MAX,
            std::mem::replace(&mut self.until, Moment::NEVER),
        )
    }

    /// The pause is over, without a success or with fewer than were hoped for.
    pub(crate) fn resume(&mut self) {
        self.width = (self.width / 2).max(1);
        self.left = self.width;
        self.until = Moment::NEVER;
    }

    /// An attempt has proved nothing: one more may be made at once. When the pause would have been over.
    pub(crate) fn give_back(&mut self) -> Moment {
        self.left = self.left.saturating_add(1);
        std::mem::replace(&mut self.until, Moment::NEVER)
    }
}
