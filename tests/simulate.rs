//! `simulate`: scenarios in virtual time.

use serde_json::Value;

use crate::support::{Ended, Texts, host};

const POLICIES: [&str; 3] = ["deferred-verdict", "five-in-a-row", "no-eviction"];
const PRESETS: [&str; 15] = [
    "black-hole",
    "poison",
    "poison-5",
    "poison-2",
    "one-attempt",
    "half-bad",
    "two-flaky",
    "hiccup",
    "hiccup-2",
    "flaky-fast",
    "bad-kind",
    "poison-unfit",
    "flaky",
    "three-bad",
    "outage",
];

/// Runs a small scenario.
fn simulate(args: &[&str]) -> Ended {
    host(["simulate", "--actions", "600", "--seeds", "2"].iter().chain(args)).run()
}

fn mean(line: &Value, figure: &str) -> f64 {
    line[figure]["mean"]
        .as_f64()
        .unwrap_or_else(|| panic!("{figure} in {line}"))
}

#[test]
fn every_preset_prints_its_scenario_and_compares_the_policies() {
    for preset in PRESETS {
        let ended = simulate(&["--preset", preset]).exits(0);
        let mut lines = ended.out().lines();
        let head = lines.next().unwrap();
        for name in [
            "mean (worst) of 2 seeds",
            "deferred verdict",
            "five in a row",
            "no eviction",
        ] {
            assert!(head.contains(name), "{head}");
        }
        let world = lines.find(|line| line.starts_with(preset)).unwrap();
        assert!(world.contains("600 actions of "), "{world}");
        for figure in [
            "makespan",
            "attempts",
            "good actions lost",
            "innocents quarantined",
            "utilisation",
        ] {
            let row = ended
                .out()
                .lines()
                .find(|line| line.starts_with(&format!("  {figure} ")));
            assert!(row.is_some_and(|row| row.len() == head.len()), "{preset}: {row:?}");
        }
        assert!(!ended.out().contains("never settled"), "{}", ended.out());
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn all_presets_print_one_table() {
    let ended = simulate(&["--preset", "all"]).exits(0);
    let mut rest = ended.out();
    for preset in PRESETS {
        let at = rest.find(&format!("\n{preset}: "));
        rest = &rest[at.unwrap_or_else(|| panic!("{preset} in its turn:\n{}", ended.out()))..];
    }
    let lines = simulate(&["--preset", "all", "--format", "json"]).exits(0).events();
    assert_eq!(lines.len(), PRESETS.len() * POLICIES.len());
}

#[test]
fn json_has_a_line_for_each_policy() {
    for preset in PRESETS {
        let lines = simulate(&["--preset", preset, "--format", "json"]).exits(0).events();
        let policies: Vec<_> = lines.iter().map(|line| line["policy"].as_str().unwrap()).collect();
        assert_eq!(policies, POLICIES);
        for line in &lines {
            assert_eq!((&line["type"], &line["preset"]), (&"simulation".into(), &preset.into()));
            let settled: f64 = ["good_actions_done", "good_actions_lost", "poison_settled"]
                .iter()
                .map(|figure| mean(line, figure))
                .sum();
            assert_eq!(settled, 600.0, "each exactly once: {line}");
            assert_eq!(mean(line, "actions_never_settled"), 0.0);
            let workers = line["world"]["workers"].as_u64().unwrap();
            // Each completed action took at least this long, and no worker does two at once.
            let shortest = line["world"]["duration_ms"][0].as_f64().unwrap();
            let least = 0.999 * shortest * mean(line, "good_actions_done") / workers as f64;
            assert!(mean(line, "makespan_ms") >= least, "{line}");
            assert!(line["makespan_ms"]["worst"].as_f64() >= line["makespan_ms"]["mean"].as_f64());
            assert_eq!(line["utilisation_by_worker"].as_array().unwrap().len() as u64, workers);
        }
        let last = lines.last().unwrap();
        // A worker's report about itself still counts.
        let evicted = if preset == "poison-unfit" { 4.0 } else { 0.0 };
        assert_eq!(
            mean(last, "innocents_quarantined"),
            evicted,
            "no worker is blamed: {last}"
        );
    }
}

#[test]
fn flags_define_a_scenario() {
    let flags = [
        "--workers",
        "6",
        "--slots",
        "2",
        "--duration",
        "1s..2s",
        "--flake",
        "0.1",
        "--bad",
        "1@0.6",
        "--bad",
        "1@0.3",
        "--black-holes",
        "1",
        "--failing",
        "20ms",
        "--poison",
        "3",
        "--poison-spread",
        "--poison-traps",
        "--traps",
        "--open",
        "50",
        "--outage",
        "5s..6s",
        "--outage",
        "1min..72s",
        "--quarantine-share",
        "0.5",
        "--seed",
        "7",
    ];
    let ended = simulate(&flags).exits(0);
    assert_eq!(
        ended.out().lines().nth(2),
        Some(
            "6 workers with 2 slots each, 600 actions of 1s to 2s, 50 open at most; 1 black hole, 1 bad worker failing \
             60%, 1 bad worker failing 30%, these fail after 20ms, 3 poison actions spread that trap, 10% flaky, \
             workers trap at one place, an outage from 5s to 6s, an outage from 1min to 1.2min; 50% of the \
             workers may be in quarantine"
        )
    );
    let lines = simulate(&[&flags[..], &["--format", "json", "--policy", "no-eviction"]].concat())
        .exits(0)
        .events();
    let [line] = &lines[..] else {
        panic!("one policy, one line: {lines:?}")
    };
    assert_eq!(line["policy"], "no-eviction");
    assert_eq!(line["preset"], Value::Null);
    assert_eq!(
        line["world"],
        serde_json::json!({
            "workers": 6, "slots": 2, "actions": 600, "open": 50, "duration_ms": [1000.0, 2000.0], "flake": 0.1,
            "bad": [{ "count": 1, "rate": 0.6 }, { "count": 1, "rate": 0.3 }], "black_holes": 1,
            "failing_ms": [20.0, 20.0], "poison": 3, "poison_spread": true, "poison_traps": true,
            "outages_ms": [[5000.0, 6000.0], [60000.0, 72000.0]], "quotas": [], "accounts": null, "reports": true,
            "quarantine_share": 0.5, "seed": 7, "seeds": 2, "traps": true,
        })
    );
}

#[test]
fn flags_change_a_preset() {
    let world = |args: &[&str]| simulate(&[args, &["--format", "json"]].concat()).exits(0).events()[0]["world"].clone();
    let usual = world(&["--preset", "three-bad"]);
    let changed = world(&["--preset", "three-bad", "--bad", "1@1", "--workers", "4"]);
    assert_eq!(usual["bad"], serde_json::json!([{ "count": 3, "rate": 0.6 }]));
    assert_eq!(changed["bad"], serde_json::json!([{ "count": 1, "rate": 1.0 }]));
    assert_eq!((&usual["workers"], &changed["workers"]), (&20.into(), &4.into()));
    assert_eq!(usual["failing_ms"], changed["failing_ms"], "the rest stays");
}

/// Two workers with more capacity than quota: 600 actions are three windows of 100 for each.
const SATURATED: [&str; 4] = ["--workers", "2", "--slots", "4"];

#[test]
fn quotas_are_used_up_and_never_overrun() {
    for quota in ["100/10s", "100/10s,fixed", "100/10s,burst=20"] {
        let args = [&SATURATED[..], &["--quota", quota, "--format", "json"]].concat();
        for line in simulate(&args).exits(0).events() {
            let told = format!("{quota}: {line}");
            assert_eq!(mean(&line, "refused_over_quota"), 0.0, "{told}");
            assert_eq!(mean(&line, "good_actions_done"), 600.0, "{told}");
            assert!((0.97..=1.0).contains(&mean(&line, "quota_used")), "{told}");
            // Two whole windows have to pass; a fixed one may have begun long before.
            let least = if quota.ends_with("fixed") { 10_000.0 } else { 20_000.0 };
            assert!((least..36_000.0).contains(&mean(&line, "makespan_ms")), "{told}");
            let accounts = line["quota_by_account"].as_array().unwrap();
            assert_eq!(accounts.len(), 2, "{told}");
            for (account, number) in accounts.iter().zip(1..) {
                assert_eq!(account["account"], number, "{told}");
                assert_eq!(account["workers"], serde_json::json!([number]), "{told}");
                assert!((0.97..=1.0).contains(&mean(account, "used")), "{told}");
                assert_eq!(mean(account, "refused"), 0.0, "{told}");
                let left = account["left_at_resets"].as_array().unwrap();
                match quota.ends_with("fixed") {
                    true => assert!((2..=3).contains(&left.len()), "{told}"),
                    false => assert!(left.is_empty() && account["left"]["mean"].is_null(), "{told}"),
                }
            }
        }
    }
}

#[test]
fn workers_are_assigned_to_accounts_in_turn() {
    let args = [
        "--workers",
        "3",
        "--quota",
        "100/10s",
        "--quota",
        "concurrent=2",
        "--accounts",
        "2",
    ];
    let lines = simulate(&[&args[..], &["--format", "json"]].concat()).exits(0).events();
    for line in &lines {
        let quotas = line["quota_by_account"].as_array().unwrap();
        let of = |at: usize| (&quotas[at]["workers"], quotas[at]["allows"].as_str().unwrap());
        assert_eq!(quotas.len(), 4, "{line}");
        assert_eq!(of(0), (&serde_json::json!([1, 3]), "100 in any 10s"));
        assert_eq!(of(3), (&serde_json::json!([2]), "2 at once"));
        assert_eq!(quotas[3]["used"]["mean"], Value::Null, "it offers no number of units");
        assert_eq!(line["world"]["accounts"], 2);
        assert_eq!(
            line["world"]["quotas"],
            serde_json::json!([{ "limit": 100, "per_ms": 10000.0, "window": "sliding" }, { "concurrent": 2 }])
        );
    }
    let shared = simulate(&[
        "--workers",
        "2",
        "--quota",
        "100/10s",
        "--accounts",
        "1",
        "--format",
        "json",
    ]);
    for line in shared.exits(0).events() {
        assert!(
            mean(&line, "makespan_ms") >= 50_000.0,
            "one account for 600 actions: {line}"
        );
    }
}

#[test]
fn quotas_are_reported_by_account() {
    let ended = simulate(&[&SATURATED[..], &["--quota", "100/10s,fixed"]].concat()).exits(0);
    let world = ended.out().lines().nth(2).unwrap();
    assert!(
        world.ends_with(", 100 in each window of 10s for each worker; no failures"),
        "{world}"
    );
    for row in [
        "quota used ",
        "quota used of the least used ",
        "units left at resets ",
        "refused over quota ",
        "quota used, worker 1 ",
        "quota used, worker 2 ",
    ] {
        let found = ended.out().lines().find(|line| line.starts_with(&format!("  {row}")));
        assert!(found.is_some(), "{row}:\n{}", ended.out());
    }
    let args = ["--quota", "10/1s", "--accounts", "4", "--no-reports"];
    let ended = simulate(&[&args[..], &["--preset", "all"]].concat()).exits(2);
    ended.stderr_is("quotas_are_reported_by_account");
    let ended = simulate(&[&args[..], &["--preset", "flaky"]].concat()).exits(0);
    assert!(
        ended
            .out()
            .contains(", 10 in any 1s for each of 4 accounts and no reports; ")
    );
    assert!(ended.out().contains("\n  quota used, account 4 "), "{}", ended.out());
    let plain = simulate(&["--preset", "flaky"]).exits(0);
    assert!(!plain.out().contains("quota"), "{}", plain.out());
}

#[test]
fn the_same_seed_gives_the_same_output() {
    let out = |seed| {
        let args = ["--preset", "flaky", "--format", "json", "--seed", seed];
        simulate(&args).exits(0).out().to_owned()
    };
    assert_eq!(out("5"), out("5"));
    assert_ne!(out("5"), out("6"));
}

#[test]
fn invalid_flags_are_usage_errors() {
    let texts = Texts::new("invalid_flags_are_usage_errors");
    for args in [
        &["--preset", "nope"][..],
        &["--policy", "nope"],
        &["--workers", "0"],
        &["--seeds", "0"],
        &["--flake", "2"],
        &["--flake", "NaN"],
        &["--bad", "3"],
        &["--duration", "100"],
        &["--duration", "2s..1s"],
        &["--outage", "5s"],
        &["--poison", "601"],
        &["--bad", "20@0.5", "--black-holes", "1"],
        &["--preset", "all", "--workers", "2"],
        &["--quota", "100"],
        &["--quota", "0/10s"],
        &["--accounts", "2"],
        &["--no-reports"],
        &["--quota", "1/1s", "--accounts", "0"],
        &["--quota", "1/1s", "--accounts", "21"],
        &["path"],
    ] {
        simulate(args).exits(2).prints("").stderr_to(&texts);
    }
    texts.match_snapshot();
}
