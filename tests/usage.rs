//! Unknown words on the command line, and missing files.

use crate::support::{Folder, Texts, body, host, several, snapshot, state, wasm};

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let texts = Texts::new("an_unknown_flag_is_a_usage_error");
    for command in ["map", "run", "inspect"] {
        host([command, &wasm("square"), "--no-such-flag"])
            .run()
            .exits(2)
            .prints("")
            .stderr_to(&texts);
    }
    host(["no-such-command"]).run().exits(2).prints("").stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn a_flag_that_is_nearly_right_is_suggested() {
    host(["map", &wasm("square"), "--memmory", "1GiB"])
        .run()
        .exits(2)
        .stderr_is("a_flag_that_is_nearly_right_is_suggested");
}

#[test]
fn invalid_amount_is_a_usage_error() {
    let texts = Texts::new("invalid_amount_is_a_usage_error");
    for (flag, value) in [
        ("--fuel", "fast"),
        ("--memory", "64 potatoes"),
        ("--memory", "64"),
        ("--host-memory", "4096"),
        ("--timeout", "30"),
        ("--result-size", "9 furlongs"),
    ] {
        host(["map", &wasm("square"), flag, value])
            .run()
            .exits(2)
            .prints("")
            .stderr_to(&texts);
    }
    host(["map", &wasm("square"), "--workers", "0"])
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn too_many_workers_are_a_usage_error() {
    let texts = Texts::new("too_many_workers_are_a_usage_error");
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let operation = folder.operation("operation.wasm", "run", "");
    for count in ["0", "50001", "4000000000", "many"] {
        host(["run", &operation, "--worker", &format!("{echo}={count}")])
            .run()
            .exits(2)
            .prints("")
            .stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn worker_count_beside_listed_workers_is_a_usage_error() {
    let texts = Texts::new("worker_count_beside_listed_workers_is_a_usage_error");
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let operation = folder.operation("operation.wasm", "run", "");
    let manifest = folder.file(
        "disperse.toml",
        r#"
            [operation]
            component = "operation.wasm"
            build = "touch built"

            [[pool]]
            name = "alike"
            component = "echo.wasm"

            [[pool]]
            name = "listed"
            component = "echo.wasm"
            kinds = ["line"]

            [[pool.worker]]
            name = "a"

            [[pool.worker]]
            name = "b"
        "#,
    );
    for command in ["map", "run"] {
        host([command, &manifest, "--workers", "3", "--trust-manifest"])
            .input("a\n")
            .run()
            .exits(2)
            .prints("")
            .stderr_to(&texts);
    }
    assert!(!std::path::Path::new(&folder.path("built")).exists(), "nothing ran");
    host(["map", &manifest, "--trust-manifest"])
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    // These replace the pools, listed or not.
    for args in [["run", &manifest], ["run", &operation]] {
        host(
            args.iter()
                .chain(&["--worker", &echo, "--workers", "3", "--trust-manifest"]),
        )
        .run()
        .exits(0)
        .stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn a_missing_file_is_named() {
    let texts = Texts::new("a_missing_file_is_named");
    let folder = Folder::new();
    let missing = folder.path("missing.wasm");
    for command in ["map", "run", "inspect"] {
        host([command, &missing]).run().exits(2).prints("").stderr_to(&texts);
    }
    let input = folder.path("missing.txt");
    host(["map", &wasm("square"), "--input", &input])
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn an_output_that_cannot_be_created_is_named() {
    let folder = Folder::new();
    let output = folder.path("no/such/folder/out.txt");
    let ended = host(["map", &wasm("square"), "--output", &output]).input("1\n").run();
    ended.exits(2).stderr_is("an_output_that_cannot_be_created_is_named");
}

#[test]
fn folder_without_a_manifest_is_an_error() {
    let folder = Folder::new();
    host(["run", &folder.path(".")])
        .run()
        .exits(2)
        .prints("")
        .stderr_is("folder_without_a_manifest_is_an_error");
}

#[test]
fn unknown_key_suggests_the_nearest_key() {
    let texts = Texts::new("unknown_key_suggests_the_nearest_key");
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    for text in [
        "[worker]\ncomponent = \"echo.wasm\"\n[limits]\nmemmory = \"1GiB\"\n",
        "[worker]\ncomponent = \"echo.wasm\"\n[health]\nevict-afer = 2\n",
        "[worker]\ncompoment = \"echo.wasm\"\n",
    ] {
        let manifest = folder.file("disperse.toml", text);
        let ended = host(["map", &manifest]).input("a\n").run().exits(2);
        ended.prints("").stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn a_manifest_whose_component_is_missing_names_it() {
    let folder = Folder::new();
    let manifest = folder.file("disperse.toml", "[worker]\ncomponent = \"missing.wasm\"\n");
    host(["map", &manifest])
        .input("a\n")
        .run()
        .exits(2)
        .prints("")
        .stderr_is("a_manifest_whose_component_is_missing_names_it");
}

#[test]
fn a_build_that_fails_ends_the_run() {
    let folder = Folder::new();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"exit 7\"\ncomponent = \"echo.wasm\"\n",
    );
    folder.worker("echo.wasm", body::ECHO);
    host(["map", &folder.path("."), "--trust-manifest"])
        .input("a\n")
        .run()
        .exits(2)
        .prints("")
        .stderr_is("a_build_that_fails_ends_the_run");
}

#[test]
fn quiet_run_prints_nothing_on_stderr() {
    let ended = host(["map", &wasm("square"), "-q"])
        .input("2\n")
        .run()
        .exits(0)
        .prints("4\n");
    assert_eq!(ended.stderr, "");
}

#[test]
fn guest_text_is_escaped_for_terminals() {
    let folder = Folder::new();
    // The text of a failure: an escape that clears the screen, and text that would look like a line of the host.
    let rude = folder.worker(
        "rude.wasm",
        "(i64.store (i32.const 64) (i64.const 0x0a4a325b1b)) (i64.store (i32.const 69) (i64.const 0x656d3a656e6f64))
         (call $refuse (i32.const 1))",
    );
    let ended = host(["map", &rude]).input("x\n").run().exits(1);
    ended.stderr_is("guest_text_is_escaped_for_terminals");
}

#[test]
fn help_and_completions_go_to_stdout() {
    let help = host(["map", "--help"]).run().exits(0);
    for flag in [
        "--fuel",
        "--memory",
        "--timeout",
        "--result-size",
        "--attempts",
        "--workers",
        "--unordered",
    ] {
        assert!(help.out().contains(flag), "{flag}: {}", help.out());
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = host(["completions", shell]).run().exits(0);
        assert!(script.out().contains("disperse-host"), "{shell}");
    }
    assert!(host(["--version"]).run().exits(0).out().starts_with("disperse-host "));
}

/// Checks what bash prints for these commands.
fn replies(complete: &str, wanted: &str) {
    printed("bash", complete, wanted);
}

/// Checks what a shell prints for these commands, where it is installed.
fn printed(shell: &str, complete: &str, wanted: &str) {
    let Ok(said) = std::process::Command::new(shell)
        .env("XDG_STATE_HOME", state())
        .args(["-c", complete])
        .output()
    else {
        assert_ne!(shell, "bash", "it is everywhere");
        return;
    };
    let replies = String::from_utf8_lossy(&said.stdout);
    assert_eq!(
        replies.trim(),
        wanted,
        "{complete}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = Folder::new();
    let script = host(["completions", "bash"]).run().exits(0);
    let script = folder.file("completions", script.out());
    for (words, wanted) in [
        (&["disperse-host", "comp"][..], "compile completions"),
        (&["disperse-host", "new", "x", "--lang", "p"], "python"),
        (&["disperse-host", "run", "--unord"], ""),
        (&["disperse-host", "map", "--unord"], "--unordered"),
        (&["disperse-host", "explain", "act"], "action"),
    ] {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let complete = format!(
            ". {script}; COMP_WORDS=({}); COMP_CWORD={}; _disperse__host disperse-host '{last}' '{before}'; echo ${{COMPREPLY[*]}}",
            words.join(" "),
            words.len() - 1
        );
        replies(&complete, wanted);
    }
}

#[test]
fn zero_limit_is_a_usage_error() {
    let texts = Texts::new("zero_limit_is_a_usage_error");
    let folder = Folder::new();
    for (limit, value) in [("fuel", "0"), ("memory", "0"), ("timeout", "0s")] {
        let flag = format!("--{limit}");
        host(["map", "x.wasm", &flag, value]).run().exits(2).stderr_to(&texts);
        let manifest = folder.file("disperse.toml", format!("[limits]\n{limit} = \"{value}\"\n"));
        host(["map", &manifest]).run().exits(2).stderr_to(&texts);
    }
    host(["run", "x.wasm", "--tasks", "0"]).run().exits(2);
    texts.match_snapshot();
}

#[test]
fn worker_names_are_unique() {
    let folder = Folder::new();
    let listed = "[[pool]]\nname = \"p\"\ncomponent = \"x.wasm\"\nworkers = 2\n[[pool.worker]]\nname = \"1\"\n";
    let manifest = folder.file("disperse.toml", listed);
    host(["map", &manifest])
        .run()
        .exits(2)
        .stderr_is("worker_names_are_unique");

    let operation = folder.operation("operation.wasm", "next", "");
    let echo = folder.worker("echo.wasm", body::ECHO);
    let worker = format!("{echo}=1");
    let ended = host([
        "run", &operation, "--worker", &worker, "--worker", &worker, "--worker", &worker,
    ])
    .run()
    .exits(0);
    for name in ["echo/1", "echo#2/1", "echo#3/1"] {
        ended.row(name);
    }
}

#[test]
fn concurrency_needs_async_workers() {
    let texts = Texts::new("concurrency_needs_async_workers");
    let folder = Folder::new();
    let blocking = folder.worker("blocking.wasm", body::ECHO);
    host(["map", &blocking, "--concurrency", "2"])
        .run()
        .exits(2)
        .stderr_to(&texts);
    let several = several();
    host(["map", &several, "--concurrency", "2", "--fresh"])
        .run()
        .exits(2)
        .stderr_to(&texts);
    host(["map", &several, "--concurrency", "500", "--workers", "3"])
        .run()
        .exits(2)
        .stderr_to(&texts);
    host(["map", &several, "--concurrency", "0"]).run().exits(2);
    // Every worker takes one attempt at a time.
    host(["map", &blocking, "--concurrency", "1", "--fresh"])
        .input("x\n")
        .run()
        .exits(0)
        .prints("x\n");
    let pool = format!("[[pool]]\nname = \"p\"\ncomponent = \"{blocking}\"\nconcurrency = 2\n");
    let manifest = folder.file("disperse.toml", pool);
    host(["map", &manifest]).run().exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn short_help_fits_a_screen_and_long_help_shows_more() {
    for command in [
        "run", "map", "test", "new", "inspect", "compile", "trust", "explain", "drain", "simulate",
    ] {
        let (short, long) = (
            host([command, "-h"]).run().exits(0),
            host([command, "--help"]).run().exits(0),
        );
        snapshot(command, &format!("$ -h\n{}\n$ --help\n{}", short.out(), long.out()));
    }
    for command in ["run", "map"] {
        let help = host([command, "-h"]).run().exits(0);
        let lines: Vec<&str> = help.out().lines().collect();
        assert!(lines.len() <= 50, "{} lines", lines.len());
        // One line for each flag: none is wrapped.
        let continued = lines.iter().filter(|line| line.starts_with(&" ".repeat(12)));
        assert_eq!(continued.count(), 0, "{}", help.out());
    }
}

#[test]
fn flags_have_the_short_forms_of_other_programs() {
    let texts = Texts::new("flags_have_the_short_forms_of_other_programs");
    let folder = Folder::new();
    let (echo, input, output) = (
        folder.worker("echo.wasm", body::ECHO),
        folder.file("in", "a\nb\n"),
        folder.path("out"),
    );
    host(["-q", "map", &echo, "-k", "-j2", "-i", &input, "-o", &output])
        .run()
        .exits(0)
        .stderr_to(&texts);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "a\nb\n");
    // Flags of every command stand before or after it.
    let strict = folder.worker("strict.wasm", "(call $refuse (i32.const 1))");
    for args in [["-v", "map", &strict], ["map", "-v", &strict]] {
        host(args).input("a\n").run().exits(1).stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn project_of_the_current_folder_needs_no_path() {
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    folder.file("disperse.toml", "[worker]\ncomponent = \"echo.wasm\"\n");
    host(["map"])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    host(["inspect"]).folder(folder.root()).run().exits(0);
}

#[test]
fn errors_have_colors_only_on_request() {
    for (flags, has_colors) in [
        (&["--color", "always"][..], true),
        (&["--color=never"], false),
        (&[], false),
    ] {
        for args in [&["map", "missing.wasm"][..], &["map", "--no-such-flag"]] {
            let ended = host(args.iter().chain(flags)).env("NO_COLOR", "").run().exits(2);
            assert_eq!(ended.stderr.contains("\u{1b}["), has_colors, "{}", ended.stderr);
        }
    }
}

#[test]
fn names_of_runs_and_workers_are_completed() {
    let folder = Folder::new();
    let names = |what| {
        host(["__complete", what])
            .folder(folder.root())
            .run()
            .exits(0)
            .out()
            .to_owned()
    };
    assert_eq!((names("runs"), names("workers")), (String::new(), String::new()));
    let echo = folder.worker("echo.wasm", body::ECHO);
    host(["map", &echo, "-j2"])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(0);
    assert_eq!(names("workers"), "echo/1\necho/2\n");
    let run = names("runs");
    let script = folder.file("completions", host(["completions", "bash"]).run().exits(0).out());
    for (words, wanted) in [
        ("disperse-host explain --run ''", run.trim()),
        ("disperse-host readmit echo/2", "echo/2"),
        ("disperse-host readmit --ru", "--run"),
    ] {
        let complete = format!(
            "cd {}; PATH={}:$PATH; . {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _disperse_host_names disperse-host \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo ${{COMPREPLY[*]}}",
            folder.path(""),
            std::path::Path::new(env!("CARGO_BIN_EXE_disperse-host"))
                .parent()
                .unwrap()
                .display(),
        );
        replies(&complete, wanted);
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_disperse-host"))
        .parent()
        .unwrap();
    let here = format!("cd {}; export PATH={}:$PATH; ", folder.path(""), program.display());
    let zsh = folder.file("zsh", host(["completions", "zsh"]).run().exits(0).out());
    let fish = folder.file("fish", host(["completions", "fish"]).run().exits(0).out());
    // zsh completes only on a terminal: the function that its script calls is replaced by one that prints its arguments.
    let stubs = "compdef() {}; compset() {}; compadd() { print -r -- $names }; _arguments() { print clap }";
    for (words, wanted) in [
        ("disperse-host explain --run ''", run.trim()),
        ("disperse-host explain --run=''", run.trim()),
        ("disperse-host readmit ''", "echo/1 echo/2"),
        ("disperse-host explain worker ''", "echo/1 echo/2"),
        ("disperse-host readmit --ru", "clap"),
    ] {
        let complete = format!("{here}{stubs}; . {zsh}; words=({words}); CURRENT=$#words; _disperse_host_names");
        printed("zsh", &complete, wanted);
    }
    for (words, wanted) in [
        ("disperse-host explain --run ", run.trim()),
        ("disperse-host readmit echo/2", "echo/2"),
        ("disperse-host explain worker e", "echo/1\necho/2"),
    ] {
        printed("fish", &format!("{here}source {fish}; complete -C '{words}'"), wanted);
    }
}

/// A manifest chooses arbitrary worker names, without needing trust.
#[test]
fn name_of_a_worker_that_is_a_command_is_completed_as_text() {
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    let text = "[[pool]]\nname = \"p\"\ncomponent = \"echo.wasm\"\nkinds = [\"line\"]\n[[pool.worker]]\nname = \"$(touch run) `touch run`\"\n";
    let manifest = folder.file("disperse.toml", text);
    host(["map", &manifest])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(0);
    let script = folder.file("completions", host(["completions", "bash"]).run().exits(0).out());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_disperse-host"));
    let complete = format!(
        "cd {}; PATH={}:$PATH; . {script}; COMP_WORDS=(disperse-host readmit ''); COMP_CWORD=2; _disperse_host_names; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        folder.path(""),
        program.parent().unwrap().display(),
    );
    replies(&complete, r"p/\$\(touch\ run\)\ \`touch\ run\`");
    assert!(!std::path::Path::new(&folder.path("run")).exists());
}
