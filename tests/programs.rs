//! Core modules, which the host turns into components, and plain WASI programs as workers.

use std::path::Path;

use crate::support::{Ended, Folder, Host, Texts, host, of_type};

fn program(folder: &Folder) -> String {
    folder.guest("program.wasm", include_str!("guests/program.wat"))
}

/// Runs a program on one line, with one attempt.
fn once(folder: &Folder, line: &str, flags: &[&str]) -> Ended {
    let program = program(folder);
    let args = ["map", &program, "--workers", "1", "--attempts", "1", "--format", "json"];
    host(args.iter().chain(flags)).input(format!("{line}\n")).run()
}

/// As [`once`], for a line that fails: compares the class of its one failed attempt, its message and its stderr.
fn fails(line: &str, flags: &[&str], class: &str, texts: &Texts) {
    let folder = Folder::new();
    let events = once(&folder, line, flags).exits(1).events();
    let failed = of_type(&events, "attempt-failed")[0];
    assert_eq!(failed["class"], class, "{failed}");
    let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
    let heading = [&[line], flags].concat().join(" ").replace('\u{3}', "^C");
    texts.add(&heading, &format!("{}\n{}", text("message"), text("stderr")));
}

#[test]
fn program_reads_the_payload_and_its_output_is_the_result() {
    let folder = Folder::new();
    let program = program(&folder);
    let long = "y".repeat(100_000);
    host(["map", &program])
        .input(format!("one\n\n{long}\n"))
        .run()
        .exits(0)
        .prints(&format!("one\n\n{long}\n"));
}

#[test]
fn environment_of_a_program_has_the_attempt_and_the_settings() {
    let folder = Folder::new();
    let ended = host([
        "map",
        &program(&folder),
        "--kind",
        "shout",
        "--env",
        "COLOR=red",
        "--workers",
        "1",
    ])
    .input("v\n")
    .run()
    .exits(0);
    let out = ended.out();
    let said: Vec<&str> = out.split(' ').collect();
    let [color, kind, attempt, shout] = said[..] else {
        panic!("{out}");
    };
    assert_eq!((color, kind, shout), ("COLOR=red", "DISPERSE_KIND=shout", "shout\n"));
    let name = attempt.strip_prefix("DISPERSE_ATTEMPT=").unwrap();
    // The run's name, the task, the request and the attempt.
    assert!(name.split('-').count() == 5 && name.ends_with("-1-1.1"), "{name}");
}

#[test]
fn exit_status_of_a_program_classifies_its_failure() {
    let texts = Texts::new("exit_status_of_a_program_classifies_its_failure");
    fails("x\u{3}", &[], "transient", &texts);
    fails("xA", &[], "permanent", &texts);
    texts.match_snapshot();
}

#[test]
fn last_line_of_stderr_classifies_the_failure() {
    let texts = Texts::new("last_line_of_stderr_classifies_the_failure");
    fails("edisperse: permanent no such page", &[], "permanent", &texts);
    fails("eout of stock", &[], "transient", &texts);
    texts.match_snapshot();
}

#[test]
fn line_for_which_every_worker_is_unfit_fails_alone() {
    let folder = Folder::new();
    let ended = host(["map", &program(&folder), "--workers", "2", "--attempts", "1"])
        .input("xM\nfine\n")
        .run()
        .exits(1);
    ended.stderr_is("line_for_which_every_worker_is_unfit_fails_alone");
}

#[test]
fn program_obeys_the_limits() {
    let texts = Texts::new("program_obeys_the_limits");
    fails("w", &["--result-size", "64KiB"], "permanent", &texts);
    fails("l", &["--fuel", "1M"], "trap", &texts);
    fails("l", &["--fuel", "1000G", "--timeout", "100ms"], "transient", &texts);
    texts.match_snapshot();
}

