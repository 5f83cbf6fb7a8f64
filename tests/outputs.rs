//! Outputs: those that cannot be written, those without a reader, and their order.

use std::{
    fs::File,
    io::Read,
    process::{Command, Output, Stdio},
    time::Duration,
};

use rustix::{io::ioctl_fionread, process::Signal};

use crate::{
    control::progress,
    support::{Folder, Texts, becomes_true, body, has, host, shell, wasm},
};

/// A shell command for each command of the program that writes to stdout.
fn commands(folder: &Folder) -> Vec<String> {
    let echo = folder.worker("echo.wasm", body::ECHO);
    let input = folder.file("input", "1\n2\n3\n");
    let project = folder.path("project");
    host(["new", &project, "--lang", "rust", "--kind", "worker"])
        .run()
        .exits(0);
    let mut commands: Vec<String> = [
        "--help",
        "--version",
        "help run",
        "map --help",
        "completions bash",
        "man",
        "schema events",
        "simulate --preset black-hole --seeds 1",
        "test examples/word-count --no-build --trust-manifest",
    ]
    .map(str::to_owned)
    .into();
    commands.extend([
        format!("inspect {echo}"),
        format!("inspect {echo} --format json"),
        format!("compile {echo}"),
        format!("trust --show {project}"),
        format!("map -q {echo} --input {input}"),
        format!("map -q {echo} --input {input} --format json"),
        format!(
            "map -q {echo} --input {input} --format json --output {}",
            folder.path("output")
        ),
    ]);
    commands
}

/// A pipe without a reader cannot even be opened. A run ends all the same after one signal.
#[test]
fn output_pipe_without_a_reader_does_not_delay_a_stopped_run() {
    let texts = Texts::new("output_pipe_without_a_reader_does_not_delay_a_stopped_run");
    let folders = [Folder::new(), Folder::new()];
    let start = |folder: &Folder| {
        let echo = folder.worker("echo.wasm", body::ECHO);
        let pipe = folder.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        host(["map", &echo, "--output", &pipe]).folder(folder.root())
    };
    // One run that continues, and one that has only its results left to write.
    let runs = [
        start(&folders[0]).endless("a\n").start(),
        start(&folders[1]).input("a\n").start(),
    ];
    for (folder, run) in folders.iter().zip(&runs) {
        let is_done = || progress(folder.root()).is_some_and(|run| run["tasks_done"].as_u64() > Some(0));
        assert!(becomes_true(Duration::from_secs(60), is_done));
        run.send(Signal::TERM);
    }
    for run in runs {
        run.end().exits(4).stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn output_that_cannot_be_written_is_a_machine_error() {
    let folder = Folder::new();
    wasm("word-count");
    for command in commands(&folder) {
        for (to, why) in [
            (">/dev/full", "No space left on device"),
            (">&-", "Bad file descriptor"),
        ] {
            let ended = shell(&format!("disperse-host {command} {to}")).run();
            assert_eq!(ended.code, 4, "{command} {to}: {}", ended.stderr);
            assert!(ended.stderr.contains(why), "{command} {to}: {}", ended.stderr);
            assert_eq!(ended.out(), "", "{command} {to}");
        }
        shell(&format!("disperse-host {command}")).run().exits(0);
    }
}

#[test]
fn closed_stdout_does_not_affect_results_in_a_file() {
    let folder = Folder::new();
    let (echo, output) = (folder.worker("echo.wasm", body::ECHO), folder.path("output"));
    let line = format!("disperse-host map -q {echo} --output {output} >&- 2>&-");
    shell(&line).input("1\n2\n").run().exits(0);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "1\n2\n");
}

#[test]
fn closed_stdin_is_an_error_and_not_an_empty_input() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let ended = shell(&format!("disperse-host map {echo} <&-")).run().exits(1);
    ended
        .prints("")
        .stderr_is("closed_stdin_is_an_error_and_not_an_empty_input");
}

