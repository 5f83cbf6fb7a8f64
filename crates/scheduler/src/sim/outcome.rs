//! What came of a world.

use std::time::Duration;

use super::accounts::Spending;

/// What came of a [`Scenario`](super::Scenario) under a policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Virtual time until the last action was settled.
    pub makespan: Duration,
    /// Attempts that were begun.
    pub attempts: u64,
    /// Times that a failed action was to be tried again.
    pub retries: u64,
    /// Good actions with a result.
    pub done: u64,
    /// Good actions that were given up.
    pub lost: u64,
    /// Poison that was given up, as it must be.
    pub poison_settled: u64,
    /// Actions that were never settled: always 0, or the scheduler is broken.
    pub unsettled: u64,
    /// Good workers that were ever quarantined or evicted.
    pub innocents: u64,
    /// How many times good workers were quarantined.
    pub innocent_quarantines: u64,
    /// Bad workers and black holes that were ever quarantined or evicted.
    pub found: u64,
    /// When the first of them was.
    pub first_found: Option<Duration>,
    /// Events that the scheduler was told.
    pub events: u64,
    /// For each worker, in the order of joining (black holes, bad ones, good ones), which part of its time went into
    /// attempts with a result, 0 to 1.
    pub utilisation: Vec<f64>,
    /// What became of the quotas, account by account, and of each account in the order of
    /// [`Scenario::quotas`](super::Scenario).
    pub spendings: Vec<Spending>,
}

/// What came of the same world with several seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// One for each seed, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Series {
    /// The mean of a figure over the outcomes that have it; none if none has.
    pub fn mean(&self, figure: Figure) -> Option<f64> {
        let values = self.outcomes.iter().filter_map(|outcome| figure.of(outcome));
        let (count, sum) = values.fold((0_u64, 0.0), |(count, sum), value| (count + 1, sum + value));
        (count > 0).then(|| sum / count as f64)
    }

    /// The worst of a figure; none if no outcome has it.
    pub fn worst(&self, figure: Figure) -> Option<f64> {
        let values = self.outcomes.iter().filter_map(|outcome| figure.of(outcome));
        values.reduce(if figure.more_is_better() { f64::min } else { f64::max })
    }

    /// What became of each quota of each account, with all seeds.
    pub fn spendings(&self) -> impl Iterator<Item = Vec<&Spending>> {
        let first = self.outcomes.first().map_or(0, |outcome| outcome.spendings.len());
        (0..first).map(|index| {
            let outcomes = self.outcomes.iter();
            outcomes.filter_map(|outcome| outcome.spendings.get(index)).collect()
        })
    }

    /// For each worker the mean of its utilisation.
    pub fn utilisation(&self) -> Vec<f64> {
        let mut means: Vec<f64> = Vec::new();
        for outcome in &self.outcomes {
            means.resize(outcome.utilisation.len(), 0.0);
            for (mean, own) in means.iter_mut().zip(&outcome.utilisation) {
                *mean += own / self.outcomes.len() as f64;
            }
        }
        means
    }
}

/// A number that policies are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// [`Outcome::makespan`], in seconds.
    Makespan,
    /// [`Outcome::attempts`].
    Attempts,
    /// [`Outcome::retries`].
    Retries,
    /// [`Outcome::done`].
    Done,
    /// [`Outcome::lost`].
    Lost,
    /// [`Outcome::poison_settled`].
    PoisonSettled,
    /// [`Outcome::unsettled`].
    Unsettled,
    /// [`Outcome::innocents`].
    Innocents,
    /// [`Outcome::innocent_quarantines`].
    InnocentQuarantines,
    /// [`Outcome::found`].
    Found,
    /// [`Outcome::first_found`], in seconds.
    FirstFound,
    /// The mean of [`Outcome::utilisation`].
    Utilisation,
    /// The smallest of [`Outcome::utilisation`].
    LeastUtilisation,
    /// The mean of [`Spending::used`].
    QuotaUsed,
    /// The smallest of [`Spending::used`].
    LeastQuotaUsed,
    /// [`Spending::left`] of all accounts together, once a window has ended.
    Left,
    /// [`Spending::refused`] of all accounts together: 0, or a quota was overrun.
    Overrun,
    /// [`Outcome::events`].
    Events,
}

