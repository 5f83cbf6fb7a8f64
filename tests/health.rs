//! The effects of failures: another worker, another attempt, quarantine, eviction.

use crate::support::{Folder, body, has, host, of_type, probe};

/// Settings for two honest workers and one that always fails.
const SETTINGS: &str = r#"
    [limits]
    fuel = "50M"
    timeout = "300ms"

    [health]
    quarantine = "100ms"
    evict-after = 2
"#;

/// Feeds lines until the bad worker is evicted, and checks that no line is lost.
fn every_line_succeeds_beside(handle: &str) {
    let folder = Folder::new();
    let manifest = folder.mixed(SETTINGS, "hostile", handle);
    // Long, so that few of them wait in the pipe when the input is closed.
    let line = "a line ".repeat(600);
    let mut live = host(["map", &manifest]).endless(format!("{line}\n")).start();
    live.wait_until("the eviction", |_, stderr| {
        stderr.contains("worker hostile/mallory: evicted")
    });
    live.close();
    let fed = live.fed();
    let ended = live.end().exits(0);
    let row = ended.row("hostile/mallory");
    assert!(row.contains("evicted, quarantined 2x"), "{row}");
    let answered = ended.out().lines().filter(|answer| *answer == line).count() as u64;
    // One line may have been in transit when the count was read.
    assert!(
        (fed..=fed + 1).contains(&answered),
        "{answered} of {fed} lines are answered"
    );
    assert_eq!(ended.stdout.len() as u64, (line.len() as u64 + 1) * answered);
}

#[test]
fn worker_that_traps_is_evicted_and_every_line_succeeds() {
    every_line_succeeds_beside(body::TRAP);
}

#[test]
fn worker_that_returns_failures_is_evicted_and_every_line_succeeds() {
    every_line_succeeds_beside(body::RETRYABLE);
}

#[test]
fn worker_that_never_ends_is_evicted_and_every_line_succeeds() {
    every_line_succeeds_beside(body::ENDLESS);
}

#[test]
fn worker_that_exhausts_memory_is_evicted_and_every_line_succeeds() {
    every_line_succeeds_beside(body::GREEDY);
}

#[test]
fn final_report_shows_a_worker_in_quarantine() {
    let folder = Folder::new();
    let settings = SETTINGS.replace("\"100ms\"", "\"1h\"");
    let manifest = folder.mixed(&settings, "hostile", body::TRAP);
    // Long, so that few of them wait in the pipe when the input is closed.
    let line = "a line ".repeat(600);
    let mut live = host(["map", &manifest]).endless(format!("{line}\n")).start();
    live.wait_until("the quarantine", |_, stderr| {
        stderr.contains("worker hostile/mallory: quarantined")
    });
    live.close();
    let ended = live.end().exits(0);
    let row = ended.row("hostile/mallory");
    assert!(row.ends_with(" quarantined, 1x"), "{row}");
    assert!(ended.row("honest/1").ends_with(" healthy"), "{}", ended.stderr);
}

#[test]
fn only_worker_gets_the_retry() {
    let folder = Folder::new();
    let moody = folder.worker("moody.wasm", &body::fails_first(2));
    let args = ["map", &moody, "--workers", "1", "--format", "json"];
    let events = host(args).input("a\n").run().exits(0).events();
    let failed = of_type(&events, "attempt-failed");
    let numbers: Vec<u64> = failed.iter().map(|event| event["attempt"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2], "{events:?}");
    assert!(
        failed.iter().all(|event| event["message"] == "it says no"),
        "{events:?}"
    );
    let report = of_type(&events, "report")[0];
    assert_eq!(report["kinds"][0]["attempts"], 3);
    assert_eq!(report["kinds"][0]["failed"], 2);
    assert_eq!(report["kinds"][0]["done"], 1);
}

#[test]
fn action_that_fails_on_every_worker_is_reported_with_each_attempt() {
    let folder = Folder::new();
    let refusing = folder.worker("refusing.wasm", body::RETRYABLE);
    let args = [
        "map",
        &refusing,
        "--workers",
        "3",
        "--attempts",
        "3",
        "--format",
        "json",
    ];
    let events = host(args).input("a\n").run().exits(1).events();
    let failed = of_type(&events, "attempt-failed");
    let mut workers: Vec<&str> = failed.iter().map(|event| event["worker"].as_str().unwrap()).collect();
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(
        (failed.len(), workers.len()),
        (3, 3),
        "each attempt on a worker of its own: {events:?}"
    );
    let dead = of_type(&events, "action-dead");
    assert_eq!(dead.len(), 1);
    let message = dead[0]["message"].as_str().unwrap();
    let lines = message.lines().filter(|line| line.starts_with("attempt ")).count();
    assert!(lines == 3 && message.contains(": it says no\nattempt 2 "), "{message}");
    assert!(
        ["exhausted", "poison"].contains(&dead[0]["reason"].as_str().unwrap()),
        "{dead:?}"
    );
}

#[test]
fn failed_line_does_not_stop_the_others() {
    let folder = Folder::new();
    // Traps for an empty line.
    let picky = folder.worker(
        "picky.wasm",
        &format!("(if (i32.eqz (local.get $len)) (then unreachable)) {}", body::ECHO),
    );
    let args = ["map", &picky, "--attempts", "2", "-j2"];
    let ended = host(args).input("a\nb\n\nc\nd\n").run().exits(1);
    ended
        .prints("a\nb\nc\nd\n")
        .stderr_is("failed_line_does_not_stop_the_others");
}

#[test]
fn run_fails_when_every_worker_is_unfit() {
    let folder = Folder::new();
    let unfit = folder.worker("unfit.wasm", body::UNFIT);
    let args = ["map", &unfit, "--workers", "2"];
    let ended = host(args).input("a\nb\nc\n").run().exits(3).prints("");
    // Which line goes to which worker before both are evicted depends on timing.
    has("stderr", &ended.stderr, &["evicted", "line 1", "line 3"]);
}

#[test]
fn unfit_worker_loses_no_line() {
    let folder = Folder::new();
    let manifest = folder.mixed(SETTINGS, "hostile", body::UNFIT);
    let input = "a line\n".repeat(200);
    let ended = host(["map", &manifest]).input(input.clone()).run().exits(0);
    assert_eq!(ended.out(), input);
    assert!(ended.row("hostile/mallory").contains("evicted"), "{}", ended.stderr);
}

#[test]
fn guest_that_calls_exit_is_told_to_return() {
    host(["map", &probe(), "--attempts", "1", "--workers", "1"])
        .input("exit\narguments\n")
        .run()
        .exits(1)
        .stderr_is("guest_that_calls_exit_is_told_to_return");
}