/// Runs a command with stdout and stderr into one file, as on a terminal.
fn both(command: &mut Command, folder: &Folder, name: &str) -> (Output, String) {
    let path = folder.path(name);
    let file = File::create(&path).unwrap();
    let same = file.try_clone().unwrap();
    let ended = command.stdin(Stdio::null()).stdout(file).stderr(same).output().unwrap();
    (ended, std::fs::read_to_string(path).unwrap())
}

#[test]
fn report_follows_all_results() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let lines: String = (0..20).map(|line| format!("{line}\n")).collect();
    let input = folder.file("input", &lines);
    for round in 0..60 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_disperse-host"));
        command.env("XDG_STATE_HOME", crate::support::state());
        command.args(["map", &echo, "--input", &input]);
        let (ended, said) = both(&mut command, &folder, &format!("both-{round}"));
        assert!(ended.status.success(), "{said}");
        assert!(said.starts_with(&lines), "round {round}:\n{said}");
        assert!(said.contains("20 tasks done, 0 failed"), "{said}");
    }
}

#[test]
fn report_waits_for_a_reader_of_the_results() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    // More than a pipe buffers.
    let lines = "a line of it\n".repeat(20_000);
    let input = folder.file("input", &lines);
    let mut run = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
        .env("XDG_STATE_HOME", crate::support::state())
        .args(["map", &echo, "--input", &input])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (run.stdout.take().unwrap(), run.stderr.take().unwrap());
    let begun = becomes_true(Duration::from_secs(60), || ioctl_fionread(&stdout).unwrap() > 32 << 10);
    assert!(begun, "there are no results");
    let said = becomes_true(Duration::from_secs(2), || ioctl_fionread(&stderr).unwrap() > 0);
    let (mut results, mut words) = (String::new(), String::new());
    stdout.read_to_string(&mut results).unwrap();
    stderr.read_to_string(&mut words).unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(results, lines);
    assert!(words.contains("20000 tasks done"), "{words}");
    assert!(!said, "the report came before the results");
}

#[test]
fn json_of_a_run_has_no_terminal_escapes() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let hostile = "a\u{9b}2J\u{202e}b\u{200b}ü";
    let ended = host(["map", &echo, "--format", "json"])
        .input(format!("{hostile}\n"))
        .run()
        .exits(0);
    has("stdout", ended.out(), &[r"a\u009b2J\u202eb\u200bü"]);
    let events = ended.events();
    assert!(
        events.iter().any(|event| event["text"] == format!("{hostile}\n")),
        "{events:?}"
    );
}

#[test]
fn run_that_fails_to_start_leaves_the_output_unchanged() {
    let folder = Folder::new();
    let output = folder.file("output", "before\n");
    let new = folder.path("new");
    let broken = folder
        .worker("broken.wasm", body::TRAP)
        .replace("broken.wasm", "missing.wasm");
    let operation = folder.operation("operation.wasm", "next", "unreachable");
    let echo = folder.worker("echo.wasm", body::ECHO);
    for (path, is_there) in [(&output, true), (&new, false)] {
        // A missing component, and a planner that traps before the first result.
        host(["map", &broken, "-o", path]).input("a\n").run().exits(2);
        host(["run", &operation, "--worker", &echo, "-o", path]).run().exits(1);
        assert_eq!(std::fs::exists(path).unwrap(), is_there, "{path}");
    }
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "before\n");
    // A run without results creates its output all the same.
    for path in [&output, &new] {
        host(["map", &echo, "-o", path]).run().exits(0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "");
    }
}

#[test]
fn impossible_output_is_a_usage_error() {
    let texts = Texts::new("impossible_output_is_a_usage_error");
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    for path in [
        folder.path(""),
        folder.path("missing/out"),
        folder.path("missing/"),
        format!("{echo}/out"),
    ] {
        let ended = host(["map", &echo, "-o", &path]).input("a\n").run().exits(2);
        ended.prints("").stderr_to(&texts);
    }
    texts.match_snapshot();
}
