//! `simulate`: the real scheduler in virtual time, beside policies that others have.

mod args;
mod table;

use disperse_scheduler::sim::{Figure, Preset, Series, play_seeds};

pub(super) use self::args::SimulateArgs;
use super::{error::Failure, exit, inspect};
use crate::report::Format;

/// A world and what came of it under each policy.
struct Compared {
    preset: Preset,
    seeds: u64,
    series: Vec<(&'static str, Series)>,
}

pub(super) fn simulate(args: &SimulateArgs) -> Result<u8, Failure> {
    let worlds = args.worlds();
    // All are looked at before the first is played, so that nothing is printed where one cannot be.
    for preset in &worlds {
        preset.world.check().map_err(|error| {
            let what = match preset.name {
                "" => "there can be no such world".to_owned(),
                name => format!("`{name}` cannot be changed like this"),
            };
            Failure::usage(what).because(error)
        })?;
    }
    let compared = worlds.into_iter().map(|preset| compare(preset, args));
    let compared = compared.collect::<Result<Vec<_>, _>>()?;
    inspect::print(&match args.format {
        Format::Text => table::text(&compared, args.is_overview()),
        Format::Json => compared.iter().flat_map(json_lines).collect(),
    })?;
    Ok(exit::DONE)
}

fn compare(preset: Preset, args: &SimulateArgs) -> Result<Compared, Failure> {
    let series = args.policies().into_iter().map(|(name, policy)| {
        let series = play_seeds(&preset.world, &preset.under(policy), args.seeds);
        let unusable = || Failure::usage(format!("the policy `{name}` cannot be"));
        Ok((name, series.map_err(|error| unusable().because(error))?))
    });
    let series = series.collect::<Result<_, _>>()?;
    Ok(Compared {
        preset,
        seeds: args.seeds,
        series,
    })
}

/// One line for each policy.
fn json_lines(compared: &Compared) -> impl Iterator<Item = String> {
    compared.series.iter().map(|(name, series)| {
        let mut line = serde_json::json!({
            "type": "simulation",
            "preset": Some(compared.preset.name).filter(|name| !name.is_empty()),
            "policy": args::id(name),
            "world": world(compared),
            "utilisation_by_worker": series.utilisation().into_iter().map(tidy).collect::<Vec<_>>(),
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(Figure::ALL.map(|figure| {
                let value = |value: Option<f64>| value.map(|value| tidy(value * factor(figure)));
                let (mean, worst) = (value(series.mean(figure)), value(series.worst(figure)));
                (key(figure), serde_json::json!({ "mean": mean, "worst": worst }))
            }));
        }
        format!("{line}\n")
    })
}

/// As in all our JSON, times are in ms and say so.
fn key(figure: Figure) -> String {
    let name = figure.name().replace(' ', "_");
    match figure.is_time() {
        true => format!("{name}_ms"),
        false => name,
    }
}

fn factor(figure: Figure) -> f64 {
    if figure.is_time() { 1e3 } else { 1.0 }
}

/// Without the last digits, which are only what floating point is like.
fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn world(compared: &Compared) -> serde_json::Value {
    let world = &compared.preset.world;
    let span = |span: &disperse_scheduler::sim::Span| [span.from, span.to].map(|end| end.as_secs_f64() * 1e3);
    let bad = world.bad.iter();
    serde_json::json!({
        "workers": world.workers,
        "slots": world.slots,
        "actions": world.actions,
        "open": Some(world.open_max).filter(|open| *open < world.actions),
        "duration_ms": span(&world.lengths),
        "flake": world.flake,
        "bad": bad.map(|bad| serde_json::json!({ "count": bad.count, "rate": bad.rate })).collect::<Vec<_>>(),
        "black_holes": world.black_holes,
        "failing_ms": span(&world.failing),
        "poison": world.poison,
        "poison_spread": world.poison_spread,
        "poison_traps": world.poison_traps,
        "outages_ms": world.outages.iter().map(span).collect::<Vec<_>>(),
        "quarantine_share": compared.preset.quarantine_share,
        "seed": world.seed,
        "seeds": compared.seeds,
    })
}
