//! The flags of `simulate`, and the scenarios and policies that they select.

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser},
};
use disperse_scheduler::{
    Policy, Quota,
    sim::{Bad, Preset, Scenario, Span, contenders, presets},
};

use crate::{
    limits::{CONCURRENCY_MAX, WORKERS_MAX},
    report::Format,
    settings::QuotaTable,
    units::Time,
};

/// Selects every preset.
const ALL: &str = "all";

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The scenario to start from; other flags change it. `all` shows the main figures of each [default: no failures]
    #[arg(long, value_name = "NAME", value_parser = preset_names())]
    pub(crate) preset: Option<String>,
    /// A policy to compare. Can be given several times [default: all]
    #[arg(long, value_name = "NAME", value_parser = policy_names())]
    pub(crate) policy: Vec<String>,
    /// Largest share of workers in quarantine for failing, from 0 to 1 [default: a third]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub(crate) quarantine_share: Option<f64>,
    /// The first random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of simulations, each with the next seed
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) seeds: u64,
    /// Output format; JSON has one line per policy
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    world: WorldArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Scenario")]
struct WorldArgs {
    /// Number of workers [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    workers: Option<u32>,
    /// Number of attempts that one worker runs at once [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENCY_MAX)))]
    slots: Option<u32>,
    /// Number of actions [default: 6000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    actions: Option<u64>,
    /// Number of open actions; a settled one is replaced by the next [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    open: Option<u64>,
    /// Duration of an action, uniformly distributed [default: 50ms..150ms]
    #[arg(long, value_name = "TIME[..TIME]", value_parser = span)]
    duration: Option<Span>,
    /// Probability that an attempt fails at random, from 0 to 1 [default: 0]
    #[arg(long, value_name = "RATE", value_parser = part)]
    flake: Option<f64>,
    /// N workers fail at this rate, from 0 to 1, e.g. `3@0.6`. Can be given several times
    #[arg(long, value_name = "N@RATE", value_parser = bad)]
    bad: Vec<Bad>,
    /// Number of workers that always fail [default: 0]
    #[arg(long, value_name = "N")]
    black_holes: Option<u32>,
    /// Time until bad workers and black holes fail [default: 0ms..1ms]
    #[arg(long, value_name = "TIME[..TIME]", value_parser = span)]
    failing: Option<Span>,
    /// Number of actions that fail on every worker; the first ones [default: 0]
    #[arg(long, value_name = "N")]
    poison: Option<u64>,
    /// Spread the poison actions evenly over all actions
    #[arg(long)]
    poison_spread: bool,
    /// Poison actions trap, at the same place each time, instead of failing
    #[arg(long)]
    poison_traps: bool,
    /// Workers trap instead of failing, all at the same place
    #[arg(long)]
    traps: bool,
    /// All attempts fail that end in this period. Can be given several times
    #[arg(long, value_name = "TIME..TIME", value_parser = range)]
    outage: Vec<Span>,
    /// Rate limit of a service for each worker: `100/10s`, `100/10s,fixed`, `10/1s,burst=20` or `concurrent=4`; every attempt
    /// takes one unit. Can be given several times [default: none]
    #[arg(long, value_name = "LIMIT/TIME", value_parser = quota)]
    quota: Vec<Quota>,
    /// Number of accounts, assigned to workers in turn; workers of one account share its quota [default: one per worker]
    #[arg(long, value_name = "N", requires = "quota", value_parser = clap::value_parser!(u32).range(1..))]
    accounts: Option<u32>,
    /// Workers do not report their remaining quota, so that the end of a fixed window is unknown
    #[arg(long, requires = "quota")]
    no_reports: bool,
}

impl SimulateArgs {
    /// The selected scenarios. Their names are empty without a preset.
    pub(crate) fn worlds(&self) -> Vec<Preset> {
        let mut worlds = match self.preset.as_deref() {
            None => vec![Preset::default()],
            Some(ALL) => presets(),
            Some(name) => presets().into_iter().filter(|preset| preset.name == name).collect(),
        };
        for preset in &mut worlds {
            preset.world.seed = self.seed;
            preset.quarantine_share = self.quarantine_share.or(preset.quarantine_share);
            self.world.change(&mut preset.world);
        }
        worlds
    }

    /// Whether all presets are shown, each with its main figures only.
    pub(crate) fn is_overview(&self) -> bool {
        self.preset.as_deref() == Some(ALL)
    }

