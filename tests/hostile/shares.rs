//! Pools whose guests take as much of the engine and of memory as they can: an honest pool beside them continues, and the host
//! stays within its limits.

use super::{
    attacks::{calling, concurrent},
    operations::{Place, operation},
};
use crate::support::{Folder, Live, body, has, host, operation_text};

/// Logs [`HELD`], and then waits for longer than a test takes.
const HOLD: &str = "(call $log (i32.const 1) (i32.const 64) (i32.const 10))
    (call $block (call $subscribe (i64.const 3600000000000))) unreachable";
/// The log line of [`HOLD`].
const HELD: &str = "it says no";

/// Allocates this many bytes and touches all of them.
fn take(bytes: u32) -> String {
    format!(
        "(call $reach (i32.const {bytes})) (memory.fill (i32.const 65536) (i32.const 1) (i32.const {}))",
        bytes - 65536
    )
}

/// Answers with this letter.
fn answers(letter: char) -> String {
    format!(
        "(i32.store8 (i32.const 512) (i32.const {})) (call $answer (i32.const 512) (i32.const 1))",
        u32::from(letter)
    )
}

/// A worker with this body and more fields in its component.
fn with(text: &str, more: &str) -> String {
    let instance = "(core instance $room (instantiate $room";
    text.replacen(instance, &format!("{more}\n{instance}"), 1)
}

/// See `guests/stacks.wat`; this many wait.
fn stacks(count: u32) -> String {
    let each = |one: &dyn Fn(u32) -> String| (0..count).map(one).collect::<String>();
    include_str!("../guests/stacks.wat")
        .replace(
            "{WAITERS}",
            &each(&|i| format!("(instance $w{i} (instantiate $Waiter (with \"never\" (func $never \"never\"))))\n")),
        )
        .replace(
            "{IMPORTS}",
            &each(&|i| format!("(import \"w{i}\" (func $x{i} async))\n")),
        )
        .replace(
            "{LOWERED}",
            &each(&|i| format!("(core func $w{i} (canon lower (func $x{i}) async))\n")),
        )
        .replace(
            "{CORE-IMPORTS}",
            &each(&|i| format!("(import \"waiters\" \"w{i}\" (func $w{i} (result i32)))\n")),
        )
        .replace("{CALLS}", &each(&|i| format!("(drop (call $w{i}))")))
        .replace("{EXPORTS}", &each(&|i| format!("(export \"w{i}\" (func $w{i}))")))
        .replace("{WITH}", &each(&|i| format!("(with \"w{i}\" (func $w{i} \"wait\"))")))
}

/// Endless lines for two honest workers, which answer `h` and restart for each line, and for this many hogs.
fn beside(folder: &Folder, hog: &str, hogs: u32, honest: &str, flags: &[&str]) -> Live {
    folder.guest("honest.wasm", honest);
    folder.guest("hog.wasm", hog);
    let manifest = folder.file(
        "disperse.toml",
        format!(
            r#"
                [limits]
                fuel = "1000T"
                timeout = "1h"

                [[pool]]
                name = "honest"
                component = "honest.wasm"
                kinds = ["line"]
                workers = 2
                fresh = true

                [[pool]]
                name = "hog"
                component = "hog.wasm"
                kinds = ["line"]
                workers = {hogs}
            "#
        ),
    );
    host(["map", &manifest, "--unordered", "-v"].iter().chain(flags))
        .endless("x\n")
        .start()
}

/// Waits until this many hogs hold all they can, and then until the honest workers have completed `more` lines. No attempt fails
/// meanwhile.
fn goes_on(live: &mut Live, holding: usize, more: usize) {
    let honest = |stdout: &[u8]| stdout.iter().filter(|byte| **byte == b'h').count();
    let mut begun = None;
    live.wait_until("honest answers beside all hogs", |stdout, stderr| {
        for words in ["could not be started", "maximum concurrent limit", "failed"] {
            assert!(!stderr.contains(words), "{stderr}");
        }
        if stderr.matches(HELD).count() < holding {
            return false;
        }
        let done = honest(stdout);
        done >= *begun.get_or_insert(done) + more
    });
}

#[test]
fn tables_of_one_pool_do_not_starve_another() {
    let folder = Folder::new();
    let tables = "(table 1 funcref)".repeat(62);
    let hog = with(
        &calling(HOLD),
        &format!("(core module $tables {tables}) (core instance (instantiate $tables))"),
    );
    let mut live = beside(&folder, &hog, 100, &calling(&answers('h')), &[]);
    goes_on(&mut live, 100, 200);
}

#[test]
fn memories_of_one_pool_do_not_starve_another() {
    let folder = Folder::new();
    let memories = "(memory 0)".repeat(7);
    let hog = with(
        &calling(HOLD),
        &format!("(core module $memories {memories}) (core instance (instantiate $memories))"),
    );
    // Each takes the capacity of four instances, and an eighth of a thousand is guaranteed to the honest pool.
    let mut live = beside(&folder, &hog, 300, &calling(&answers('h')), &[]);
    goes_on(&mut live, 187, 200);
}

