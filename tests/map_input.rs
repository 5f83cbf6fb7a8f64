//! The inputs of `map` besides lines: `--null` and `--files`.

use crate::support::{Folder, body, host};

#[test]
fn zero_bytes_end_lines_and_results() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let run = |flag: &[&str], input: &str| {
        let args = ["map", &worker].into_iter().chain(flag.iter().copied());
        String::from_utf8(host(args).input(input).run().exits(0).stdout).unwrap()
    };
    for flag in ["--null", "-0"] {
        assert_eq!(run(&[flag], "a\nb\0\0c"), "a\nb\0\0c\0", "{flag}");
    }
    assert_eq!(run(&["-0", "--batch", "2"], "a\0b\0c\0"), "a\0b\0c\0");
    assert_eq!(run(&["-0"], ""), "");
}

#[test]
fn each_path_is_an_action_with_the_content_as_payload() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    folder.file("a", "first\nfile");
    folder.file("b c", "second");
    folder.file("empty", "");
    let run = |flags: &[&str], input: &str| {
        let args = ["map", &worker, "--files"].into_iter().chain(flags.iter().copied());
        host(args).folder(folder.root()).input(input).run()
    };
    run(&[], "a\nb c\nempty\n").exits(0).prints("first\nfile\nsecond\n\n");
    run(&["-0"], "a\0b c\0").exits(0).prints("first\nfile\0second\0");
    run(&["--batch", "2"], "a\n").exits(2);
}

#[test]
fn output_file_is_not_read_as_input() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    folder.file("a", "one");
    folder.file("data", "two");
    std::fs::hard_link(folder.path("data"), folder.path("other")).unwrap();
    host(["map", &worker, "--files", "--output", "data"])
        .folder(folder.root())
        .input("a\ndata\nother\na\n")
        .run()
        .exits(1)
        .stderr_is("output_file_is_not_read_as_input");
    assert_eq!(std::fs::read_to_string(folder.path("data")).unwrap(), "one\none\n");
}

#[test]
fn file_that_cannot_be_read_is_one_failed_action_without_an_attempt() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    folder.file("a", "one");
    folder.file("large", "x".repeat(100_000));
    let ended = host(["map", &worker, "--files", "--result-size", "64KiB", "--workers", "1"])
        .folder(folder.root())
        .input("a\nno such\n.\nlarge\n\na\n")
        .run()
        .exits(1)
        .prints("one\none\n");
    let ended = ended.stderr_is("file_that_cannot_be_read_is_one_failed_action_without_an_attempt");
    let row: Vec<&str> = ended.row("line").split_whitespace().collect();
    assert_eq!(row[1], "2", "only what was read was asked for: {row:?}");
}

#[test]
fn many_large_files_are_read_within_the_memory_limit() {
    let folder = Folder::new();
    let worker = folder.worker("slow.wasm", body::SLOW_ECHO);
    let large = folder.file("large", "x".repeat(4 << 20));
    let args = [
        "map",
        &worker,
        "--files",
        "--output",
        "/dev/null",
        "--host-memory",
        "256MiB",
    ];
    let ended = host(args).input(format!("{large}\n").repeat(200)).run().exits(0);
    // All of them are 800 MiB.
    assert!(
        ended.peak_memory.is_none_or(|peak| peak < 600),
        "{:?} MiB",
        ended.peak_memory
    );
}
