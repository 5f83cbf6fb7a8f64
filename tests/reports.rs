//! What is said of failures: how much, in which words, and what all of them have in common.

use crate::support::{Folder, body, host, of_type};

/// A worker that refuses every line for good.
const STRICT: &str = "(call $refuse (i32.const 1))";

#[test]
fn one_reason_of_many_failures_is_said_once_for_all() {
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", STRICT);
    let ended = host(["map", &strict]).input("x\n".repeat(5000)).run().exits(1);
    let ended = ended.says(&[
        "… and 4990 more lines like these",
        "everything failed: all 5000 failures have one reason: it says no (first: line ",
    ]);
    let told = ended.stderr.lines().filter(|line| line.starts_with("error: line "));
    assert_eq!(told.count(), 10, "{}", ended.stderr);
    // Errors are what -q leaves, and this one sums them up.
    let quiet = host(["map", "-q", &strict]).input("x\n".repeat(5000)).run().exits(1);
    let quiet = quiet.says(&["all 5000 failures have one reason"]);
    assert!(!quiet.stderr.contains("tasks done"), "{}", quiet.stderr);
}

#[test]
fn failures_are_counted_by_reason_and_each_reason_is_told() {
    let folder = Folder::new();
    // A line of one byte traps, one of two is refused, the others are echoed.
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
    ended.says(&[
        "error: line 301: its one attempt failed",
        "301 failures, by reason:\n  300  it says no (first: line ",
        "\n    1  trapped: wasm `unreachable` instruction executed (first: line 301)\n",
    ]);
}

#[test]
fn dead_action_is_told_once() {
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", STRICT);
    let flaky = crate::support::wasm("word_count");
    let ended = host(["run", &flaky, "--worker", &strict])
        .input("a b c\n")
        .run()
        .exits(1);
    let ended = ended.says(&[
        "is dead, permanent: it can never work\n    attempt 1 on strict/1: it says no\n",
        "error: task 1: permanent: action 1 failed as told above\n",
    ]);
    // Beside that the operation itself says it.
    let by_host = ended.stderr.split("error: the operation failed").next().unwrap();
    let lines = by_host.lines().filter(|line| line.contains("it says no"));
    assert!(lines.count() <= 2, "{}", ended.stderr);
}

#[test]
fn explain_tells_a_failure_in_the_same_words() {
    let folder = Folder::new();
    let trap = folder.worker("trap.wasm", body::TRAP);
    host(["map", &trap, "-j1", "--attempts", "1"])
        .folder(folder.root())
        .input("x\n")
        .run()
        .exits(1);
    let explained = host(["explain", "action", "1"]).folder(folder.root()).run().exits(0);
    let said = explained.out();
    assert!(
        said.contains("trap: trapped: wasm `unreachable` instruction executed"),
        "{said}"
    );
    assert!(!said.contains("it the worker") && !said.contains("it it "), "{said}");
}

#[test]
fn panic_is_told_in_the_guests_own_words_without_machinery() {
    let probe = crate::support::probe();
    let ended = host(["map", &probe, "--attempts", "2", "-j2"])
        .input("fall\n")
        .run()
        .exits(1);
    let ended = ended.says(&[
        ": panicked at src/lib.rs:",
        ": index out of bounds: the len is ",
        "\n      trapped: wasm `unreachable` instruction executed",
    ]);
    for machinery in ["rust_panic", "_RN", "_ZN", "std::panicking", "abort", "RUST_BACKTRACE"] {
        assert!(!ended.stderr.contains(machinery), "{machinery}: {}", ended.stderr);
    }
}

#[test]
fn events_of_failures_have_all_words_apart() {
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
