//! Names and messages of a component: bounded wherever they are kept and shown, and escaped for terminals.

use super::attacks::stays_small;
use crate::support::{Folder, body, host, of_type};

/// A worker that traps eight functions deep. Each function and the module have a name of 99 KB.
fn with_long_names(folder: &Folder) -> String {
    let name = |letter: char| letter.to_string().repeat(99_000);
    let function = |depth: u8| {
        let inner = match depth {
            7 => "unreachable".to_owned(),
            _ => format!("(call ${})", name(char::from(b'b' + depth))),
        };
        format!(
            "(func ${} {inner} (drop (memory.size)))",
            name(char::from(b'a' + depth))
        )
    };
    let functions: String = (0..8).map(function).collect();
    let text = include_str!("../guests/worker.wat")
        .replace("{HANDLE}", &format!("(call ${}) unreachable", name('a')))
        .replace("{EXPORT}", "handle")
        .replace("(core module $guest", &format!("(core module ${}", name('m')))
        .replace("(instantiate $guest", &format!("(instantiate ${}", name('m')))
        .replace("(func $sink", &format!("{functions} (func $sink"));
    folder.guest("names.wasm", &text)
}

/// Each failure once had two megabytes, and was kept and printed several times: 5 GB in 8 s.
#[test]
fn long_names_in_backtraces_are_cut() {
    let folder = Folder::new();
    let worker = with_long_names(&folder);
    let args = ["map", &worker, "--workers", "100", "--host-memory", "64MiB"];
    let input = "a\n".repeat(600);
    let ended = host(args.iter().chain(&["--format", "json"]))
        .input(input.clone())
        .run();
    stays_small(ended.peak_memory);
    let events = ended.events();
    let failed = of_type(&events, "attempt-failed");
    assert!(!failed.is_empty());
    for event in failed {
        let message = event["message"].as_str().unwrap();
        assert!(
            message.contains(&"a".repeat(150)) || message.contains(&"h".repeat(150)),
            "{message}"
        );
        assert!(message.len() < 5000, "{} bytes", message.len());
    }
    for event in of_type(&events, "action-dead") {
        assert!(event["message"].as_str().unwrap().len() < 5000);
    }
    let ended = host(args.iter().chain(&["-v"])).input(input).run();
    stays_small(ended.peak_memory);
    assert!(ended.stderr.lines().all(|line| line.len() < 5000));
}

#[test]
fn names_in_backtraces_are_escaped_for_terminals() {
    let folder = Folder::new();
    let text = include_str!("../guests/worker.wat")
        .replace("{HANDLE}", "(call $\"a\\u{202e}b\\u{1b}[2Jc\\u{200b}d\") unreachable")
        .replace("{EXPORT}", "handle")
        .replace(
            "(func $sink",
            "(func $\"a\\u{202e}b\\u{1b}[2Jc\\u{200b}d\" unreachable) (func $sink",
        );
    let worker = folder.guest("names.wasm", &text);
    let ended = host(["map", &worker, "--attempts", "1"]).input("a\n").run().exits(1);
    let ended = ended.stderr_is("names_in_backtraces_are_escaped_for_terminals");
    assert!(
        !ended.stderr.contains(['\u{202e}', '\u{1b}', '\u{200b}']),
        "{}",
        ended.stderr
    );
}

#[test]
fn guest_text_is_escaped_for_terminals() {
    let folder = Folder::new();
    // It logs the text at 64: a right-to-left override and a zero-width space.
    let text = include_str!("../guests/worker.wat")
        .replace("{HANDLE}", body::RETRYABLE)
        .replace("{EXPORT}", "handle")
        .replace("it says no", "no\\e2\\80\\ae!\\e2\\80\\8b");
    let worker = folder.guest("words.wasm", &text);
    let ended = host(["map", &worker, "--attempts", "1"]).input("a\n").run().exits(1);
    let ended = ended.stderr_is("guest_text_is_escaped_for_terminals");
    assert!(!ended.stderr.contains(['\u{202e}', '\u{200b}']), "{}", ended.stderr);
}

#[test]
fn message_of_an_action_is_bounded_however_often_it_failed() {
    let folder = Folder::new();
    let worker = with_long_names(&folder);
    let ended = host([
        "map",
        &worker,
        "--attempts",
        "50",
        "--workers",
        "60",
        "--format",
        "json",
    ])
    .input("a\n")
    .run();
    let events = ended.events();
    for event in of_type(&events, "action-dead") {
        assert!(event["message"].as_str().unwrap().len() < 5000);
    }
    for event in of_type(&events, "task-ended") {
        assert!(event["error"].as_str().unwrap().len() < 5000);
    }
}
