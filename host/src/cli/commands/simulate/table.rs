//! The comparison as a text table.

use std::{collections::BTreeMap, fmt::Write as _, iter, time::Duration};

use disperse_scheduler::sim::{Figure, Preset, Scenario, Series, Span, Spending};

use super::compared::{Compared, Spread};
use crate::{report::quota_words, text::columns, units::Time};

/// Figures that an overview also shows for scenarios with quotas.
const OF_QUOTAS: [Figure; 2] = [Figure::QuotaUsed, Figure::Overrun];

/// The most rows of accounts. With more, none are listed. Arbitrary: about a screen.
const ACCOUNTS_MAX: usize = 40;

/// The table of all scenarios, with one column per policy. An overview has the main figures of each scenario only.
pub(super) fn text(compared: &[Compared], is_overview: bool) -> String {
    let mut rows = Vec::new();
    for one in compared {
        let figures = match is_overview {
            true => &[one.preset.figures, &OF_QUOTAS].concat()[..],
            false => &Figure::ALL,
        };
        rows.push(Row::Scenario(sentence(&one.preset)));
        let figures = figures.iter().filter(|figure| matters(**figure, one));
        rows.extend(figures.map(|figure| {
            let cells = one
                .series
                .iter()
                .map(|(_, series)| cell(*figure, series, &one.preset.world));
            Row::Figure(figure.name().to_owned(), cells.collect())
        }));
        if !is_overview {
            rows.extend(accounts(one));
        }
    }
    let head = compared.first().map(head).unwrap_or_default();
    let names = compared.first().map_or(&[][..], |one| &one.series);
    let names = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    lay_out(&head, names, &rows)
}

enum Row {
    /// The heading of a scenario, followed by its figures.
    Scenario(String),
    /// The figure's name, and its value under each policy.
    Figure(String, Vec<String>),
}

fn lay_out(head: &str, names: Vec<String>, rows: &[Row]) -> String {
    let cells = |first: String, rest: &[String]| [&[first], rest].concat();
    let figures = rows.iter().filter_map(|row| match row {
        Row::Scenario(_) => None,
        Row::Figure(name, values) => Some(cells(format!("  {name}"), values)),
    });
    let mut lines = columns(iter::once(cells(head.to_owned(), &names)).chain(figures)).into_iter();
    let mut text = lines.next().unwrap_or_default() + "\n";
    for row in rows {
        match row {
            Row::Scenario(world) => text.extend(["\n", world, "\n"]),
            Row::Figure(..) => text.extend([&lines.next().unwrap_or_default(), "\n"]),
        }
    }
    text
}

/// The rows of the quotas of each account.
fn accounts(one: &Compared) -> Vec<Row> {
    let world = &one.preset.world;
    let mut rows: BTreeMap<usize, (String, Vec<String>)> = BTreeMap::new();
    for (_, series) in &one.series {
        for (index, of) in series.spendings().enumerate() {
            let Some(first) = of.first() else { continue };
            let (_, cells) = rows.entry(index).or_insert_with(|| (label(first, world), Vec::new()));
            cells.push(used(&of));
        }
    }
    match rows.len() {
        1..=ACCOUNTS_MAX => rows
            .into_values()
            .map(|(label, cells)| Row::Figure(label, cells))
            .collect(),
        _ => Vec::new(),
    }
}

/// The worker or account of a quota, and its terms if there are several quotas.
fn label(spending: &Spending, world: &Scenario) -> String {
    let mut text = match world.accounts {
        None => format!("quota used, worker {}", spending.account + 1),
        Some(_) => format!("quota used, account {}", spending.account + 1),
    };
    if world.quotas.len() > 1 {
        let _ = write!(text, ", {}", quota_words(spending.quota.into()));
    }
    text
}

/// The used share of a quota, and the units left when windows ended.
fn used(of: &[&Spending]) -> String {
    let Some(used) = Spread::used(of) else {
        return "-".to_owned();
    };
    let mut text = with_worst(&percent(used.mean), &percent(used.worst), "");
    let had = || of.iter().filter(|one| one.resets > 0);
    let spread = |value: fn(&Spending) -> u64| Spread::of(had().map(|one| value(one) as f64), f64::max);
    if let Some((left, resets)) = spread(|one| one.left).zip(spread(|one| one.resets)) {
        let left = with_worst(&number(left.mean), &number(left.worst), " left");
        let plural = if resets.mean == 1.0 { "" } else { "s" };
        let _ = write!(text, ", {left} at {} reset{plural}", number(resets.mean));
    }
    text
}

/// The mean and `of`, followed by the worst if it differs.
fn with_worst(mean: &str, worst: &str, of: &str) -> String {
    match mean == worst {
        true => format!("{mean}{of}"),
        false => format!("{mean}{of} ({worst})"),
    }
}

/// The head of the table: the seeds that the figures are from.
fn head(one: &Compared) -> String {
    let seed = one.preset.world.seed;
    match one.seeds {
        1 => format!("seed {seed}"),
        seeds => format!("mean (worst) of {seeds} seeds from {seed}"),
    }
}

