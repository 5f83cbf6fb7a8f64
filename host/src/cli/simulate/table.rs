//! The comparison as people read it.

use std::{fmt::Write as _, time::Duration};

use disperse_scheduler::sim::{Figure, Preset, Series, Span, World};

use super::Compared;
use crate::units::Time;

/// Policies side by side. In an overview each world has only the figures that it is looked at for.
pub(super) fn text(compared: &[Compared], is_overview: bool) -> String {
    let mut rows = Vec::new();
    for one in compared {
        let figures = match is_overview {
            true => one.preset.figures,
            false => &Figure::ALL,
        };
        rows.push(Row::World(sentence(&one.preset)));
        let figures = figures.iter().filter(|figure| matters(**figure, one));
        rows.extend(figures.map(|figure| {
            let cells = one
                .series
                .iter()
                .map(|(_, series)| cell(*figure, series, &one.preset.world));
            Row::Figure(figure.name(), cells.collect())
        }));
    }
    let head = compared.first().map(head).unwrap_or_default();
    let names = compared.first().map_or(&[][..], |one| &one.series);
    let names = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    lay_out(&head, names, &rows)
}

enum Row {
    /// What follows is about this one.
    World(String),
    /// The figure's name, and its value under each policy.
    Figure(&'static str, Vec<String>),
}

fn lay_out(head: &str, names: Vec<String>, rows: &[Row]) -> String {
    let figures = || {
        rows.iter().filter_map(|row| match row {
            Row::World(_) => None,
            Row::Figure(name, cells) => Some((name, cells)),
        })
    };
    let first = figures()
        .map(|(name, _)| name.len() + 2)
        .chain([head.len()])
        .max()
        .unwrap_or(0);
    let width = |index: usize, name: &String| {
        let cells = figures().filter_map(|(_, cells)| cells.get(index));
        cells.chain([name]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(index, name)| width(index, name))
        .collect();
    let line = |text: &mut String, label: &str, cells: &[String]| {
        let _ = write!(text, "{label:<first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    };
    let mut text = String::new();
    line(&mut text, head, &names);
    for row in rows {
        match row {
            Row::World(world) => {
                let _ = write!(text, "\n{world}\n");
            }
            Row::Figure(name, cells) => line(&mut text, &format!("  {name}"), cells),
        }
    }
    text
}

/// What the numbers are.
fn head(one: &Compared) -> String {
    let seed = one.preset.world.seed;
    match one.seeds {
        1 => format!("seed {seed}"),
        seeds => format!("mean (worst) of {seeds} seeds from {seed}"),
    }
}

/// Whether a figure says anything about this world.
fn matters(figure: Figure, one: &Compared) -> bool {
    match figure {
        Figure::PoisonSettled => one.preset.world.poison > 0,
        Figure::Found | Figure::FirstFound => one.preset.world.guilty() > 0,
        Figure::Unsettled => one.series.iter().any(|(_, series)| series.worst(figure) > Some(0.0)),
        _ => true,
    }
}

/// The mean, and the worst where it is another.
fn cell(figure: Figure, series: &Series, world: &World) -> String {
    let Some((mean, worst)) = series.mean(figure).zip(series.worst(figure)) else {
        return "-".to_owned();
    };
    let value = |value: f64| {
        if figure.is_time() {
            return Time::from(Duration::from_secs_f64(value)).to_string();
        }
        match figure {
            Figure::Utilisation | Figure::LeastUtilisation => percent(value),
            _ => number(value),
        }
    };
    let (mean, worst) = (value(mean), value(worst));
    let of = match figure {
        Figure::Found => format!(" of {}", world.guilty()),
        _ => String::new(),
    };
    match mean == worst {
        true => format!("{mean}{of}"),
        false => format!("{mean}{of} ({worst})"),
    }
}

/// With one digit after the point unless it is zero.
fn number(value: f64) -> String {
    ((value * 10.0).round() / 10.0).to_string()
}

fn percent(value: f64) -> String {
    format!("{}%", number(value * 100.0))
}

/// What the world was, in one line.
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
    let wrong = wrong(world);
    let _ = write!(
        text,
        "; {}",
        match wrong.is_empty() {
            true => "nothing is wrong".to_owned(),
            false => wrong.join(", "),
        }
    );
    if let Some(share) = preset.quarantine_share {
        let _ = write!(text, "; {} of the workers may be in quarantine", percent(share));
    }
    text
}

fn wrong(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    if world.black_holes > 0 {
        wrong.push(count(u64::from(world.black_holes), "black hole"));
    }
    for bad in &world.bad {
        let rate = percent(bad.rate);
        wrong.push(format!("{} failing {rate}", count(u64::from(bad.count), "bad worker")));
    }
    if world.guilty() > 0 {
        wrong.push(format!("the guilty fail after {}", span(world.failing)));
    }
    if world.poison > 0 {
        let how = if world.poison_spread { "spread" } else { "in a row" };
        let traps = if world.poison_traps { " that trap" } else { "" };
        wrong.push(format!("{} {how}{traps}", count(world.poison, "poison action")));
    }
    if world.flake > 0.0 {
        wrong.push(format!("{} flaky", percent(world.flake)));
    }
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
