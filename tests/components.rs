//! Files that are no worker: what they are instead, what to do about it, and exit code 2 before anything runs.

use crate::support::{Ended, Folder, host, operation_text, wasm};

/// `map` and `inspect` on this file; what `map` ended with.
fn refused(path: &str) -> Ended {
    let inspected = host(["inspect", path]).run();
    assert_eq!(inspected.code, 2, "inspect: {}", inspected.stderr);
    host(["map", path])
        .input("a\n")
        .run()
        .exits(2)
        .prints("")
        .says(&["error: ", path, "hint: "])
}

#[test]
fn text_is_not_webassembly() {
    let folder = Folder::new();
    refused(&folder.file("words.wasm", "These are words.\n")).says(&["not WebAssembly"]);
}

#[test]
fn an_empty_file_is_not_webassembly() {
    let folder = Folder::new();
    refused(&folder.file("empty.wasm", "")).says(&["not WebAssembly"]);
}

#[test]
fn a_misspelt_export_is_named() {
    let folder = Folder::new();
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", "unreachable")
        .replace("{EXPORT}", "handel");
    refused(&folder.guest("misspelt.wasm", &text)).says(&["`handel` is near `handle`"]);
}

#[test]
fn a_part_of_a_role_is_an_error() {
    let folder = Folder::new();
    let text = operation_text(&[]).replace("(export \"finish\" (func $finish))", "");
    let partial = folder.guest("partial.wasm", &text);
    host(["run", &partial])
        .run()
        .exits(2)
        .prints("")
        .says(&["error: ", "`finish` is missing", "hint: "]);
}

#[test]
fn functions_that_are_not_valid_do_not_compile() {
    let folder = Folder::new();
    let path = folder.worker("untyped.wasm", "f32.const 1");
    refused(&path).says(&["does not compile", "type mismatch"]);
    host(["map", &path, "--trust"])
        .run()
        .exits(2)
        .says(&["does not compile", "type mismatch", "hint: "]);
    host(["inspect", &path])
        .run()
        .exits(2)
        .says(&["not valid", "type mismatch", "hint: "]);
}

#[test]
fn a_file_that_is_cut_short_is_not_valid() {
    let folder = Folder::new();
    let whole = std::fs::read(wasm("square")).unwrap();
    refused(&folder.file("cut.wasm", &whole[..whole.len() / 2])).says(&["not valid"]);
}

#[test]
fn a_worker_is_not_run_as_an_operation_and_an_operation_is_not_mapped_with() {
    let folder = Folder::new();
    host(["run", &wasm("square")])
        .run()
        .exits(2)
        .prints("")
        .says(&["error: ", "operation"]);
    let operation = folder.operation("operation.wasm", "run", "");
    host(["map", &operation])
        .input("a\n")
        .run()
        .exits(2)
        .prints("")
        .says(&["error: ", "worker"]);
}

#[test]
fn inspect_says_what_a_component_is() {
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
