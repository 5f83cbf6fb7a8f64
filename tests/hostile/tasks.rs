//! Tasks and planners whose requests exceed a limit.

use crate::support::{Ended, Folder, Texts, body, host, operation_text};

/// Runs an operation with one task, whose `run` has this body.
fn asked(run: &str) -> Ended {
    let folder = Folder::new();
    let text = include_str!("../guests/asker.wat").replace("{RUN}", run);
    let operation = folder.guest("asker.wasm", &text);
    let worker = folder.worker("echo.wasm", body::ECHO);
    let ended = host(["run", &operation, "--worker", &worker]).run().exits(1);
    ended.prints("")
}

#[test]
fn task_that_never_takes_outcomes_is_stopped_by_the_handle_limit() {
    asked("(loop $again (drop (call $submit (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 6))) (br $again))")
        .stderr_is("task_that_never_takes_outcomes_is_stopped_by_the_handle_limit");
}

/// Kinds were once stored without being counted: up to 1,024 times the guest's memory.
#[test]
fn kind_over_the_length_limit_fails_the_task() {
    asked("(drop (call $submit (i32.const 64) (i32.const 257) (i32.const 64) (i32.const 6)))")
        .stderr_is("kind_over_the_length_limit_fails_the_task");
}

#[test]
fn output_one_byte_over_the_limit_fails() {
    asked("(drop (memory.grow (i32.const 200))) (call $output (i32.const 64) (i32.const 8388609))")
        .stderr_is("output_one_byte_over_the_limit_fails");
}

/// Performs one action with a payload of this many bytes, and traps unless its outcome has this case and this reason.
fn performed(payload: u32, case: u32, reason: u32) -> String {
    format!(
        "(drop (memory.grow (i32.const 300)))
         (i32.store (i32.const 128) (i32.const 64)) (i32.store (i32.const 132) (i32.const 1))
         (i32.store (i32.const 136) (i32.const 64)) (i32.store (i32.const 140) (i32.const {payload}))
         (call $perform-all (i32.const 128) (i32.const 1) (i32.const 32))
         (if (i32.ne (i32.load8_u (i32.load (i32.const 32))) (i32.const {case})) (then (unreachable)))
         (if (i32.ne (i32.load8_u offset=4 (i32.load (i32.const 32))) (i32.const {reason})) (then (unreachable)))"
    )
}

/// Runs a task with this body and a worker for these kinds.
fn ran(run: &str, kinds: &str) -> Ended {
    let folder = Folder::new();
    let text = include_str!("../guests/asker.wat").replace("{RUN}", run);
    folder.guest("asker.wasm", &text);
    folder.worker("echo.wasm", body::ECHO);
    let manifest = format!(
        "[operation]\ncomponent = \"asker.wasm\"\n[[pool]]\nname = \"p\"\ncomponent = \"echo.wasm\"\nworkers = 1\nkinds = {kinds}\n"
    );
    let manifest = folder.file("disperse.toml", manifest);
    host(["run", &manifest]).run()
}

#[test]
fn payload_one_byte_over_the_limit_gets_oversize() {
    ran(&performed(8_388_609, 1, 6), "[]")
        .exits(0)
        .stderr_is("payload_one_byte_over_the_limit_gets_oversize");
}

#[test]
fn unserved_kind_sets_the_exit_code_even_if_the_task_handles_it() {
    ran(&performed(6, 1, 3), "[\"other\"]")
        .exits(3)
        .stderr_is("unserved_kind_sets_the_exit_code_even_if_the_task_handles_it");
}

/// An async task need not wait for capacity, so its further requests are kept; their number was once unlimited.
#[test]
fn async_task_over_the_limit_of_kept_requests_is_stopped() {
    let folder = Folder::new();
    let run = "(loop $again
        (drop (call $submit (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 8000000))) (br $again)) unreachable";
    let operation = folder.guest(
        "async-asker.wasm",
        &include_str!("../guests/async-asker.wat").replace("{RUN}", run),
    );
    let worker = folder.worker("endless.wasm", body::ENDLESS);
    // Otherwise the limit on handles would end it.
    let args = [
        "run",
        &operation,
        "--worker",
        &worker,
        "--host-memory",
        "64MiB",
        "--handles",
        "100",
    ];
    host(args)
        .run()
        .exits(1)
        .stderr_is("async_task_over_the_limit_of_kept_requests_is_stopped");
}

/// Dropped requests were once kept until the guest was idle, which this one never is: it grew by 100 MB a second.
#[test]
fn dropped_requests_of_an_async_task_use_no_memory() {
    let texts = Texts::new("dropped_requests_of_an_async_task_use_no_memory");
    for asked in [
        "(call $drop-woken (call $sleep (i32.const -1)))",
        "(call $drop-woken (call $sleep (i32.const 0)))",
        "(call $drop-answer (call $submit (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 6)))",
    ] {
        let folder = Folder::new();
        let count = "(global.set $handed (i32.add (global.get $handed) (i32.const 1)))";
        let run = format!(
            "(loop $again {asked} {count} (br_if $again (i32.lt_u (global.get $handed) (i32.const 1000000)))) unreachable"
        );
        let operation = folder.guest("dropper.wasm", &dropper(&run));
        let worker = folder.worker("echo.wasm", body::ECHO);
        let ended = host(["run", &operation, "--worker", &worker, "--fuel", "1000T"])
            .run()
            .exits(1)
            .stderr_to(&texts);
        if let Some(peak) = ended.peak_memory {
            assert!(peak < 100, "the host had {peak} MiB");
        }
    }
    texts.match_snapshot();
}

