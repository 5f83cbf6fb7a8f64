//! What can be typed, and the worlds and policies that are meant by it.

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

/// The preset that stands for all of them.
const ALL: &str = "all";

#[derive(Debug, Args)]
pub(in crate::cli) struct SimulateArgs {
    /// A world to begin with; flags change it. `all` shows of each what it is looked at for [default: nothing is wrong]
    #[arg(long, value_name = "NAME", value_parser = preset_names())]
    pub(super) preset: Option<String>,
    /// A policy to compare. Can be given several times [default: all of them]
    #[arg(long, value_name = "NAME", value_parser = policy_names())]
    pub(super) policy: Vec<String>,
    /// Which part of the workers may be in quarantine for failing, from 0 to 1 [default: a third]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub(super) quarantine_share: Option<f64>,
    /// What all luck is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// How many worlds of the kind, with this seed, the next one and so on
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) seeds: u64,
    /// How it is written; as JSON, one line for each policy
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    #[command(flatten)]
    world: WorldArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "World")]
struct WorldArgs {
    /// How many workers [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    workers: Option<u32>,
    /// How many attempts one worker makes at once [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENCY_MAX)))]
    slots: Option<u32>,
    /// How many actions [default: 6000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    actions: Option<u64>,
    /// How many actions are open at once; the next is asked for when one is settled [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    open: Option<u64>,
    /// How long an action takes; each length between is as likely [default: 50ms..150ms]
    #[arg(long, value_name = "TIME[..TIME]", value_parser = span)]
    duration: Option<Span>,
    /// How often an attempt fails by chance, from 0 to 1 [default: 0]
    #[arg(long, value_name = "RATE", value_parser = part)]
    flake: Option<f64>,
    /// So many workers fail at this rate, from 0 to 1, as in `3@0.6`. Can be given several times
    #[arg(long, value_name = "N@RATE", value_parser = bad)]
    bad: Vec<Bad>,
    /// How many workers fail always [default: 0]
    #[arg(long, value_name = "N")]
    black_holes: Option<u32>,
    /// How long it takes bad workers and black holes to fail [default: 0ms..1ms]
    #[arg(long, value_name = "TIME[..TIME]", value_parser = span)]
    failing: Option<Span>,
    /// How many actions fail wherever they are tried; the first ones [default: 0]
    #[arg(long, value_name = "N")]
    poison: Option<u64>,
    /// Spread the poison evenly over all actions
    #[arg(long)]
    poison_spread: bool,
    /// Let poison trap, at the same place each time, instead of failing like anything
    #[arg(long)]
    poison_traps: bool,
    /// Let workers trap where they fail, by chance or because they are bad, all at the same place
    #[arg(long)]
    traps: bool,
    /// Everything fails that ends between these moments. Can be given several times
    #[arg(long, value_name = "TIME..TIME", value_parser = range)]
    outage: Vec<Span>,
    /// What a service allows each worker, as in `100/10s`, `100/10s,fixed`, `10/1s,burst=20` or `concurrent=4`; every attempt
    /// takes one unit. Can be given several times [default: anything]
    #[arg(long, value_name = "LIMIT/TIME", value_parser = quota)]
    quota: Vec<Quota>,
    /// So many accounts for all workers, which have them in turn; those with the same account share its quota [default: one
    /// for each worker]
    #[arg(long, value_name = "N", requires = "quota", value_parser = clap::value_parser!(u32).range(1..))]
    accounts: Option<u32>,
    /// Let no worker report what is left of its quota, so that nobody learns when a fixed window ends
    #[arg(long, requires = "quota")]
    no_reports: bool,
}

impl SimulateArgs {
    /// The worlds that are meant. Their names are empty where no preset was asked for.
    pub(super) fn worlds(&self) -> Vec<Preset> {
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

    /// Whether there are so many worlds that each is told only by what it is looked at for.
    pub(super) fn is_overview(&self) -> bool {
        self.preset.as_deref() == Some(ALL)
    }

    /// The policies that are meant, in the order in which they are always shown.
    pub(super) fn policies(&self) -> Vec<(&'static str, Policy)> {
        let mut all = contenders();
        all.retain(|(name, _)| self.policy.is_empty() || self.policy.contains(&id(name)));
        all
    }
}

impl WorldArgs {
    /// Changes what was typed and leaves the rest.
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

/// A policy's name as it is typed.
pub(super) fn id(name: &str) -> String {
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
    let names = contenders().into_iter().map(|(name, _)| PossibleValue::new(id(name)));
    names.collect::<Vec<_>>().into()
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "it has to be a number from 0 to 1, such as 0.2".to_owned())
}

fn bad(text: &str) -> Result<Bad, String> {
    let wanted = || "it has to be a number of workers and a rate from 0 to 1, such as 3@0.6".to_owned();
    let (count, rate) = text.split_once('@').ok_or_else(wanted)?;
    Ok(Bad {
        count: count.trim().parse().map_err(|_| wanted())?,
        rate: part(rate.trim()).map_err(|_| wanted())?,
    })
}

fn range(text: &str) -> Result<Span, String> {
    let (from, to) = text
        .split_once("..")
        .ok_or_else(|| "it has to be a range of times, such as 10s..20s".to_owned())?;
    let time = |text: &str| text.parse::<Time>().map_err(|error| error.to_string());
    let (from, to) = (time(from)?, time(to)?);
    if from > to {
        return Err(format!("the range has to go up: {to}..{from}"));
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
    fn times_and_ranges_of_times() {
        assert_eq!(span("100ms"), Ok(Span::of_millis(100, 100)));
        assert_eq!(span("50ms..150ms"), Ok(Span::of_millis(50, 150)));
        assert_eq!(range("0..1min"), Ok(Span::of_millis(0, 60_000)));
        for (text, says) in [
            ("100", "such as 30s"),
            ("1s..2", "such as 30s"),
            ("..", "such as 30s"),
            ("2s..1s", "1s..2s"),
        ] {
            let error = span(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(range("10s").is_err(), "an outage has two ends");
    }

    #[test]
    fn bad_workers_have_a_number_and_a_rate() {
        assert_eq!(bad("3@0.6"), Ok(Bad { count: 3, rate: 0.6 }));
        for text in ["3", "@", "0.6@3", "3@60", "-1@0.5", "3@NaN"] {
            assert!(bad(text).is_err(), "{text}");
        }
    }
}
