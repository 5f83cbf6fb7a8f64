//! Every limit can be set by flag and in a manifest, and the error of an attempt that hits it shows the value.

use crate::{
    hostile::attacks,
    support::{Folder, Texts, body, host},
};

/// The flag, which is also the manifest's key, a value, and an attack that hits it.
const LIMITS: &[(&str, &str, &str)] = &[
    ("fuel", "3M", "endless_loop"),
    ("memory", "3MiB", "endless_growth_of_memory"),
    ("timeout", "70ms", "endless_calls"),
    ("result-size", "2MiB", "a_huge_result"),
    ("stack", "128KiB", "deep_recursion"),
    ("handles", "77", "leaking_pollables"),
    ("handles", "78", "leaking_futures"),
    ("random-size", "1KiB", "four_gigabytes_of_randomness"),
    ("log-rate", "2KiB", "a_flood_of_short_log_lines"),
    ("log-size", "4KiB", "a_flood_on_stderr"),
];

#[test]
fn host_memory_too_small_for_any_guest_is_a_usage_error() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    host(["map", &echo, "--host-memory", "1023KiB"])
        .input("a\n")
        .run()
        .exits(2)
        .stderr_is("host_memory_too_small_for_any_guest_is_a_usage_error");
    host(["map", &echo, "--host-memory", "1MiB"]).input("a\n").run();
}

#[test]
fn every_limit_can_be_set() {
    let attacks = attacks::all();
    let texts = Texts::new("every_limit_can_be_set");
    for &(limit, value, attack) in LIMITS {
        let attack = attacks.iter().find(|one| one.name == attack).expect(attack);
        let folder = Folder::new();
        let worker = attack.component(&folder, "attack.wasm");
        // Other limits would end it sooner or later.
        let others: &[&str] = match limit {
            "timeout" => &["--fuel", "100G"],
            "fuel" => &[],
            "log-rate" => &["--fuel", "100G", "--timeout", "1s", "-v"],
            "log-size" => &["--fuel", "100G", "--timeout", "1s", "-v", "--log-rate", "100GiB"],
            "handles" => &["--fuel", "1M"],
            _ => &["--fuel", "50M"],
        };
        let flag = format!("--{limit}");
        let shared = ["--attempts", "1", "--workers", "1"];
        let typed = ["map", &worker, &flag, value].into_iter().chain(shared);
        let ended = host(typed.chain(others.iter().copied())).input("a\n").run().exits(1);
        // Once for flag and manifest, if they are equal.
        let heading = format!("{limit} = {value}");
        ended.failure_to(&heading, &texts);
        let manifest = folder.file(
            "disperse.toml",
            format!(
                "[worker]\ncomponent = \"attack.wasm\"\n[limits]\n{limit} = {}\n",
                quoted(value)
            ),
        );
        let written = ["map", &manifest].into_iter().chain(shared);
        let ended = host(written.chain(others.iter().copied())).input("a\n").run().exits(1);
        ended.failure_to(&heading, &texts);
    }
    texts.match_snapshot();
}

/// The value in TOML syntax.
fn quoted(value: &str) -> String {
    match value.parse::<u32>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("\"{value}\""),
    }
}

#[test]
fn limit_of_the_whole_run_is_invalid_in_a_pool() {
    let texts = Texts::new("limit_of_the_whole_run_is_invalid_in_a_pool");
    let folder = Folder::new();
    for limit in ["stack = \"1MiB\"", "actions-in-flight = 3"] {
        let manifest = folder.file(
            "disperse.toml",
            format!("[[pool]]\nname = \"p\"\ncomponent = \"x.wasm\"\nlimits = {{ {limit} }}\n"),
        );
        host(["map", &manifest]).run().exits(2).stderr_to(&texts);
    }
    for (flag, value) in [
        ("--stack", "1KiB"),
        ("--stack", "2GiB"),
        ("--handles", "0"),
        ("--actions-in-flight", "0"),
    ] {
        host(["map", "x.wasm", flag, value]).run().exits(2);
    }
    texts.match_snapshot();
}

/// A task that submits four actions before it takes an outcome, with a limit of one in flight.
#[test]
fn task_waits_while_its_actions_in_flight_are_at_the_limit() {
    let folder = Folder::new();
    let submit = "(drop (call $submit (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 6)))";
    let operation = folder.guest(
        "asker.wasm",
        &include_str!("guests/asker.wat").replace("{RUN}", &submit.repeat(4)),
    );
    let worker = folder.worker("echo.wasm", body::ECHO);
    let ended = |flags: &[&str]| {
        let args = ["run", &operation, "--worker", &worker, "--format", "json"];
        host(args.iter().chain(flags)).run().exits(0).events()
    };
    // The second is submitted when the first has its result; whether the end of the task cancels the last depends on timing.
    let report = ended(&["--actions-in-flight", "1"]).pop().unwrap();
    let done = report["kinds"][0]["done"].as_u64().unwrap();
    assert!(done >= 3, "{report}");
}