/// An async operation that can sleep and drop its futures, too; see `guests/async-asker.wat`.
fn dropper(run: &str) -> String {
    let mut text = include_str!("../guests/async-asker.wat").replace("{RUN}", run);
    for (place, more) in [
        (
            "\n  (core module $room",
            r#"
  (type $payload (list u8))
  (type $settled (result $payload (error $refusal)))
  (type $answer (future $settled))
  (type $woken (future u32))"#,
        ),
        (
            "\n  (core module $guest",
            r#"
  (core func $drop-answer (canon future.drop-readable $answer))
  (core func $sleep (canon lower (func $host "sleep")))
  (core func $drop-woken (canon future.drop-readable $woken))"#,
        ),
        (
            "\n    (global $handed",
            r#"
    (import "host" "drop-answer" (func $drop-answer (param i32)))
    (import "host" "sleep" (func $sleep (param $ms i32) (result i32)))
    (import "host" "drop-woken" (func $drop-woken (param i32)))"#,
        ),
        (
            r#"(export "submit" (func $submit))"#,
            r#"(export "drop-answer" (func $drop-answer)) (export "sleep" (func $sleep))
      (export "drop-woken" (func $drop-woken))"#,
        ),
        (
            "\n    (export \"submit\"",
            r#"
    (type $a-sleep (future u32))
    (export "sleep" (func (param "duration" u32) (result $a-sleep)))"#,
        ),
    ] {
        let (before, after) = text.split_once(place).expect("its place");
        text = format!("{before}{more}{place}{after}");
    }
    text
}

#[test]
fn million_actions_in_one_call_fail() {
    asked(
        "(drop (memory.grow (i32.const 400))) (call $perform-all (i32.const 65536) (i32.const 1000000) (i32.const 32))",
    )
    .stderr_is("million_actions_in_one_call_fail");
}

/// The most memory of the host beside tiny guests, in MiB. The code of two engines and the threads take 60.
const CEILING: u64 = 250;

#[test]
fn endless_tasks_start_only_up_to_the_limit() {
    let folder = Folder::new();
    // The planner frees everything that it collects.
    let text = operation_text(&[
        (
            "next",
            "(return (call $say (i32.const 1) (i32.const 64) (i32.const 6)))",
        ),
        ("collect", "(global.set $free (i32.const 1024))"),
    ]);
    stays_below(CEILING, &folder, &text, &[]);
}

/// Runs an endless operation for three seconds and checks that the host stays below this many MiB.
fn stays_below(ceiling: u64, folder: &Folder, operation: &str, flags: &[&str]) {
    let operation = folder.guest("endless.wasm", operation);
    let worker = folder.worker("echo.wasm", body::ECHO);
    let args = ["run", &operation, "--worker", &worker];
    let mut live = host(args.iter().chain(flags)).once("").start();
    let began = std::time::Instant::now();
    live.wait_until("three seconds", |_, _| began.elapsed().as_secs() >= 3);
    if let Some(peak) = live.peak_memory() {
        assert!(peak < ceiling, "the host had {peak} MiB");
    }
}

#[test]
fn uncollected_results_count_as_tasks_in_flight() {
    let folder = Folder::new();
    // Five hundred tasks may be in flight, each ends at once with 4 MiB, and the planner is slow with each of them.
    let text = operation_text(&[
        (
            "next",
            "(if (i32.lt_u (memory.size) (i32.const 100)) (then (drop (memory.grow (i32.const 100)))))
             (return (call $say (i32.const 1) (i32.const 64) (i32.const 6)))",
        ),
        (
            "run",
            "(drop (memory.grow (i32.const 100)))
             (return (call $say (i32.const 0) (i32.const 1024) (i32.const 4194304)))",
        ),
        (
            "collect",
            "(global.set $free (i32.const 1024))
             (loop $again
               (global.set $handed (i32.add (global.get $handed) (i32.const 1)))
               (br_if $again (i32.and (global.get $handed) (i32.const 0x3ffffff))))",
        ),
    ]);
    // They would take 2 GiB.
    stays_below(
        2 * CEILING,
        &folder,
        &text,
        &["--tasks", "500", "--host-memory", "64MiB"],
    );
}

#[test]
fn long_error_of_a_task_is_cut() {
    let folder = Folder::new();
    let run = "(drop (memory.grow (i32.const 100)))
               (memory.fill (i32.const 1024) (i32.const 65) (i32.const 4194304))
               (return (call $say (i32.const 1) (i32.const 1024) (i32.const 4194304)))";
    let operation = folder.operation("long.wasm", "run", run);
    let worker = folder.worker("echo.wasm", body::ECHO);
    let args = [
        "run",
        &operation,
        "--worker",
        &worker,
        "--result-size",
        "1KiB",
        "--format",
        "json",
    ];
    let ended = host(args).input("").run().exits(1);
    let events = ended.events();
    let error = crate::support::of_type(&events, "task-ended")[0]["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(error, format!("{}…", "A".repeat(1024)));
}
