//! The comparison as JSON Lines.

use disperse_scheduler::{
    Quota,
    sim::{Figure, Scenario, Spending},
};

use super::compared::{Compared, Spread};
use crate::{cli::args::policy_id, report::quota_words};

/// One line per policy.
pub(super) fn lines(compared: &Compared) -> impl Iterator<Item = String> {
    compared.series.iter().map(|(name, series)| {
        let mut line = serde_json::json!({
            "type": "simulation",
            "preset": Some(compared.preset.name).filter(|name| !name.is_empty()),
            "policy": policy_id(name),
            "world": world(compared),
            "utilisation_by_worker": series.utilisation().into_iter().map(tidy).collect::<Vec<_>>(),
            "quota_by_account": series.spendings().filter_map(|of| spent(&of, &compared.preset.world)).collect::<Vec<_>>(),
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

/// The use of one quota by one account, over all seeds.
fn spent(of: &[&Spending], world: &Scenario) -> Option<serde_json::Value> {
    let first = of.first()?;
    let mean =
        |value: fn(&Spending) -> f64| Spread::of(of.iter().map(|one| value(one)), f64::max).map(|one| tidy(one.mean));
    let spread = |spread: Option<Spread>| {
        let spread = spread.map(|spread| (tidy(spread.mean), tidy(spread.worst)));
        serde_json::json!({ "mean": spread.map(|(mean, _)| mean), "worst": spread.map(|(_, worst)| worst) })
    };
    let workers = (0..world.workers).filter(|worker| world.account(*worker) == first.account);
    let resets = of.iter().map(|one| one.left_at_resets.len()).max().unwrap_or(0);
    let left_at = |reset: usize| {
        let left = of.iter().filter_map(|one| one.left_at_resets.get(reset));
        Spread::of(left.map(|left| *left as f64), f64::max).map(|one| tidy(one.mean))
    };
    let has_reset = of.iter().filter(|one| one.resets > 0);
    Some(serde_json::json!({
        // Counted from 1, as in the text.
        "account": first.account + 1,
        "workers": workers.map(|worker| worker + 1).collect::<Vec<_>>(),
        "allows": quota_words(first.quota.into()),
        "spent": mean(|one| one.spent as f64),
        "offered": mean(|one| one.offered as f64),
        "used": spread(Spread::used(of)),
        "left": spread(Spread::of(has_reset.map(|one| one.left as f64), f64::max)),
        "left_at_resets": (0..resets).map(left_at).collect::<Vec<_>>(),
        "refused": spread(Spread::of(of.iter().map(|one| one.refused as f64), f64::max)),
    }))
}

/// The JSON key of a figure. Times are in ms, with the suffix `_ms`, as in all JSON output.
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

/// Rounds to six decimals, which removes noise of floating point.
fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn world(compared: &Compared) -> serde_json::Value {
    let world = &compared.preset.world;
    let span = |span: &disperse_scheduler::sim::Span| [span.from, span.to].map(|end| end.as_secs_f64() * 1e3);
    let bad = world.bad.iter();
    let mut json = serde_json::json!({
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
        "quotas": world.quotas.iter().copied().map(quota).collect::<Vec<_>>(),
        "accounts": world.accounts,
        "reports": world.reports,
        "quarantine_share": compared.preset.quarantine_share,
        "seed": world.seed,
        "seeds": compared.seeds,
    });
    // Keys of few scenarios, absent at their defaults.
    let usual = Scenario::default();
    let hiccups: Vec<_> = world.hiccups.iter().map(span).collect();
    let more = [
        ("kinds", (world.kinds != usual.kinds).then(|| world.kinds.into())),
        ("bad_at_one", (world.bad_at_one > 0).then(|| world.bad_at_one.into())),
        ("attempts", (world.attempts > 0).then(|| world.attempts.into())),
        ("poison_unfit", world.poison_unfit.then(|| true.into())),
        ("traps", world.traps.then(|| true.into())),
        ("hiccups_ms", (!hiccups.is_empty()).then(|| serde_json::json!(hiccups))),
    ];
    if let Some(json) = json.as_object_mut() {
        json.extend(
            more.into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?))),
        );
    }
    json
}

/// A quota with the keys of a manifest's table, and times in ms.
fn quota(quota: Quota) -> serde_json::Value {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    match quota {
        Quota::Sliding { limit, per } => serde_json::json!({ "limit": limit, "per_ms": ms(per), "window": "sliding" }),
        Quota::Fixed { limit, per } => serde_json::json!({ "limit": limit, "per_ms": ms(per), "window": "fixed" }),
        Quota::Rate { limit, per, burst } => serde_json::json!({ "limit": limit, "per_ms": ms(per), "burst": burst }),
        Quota::Concurrent { limit } => serde_json::json!({ "concurrent": limit }),
    }
}