/// Whether a figure is meaningful for this scenario.
fn matters(figure: Figure, one: &Compared) -> bool {
    match figure {
        Figure::PoisonSettled => one.preset.world.poison > 0,
        Figure::Found | Figure::FirstFound => one.preset.world.guilty() > 0,
        // No mean without a quota, or if it has no fixed number of units or never resets.
        Figure::QuotaUsed | Figure::LeastQuotaUsed | Figure::Left | Figure::Overrun => {
            one.series.iter().any(|(_, series)| series.mean(figure).is_some())
        }
        Figure::Unsettled => one.series.iter().any(|(_, series)| series.worst(figure) > Some(0.0)),
        _ => true,
    }
}

/// The mean, followed by the worst if it differs.
fn cell(figure: Figure, series: &Series, world: &Scenario) -> String {
    let Some((mean, worst)) = series.mean(figure).zip(series.worst(figure)) else {
        return "-".to_owned();
    };
    let value = |value: f64| {
        if figure.is_time() {
            return Time::from(Duration::from_secs_f64(value)).to_string();
        }
        match figure {
            Figure::Utilisation | Figure::LeastUtilisation | Figure::QuotaUsed | Figure::LeastQuotaUsed => {
                percent(value)
            }
            _ => number(value),
        }
    };
    let (mean, worst) = (value(mean), value(worst));
    let of = match figure {
        Figure::Found => format!(" of {}", world.guilty()),
        _ => String::new(),
    };
    with_worst(&mean, &worst, &of)
}

/// A number with at most one decimal.
fn number(value: f64) -> String {
    ((value * 10.0).round() / 10.0).to_string()
}

fn percent(value: f64) -> String {
    format!("{}%", number(value * 100.0))
}

/// The scenario in one line.
fn sentence(preset: &Preset) -> String {
    let world = &preset.world;
    let mut text = String::new();
    if !preset.name.is_empty() {
        let _ = write!(text, "{}: ", preset.name);
    }
    let _ = write!(text, "{}", count(u64::from(world.workers), "worker"));
    if world.slots > 1 {
        let _ = write!(text, " with {} slots each", world.slots);
    }
    let _ = write!(text, ", {} of {}", count(world.actions, "action"), span(world.lengths));
    if world.open_max < world.actions {
        let _ = write!(text, ", {} open at most", world.open_max);
    }
    if !world.quotas.is_empty() {
        let _ = write!(text, ", {}", quotas(world));
    }
    let wrong = wrong(world);
    let _ = write!(
        text,
        "; {}",
        match wrong.is_empty() {
            true => "no failures".to_owned(),
            false => wrong.join(", "),
        }
    );
    if let Some(share) = preset.quarantine_share {
        let _ = write!(text, "; {} of the workers may be in quarantine", percent(share));
    }
    text
}

/// The quotas, and the workers or accounts that have them.
fn quotas(world: &Scenario) -> String {
    let words: Vec<String> = world.quotas.iter().map(|quota| quota_words((*quota).into())).collect();
    let whose = match world.accounts {
        None => "each worker".to_owned(),
        Some(1) => "all together".to_owned(),
        Some(accounts) => format!("each of {accounts} accounts"),
    };
    let silent = if world.reports { "" } else { " and no reports" };
    format!("{} for {whose}{silent}", words.join(" and "))
}

fn wrong(world: &Scenario) -> Vec<String> {
    let mut wrong = Vec::new();
    if world.black_holes > 0 {
        wrong.push(count(u64::from(world.black_holes), "black hole"));
    }
    for bad in &world.bad {
        let rate = percent(bad.rate);
        wrong.push(format!("{} failing {rate}", count(u64::from(bad.count), "bad worker")));
    }
    if world.bad_at_one > 0 {
        let bad = count(u64::from(world.bad_at_one), "worker");
        wrong.push(format!("{bad} failing one kind of {}", world.kinds));
    }
    if world.attempts > 0 {
        wrong.push(count(u64::from(world.attempts), "attempt"));
    }
    if world.guilty() > 0 {
        wrong.push(format!("these fail after {}", span(world.failing)));
    }
    if world.poison > 0 {
        let how = if world.poison_spread { "spread" } else { "in a row" };
        let traps = match (world.poison_traps, world.poison_unfit) {
            (true, _) => " that trap",
            (false, true) => " that make workers unfit",
            (false, false) => "",
        };
        wrong.push(format!("{} {how}{traps}", count(world.poison, "poison action")));
    }
    if world.flake > 0.0 {
        wrong.push(format!("{} flaky", percent(world.flake)));
    }
    if world.traps {
        wrong.push("workers trap at one place".to_owned());
    }
    let hiccups = world.hiccups.iter();
    wrong.extend(hiccups.map(|hiccup| {
        let (from, to) = (Time::from(hiccup.from), Time::from(hiccup.to));
        format!("a hiccup from {from} to {to}")
    }));
    let outages = world.outages.iter();
    wrong.extend(outages.map(|outage| {
        format!(
            "an outage from {} to {}",
            Time::from(outage.from),
            Time::from(outage.to)
        )
    }));
    wrong
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn span(span: Span) -> String {
    let (from, to) = (Time::from(span.from), Time::from(span.to));
    match from == to {
        true => from.to_string(),
        false => format!("{from} to {to}"),
    }
}
