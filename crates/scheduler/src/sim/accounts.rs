//! The accounts that workers spend, as the services see them that count there.

use std::time::Duration;

use super::{
    scenario::Scenario,
    service::{Clock, Refused, Service, length},
};
use crate::{BucketId, Moment, Quota, Report};

/// So many resets of one quota are told one by one.
const RESETS_KEPT: usize = 1000;

/// What became of one quota of one account, as the service counted it. The scheduler is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The account, from 0; see [`Scenario::account`](super::Scenario::account).
    pub account: u32,
    /// What the service allows.
    pub quota: Quota,
    /// Units that it counted.
    pub spent: u64,
    /// Units that could have been spent from the beginning to the end of the world. The windows in which it begins and
    /// ends offer as much as is their part of the time, or as much as was spent in them if that is more; so the number
    /// does not jump where a window begins. Zero for a concurrent quota, which offers no number of units.
    pub offered: u64,
    /// How many fixed windows have ended.
    pub resets: u64,
    /// Units that were offered and not spent when they did, together.
    pub left: u64,
    /// The same for each of them in its turn, for the first 1,000.
    pub left_at_resets: Vec<u64>,
    /// Attempts that it refused, because it had counted too many.
    pub refused: u64,
}

impl Spending {
    /// Which part of what was offered was spent, 0 to 1; none if nothing can be offered.
    pub fn used(&self) -> Option<f64> {
        (self.offered > 0).then(|| self.spent as f64 / self.offered as f64)
    }
}

/// All accounts, each with all quotas.
pub(super) struct Accounts {
    /// How many quotas each account has.
    quotas: usize,
    /// Account by account.
    tills: Vec<Till>,
    resets_early: Duration,
    dates: bool,
}

/// A service, and what it counted.
struct Till {
    service: Service,
    window: Window,
    spending: Spending,
}

/// The window that is open, by the clock. A sliding one is looked at in the same way, from the beginning.
struct Window {
    /// Its length, in microseconds.
    span: u64,
    /// When it began, or the world did, in microseconds.
    begins: u64,
    ends: u64,
    /// Units that were spent in it.
    spent: u64,
}

impl Accounts {
    pub(super) fn new(world: &Scenario) -> Self {
        let accounts = if world.quotas.is_empty() {
            0
        } else {
            world.account_count()
        };
        let tills = (0..accounts).flat_map(|account| {
            let quotas = world.quotas.iter().enumerate();
            quotas.map(move |(index, quota)| Till::new(world, account, index, *quota))
        });
        Self {
            quotas: world.quotas.len(),
            tills: tills.collect(),
            resets_early: world.resets_early,
            dates: world.dates,
        }
    }

    /// What draws on an account. The number of a bucket is the place of its till.
    pub(super) fn buckets(&self, account: u32) -> Vec<BucketId> {
        let tills = self.range(account).filter_map(|index| u32::try_from(index).ok());
        tills.map(BucketId).collect()
    }

    /// An account's service gets to see an attempt. What each quota says to it, or how long it would have to wait.
    pub(super) fn count(&mut self, now: Moment, account: u32) -> Result<Vec<(BucketId, Report)>, Duration> {
        let range = self.range(account);
        let buckets = self.buckets(account);
        let Some(tills) = self.tills.get_mut(range) else {
            return Ok(Vec::new());
        };
        // None counts what another refuses.
        let mut wait = None;
        for till in &mut *tills {
            if let Err(refused) = till.service.check(now, 1) {
                till.spending.refused += 1;
                wait = wait.max(Some(refused.wait));
            }
        }
        if let Some(wait) = wait {
            return Err(wait);
        }
        let reports = tills.iter_mut().zip(buckets);
        let late = Duration::from_micros(if self.dates { now.as_micros() % 1_000_000 } else { 0 });
        let reports = reports.map(|(till, bucket)| {
            let report = till.count(now)?;
            let resets_in = match report.resets_in {
                Duration::ZERO => Duration::ZERO,
                resets => (resets + late).saturating_sub(self.resets_early),
            };
            Ok((bucket, Report { resets_in, ..report }))
        });
        reports.collect::<Result<_, Refused>>().map_err(|refused| refused.wait)
    }

