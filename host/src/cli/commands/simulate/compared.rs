//! A scenario with its results.

use disperse_scheduler::sim::{Preset, Series, Spending};

/// A scenario and its results under each policy.
pub(super) struct Compared {
    pub(super) preset: Preset,
    pub(super) seeds: u64,
    pub(super) series: Vec<(&'static str, Series)>,
}

/// A figure over several seeds.
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) worst: f64,
}

impl Spread {
    /// None without any value.
    pub(super) fn of(values: impl Iterator<Item = f64>, worse: fn(f64, f64) -> f64) -> Option<Self> {
        let all: Vec<f64> = values.collect();
        let worst = all.iter().copied().reduce(worse)?;
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        Some(Self { mean, worst })
    }

    /// The share of a quota that was spent.
    pub(super) fn used(of: &[&Spending]) -> Option<Self> {
        Self::of(of.iter().filter_map(|one| one.used()), f64::min)
    }
}