impl Figure {
    /// All of them, the most telling first.
    pub const ALL: [Self; 18] = [
        Self::Makespan,
        Self::Attempts,
        Self::Retries,
        Self::Done,
        Self::Lost,
        Self::PoisonSettled,
        Self::Unsettled,
        Self::Innocents,
        Self::InnocentQuarantines,
        Self::Found,
        Self::FirstFound,
        Self::Utilisation,
        Self::LeastUtilisation,
        Self::QuotaUsed,
        Self::LeastQuotaUsed,
        Self::Left,
        Self::Overrun,
        Self::Events,
    ];

    /// What it is in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Makespan => "makespan",
            Self::Attempts => "attempts",
            Self::Retries => "retries",
            Self::Done => "good actions done",
            Self::Lost => "good actions lost",
            Self::PoisonSettled => "poison settled",
            Self::Unsettled => "actions never settled",
            Self::Innocents => "innocents quarantined",
            Self::InnocentQuarantines => "quarantines of innocents",
            Self::Found => "guilty found",
            Self::FirstFound => "first guilty found after",
            Self::Utilisation => "utilisation",
            Self::LeastUtilisation => "utilisation of the least used",
            Self::QuotaUsed => "quota used",
            Self::LeastQuotaUsed => "quota used of the least used",
            Self::Left => "units left at resets",
            Self::Overrun => "refused over quota",
            Self::Events => "events",
        }
    }

    /// Its value; none if there is none, as when no worker was found.
    pub fn of(self, outcome: &Outcome) -> Option<f64> {
        Some(match self {
            Self::Makespan => outcome.makespan.as_secs_f64(),
            Self::Attempts => outcome.attempts as f64,
            Self::Retries => outcome.retries as f64,
            Self::Done => outcome.done as f64,
            Self::Lost => outcome.lost as f64,
            Self::PoisonSettled => outcome.poison_settled as f64,
            Self::Unsettled => outcome.unsettled as f64,
            Self::Innocents => outcome.innocents as f64,
            Self::InnocentQuarantines => outcome.innocent_quarantines as f64,
            Self::Found => outcome.found as f64,
            Self::FirstFound => return outcome.first_found.map(|after| after.as_secs_f64()),
            Self::Utilisation => outcome.utilisation.iter().sum::<f64>() / outcome.utilisation.len().max(1) as f64,
            Self::LeastUtilisation => return outcome.utilisation.iter().copied().reduce(f64::min),
            Self::QuotaUsed => {
                let used: Vec<f64> = outcome.spendings.iter().filter_map(Spending::used).collect();
                return (!used.is_empty()).then(|| used.iter().sum::<f64>() / used.len() as f64);
            }
            Self::LeastQuotaUsed => {
                let used = outcome.spendings.iter().filter_map(Spending::used);
                return used.reduce(f64::min);
            }
            Self::Left => {
                let reset = outcome.spendings.iter().filter(|spending| spending.resets > 0);
                return reset
                    .map(|spending| spending.left as f64)
                    .reduce(|sum, left| sum + left);
            }
            Self::Overrun => {
                let refused = outcome.spendings.iter().map(|spending| spending.refused as f64);
                return refused.reduce(|sum, refused| sum + refused);
            }
            Self::Events => outcome.events as f64,
        })
    }

    /// Whether it is a time, in seconds.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Makespan | Self::FirstFound)
    }

    /// Whether a larger value is the better one.
    pub const fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Done
                | Self::PoisonSettled
                | Self::Found
                | Self::Utilisation
                | Self::LeastUtilisation
                | Self::QuotaUsed
                | Self::LeastQuotaUsed
        )
    }
}
