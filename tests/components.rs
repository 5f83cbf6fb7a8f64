//! Files that are not workers: the error says what they are and what to do, with exit code 2 before anything runs.

use crate::support::{Ended, Folder, Texts, host, operation_text, wasm};

/// Runs `map` and `inspect` on this file and returns the end of `map`.
fn refused(path: &str) -> Ended {
    let inspected = host(["inspect", path]).run();
    assert_eq!(inspected.code, 2, "inspect: {}", inspected.stderr);
    host(["map", path]).input("a\n").run().exits(2).prints("")
}

#[test]
fn text_is_not_webassembly() {
    let folder = Folder::new();
    refused(&folder.file("words.wasm", "These are words.\n")).stderr_is("text_is_not_webassembly");
}

#[test]
fn an_empty_file_is_not_webassembly() {
    let folder = Folder::new();
    refused(&folder.file("empty.wasm", "")).stderr_is("an_empty_file_is_not_webassembly");
}

#[test]
fn a_misspelt_export_is_named() {
    let folder = Folder::new();
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", "unreachable")
        .replace("{EXPORT}", "handel");
    refused(&folder.guest("misspelt.wasm", &text)).stderr_is("a_misspelt_export_is_named");
}

#[test]
fn partly_exported_role_is_an_error() {
    let folder = Folder::new();
    let text = operation_text(&[]).replace("(export \"finish\" (func $finish))", "");
    let partial = folder.guest("partial.wasm", &text);
    host(["run", &partial])
        .run()
        .exits(2)
        .prints("")
        .stderr_is("partly_exported_role_is_an_error");
}

#[test]
fn invalid_functions_do_not_compile() {
    let texts = Texts::new("invalid_functions_do_not_compile");
    let folder = Folder::new();
    let path = folder.worker("untyped.wasm", "f32.const 1");
    refused(&path).stderr_to(&texts);
    host(["map", &path, "--trust"]).run().exits(2).stderr_to(&texts);
    host(["inspect", &path]).run().exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn truncated_file_is_invalid() {
    let folder = Folder::new();
    let whole = std::fs::read(wasm("square")).unwrap();
    refused(&folder.file("cut.wasm", &whole[..whole.len() / 2])).stderr_is("truncated_file_is_invalid");
}

#[test]
fn run_rejects_a_worker_and_map_rejects_an_operation() {
    let texts = Texts::new("run_rejects_a_worker_and_map_rejects_an_operation");
    let folder = Folder::new();
    host(["run", &wasm("square")])
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    let operation = folder.operation("operation.wasm", "run", "");
    host(["map", &operation])
        .input("a\n")
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn inspect_reports_the_role_of_a_component() {
    let worker = host(["inspect", &wasm("square")]).run().exits(0);
    assert!(
        worker.out().contains("worker") && worker.out().contains("handle"),
        "{}",
        worker.out()
    );
    let both = host(["inspect", &wasm("mandelbrot")]).run().exits(0);
    for word in ["operation", "worker", "next", "collect"] {
        assert!(both.out().contains(word), "{word}: {}", both.out());
    }
    let asynchronous = host(["inspect", &wasm("roll_call")]).run().exits(0);
    assert!(asynchronous.out().contains("async"), "{}", asynchronous.out());
}
