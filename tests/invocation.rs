//! How programs are called: arguments, exit statuses and what they write.

use crate::support::{Ended, Folder, Texts, host, tool, tool_module};

/// Runs the program on each line, with these arguments after `--`. It is a core module: components of WASI 0.2 have
/// no exit statuses.
fn called(flags: &[&str], args: &[&str], input: &str) -> Ended {
    let tool = tool_module();
    let host_args = ["map", &tool, "--workers", "1", "--attempts", "1"];
    host(host_args.iter().chain(flags).chain(&["--"]).chain(args))
        .input(input)
        .run()
}

#[test]
fn arguments_of_a_program_have_the_payload_the_kind_and_the_attempt() {
    let args = ["args", "{}", "-k={kind}", "{attempt}", "{{}}", "{a: {}}", "two words"];
    let ended = called(&["--kind", "job"], &args, "one\nü {file}\n").exits(0);
    let out = ended.out();
    // The name of an attempt begins with the run's name.
    let run = out.split('|').nth(2).unwrap().strip_suffix("-1-1.1").unwrap();
    assert_eq!(
        out.replace(run, "RUN"),
        "one|-k=job|RUN-1-1.1|{}|{a: one}|two words\nü {file}|-k=job|RUN-2-1.1|{}|{a: ü {file}}|two words\n"
    );
    // As its own variable; a component behaves the same.
    for tool in [tool(), tool_module()] {
        let args = ["map", &tool, "--workers", "1", "--"];
        let run = |args: &[&str]| host(args).input("a b\n").run().exits(0);
        run(&[&args[..], &["name"]].concat()).prints("tool\n");
        run(&[&args[..], &["args", "{}"]].concat()).prints("a b\n");
    }
}

#[test]
fn program_with_arguments_gets_only_the_granted_environment() {
    called(&[], &["variables"], "a\n").exits(0).prints("\n");
    called(&["--env", "A=1"], &["variables"], "a\n")
        .exits(0)
        .prints("A=1\n");
    let flags = ["--env", "TMPDIR=/x", "--scratch", "1MiB"];
    called(&flags, &["variables"], "a\n").exits(0).prints("TMPDIR=/x\n");
}

#[test]
fn payload_is_on_stdin_unless_an_argument_takes_it() {
    called(&[], &["stdin"], "one\n").exits(0).prints("[one]\n");
    called(&[], &["stdin", "{}"], "one\n")
        .exits(1)
        .stderr_is("payload_is_on_stdin_unless_an_argument_takes_it");
    called(&[], &["cat", "{file}"], "one\n").exits(0).prints("one\n");
}

#[test]
fn payload_that_cannot_be_an_argument_fails_permanently() {
    let tool = tool();
    host(["map", &tool, "--workers", "1", "--", "args", "{}"])
        .input(b"a\0b\n\xff\nfine\n".to_vec())
        .run()
        .exits(1)
        .prints("fine\n")
        .stderr_is("payload_that_cannot_be_an_argument_fails_permanently");
}

#[test]
fn manifest_gives_arguments_to_pools_and_to_single_workers() {
    let folder = Folder::new();
    std::fs::copy(tool_module(), folder.path("tool.wasm")).unwrap();
    folder.file(
        "disperse.toml",
        r#"
            [[pool]]
            name = "p"
            component = "tool.wasm"
            args = ["args", "pool", "{}"]
            workers = 1
            kinds = ["line"]

            [[pool]]
            name = "q"
            component = "tool.wasm"
            args = ["args", "pool", "{}"]
            ok-status = [3]
            kinds = ["own"]

            [[pool.worker]]
            name = "w"
            args = ["status", "3", "own {}"]
        "#,
    );
    let run = |kind: &str, flags: &[&str]| {
        let args = ["map", ".", "--kind", kind];
        host(args.iter().chain(flags))
            .folder(folder.root())
            .input("a\n")
            .run()
            .exits(0)
    };
    run("line", &[]).prints("pool|a\n");
    run("own", &[]).prints("own a\n");
    // The command line takes precedence over the manifest.
    run("line", &["--", "args", "typed"]).prints("typed\n");
    folder.file(
        "disperse.toml",
        "[worker]\ncomponent = \"tool.wasm\"\nargs = [\"print\", \"w{}\\n\"]\n",
    );
    run("line", &[]).prints("wa\n");
}

