//! How many tasks of a run may fail.

use std::{num::NonZeroU64, str::FromStr};

/// How many tasks have to have ended before their percentage counts. Arbitrary: of fewer, one failure is a high percentage.
pub const ENDED_MIN: u64 = 20;

/// How many tasks may fail until a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It is stopped when so many have failed.
    Count(NonZeroU64),
    /// When so many percent of those that have ended have failed, from 1 to 100; at least [`ENDED_MIN`] have to have ended.
    Percent(u8),
}

impl FromStr for Halt {
    type Err = String;

    /// `5` or `10%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let halt = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        halt.ok_or_else(|| "a number from 1, as `5`, or a percentage from 1 to 100, as `10%`, is expected".to_owned())
    }
}

/// Counts the tasks that end, those of before a resume not, and decides when too many have failed.
#[derive(Debug, Default)]
pub(super) struct HaltWatch {
    pub(super) limit: Option<Halt>,
    pub(super) failed: u64,
    pub(super) ended: u64,
    pub(super) is_due: bool,
}

impl HaltWatch {
    /// A task has ended. Returns whether the run is to be stopped for that, once.
    pub(super) fn task_ended(&mut self, has_failed: bool) -> bool {
        self.ended += 1;
        self.failed += u64::from(has_failed);
        let is_due = match self.limit {
            None => false,
            Some(Halt::Count(count)) => self.failed >= count.get(),
            Some(Halt::Percent(percent)) => {
                self.ended >= ENDED_MIN && self.failed * 100 >= self.ended * u64::from(percent)
            }
        };
        is_due && !std::mem::replace(&mut self.is_due, is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After which task the run is stopped, if of each ten the tasks of these numbers fail.
    fn stopped_after(halt: &str, failing: &[u64]) -> Option<u64> {
        let mut watch = HaltWatch {
            limit: Some(halt.parse().unwrap()),
            ..HaltWatch::default()
        };
        let due: Vec<u64> = (1..=100)
            .filter(|task| watch.task_ended(failing.contains(&(task % 10))))
            .collect();
        assert!(due.len() <= 1, "it is stopped once");
        due.first().copied()
    }

    #[test]
    fn run_is_stopped_after_so_many_failed_tasks() {
        assert_eq!(stopped_after("1", &[3]), Some(3));
        assert_eq!(stopped_after("3", &[3]), Some(23));
        assert_eq!(stopped_after("11", &[3]), None);
    }

    #[test]
    fn percentage_counts_once_enough_tasks_have_ended() {
        assert_eq!(stopped_after("10%", &[1]), Some(20));
        assert_eq!(stopped_after("11%", &[1]), Some(21), "3 of 21");
        assert_eq!(stopped_after("20%", &[1]), None);
    }

    #[test]
    fn invalid_limits_are_errors() {
        for text in ["", "0", "-1", "x", "0%", "101%", "%", "1.5%", "10 %"] {
            assert!(text.parse::<Halt>().is_err(), "{text}");
        }
    }
}
