//! Components are compiled in a child process: one that takes too much time or memory causes an error and nothing else.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, becomes_true, body, host};

/// A worker with further functions.
pub(crate) fn worker_with(folder: &Folder, functions: &str) -> String {
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    folder.guest(
        "bomb.wasm",
        &text.replacen("(func $reach", &format!("{functions}\n(func $reach"), 1),
    )
}

/// One function of about 7 MB, close to the size limit: it takes a compiler seconds and a gigabyte.
pub(crate) fn large_function() -> String {
    function_of(1_000_000)
}

/// A function of this many steps of seven bytes each.
pub(crate) fn function_of(steps: usize) -> String {
    format!(
        "(func (param i32) (result i32) (local.get 0) {})",
        "(i32.const 3) (i32.mul) (i32.load) ".repeat(steps)
    )
}

#[test]
fn component_over_the_compile_time_limit_fails() {
    let folder = Folder::new();
    let many = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))\n".repeat(100_000);
    let worker = worker_with(&folder, &many);
    let ended = host(["map", &worker, "--no-cache", "--compile-timeout", "300ms"])
        .input("a\n")
        .run()
        .exits(2);
    ended
        .prints("")
        .stderr_is("component_over_the_compile_time_limit_fails");
}

#[test]
fn component_over_the_compile_memory_limit_fails() {
    let folder = Folder::new();
    let worker = worker_with(&folder, &large_function());
    let ended = host(["map", &worker, "--no-cache", "--compile-memory", "512MiB"])
        .input("a\n")
        .run()
        .exits(2);
    ended
        .prints("")
        .stderr_is("component_over_the_compile_memory_limit_fails");
}

#[test]
fn function_over_the_size_limit_is_named() {
    let folder = Folder::new();
    let body = "(i32.const 3) (i32.mul) (i32.load) ".repeat(1_300_000);
    let worker = worker_with(
        &folder,
        &format!("(func (param i32) (result i32) (local.get 0) {body})"),
    );
    host(["map", &worker, "--no-cache"])
        .input("a\n")
        .run()
        .exits(2)
        .stderr_is("function_over_the_size_limit_is_named");
}

#[test]
fn trusted_component_compiled_in_process_gives_the_same_results() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    for flags in [&["--no-cache"][..], &["--no-cache", "--trust"]] {
        host(["map", &worker].iter().chain(flags))
            .input("a\nb\n")
            .run()
            .exits(0)
            .prints("a\nb\n");
    }
}

#[test]
fn compiler_out_of_memory_is_an_error_and_not_a_crash() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let ended = host(["map", &worker, "--no-cache", "--compile-memory", "1KiB"])
        .input("a\n")
        .run()
        .exits(2);
    ended.stderr_is("compiler_out_of_memory_is_an_error_and_not_a_crash");
}

#[test]
fn manifest_sets_the_compile_limits() {
    let folder = Folder::new();
    worker_with(&folder, &large_function());
    let text = "[worker]\ncomponent = \"bomb.wasm\"\n[compile]\nmemory = \"512MiB\"\ntimeout = \"1m\"\n";
    let manifest = folder.file("disperse.toml", text);
    let ended = host(["map", &manifest, "--no-cache"]).input("a\n").run().exits(2);
    ended.prints("").stderr_is("manifest_sets_the_compile_limits");
}

/// The child processes of a process.
pub(crate) fn children(parent: u32) -> Vec<i32> {
    let parent = format!("PPid:\t{parent}");
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        status.lines().any(|line| line == parent).then_some(id)
    });
    ids.collect()
}

/// Those of them that compile within this memory limit and have lowered all their limits; others inspect files.
pub(crate) fn compilers(parent: u32, memory: u64) -> impl Iterator<Item = i32> {
    let memory = memory.to_string();
    // The limit on files is lowered last.
    children(parent).into_iter().filter(move |process| {
        limit(*process, "Max data size").as_ref() == Some(&memory)
            && limit(*process, "Max file size").as_deref() == Some("0")
    })
}

/// A limit of a process that it cannot raise.
pub(crate) fn limit(process: i32, name: &str) -> Option<String> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().nth(1)?.to_owned())
}

fn is_running(process: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// The confinement of a compromised compiler: it can write no file and no core, has a limit of processor time,
/// and does not outlive the host, not even when it is stopped.
#[test]
fn compiler_process_is_confined_and_ends_with_the_host() {
    let folder = Folder::new();
    let worker = worker_with(&folder, &large_function());
    let mut live = host([
        "map",
        &worker,
        "--no-cache",
        "--compile-timeout",
        "50s",
        "--compile-memory",
        "3GiB",
    ])
    .start();
    let host = live.id();
    let mut compiler = 0;
    live.wait_until("a compiler with limits", |_, _| {
        compiler = compilers(host, 3 << 30).next().unwrap_or_default();
        compiler != 0
    });
    let pid = Pid::from_raw(compiler).unwrap();
    // It is stopped, so that it cannot end by itself.
    kill_process(pid, Signal::STOP).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    let limits = ["Max core file size", "Max data size", "Max cpu time"].map(|name| limit(compiler, name).unwrap());
    let environment = std::fs::read(format!("/proc/{compiler}/environ")).unwrap();
    live.send(Signal::KILL);
    let outlived = !becomes_true(Duration::from_secs(20), || !is_running(compiler));
    if outlived {
        kill_process(pid, Signal::KILL).unwrap();
    }
    assert!(!outlived, "the compiler outlived the host");
    assert_eq!(
        limits,
        ["0".to_owned(), (3u64 << 30).to_string(), (50 * cores + 1).to_string()]
    );
    let numbers = format!("MALLOC_ARENA_MAX={cores}\0RAYON_NUM_THREADS={cores}\0");
    assert_eq!(environment, numbers.as_bytes(), "the environment of the compiler");
}
