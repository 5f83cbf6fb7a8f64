//! Untrusted workers, and hedged attempts beside slow ones.

use serde_json::Value;

use crate::support::{Ended, Folder, Texts, body, host, of_type, probe};

/// A manifest of untrusted pools, each with a name, a component and a number of workers with different owners.
fn untrusted_pools(pools: &[(&str, &str, u32)]) -> String {
    let pool = |(name, component, workers): &(&str, &str, u32)| {
        format!(
            r#"
                [[pool]]
                name = "{name}"
                component = "{component}"
                kinds = ["line"]
                workers = {workers}
                untrusted = true
            "#
        )
    };
    pools.iter().map(pool).collect()
}

fn report(ended: &Ended) -> Value {
    of_type(&ended.events(), "report")[0].clone()
}

fn attempts(report: &Value) -> u64 {
    report["kinds"][0]["attempts"].as_u64().unwrap()
}

#[test]
fn untrusted_results_are_compared_and_the_dissenting_worker_is_evicted() {
    let folder = Folder::new();
    folder.worker("honest.wasm", body::ECHO);
    // Ten bytes of its own, whatever the payload.
    folder.worker("liar.wasm", &body::large(10));
    let manifest = folder.file(
        "disperse.toml",
        untrusted_pools(&[("honest", "honest.wasm", 3), ("liar", "liar.wasm", 1)]),
    );
    // Long, so that few of them wait in the pipe. Fed until the dissenting worker is detected, however seldom it had work, and many
    // more than are open at once, all of which are compared before any score is known.
    let line = "a line ".repeat(600);
    let out = folder.path("out");
    let mut live = host(["map", &manifest, "--format", "json", "--output", &out])
        .endless(format!("{line}\n"))
        .start();
    let quarantined = br#""worker":"liar/1","health":"quarantined""#;
    live.wait_until("the quarantine", |stdout, _| {
        let written = std::fs::metadata(&out).map_or(0, |file| file.len());
        written >= 3000 * line.len() as u64 && stdout.windows(quarantined.len()).any(|part| part == quarantined)
    });
    live.close();
    let ended = live.end().exits(0);
    let out = std::fs::read_to_string(out).unwrap();
    let done = out.lines().filter(|result| *result == line).count() as u64;
    assert_eq!(
        out.len() as u64,
        (line.len() as u64 + 1) * done,
        "each line has its own result"
    );
    let events = ended.events();
    let outvoted = of_type(&events, "outvoted");
    assert!(!outvoted.is_empty());
    for one in &outvoted {
        assert_eq!(one["worker"], "liar/1");
        let message = one["message"].as_str().unwrap();
        assert!(
            message.starts_with("its result of 10 bytes is not the one of"),
            "{message}"
        );
    }
    let report = report(&ended);
    let workers = report["workers"].as_array().unwrap();
    let liar = workers.iter().find(|worker| worker["worker"] == "liar/1").unwrap();
    assert!(liar["quarantines"].as_u64() >= Some(1), "{liar}");
    assert_eq!(liar["outvoted"], outvoted.len());
    for worker in workers.iter().filter(|worker| worker["pool"] == "honest") {
        assert_eq!(
            (&worker["quarantines"], &worker["outvoted"]),
            (&0.into(), &0.into()),
            "{worker}"
        );
    }
    // All were compared until the correct workers had their score, and some after that.
    assert!((done + 30..2 * done).contains(&attempts(&report)), "{report}");
}

#[test]
fn explain_shows_the_dissent_of_a_worker() {
    let texts = Texts::new("explain_shows_the_dissent_of_a_worker");
    let folder = Folder::new();
    folder.worker("honest.wasm", body::ECHO);
    folder.worker("liar.wasm", &body::large(10));
    let manifest = folder.file(
        "disperse.toml",
        untrusted_pools(&[("honest", "honest.wasm", 2), ("liar", "liar.wasm", 1)]),
    );
    host(["map", &manifest])
        .folder(folder.root())
        // So few that it is neither suspect nor evicted for its dissent, of which the latter would clear its score.
        .input("one\ntwo\n")
        .run()
        .exits(0)
        .stderr_kinds_to(&texts);
    host(["explain", "worker", "liar/1"])
        .folder(folder.root())
        .run()
        .exits(0)
        .stdout_kinds_to(&texts);
    texts.match_snapshot();
}

