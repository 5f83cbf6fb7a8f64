//! The quota of an account.

use std::collections::{BTreeMap, VecDeque};

/// How an account's units are restored.
#[derive(Clone, Copy)]
pub(crate) enum Window {
    /// All at once, when the next window begins.
    Fixed,
    /// Each unit the length of a window after it was used.
    Sliding,
}

/// The quota of one account. All times are ms since the first window began.
pub(crate) struct Quota {
    window: Window,
    window_ms: u64,
    limit: u64,
    /// The units that count at present, and since when; the oldest first.
    counted: VecDeque<(u64, u64)>,
    /// Units that were used, by the number of the fixed window, also for sliding windows.
    used: BTreeMap<u64, u64>,
    rejected: u64,
}

/// The result of a request for units.
pub(crate) struct Taken {
    /// In how many ms it may be repeated; none if the units were granted.
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) remaining: u64,
    /// In how many ms the whole limit is restored, for fixed windows.
    pub(crate) reset_ms: Option<u64>,
}

impl Quota {
    pub(crate) fn new(window: Window, window_ms: u64, limit: u64) -> Self {
        Self {
            window,
            window_ms,
            limit,
            counted: VecDeque::new(),
            used: BTreeMap::new(),
            rejected: 0,
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Uses this many units, if they are left.
    pub(crate) fn take(&mut self, now_ms: u64, units: u64) -> Taken {
        while self.counted.front().is_some_and(|(at, _)| self.ends(*at) <= now_ms) {
            self.counted.pop_front();
        }
        let before: u64 = self.counted.iter().map(|(_, units)| units).sum();
        let index = now_ms / self.window_ms;
        let is_granted = before + units <= self.limit;
        let mut remaining = self.limit.saturating_sub(before);
        let retry_after_ms = if is_granted {
            self.counted.push_back((now_ms, units));
            *self.used.entry(index).or_default() += units;
            remaining -= units;
            None
        } else {
            self.rejected += 1;
            let mut missing = units.saturating_sub(remaining);
            let enough = self.counted.iter().find(|(_, units)| {
                missing = missing.saturating_sub(*units);
                missing == 0
            });
            // More than the limit is never granted; the wait is arbitrary: a window.
            Some(enough.map_or(self.window_ms, |(at, _)| self.ends(*at) - now_ms))
        };
        Taken {
            retry_after_ms,
            remaining,
            reset_ms: match self.window {
                Window::Fixed => Some(self.ends(now_ms) - now_ms),
                Window::Sliding => None,
            },
        }
    }

    /// Returns when units that were used at this moment are restored.
    fn ends(&self, at_ms: u64) -> u64 {
        match self.window {
            Window::Fixed => (at_ms / self.window_ms + 1) * self.window_ms,
            Window::Sliding => at_ms + self.window_ms,
        }
    }

    pub(crate) fn stats(&self) -> String {
        let window = match self.window {
            Window::Fixed => "fixed",
            Window::Sliding => "sliding",
        };
        let used: Vec<String> = self.used.iter().map(|(n, used)| format!(r#""{n}":{used}"#)).collect();
        let (limit, used, rejected) = (self.limit, used.join(","), self.rejected);
        format!(r#"{{"window":"{window}","limit":{limit},"used":{{{used}}},"rejected":{rejected}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_window_restores_all_units_at_its_end() {
        let mut quota = Quota::new(Window::Fixed, 1000, 3);
        let first = quota.take(900, 2);
        assert_eq!(
            (first.retry_after_ms, first.remaining, first.reset_ms),
            (None, 1, Some(100))
        );
        assert_eq!(quota.take(950, 2).retry_after_ms, Some(50));
        assert_eq!(quota.take(1000, 3).retry_after_ms, None);
        assert_eq!(
            quota.stats(),
            r#"{"window":"fixed","limit":3,"used":{"0":2,"1":3},"rejected":1}"#
        );
    }

    #[test]
    fn sliding_window_restores_units_one_by_one() {
        let mut quota = Quota::new(Window::Sliding, 1000, 3);
        quota.take(0, 1);
        quota.take(400, 2);
        assert_eq!(quota.take(500, 1).retry_after_ms, Some(500));
        assert_eq!(quota.take(600, 2).retry_after_ms, Some(800));
        let last = quota.take(1000, 1);
        assert_eq!((last.retry_after_ms, last.remaining, last.reset_ms), (None, 0, None));
        assert_eq!(quota.take(1399, 1).retry_after_ms, Some(1));
        assert_eq!(quota.take(1400, 4).retry_after_ms, Some(1000));
    }
}
