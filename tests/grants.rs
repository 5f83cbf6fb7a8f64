//! Grants: workers access what the operator grants, and nothing else.

use std::time::Duration;

use crate::support::{Folder, Texts, becomes_true, body, has, host, of_type, probe, wasm};

#[test]
fn a_worker_reads_granted_folders_and_no_others() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("open")).unwrap();
    std::fs::create_dir(folder.path("shut")).unwrap();
    folder.file("open/a.txt", "abc");
    folder.file("shut/b.txt", "secret");
    std::os::unix::fs::symlink(folder.path("shut/b.txt"), folder.path("open/link.txt")).unwrap();
    let open = folder.path("open");
    let lines = format!(
        "{open}/a.txt\n{open}/../shut/b.txt\n{open}/link.txt\n/etc/passwd\n{}\n",
        folder.path("shut/b.txt")
    );
    let ended = host(["map", &wasm("checksum"), "-j1", "--dir", &open])
        .input(lines)
        .run()
        .exits(1);
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    ended
        .prints(&format!("{sum}  {open}/a.txt\n"))
        .stderr_is("a_worker_reads_granted_folders_and_no_others");
    // Without a grant no folder is visible.
    host(["map", &wasm("checksum")])
        .input(format!("{open}/a.txt\n"))
        .run()
        .exits(1)
        .prints("");
    // The guest may know the folder by another name.
    let renamed = format!("{open}::/in");
    host(["map", &wasm("checksum"), "--dir", &renamed])
        .input("/in/a.txt\n")
        .run()
        .exits(0)
        .prints(&format!("{sum}  /in/a.txt\n"));
}

#[test]
fn folder_granted_for_reading_is_not_writable() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("d")).unwrap();
    folder.file("d/old", "old");
    let grant = format!("{}::d", folder.path("d"));
    let ended = host(["map", &probe(), "-j1", "--dir", &grant])
        .input("write d/new x\nwrite d/old x\nremove d/old\nlist d\nread d/old\n")
        .run();
    ended
        .exits(1)
        .prints("old\nold\n")
        .stderr_is("folder_granted_for_reading_is_not_writable");
    let ended = host(["map", &probe(), "--workers", "1", "--dir", &format!("{grant}:rw")])
        .input("write d/new x\nremove d/old\nlist d\n")
        .run();
    ended.exits(0).prints("\n\nnew\n");
}

#[test]
fn invalid_grant_is_a_usage_error() {
    let texts = Texts::new("invalid_grant_is_a_usage_error");
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let file = folder.file("file", "");
    for (flag, value) in [
        ("--dir", "/no/such/folder"),
        ("--dir", &file),
        ("--exec", "date"),
        ("--exec", "/no/such/program"),
        ("--exec", "/bin/sh ... x"),
        ("--env", "=x"),
        ("--env", "NO_SUCH_VARIABLE_HERE"),
        ("--expect-sha256", "abc"),
    ] {
        host(["map", &worker, flag, value])
            .input("a\n")
            .run()
            .exits(2)
            .prints("")
            .stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn program_runs_only_with_granted_arguments() {
    let texts = Texts::new("program_runs_only_with_granted_arguments");
    let try_it = |line: &str, exec: &str| host(["map", &probe(), "--exec", exec]).input(format!("{line}\n")).run();
    try_it("run /bin/echo hello", "/bin/echo *")
        .exits(0)
        .prints("Some(0) hello\n");
    try_it("run /bin/sh -c exit", "/bin/sh ...")
        .exits(0)
        .prints("Some(0) \n");
    for (line, exec) in [
        ("run /bin/echo hello", "/bin/echo"),
        ("run /bin/echo hello", "/bin/echo a*"),
        ("run /bin/echo hello", "/bin/cat *"),
        ("run echo hello", "/bin/echo *"),
        ("run /bin/../bin/echo hello", "/bin/echo *"),
        ("run /bin/echo hello there", "/bin/echo *"),
        // A placeholder cannot be filled with an option.
        ("run /bin/echo -n", "/bin/echo *"),
    ] {
        try_it(line, exec).exits(1).prints("").stderr_to(&texts);
    }
    host(["map", &probe()])
        .input("run /bin/echo hello\n")
        .run()
        .exits(1)
        .stderr_to(&texts);
    // The host's environment is not passed on.
    try_it("run /usr/bin/env", "/usr/bin/env").exits(0).prints("Some(0) \n");
    texts.match_snapshot();
}

#[test]
fn a_program_that_does_not_end_is_killed_with_its_children() {
    let folder = Folder::new();
    // Longer than the test may take; the number distinguishes it from other processes.
    let seconds = format!("{}", 1_000_000 + std::process::id());
    let script = folder.file("script", format!("sleep {seconds} & sleep {seconds}"));
    let args = [
        "map",
        &probe(),
        "--exec",
        "/bin/sh ...",
        "--timeout",
        "300ms",
        "--attempts",
        "1",
    ];
    host(args).input(format!("run /bin/sh {script}\n")).run().exits(1);
    let ended = becomes_true(Duration::from_secs(10), || sleeping(&seconds) == 0);
    assert!(ended, "a child of the program still runs");
}

/// The background process inherits the pipe of the program's output, and would keep it open beyond the attempt's timeout.
#[test]
fn background_processes_of_a_program_are_killed_when_it_ends() {
    let folder = Folder::new();
    let seconds = format!("{}", 2_000_000 + std::process::id());
    let script = folder.file("script", format!("sleep {seconds} &\necho started"));
    let args = ["map", &probe(), "--exec", "/bin/sh ...", "--attempts", "1"];
    let ended = host(args).input(format!("run /bin/sh {script}\n")).run().exits(0);
    ended.prints("Some(0) started\n");
    let ended = becomes_true(Duration::from_secs(10), || sleeping(&seconds) == 0);
    assert!(ended, "a background process of the program still runs");
}

/// How many processes have this argument.
fn sleeping(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    arguments
        .filter(|arguments| {
            arguments.starts_with(b"sleep")
                && arguments
                    .split(|byte| *byte == 0)
                    .any(|argument| argument == word.as_bytes())
        })
        .count()
}

#[test]
fn a_program_that_writes_too_much_is_killed() {
    let args = ["map", &probe(), "--exec", "/usr/bin/yes *", "--result-size", "64KiB"];
    let ended = host(args).input("run /usr/bin/yes y\n").run().exits(1);
    ended.prints("").stderr_is("a_program_that_writes_too_much_is_killed");
}

#[test]
fn component_runs_only_if_its_digest_matches() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let inspected = host(["inspect", &worker, "--format", "json"]).run().exits(0);
    let digest = inspected.events()[0]["sha256"].as_str().unwrap().to_owned();
    let other = digest.replace(|digit| digit != '0', "0");
    host(["map", &worker, "--expect-sha256", &digest])
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    let refused = host(["map", &worker, "--expect-sha256", &other])
        .input("a\n")
        .run()
        .exits(2);
    let refused = refused
        .prints("")
        .stderr_is("component_runs_only_if_its_digest_matches");
    has("stderr", &refused.stderr, &[&digest, &other]);
    for (sha256, code) in [(&digest, 0), (&other, 2)] {
        let manifest = folder.file(
            "disperse.toml",
            format!("[[pool]]\nname = \"p\"\ncomponent = \"echo.wasm\"\nsha256 = \"{sha256}\"\n"),
        );
        host(["map", &manifest]).input("a\n").run().exits(code);
    }
}

#[test]
fn workers_see_only_the_granted_variables() {
    let try_it = |flags: &[&str]| {
        host(["map", &probe()].iter().chain(flags))
            .input("env\narguments\n")
            .run()
    };
    try_it(&[]).exits(0).prints("\n\n");
    try_it(&["--env", "A=1", "--env", "NO_COLOR"])
        .exits(0)
        .prints("A=1 NO_COLOR=1\n\n");
}

#[test]
fn there_is_no_network_without_a_grant() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lines = format!("connect {address}\nget http://{address}/\n");
    host(["map", &probe(), "-j1"])
        .input(lines)
        .run()
        .exits(1)
        .prints("")
        .stderr_is("there_is_no_network_without_a_grant");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "the guest has connected");
}

