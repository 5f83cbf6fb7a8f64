//! WASI 0.3: a program, and a worker that imports async functions. Their grants and limits are the same as
//! with WASI 0.2.

use crate::{
    server::{Server, ok},
    support::{Ended, Folder, Texts, host, preview3, preview3_worker},
};

/// Runs the program on these lines, with one attempt each.
fn program(lines: &[&str], flags: &[&str]) -> Ended {
    let program = preview3();
    let args = ["map", &program, "--attempts", "1", "--workers", "1"];
    host(args.iter().chain(flags)).input(lines.join("\n") + "\n").run()
}

/// Runs the worker on one line, with one attempt.
fn worker(line: &str, flags: &[&str]) -> Ended {
    let worker = preview3_worker();
    let args = ["map", &worker, "--attempts", "1", "--workers", "1"];
    host(args.iter().chain(flags)).input(format!("{line}\n")).run()
}

#[test]
fn program_has_stdin_stdout_settings_clock_and_randomness() {
    let lines = ["echo one two", "env", "wait 5", "random 100"];
    program(&lines, &["--env", "COLOR=red", "--kind", "shout"])
        .exits(0)
        .prints("one two\nCOLOR=red DISPERSE_KIND=shout\nwaited\n100\n");
}

#[test]
fn exit_status_of_a_program_classifies_its_failure() {
    let texts = Texts::new("exit_status_of_a_program_classifies_its_failure");
    program(&["status 65"], &["-v"]).exits(1).stderr_to(&texts);
    program(&["fail"], &["-v"]).exits(1).stderr_to(&texts);
    program(&["trap"], &["-v"]).exits(1).stderr_to(&texts);
    program(&["status 0"], &[]).exits(0).prints("\n");
    texts.match_snapshot();
}

#[test]
fn program_waits_for_many_things_at_once() {
    program(&["many 1000"], &[]).exits(0).prints("1000\n");
}

#[test]
fn granted_folder_is_read_listed_and_written() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.file("data/a", "alpha");
    folder.file("data/b", "beta");
    let given = |how: &str| ["--dir".to_owned(), format!("{}::/data{how}", folder.path("data"))];
    let with = |lines: &[&str], how: &str| {
        let given = given(how);
        program(lines, &[&given[0], &given[1]])
    };
    with(&["list", "read a", "read none"], "")
        .exits(0)
        .prints("a b\nalpha\nErrorCode::NoEntry\n");
    with(&["append a x"], "").exits(0).prints("ErrorCode::NotPermitted\n");
    with(&["read ../secret", "read /etc/passwd"], "")
        .exits(0)
        .prints("ErrorCode::NotPermitted\nErrorCode::NotPermitted\n");
    with(&["append a bet", "append c new", "list"], ":rw")
        .exits(0)
        .prints("8\n3\na b c\n");
    assert_eq!(std::fs::read_to_string(folder.path("data/a")).unwrap(), "alphabet");
    assert_eq!(std::fs::read_to_string(folder.path("data/c")).unwrap(), "new");
}

#[test]
fn long_file_is_streamed_in_pieces() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("data")).unwrap();
    let text = "0123456789abcdef".repeat(100_000);
    folder.file("data/long", &text);
    let given = format!("{}::/data", folder.path("data"));
    let ended = program(&["read long"], &["--dir", &given]).exits(0);
    assert!(
        ended.stdout.strip_suffix(b"\n") == Some(text.as_bytes()),
        "{} bytes",
        ended.stdout.len()
    );
}

#[test]
fn nothing_is_accessible_without_a_grant() {
    program(&["list"], &["-v"])
        .exits(1)
        .stderr_is("nothing_is_accessible_without_a_grant");
    let server = Server::echo();
    program(&[&format!("get {} /x", server.address)], &[])
        .exits(0)
        .prints("ErrorCode::HttpRequestDenied\n");
    assert!(server.asked().is_empty());
}

#[test]
fn granted_request_is_sent() {
    let server = Server::new(|request| ok(&request.split(' ').nth(1).unwrap_or_default().to_uppercase()));
    let line = |path: &str| format!("get {} {path}", server.address);
    program(
        &[&line("/open/door"), &line("/closed")],
        &["--http", &server.url("/open")],
    )
    .exits(0)
    .stdout_is("granted_request_is_sent");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn endless_output_is_an_oversize_result() {
    program(&["flood"], &["-v", "--result-size", "1MiB"])
        .exits(1)
        .stderr_is("endless_output_is_an_oversize_result");
}

#[test]
fn endless_reading_ends_at_the_timeout() {
    let texts = Texts::new("endless_reading_ends_at_the_timeout");
    let folder = Folder::new();
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.file("data/a", "a".repeat(1 << 20));
    let given = format!("{}::/data", folder.path("data"));
    program(
        &["read-for-ever a"],
        &["--dir", &given, "--timeout", "500ms", "--fuel", "1000T"],
    )
    .exits(1)
    .stderr_to(&texts);
    program(&["wait 3600000"], &["--timeout", "300ms"])
        .exits(1)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn concurrent_calls_are_bounded_by_the_handle_limit() {
    program(&["many 10000"], &["-v"])
        .exits(1)
        .stderr_is("concurrent_calls_are_bounded_by_the_handle_limit");
}

#[test]
fn async_worker_imports_async_functions() {
    worker("wait 5", &[]).exits(0).prints("waited\n");
    worker("random 70000", &["--random-size", "1KiB"])
        .exits(0)
        .prints("1024\n");
}

#[test]
fn missing_async_import_traps_when_it_is_called() {
    let texts = Texts::new("missing_async_import_traps_when_it_is_called");
    worker("wait 1", &[]).exits(0).prints("waited\n");
    worker("missing", &["-v"]).exits(1).stderr_to(&texts);
    let inspected = host(["inspect", &preview3_worker()]).run().exits(0);
    let import = inspected.out().lines().find(|line| line.contains("test:nowhere"));
    texts.add("inspect", import.unwrap());
    texts.match_snapshot();
}

#[test]
fn inspect_reports_a_program() {
    let ended = host(["inspect", &preview3(), "--format", "json"]).run().exits(0);
    let facts = ended.events().remove(0);
    assert_eq!(facts["program"], true);
    assert_eq!(facts["worker"], "async");
    let imports = facts["imports"].as_array().unwrap();
    for import in imports {
        assert_eq!(import["known"], true, "{import}");
    }
}

/// The clock and the random numbers of an untrusted worker are derived from the run and the action.
#[test]
fn clock_of_an_untrusted_program_stands_still() {
    let folder = Folder::new();
    std::fs::copy(preview3(), folder.path("program.wasm")).unwrap();
    let manifest = folder.file(
        "disperse.toml",
        "[[pool]]\nname = \"p\"\nkinds = [\"line\"]\ncomponent = \"program.wasm\"\nworkers = 2\nuntrusted = true\n",
    );
    let args = ["map", &manifest, "--attempts", "1", "-v"];
    let ended = host(args).input("wait 5\n").run().exits(1);
    ended.stderr_is("clock_of_an_untrusted_program_stands_still");
}
