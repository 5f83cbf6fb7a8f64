//! Compiling is done apart: a component that is slow or large to compile costs an error and nothing else.

use crate::support::{Folder, body, host};

/// A worker with further functions.
fn worker_with(folder: &Folder, functions: &str) -> String {
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    folder.guest(
        "bomb.wasm",
        &text.replacen("(func $reach", &format!("{functions}\n(func $reach"), 1),
    )
}

/// One function of about seven megabytes, as large as one may be: seconds and a gigabyte for a compiler.
fn large_function() -> String {
    format!(
        "(func (param i32) (result i32) (local.get 0) {})",
        "(i32.const 3) (i32.mul) (i32.load) ".repeat(1_000_000)
    )
}

#[test]
fn a_component_that_is_slow_to_compile_is_given_up() {
    let folder = Folder::new();
    let many = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))\n".repeat(100_000);
    let worker = worker_with(&folder, &many);
    let ended = host(["map", &worker, "--no-cache", "--compile-timeout", "300ms"])
        .input("a\n")
        .run()
        .exits(2);
    ended
        .prints("")
        .says(&["was not compiled within 300ms", "--compile-timeout"]);
}

#[test]
fn a_component_that_is_large_to_compile_is_given_up() {
    let folder = Folder::new();
    let worker = worker_with(&folder, &large_function());
    let ended = host(["map", &worker, "--no-cache", "--compile-memory", "512MiB"])
        .input("a\n")
        .run()
        .exits(2);
    ended
        .prints("")
        .says(&["more than 512MiB of memory", "--compile-memory"]);
}

#[test]
fn a_function_over_the_size_that_one_may_have_is_named() {
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
        .says(&["not valid", "function body"]);
}

#[test]
fn what_is_trusted_is_compiled_within_the_host_and_does_the_same() {
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
fn a_compiler_without_room_is_an_error_and_not_a_crash() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let ended = host(["map", &worker, "--no-cache", "--compile-memory", "1MiB"])
        .input("a\n")
        .run()
        .exits(2);
    ended.says(&["--compile-memory"]);
}

#[test]
fn a_manifest_says_how_much_compiling_may_take() {
    let folder = Folder::new();
    worker_with(&folder, &large_function());
    let text = "[worker]\ncomponent = \"bomb.wasm\"\n[compile]\nmemory = \"512MiB\"\ntimeout = \"1m\"\n";
    let manifest = folder.file("disperse.toml", text);
    let ended = host(["map", &manifest, "--no-cache"]).input("a\n").run().exits(2);
    ended.prints("").says(&["more than 512MiB of memory"]);
}