#[test]
fn call_settings_are_only_for_programs() {
    let texts = Texts::new("call_settings_are_only_for_programs");
    let folder = Folder::new();
    let worker = folder.worker("w.wasm", crate::support::body::ECHO);
    for flags in [
        &["--", "-v"][..],
        &["--ok-status", "3"],
        &["--scratch", "1MiB"],
        &["--result-file", "a"],
    ] {
        let args = ["map", &worker].into_iter().chain(flags.iter().copied());
        host(args).input("a\n").run().exits(2).stderr_to(&texts);
    }
    folder.file("disperse.toml", "[worker]\ncomponent = \"w.wasm\"\nargs = [\"a\"]\n");
    host(["map", "."])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(2)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn invalid_call_settings_are_errors() {
    let texts = Texts::new("invalid_call_settings_are_errors");
    let tool = tool();
    for flags in [
        &["--result-file", "../a"][..],
        &["--scratch", "1KiB"],
        &["--ok-status", "256"],
        &["--dir", ".::/tmp", "--scratch", "1MiB"],
    ] {
        let args = ["map", &tool].into_iter().chain(flags.iter().copied());
        host(args).input("a\n").run().exits(2).stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn success_exit_statuses_are_a_setting() {
    let texts = Texts::new("success_exit_statuses_are_a_setting");
    called(&["--ok-status", "0,10,20"], &["status", "20", "unsat\n"], "a\n")
        .exits(0)
        .prints("unsat\n");
    called(&["--ok-status", "0,10"], &["status", "20", "unsat\n"], "a\n")
        .exits(1)
        .stderr_to(&texts);
    // Exit statuses with a fixed meaning lose it if they are listed.
    called(&["--ok-status", "65"], &["status", "65", "x"], "a\n")
        .exits(0)
        .prints("x\n");
    called(&["--ok-status", "10"], &["status", "0", "x"], "a\n")
        .exits(1)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn failure_with_an_empty_stderr_shows_the_end_of_stdout() {
    let text = format!("{}\nthe reason\n", "x".repeat(5000));
    let ended = called(&[], &["status", "3", &text], "a\n").exits(1);
    let ended = ended.stderr_is("failure_with_an_empty_stderr_shows_the_end_of_stdout");
    assert!(!ended.stderr.contains(&"x".repeat(4096)), "{}", ended.stderr);
}

#[test]
fn line_end_of_text_is_removed_and_bytes_stay_unchanged() {
    called(&[], &["print", "a\n"], "x\n").exits(0).prints("a\n");
    called(&[], &["print", "a\n\n"], "x\n").exits(0).prints("a\n\n");
    called(&[], &["print", "a"], "x\n").exits(0).prints("a\n");
    let ended = called(&[], &["bytes"], "x\n").exits(0);
    assert_eq!(ended.stdout, b"\xff\0\n\n");
}

#[test]
fn failed_memory_growth_is_reported_even_if_the_program_handles_it() {
    called(&["--memory", "8MiB"], &["grow", "64"], "a\n")
        .exits(1)
        .stderr_is("failed_memory_growth_is_reported_even_if_the_program_handles_it");
    let ended = called(&["--memory", "8MiB"], &["grow", "1"], "a\n").exits(0);
    assert!(!ended.stderr.contains("--memory"), "{}", ended.stderr);
}

#[test]
fn timeout_reports_the_fuel_and_memory_of_a_program() {
    let flags = ["--timeout", "300ms", "--fuel", "1000T"];
    let ended = called(&flags, &["spin", "8"], "a\n").exits(1);
    let ended = ended.stderr_is("timeout_reports_the_fuel_and_memory_of_a_program");
    let (_, used) = ended.stderr.split_once("it has used ").unwrap();
    let memory = used.split_once(" of fuel and ").unwrap().1.split("MiB").next().unwrap();
    assert!(memory.parse::<f64>().unwrap() >= 8.0, "{used}");
}