    /// It is done with one that it counted.
    pub(super) fn answer(&mut self, account: u32) {
        let range = self.range(account);
        for till in self.tills.get_mut(range).unwrap_or_default() {
            till.service.answer(1);
        }
    }

    /// What became of them.
    pub(super) fn finish(self, end: Moment) -> Vec<Spending> {
        self.tills.into_iter().map(|till| till.finish(end)).collect()
    }

    fn range(&self, account: u32) -> std::ops::Range<usize> {
        let first = account as usize * self.quotas;
        first..first + self.quotas
    }
}

impl Till {
    fn new(world: &Scenario, account: u32, index: usize, quota: Quota) -> Self {
        let span = length(quota);
        // It is unknown when a service began to count.
        let first = || 1 + world.window_rng(account, index).next_u64() % span;
        let ends = matches!(quota, Quota::Fixed { .. }).then(first);
        Self {
            service: Service::new(quota, Clock::slower(quota, ends, world.clocks_slow)),
            window: Window {
                span: Clock::slower(quota, ends, world.clocks_slow).span,
                begins: 0,
                ends: ends.unwrap_or(span),
                spent: 0,
            },
            spending: Spending {
                account,
                quota,
                spent: 0,
                offered: 0,
                resets: 0,
                left: 0,
                left_at_resets: Vec::new(),
                refused: 0,
            },
        }
    }

    fn count(&mut self, now: Moment) -> Result<Report, Refused> {
        let report = self.service.count(now, 1)?;
        self.turn(now.as_micros());
        self.window.spent += 1;
        self.spending.spent += 1;
        Ok(report)
    }

    fn limit(&self) -> u64 {
        match self.spending.quota {
            Quota::Sliding { limit, .. } | Quota::Fixed { limit, .. } => u64::from(limit),
            Quota::Rate { .. } | Quota::Concurrent { .. } => 0,
        }
    }

    /// Closes the windows that are over.
    fn turn(&mut self, at: u64) {
        let Some(past) = at.checked_sub(self.window.ends).filter(|_| self.limit() > 0) else {
            return;
        };
        let offered = self.offers_until(self.window.ends);
        self.close(1, offered, offered - self.window.spent);
        // Nothing was spent since.
        let idle = past / self.window.span;
        self.close(idle, self.limit().saturating_mul(idle), self.limit());
        let more = idle.saturating_mul(self.window.span);
        self.window.begins = self.window.ends.saturating_add(more);
        self.window.ends = self.window.begins.saturating_add(self.window.span);
        self.window.spent = 0;
    }

    /// What the open window offers, if the world is looked at until then.
    fn offers_until(&self, at: u64) -> u64 {
        let time = at.saturating_sub(self.window.begins);
        let part = u128::from(self.limit()) * u128::from(time) / u128::from(self.window.span);
        self.window.spent.max(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// So many windows are over, with as much left in each.
    fn close(&mut self, windows: u64, offered: u64, left: u64) {
        self.spending.offered = self.spending.offered.saturating_add(offered);
        if matches!(self.spending.quota, Quota::Fixed { .. }) {
            self.spending.resets += windows;
            self.spending.left = self.spending.left.saturating_add(left.saturating_mul(windows));
            let room = RESETS_KEPT.saturating_sub(self.spending.left_at_resets.len());
            let kept = usize::try_from(windows).unwrap_or(usize::MAX).min(room);
            self.spending.left_at_resets.extend(std::iter::repeat_n(left, kept));
        }
    }

    fn finish(mut self, end: Moment) -> Spending {
        let at = end.as_micros();
        self.turn(at);
        let last = match self.spending.quota {
            Quota::Sliding { .. } | Quota::Fixed { .. } => self.offers_until(at),
            Quota::Rate { limit, burst, .. } => {
                let earned = u128::from(at) * u128::from(limit) / u128::from(self.window.span);
                let earned = u64::try_from(earned).unwrap_or(u64::MAX);
                u64::from(burst).saturating_add(earned).max(self.spending.spent)
            }
            Quota::Concurrent { .. } => 0,
        };
        self.spending.offered = self.spending.offered.saturating_add(last);
        self.spending
    }
}
