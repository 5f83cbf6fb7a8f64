//! Reports of failures: how many are shown, their text, and their common reasons.

use crate::support::{Folder, Texts, body, host, of_type};

/// A worker that fails every line permanently.
const STRICT: &str = "(call $refuse (i32.const 1))";

#[test]
fn common_reason_of_many_failures_is_reported_once() {
    let texts = Texts::new("common_reason_of_many_failures_is_reported_once");
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", STRICT);
    let ended = host(["map", &strict]).input("x\n".repeat(5000)).run().exits(1);
    let ended = ended.stderr_kinds_to(&texts);
    let told = ended.stderr.lines().filter(|line| line.starts_with("error: line "));
    assert_eq!(told.count(), 10, "{}", ended.stderr);
    // -q leaves errors, and this one sums them up.
    let quiet = host(["map", "-q", &strict]).input("x\n".repeat(5000)).run().exits(1);
    quiet.stderr_kinds_to(&texts);
    texts.match_snapshot();
}

#[test]
fn failures_are_counted_and_shown_by_reason() {
    let folder = Folder::new();
    // A line of one byte traps, one of two bytes fails, the others are echoed.
    let moody = folder.worker(
        "moody.wasm",
        &format!(
            "(if (i32.eq (local.get $len) (i32.const 1)) (then unreachable))
             (if (i32.eq (local.get $len) (i32.const 2)) (then (return (call $refuse (i32.const 1)))))
             {}",
            body::ECHO
        ),
    );
    let input = "xx\n".repeat(300) + "x\n" + &"fine\n".repeat(10);
    let ended = host(["map", &moody, "--attempts", "1"]).input(input).run().exits(1);
    let texts = Texts::new("failures_are_counted_and_shown_by_reason");
    ended.stderr_kinds_to(&texts);
    texts.match_snapshot();
}

#[test]
fn failed_action_is_reported_once() {
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", STRICT);
    let flaky = crate::support::wasm("word_count");
    let ended = host(["run", &flaky, "--worker", &strict])
        .input("a b c\n")
        .run()
        .exits(1);
    let texts = Texts::new("failed_action_is_reported_once");
    let ended = ended.stderr_kinds_to(&texts);
    texts.match_snapshot();
    // The operation reports it as well.
    let by_host = ended.stderr.split("error: the operation failed").next().unwrap();
    let lines = by_host.lines().filter(|line| line.contains("it says no"));
    assert!(lines.count() <= 2, "{}", ended.stderr);
}

#[test]
fn explain_shows_a_failure_as_the_run_does() {
    let folder = Folder::new();
    let trap = folder.worker("trap.wasm", body::TRAP);
    host(["map", &trap, "-j1", "--attempts", "1"])
        .folder(folder.root())
        .input("x\n")
        .run()
        .exits(1);
    let texts = Texts::new("explain_shows_a_failure_as_the_run_does");
    host(["explain", "action", "1"])
        .folder(folder.root())
        .run()
        .exits(0)
        .stdout_kinds_to(&texts);
    texts.match_snapshot();
}

#[test]
fn panic_message_is_shown_without_runtime_frames() {
    let probe = crate::support::probe();
    let ended = host(["map", &probe, "--attempts", "2", "-j2"])
        .input("fall\n")
        .run()
        .exits(1);
    let ended = ended.stderr_is("panic_message_is_shown_without_runtime_frames");
    for machinery in ["rust_panic", "_RN", "_ZN", "std::panicking", "abort", "RUST_BACKTRACE"] {
        assert!(!ended.stderr.contains(machinery), "{machinery}: {}", ended.stderr);
    }
}

#[test]
fn failure_events_have_each_detail_in_its_own_field() {
    let folder = Folder::new();
    let trap = folder.worker("trap.wasm", body::TRAP);
    let events = host(["map", &trap, "--format", "json", "--attempts", "1"])
        .input("x\n")
        .run()
        .exits(1)
        .events();
    let failed = of_type(&events, "attempt-failed");
    assert_eq!(
        failed[0]["message"].as_str().unwrap().lines().next(),
        Some("trapped: wasm `unreachable` instruction executed")
    );
}