#[test]
fn trapped_program_reports_its_stderr_and_its_worker_continues() {
    let texts = Texts::new("trapped_program_reports_its_stderr_and_its_worker_continues");
    fails("t", &[], "trap", &texts);
    texts.match_snapshot();
    let folder = Folder::new();
    host(["map", &program(&folder), "--workers", "1", "--attempts", "1"])
        .input("t\nfine\n")
        .run()
        .exits(1)
        .prints("fine\n");
}

#[test]
fn core_module_with_worker_exports_is_a_worker() {
    let folder = Folder::new();
    let reactor = folder.guest("reactor.wasm", include_str!("guests/reactor.wat"));
    let run = |input: &str| -> Host { host(["map", &reactor, "--workers", "1", "--attempts", "1"]).input(input) };
    run("3\n9\n").run().exits(0).prints("09\n81\n");
    let ended = run("x\nt\n4\n").run().exits(1).prints("16\n");
    ended.stderr_is("core_module_with_worker_exports_is_a_worker");
    let ended = host(["inspect", &reactor]).run().exits(0);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("worker, blocking"));
}

#[test]
fn program_with_other_exports_is_still_a_program() {
    let folder = Folder::new();
    let own = "(func (export \"run\")) (func (export \"_start\")";
    let text = include_str!("guests/program.wat").replacen("(func (export \"_start\")", own, 1);
    host(["map", &folder.guest("own.wasm", &text)])
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
}

#[test]
fn worker_built_as_a_program_is_an_error() {
    let folder = Folder::new();
    let start = "(func (export \"_start\")) (func (export \"handle\")";
    let text = include_str!("guests/reactor.wat").replacen("(func (export \"handle\")", start, 1);
    let module = folder.guest("program.wasm", &text);
    host(["map", &module])
        .input("3\n")
        .run()
        .exits(2)
        .stderr_is("worker_built_as_a_program_is_an_error");
    // As toolchains that export both do.
    let both = text.replacen(
        "(func (export \"_start\"))",
        "(func (export \"_start\")) (func (export \"_initialize\"))",
        1,
    );
    host(["map", &folder.guest("both.wasm", &both)])
        .input("3\n")
        .run()
        .exits(0)
        .prints("09\n");
}

#[test]
fn component_of_a_core_module_is_built_once() {
    let folder = Folder::new();
    let cache = folder.path("cache");
    let program = program(&folder);
    let run = || {
        host(["map", &program])
            .env("XDG_CACHE_HOME", &cache)
            .input("a\n")
            .run()
            .exits(0)
            .prints("a\n");
    };
    run();
    let files = |end: &str| -> Vec<_> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(Path::new(&cache).join("disperse")).unwrap().flatten() {
            if entry.path().extension().is_some_and(|found| found == end) {
                found.push((entry.path(), std::fs::metadata(entry.path()).unwrap().len()));
            }
        }
        found
    };
    let (made, compiled) = (files("wasm"), files("cwasm"));
    assert_eq!((made.len(), compiled.len()), (1, 1));
    run();
    assert_eq!((files("wasm"), files("cwasm")), (made.clone(), compiled));
    // A changed file is built again.
    std::fs::write(&made[0].0, b"\0asm\x0d\0\x01\0rubbish").unwrap();
    run();
    assert_eq!(files("wasm"), made);
}

#[test]
fn core_module_without_a_known_role_is_an_error() {
    let texts = Texts::new("core_module_without_a_known_role_is_an_error");
    let folder = Folder::new();
    let refused = |text: &str| {
        let file = folder.guest("core.wasm", text);
        for command in ["inspect", "map"] {
            let ended = host([command, &file]).run().exits(2);
            assert_eq!(ended.out().is_empty(), command == "map", "{}", ended.out());
            ended.stderr_to(&texts);
        }
        host(["map", &file, "--trust"]).run().exits(2).stderr_to(&texts);
    };
    refused("(module)");
    refused(r#"(module (func (export "handel")))"#);
    refused(r#"(module (func (export "run")) (func (export "next")))"#);
    refused(r#"(module (import "env" "now" (func)) (func (export "_start")))"#);
    refused(r#"(module (memory (export "memory") 1) (func (export "handle")))"#);
    texts.match_snapshot();
}
