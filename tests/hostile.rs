//! Workers that exceed a limit: the message names the limit and the flag that raises it, and nothing hangs.

pub(crate) mod attacks;
pub(crate) mod collected;
mod components;
mod files;
mod folders;
mod heavy;
mod holding;
pub(crate) mod operations;
mod readers;
mod shares;
mod tasks;
mod texts;

use crate::support::{Ended, Folder, body, has, host};

/// Runs three lines on a worker with this body.
fn attacked(handle: &str, flags: &[&str]) -> Ended {
    let folder = Folder::new();
    let worker = folder.worker("hostile.wasm", handle);
    let args = ["map", &worker, "--attempts", "2"];
    let ended = host(args.iter().chain(flags)).input("a\nb\nc\n").run().exits(1);
    ended.prints("")
}

#[test]
fn huge_result_fails_the_attempt() {
    let flags = ["--memory", "256MiB"];
    attacked(&body::large(100 << 20), &flags).stderr_is("huge_result_fails_the_attempt");
}

#[test]
fn result_over_the_limit_fails_and_result_at_the_limit_succeeds() {
    attacked(&body::large((8 << 20) + 1), &[])
        .stderr_is("result_over_the_limit_fails_and_result_at_the_limit_succeeds");

    let folder = Folder::new();
    for (size, flags) in [(8 << 20, &[][..]), ((8 << 20) + 1, &["--result-size", "9MiB"])] {
        let worker = folder.worker("large.wasm", &body::large(size));
        let ended = host(["map", &worker].iter().chain(flags)).input("a\n").run().exits(0);
        assert_eq!(ended.stdout.len(), size as usize + 1);
    }
}

#[test]
fn pointer_out_of_bounds_fails_only_the_attempt() {
    let everywhere = "(call $answer (i32.const 0x7fff0000) (i32.const 0x7fff0000))";
    attacked(everywhere, &[]);
    attacked("(i32.const -4)", &[]);
    attacked("(i32.store8 (i32.const 16) (i32.const 77)) (i32.const 16)", &[]);
}

/// Runs three lines on workers with this start function; there are enough of them for one to be evicted.
fn stillborn(start: &str, workers: u32, flags: &[&str]) -> Ended {
    let folder = Folder::new();
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    let module = format!("(core module $guest (start $at) (func $at {start})");
    folder.guest("stillborn.wasm", &text.replacen("(core module $guest", &module, 1));
    let manifest = folder.file(
        "disperse.toml",
        r#"
            [worker]
            component = "stillborn.wasm"

            [health]
            quarantine = "20ms"
            evict-after = 2
        "#,
    );
    let workers = workers.to_string();
    let args = [
        "map",
        &manifest,
        "--attempts",
        "2",
        "--fuel",
        "20M",
        "--workers",
        &workers,
    ];
    let ended = host(args.iter().chain(flags)).input("a\nb\nc\n").run().exits(3);
    ended.prints("")
}

#[test]
fn workers_whose_start_traps_are_evicted() {
    for workers in [1, 3] {
        let ended = stillborn("unreachable", workers, &["-v"]);
        let words = ["could not be started", "evicted: it can do no more work"];
        has("stderr", &ended.stderr, &words);
    }
}

#[test]
fn start_failure_of_a_worker_is_reported_once() {
    let ended = stillborn("unreachable", 3, &[]);
    for worker in ["stillborn/1", "stillborn/2", "stillborn/3"] {
        let warning = format!("warning: worker {worker}: could not be started: ");
        let told: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with(&warning)).collect();
        assert_eq!(told.len(), 1, "{worker}:\n{}", ended.stderr);
        assert!(told[0].contains("unreachable"), "{told:?}");
    }
    let ended = stillborn("unreachable", 3, &["-q"]);
    assert!(!ended.stderr.contains("warning: "), "{}", ended.stderr);
}

#[test]
fn workers_whose_start_never_ends_are_evicted() {
    stillborn("(loop $again (br $again))", 1, &["-v"]).stderr_is("workers_whose_start_never_ends_are_evicted");
}