#[test]
fn untrusted_workers_all_see_the_same_environment() {
    let folder = Folder::new();
    std::fs::copy(probe(), folder.path("probe.wasm")).unwrap();
    let manifest = |untrusted: &str| {
        format!("[[pool]]\nname = \"p\"\ncomponent = \"probe.wasm\"\nkinds = [\"line\"]\nworkers = 3\n{untrusted}\n")
    };
    let untrusted = folder.file("disperse.toml", manifest("untrusted = true"));
    let lines = "world\n".repeat(50);
    let map = |manifest: &str| {
        host(["map", manifest, "--format", "json", "--seed", "7"])
            .input(lines.clone())
            .run()
            .exits(0)
    };
    let ended = map(&untrusted);
    let seen = |ended: &Ended| -> Vec<String> {
        let events = ended.events();
        let text = |event: &&Value| event["text"].as_str().unwrap().to_owned();
        of_type(&events, "output").iter().map(text).collect()
    };
    assert!(attempts(&report(&ended)) >= 65, "results are compared");
    let worlds = seen(&ended);
    let all: String = worlds.concat();
    assert_eq!(all.lines().count(), 50);
    for world in all.lines() {
        assert!(world.starts_with("946684800000 "), "{world}");
        assert!(world.ends_with("0ns (1, 4294967.295s, \"untrusted\")"), "{world}");
    }
    let randoms: std::collections::BTreeSet<_> = all.lines().map(|world| world.split(' ').nth(1)).collect();
    assert_eq!(randoms.len(), 50, "each action has its own random numbers");
    // The values are the same in every run with that seed, in whatever order workers get the actions.
    let mut again: Vec<String> = seen(&map(&untrusted)).concat().lines().map(str::to_owned).collect();
    let mut once: Vec<String> = all.lines().map(str::to_owned).collect();
    once.sort_unstable();
    again.sort_unstable();
    assert_eq!(once, again);
    let trusted = folder.file("disperse.toml", manifest(""));
    let all = seen(&map(&trusted)).concat();
    assert!(!all.lines().any(|world| world.contains("untrusted")));
}

#[test]
fn result_that_differs_between_workers_fails_the_action() {
    // Each returns a different number of bytes, so that no two agree.
    let folder = Folder::new();
    let pools: Vec<(String, String)> = (1..=5)
        .map(|n| {
            let file = format!("{n}.wasm");
            folder.worker(&file, &body::large(n));
            (format!("pool-{n}"), file)
        })
        .collect();
    let pools: Vec<(&str, &str, u32)> = pools.iter().map(|(name, file)| (&**name, &**file, 1)).collect();
    let manifest = folder.file("disperse.toml", untrusted_pools(&pools));
    host(["map", &manifest])
        .input("line\n")
        .run()
        .exits(1)
        .stderr_is("result_that_differs_between_workers_fails_the_action");
}

#[test]
fn workers_of_one_owner_do_not_confirm_each_other() {
    let folder = Folder::new();
    folder.worker("honest.wasm", body::ECHO);
    let worker = |name: &str| format!("[[pool.worker]]\nname = \"{name}\"\nowner = \"mallory\"\n");
    let pool = "[[pool]]\nname = \"p\"\ncomponent = \"honest.wasm\"\nkinds = [\"line\"]\nuntrusted = true\n";
    let manifest = folder.file("disperse.toml", format!("{pool}{}{}", worker("a"), worker("b")));
    host(["map", &manifest])
        .input("line\n")
        .run()
        .exits(3)
        .stderr_is("workers_of_one_owner_do_not_confirm_each_other");
}