#[test]
fn stacks_of_one_pool_do_not_starve_another() {
    let folder = Folder::new();
    let honest = "(i32.store8 (i32.const 512) (i32.const 104))
        (call $return (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 0)) (i32.const 0)";
    let mut live = beside(&folder, &stacks(55), 40, &concurrent(honest), &[]);
    goes_on(&mut live, 0, 2000);
}

/// The memory of all guests in these tests, in MiB.
const HOST_MEMORY: u64 = 256;

#[test]
fn memory_of_one_pool_does_not_starve_another_and_the_host_keeps_its_limit() {
    let folder = Folder::new();
    let hog = calling(&format!("{} {HOLD}", take(62_000_000)));
    let limit = format!("{HOST_MEMORY}MiB");
    let mut live = beside(&folder, &hog, 16, &calling(&answers('h')), &["--host-memory", &limit]);
    // Two fit into the memory that is not guaranteed to others.
    goes_on(&mut live, 2, 500);
    if let Some(peak) = live.peak_memory() {
        assert!(peak < 2 * HOST_MEMORY, "the host had {peak} MiB");
    }
}

#[test]
fn workers_that_all_need_much_memory_finish() {
    for (workers, bytes, host_memory) in [(2, 40_000_000, 64), (8, 25_000_000, 64), (16, 62_000_000, HOST_MEMORY)] {
        let folder = Folder::new();
        let handle = format!("{} {}", take(bytes), answers('h'));
        let worker = folder.guest("large.wasm", &calling(&handle));
        let lines = workers * 4;
        let (workers, limit) = (workers.to_string(), format!("{host_memory}MiB"));
        let args = [
            "map",
            &worker,
            "--workers",
            &workers,
            "--host-memory",
            &limit,
            "--attempts",
            "1",
        ];
        let ended = host(args).input("x\n".repeat(lines)).run().exits(0);
        assert_eq!(ended.out(), "h\n".repeat(lines));
        if let Some(peak) = ended.peak_memory {
            assert!(peak < 2 * host_memory, "the host had {peak} of {limit}");
        }
    }
}

#[test]
fn fresh_workers_that_all_need_much_memory_finish() {
    let folder = Folder::new();
    let handle = format!("{} {}", take(40_000_000), answers('h'));
    folder.guest("large.wasm", &calling(&handle));
    let manifest = folder.file(
        "disperse.toml",
        "[[pool]]\nname = \"large\"\ncomponent = \"large.wasm\"\nkinds = [\"line\"]\nworkers = 6\nfresh = true\n",
    );
    let args = ["map", &manifest, "--host-memory", "64MiB", "--attempts", "1"];
    host(args)
        .input("x\n".repeat(12))
        .run()
        .exits(0)
        .prints(&"h\n".repeat(12));
}

#[test]
fn memory_over_the_limit_of_an_instance_is_reported_with_the_reason() {
    let folder = Folder::new();
    let worker = folder.guest("large.wasm", &calling(&format!("{} {}", take(62_000_000), body::ECHO)));
    let args = ["map", &worker, "--host-memory", "64MiB", "--attempts", "1"];
    host(args)
        .input("x\n")
        .run()
        .exits(1)
        .stderr_is("memory_over_the_limit_of_an_instance_is_reported_with_the_reason");
}

#[test]
fn tasks_that_all_need_much_memory_finish() {
    let folder = Folder::new();
    let text = operation_text(&[
        (
            "next",
            "(global.set $free (i32.const 1024))
             (if (i32.lt_u (global.get $handed) (i32.const 12)) (then
               (global.set $handed (i32.add (global.get $handed) (i32.const 1)))
               (return (call $say (i32.const 1) (i32.const 64) (i32.const 6)))))",
        ),
        (
            "run",
            "(if (i32.eq (memory.grow (i32.const 300)) (i32.const -1)) (then unreachable))
             (memory.fill (i32.const 65536) (i32.const 1) (i32.const 19000000))",
        ),
        ("collect", "(global.set $free (i32.const 1024))"),
    ]);
    let operation = folder.guest("large.wasm", &text);
    let worker = folder.worker("echo.wasm", body::ECHO);
    let args = [
        "run",
        &operation,
        "--worker",
        &worker,
        "--tasks",
        "12",
        "--host-memory",
        "64MiB",
    ];
    let ended = host(args).run().exits(0);
    has("stderr", &ended.stderr, &["12 tasks done, 0 failed"]);
    if let Some(peak) = ended.peak_memory {
        assert!(peak < 2 * 64, "the host had {peak} MiB");
    }
}

/// Each task holds an instance while it waits for a worker, and there are as many tasks as instances.
#[test]
fn thousand_tasks_in_flight_leave_four_workers_their_instances() {
    let folder = Folder::new();
    let operation = folder.guest("tasks.wasm", &operation(Place::Run, "", 2000, 0));
    let worker = folder.worker("echo.wasm", body::SLOW_ECHO);
    let args = [
        "run",
        &operation,
        "--worker",
        &worker,
        "--workers",
        "4",
        "--tasks",
        "1000",
    ];
    let ended = host(args).run().exits(0);
    has("stderr", &ended.stderr, &["2000 tasks done, 0 failed"]);
}
