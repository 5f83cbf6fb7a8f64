use crate::ids::{ActionId, Wx};
use crate::moment::Moment;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How many failures without a success it takes. scheduler-policy: "the last 20 attempts".
const FAILURES: u32 = 20;

/// From how many actions they have to be. decisions 25.
pub(crate) const ACTIONS: usize = 5;

/// From when to when nothing worked in a pool, the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    pub(crate) since: Moment,
    pub(crate) until: Moment,
}

/// Failures of a pool's workers that are further apart than this do not make a burst. Arbitrary: a service that restarts
/// or moves its address is away for about as long.
pub(crate) const BURST: Duration = Duration::from_secs(2);

/// For how long most workers of a pool may fail at once before they are slowed down for it. Chosen by simulation: with twice as
/// much, outages cost actions that fail in each of them (`outages_again_and_again_lose_nothing`); with none, a row of bad
/// actions holds up a pool of 5 for a fifth of the run (`simulate --preset poison-5`).
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Then a pool makes an attempt each time that another such part of the time has passed that it has failed so far: its workers pause
/// for as many parts as they are. So a service that is back is idle for no more than such a part of the time that it was away. Chosen
/// by simulation: with twice as many attempts, outages again and again cost actions; with half as many, a service that was
/// away for a second is idle for longer (`simulate --preset hiccup-2`).
const PAUSE_PARTS: u32 = 16;

/// How many bursts are remembered. Arbitrary: verdicts come within seconds, and there is one burst at most for each success.
pub(crate) const BURSTS: usize = 64;

/// When most workers of a pool failed, the last times.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
    /// When the youngest attempt began that had a result.
    pub(crate) worked_at: Moment,
    /// The last failure of each worker since then.
    pub(crate) failed: BTreeMap<Wx, Moment>,
    /// The same by when it was.
    pub(crate) by_time: BTreeSet<(Moment, Wx)>,
    /// The oldest first.
    pub(crate) last: VecDeque<Outage>,
    /// The first failure of the last of them.
    pub(crate) began: Moment,
    /// When an action last failed that has not failed in an earlier row: see [`Scheduler::fails_again`].
    pub(crate) news: Moment,
}

/// A burst that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// When the youngest attempt began that had a result before.
    pub(crate) since: Moment,
    /// How long ago the first failure was.
    pub(crate) lasts: Duration,
    /// Whether more than actions failed that had failed before.
    pub(crate) has_news: bool,
    /// How many usable workers the pool has.
    pub(crate) workers: u32,
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
    pub(crate) fn worked(&mut self, begun: Moment) {
        self.worked_at = self.worked_at.max(begun);
        while let Some((at, wx)) = self.by_time.first().copied()
            && at < self.worked_at
        {
            self.forget(at, wx);
        }
    }

    pub(crate) fn forget(&mut self, at: Moment, wx: Wx) {
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
    pub(crate) number: u32,
    /// When the first of them failed.
    pub(crate) since: Moment,
    pub(crate) failures: u32,
    /// Some of their actions, as many as matter.
    pub(crate) actions: Vec<ActionId>,
    pub(crate) workers: BTreeSet<Wx>,
}

/// How a pool is probed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// When more may be tried; [`Moment::NEVER`] while more may be tried now.
    pub(crate) until: Moment,
    /// How many more attempts may be tried before the next pause.
    pub(crate) left: u32,
    /// How many in all.
    pub(crate) width: u32,
}

impl Streak {
    /// Whether it is enough, and spread over enough of the workers, to blame something else.
    pub(crate) fn is_everywhere(&self, usable: usize) -> bool {
        self.failures >= FAILURES && self.actions.len() >= ACTIONS && 2 * self.workers.len() > usable
    }
}