#[test]
fn untrusted_workers_get_no_grants() {
    let texts = Texts::new("untrusted_workers_get_no_grants");
    let folder = Folder::new();
    folder.worker("honest.wasm", body::ECHO);
    let refused = |more: &str, flags: &[&str]| {
        let manifest = folder.file(
            "disperse.toml",
            format!("{}{more}", untrusted_pools(&[("p", "honest.wasm", 2)])),
        );
        let args = ["map", &manifest, "--trust-manifest"];
        let args: Vec<&str> = args.into_iter().chain(flags.iter().copied()).collect();
        host(args).input("line\n").run().exits(2).stderr_to(&texts);
    };
    refused("dirs = [\".\"]", &[]);
    refused("exec = [[\"/bin/true\"]]", &[]);
    refused("http = [\"https://example.com\"]", &[]);
    refused("", &["--env", "A=B"]);
    refused("", &["--dir", "."]);
    refused("[[pool.worker]]\nname = \"w\"\nsettings = { A = \"B\" }", &[]);
    let concurrent = folder.file(
        "disperse.toml",
        format!("{}concurrency = 2", untrusted_pools(&[("p", "honest.wasm", 2)])),
    );
    host(["map", &concurrent]).input("line\n").run().exits(2);
    texts.match_snapshot();
}

/// Runs a hundred lines on two honest workers and one that never ends.
fn beside_a_stuck_one(timeout: &str, flags: &[&str], health: &str) -> Ended {
    let folder = Folder::new();
    let settings = format!("[limits]\ntimeout = \"{timeout}\"\nfuel = \"1T\"\n[health]\n{health}");
    let manifest = folder.mixed(&settings, "stuck", body::ENDLESS);
    let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
    let args: Vec<&str> = ["map", &manifest, "--format", "json"]
        .into_iter()
        .chain(flags.iter().copied())
        .collect();
    host(args).input(lines).run().exits(0)
}

#[test]
fn stuck_attempt_is_hedged_if_its_action_may_run_twice() {
    let ended = beside_a_stuck_one("60s", &["--idempotent"], "");
    let report = report(&ended);
    let kind = &report["kinds"][0];
    assert_eq!(
        (&kind["done"], &kind["hedges_won"]),
        (&100.into(), &kind["hedges"]),
        "{report}"
    );
    assert!(kind["hedges"].as_u64() >= Some(1), "{report}");
    assert_eq!(
        of_type(&ended.events(), "hedged").len() as u64,
        kind["hedges"].as_u64().unwrap()
    );
    let wall = report["wall_ms"].as_f64().unwrap();
    assert!(wall < 59_000.0, "the run waited for the stuck attempt: {wall} ms");
    assert_eq!(kind["failed"], 0, "the slower attempt has not failed: {report}");
}

#[test]
fn action_that_may_not_run_twice_is_not_hedged() {
    let folder_wide = |flags: &[&str], health: &str| {
        let report = report(&beside_a_stuck_one("5s", flags, health));
        assert_eq!(report["kinds"][0]["hedges"], 0, "{report}");
        assert!(report["wall_ms"].as_f64().unwrap() >= 5_000.0, "{report}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| folder_wide(&[], ""));
        scope.spawn(|| folder_wide(&["--idempotent"], "hedge = 0.0"));
    });
}

#[test]
fn untrusted_pool_of_one_owner_gives_a_warning() {
    let folder = Folder::new();
    folder.worker("honest.wasm", body::ECHO);
    let pool = "[[pool]]\nname = \"p\"\ncomponent = \"honest.wasm\"\nkinds = [\"line\"]\nuntrusted = true\n";
    let worker = |name: &str, owner: &str| format!("[[pool.worker]]\nname = \"{name}\"\nowner = \"{owner}\"\n");
    let warning = "pool p: no result can be confirmed";
    let one = folder.file(
        "disperse.toml",
        format!("{pool}{}{}", worker("a", "ann"), worker("b", "ann")),
    );
    host(["map", &one])
        .input("one\n")
        .run()
        .exits(3)
        .stderr_is("untrusted_pool_of_one_owner_gives_a_warning");
    let two = folder.file(
        "disperse.toml",
        format!("{pool}{}{}", worker("a", "ann"), worker("b", "ben")),
    );
    let ended = host(["map", &two]).input("one\n").run().exits(0);
    assert!(!ended.stderr.contains(warning), "{}", ended.stderr);
    let all = folder.file(
        "disperse.toml",
        format!(
            "[health]\nconfirm = \"all\"\n{pool}{}{}",
            worker("a", "ann"),
            worker("b", "ben")
        ),
    );
    let ended = host(["map", &all, "--format", "json"])
        .input("a line\n".repeat(100))
        .run()
        .exits(0);
    let report = report(&ended);
    let asked = report["kinds"][0]["asked"].as_u64().unwrap();
    assert_eq!(attempts(&report), 2 * asked, "each result is confirmed");
}