    /// The selected policies, in a fixed order.
    pub(crate) fn policies(&self) -> Vec<(&'static str, Policy)> {
        let mut all = contenders();
        all.retain(|(name, _)| self.policy.is_empty() || self.policy.contains(&policy_id(name)));
        all
    }
}

impl WorldArgs {
    /// Overwrites the fields whose flags are given.
    fn change(&self, world: &mut Scenario) {
        fn set<T: Clone>(to: &mut T, typed: Option<&T>) {
            if let Some(typed) = typed {
                to.clone_from(typed);
            }
        }
        set(&mut world.workers, self.workers.as_ref());
        set(&mut world.slots, self.slots.as_ref());
        set(&mut world.actions, self.actions.as_ref());
        set(&mut world.open_max, self.open.as_ref());
        set(&mut world.lengths, self.duration.as_ref());
        set(&mut world.flake, self.flake.as_ref());
        set(&mut world.black_holes, self.black_holes.as_ref());
        set(&mut world.failing, self.failing.as_ref());
        set(&mut world.poison, self.poison.as_ref());
        set(&mut world.bad, (!self.bad.is_empty()).then_some(&self.bad));
        set(&mut world.outages, (!self.outage.is_empty()).then_some(&self.outage));
        set(&mut world.quotas, (!self.quota.is_empty()).then_some(&self.quota));
        world.accounts = self.accounts.or(world.accounts);
        world.reports &= !self.no_reports;
        world.poison_spread |= self.poison_spread;
        world.poison_traps |= self.poison_traps;
        world.traps |= self.traps;
    }
}

/// The name of a policy on the command line.
pub(crate) fn policy_id(name: &str) -> String {
    name.replace(' ', "-")
}

fn preset_names() -> PossibleValuesParser {
    let all = PossibleValue::new(ALL).help("each of these");
    let known = presets()
        .into_iter()
        .map(|preset| PossibleValue::new(preset.name).help(preset.what));
    known.chain([all]).collect::<Vec<_>>().into()
}

fn policy_names() -> PossibleValuesParser {
    let names = contenders()
        .into_iter()
        .map(|(name, _)| PossibleValue::new(policy_id(name)));
    names.collect::<Vec<_>>().into()
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "it must be a number from 0 to 1, such as 0.2".to_owned())
}

fn bad(text: &str) -> Result<Bad, String> {
    let wanted = || "it must be a number of workers and a rate from 0 to 1, such as 3@0.6".to_owned();
    let (count, rate) = text.split_once('@').ok_or_else(wanted)?;
    Ok(Bad {
        count: count.trim().parse().map_err(|_| wanted())?,
        rate: part(rate.trim()).map_err(|_| wanted())?,
    })
}

fn range(text: &str) -> Result<Span, String> {
    let (from, to) = text
        .split_once("..")
        .ok_or_else(|| "it must be a range of times, such as 10s..20s".to_owned())?;
    let time = |text: &str| text.parse::<Time>().map_err(|error| error.to_string());
    let (from, to) = (time(from)?, time(to)?);
    if from > to {
        return Err(format!("the range must ascend: {to}..{from}"));
    }
    Ok(Span {
        from: from.duration(),
        to: to.duration(),
    })
}

fn span(text: &str) -> Result<Span, String> {
    match text.contains("..") {
        true => range(text),
        false => range(&format!("{text}..{text}")),
    }
}

fn quota(text: &str) -> Result<Quota, String> {
    text.parse::<QuotaTable>()?.quota()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_times_or_ranges_of_times() {
        assert_eq!(span("100ms"), Ok(Span::of_millis(100, 100)));
        assert_eq!(span("50ms..150ms"), Ok(Span::of_millis(50, 150)));
        assert_eq!(range("0..1min"), Ok(Span::of_millis(0, 60_000)));
        for (text, expected) in [
            ("100", "such as 30s"),
            ("1s..2", "such as 30s"),
            ("..", "such as 30s"),
            ("2s..1s", "1s..2s"),
        ] {
            let error = span(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(range("10s").is_err(), "an outage is a range");
    }

    #[test]
    fn bad_workers_are_a_count_and_a_rate() {
        assert_eq!(bad("3@0.6"), Ok(Bad { count: 3, rate: 0.6 }));
        for text in ["3", "@", "0.6@3", "3@60", "-1@0.5", "3@NaN"] {
            assert!(bad(text).is_err(), "{text}");
        }
    }
}