#[test]
fn inspect_names_the_grants_that_a_worker_could_use() {
    let shown = host(["inspect", &probe()]).run().exits(0);
    for flag in ["--dir", "--env", "--exec", "--http"] {
        assert!(shown.out().contains(flag), "{flag} is not in\n{}", shown.out());
    }
    let folder = Folder::new();
    host(["inspect", &folder.worker("echo.wasm", body::ECHO)])
        .run()
        .exits(0)
        .stdout_is("inspect_names_the_grants_that_a_worker_could_use");
    // An operation gets no grants, whatever it imports.
    let operation = folder.operation("operation.wasm", "run", "");
    let shown = host(["inspect", &operation, "--format", "json"]).run().exits(0);
    assert_eq!(shown.events()[0]["grants"], serde_json::json!([]));
}

#[test]
fn each_denial_is_reported_once_and_counted() {
    let texts = Texts::new("each_denial_is_reported_once_and_counted");
    let lines: String = (0..20)
        .map(|port| format!("get http://127.0.0.1:{}/a?$TOKEN\n", port % 10 + 1))
        .chain(["run /bin/true a\n".to_owned()])
        .collect();
    let folder = Folder::new();
    let secret = format!("TOKEN=file:{}", folder.file("token", "canary-1742"));
    let probe = probe();
    let flags = ["--workers", "1", "--attempts", "1", "--secret", &secret];
    let args = || ["map", &probe].into_iter().chain(flags);
    let ended = host(args()).input(lines.clone()).run().exits(1);
    // Each denial appears once, which the snapshot does not show.
    let warnings = ended.stderr.lines().filter(|line| line.starts_with("warning: "));
    assert_eq!(warnings.count(), 5, "{}", ended.stderr);
    ended.stderr_to(&texts);

    // The same holds for a program.
    host(args()).input("run /bin/true a\n").run().exits(1).stderr_to(&texts);

    let ended = host(args().chain(["--format", "json"])).input(lines).run().exits(1);
    let events = ended.events();
    let denied = of_type(&events, "denied");
    assert_eq!(denied.len(), 5);
    assert!(
        denied[0]["message"].as_str().unwrap().contains("127.0.0.1:1;"),
        "{denied:?}"
    );
    assert_eq!(of_type(&events, "report")[0]["workers"][0]["denied"], 21);
    for text in [ended.out(), &ended.stderr] {
        assert!(!text.contains("canary") && !text.contains("disperse-secret-"), "{text}");
    }
    texts.match_snapshot();
}
