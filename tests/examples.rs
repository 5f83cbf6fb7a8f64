//! The examples behave as their READMEs show.

use std::process::{Command, Stdio};

use crate::support::{Ended, Folder, beside, has, host, of_type, root, shell, wasm};

/// The lines that a README shows below a command.
fn shown(example: &str, command: &str) -> String {
    let text = std::fs::read_to_string(root().join("examples").join(example).join("README.md")).unwrap();
    let below = text
        .lines()
        .skip_while(|line| !(line.starts_with("$ ") && line.contains(command)))
        .skip(1);
    let lines: String = below
        .take_while(|line| !line.starts_with("```"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(
        !lines.is_empty(),
        "README.md of {example} shows nothing below `{command}`"
    );
    lines
}

#[test]
fn square_prints_squares() {
    let shown = shown("square", "map examples/square");
    host(["map", "examples/square", "--trust-manifest"])
        .input("1\n2\n3\n4\n5\n")
        .run()
        .exits(0)
        .prints(&shown);
}

/// The whole line of a README that has these words, without its prompt.
fn command(example: &str, words: &str) -> String {
    let text = std::fs::read_to_string(root().join("examples").join(example).join("README.md")).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let found = lines.find(|line| line.contains(words));
    found.expect("README.md has such a command").to_owned()
}

#[test]
fn fetch_and_its_server_do_what_the_readme_shows() {
    // Built first, so that the deadline does not include the build.
    let wasm = wasm("fetch");
    let building = beside();
    let build = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--manifest-path",
            "examples/fetch/server/Cargo.toml",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    drop(building);
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    for words in ["/flaky", "TOKEN=env:TOKEN"] {
        let port = free().to_string();
        let shown = shown("fetch", words).replace("8000", &port);
        shell(&command("fetch", words).replace("8000", &port))
            .run()
            .exits(0)
            .prints(&shown);
    }
    let port = free().to_string();
    let line = command("fetch", "TOKEN=env:TOKEN").replace("8000", &port);
    let (named, known) = ("TOKEN=open-sesame", "--secret TOKEN=env:TOKEN");
    shell(
        &line
            .replace(known, "")
            .replace("examples/fetch --trust-manifest", &wasm),
    )
    .run()
    .exits(0)
    .prints(&format!("401      15 http://127.0.0.1:{port}/private\n"));
    let line = line.replace("/private", "/away").replace(named, "TOKEN=other");
    let ended = shell(&line).run().exits(1).prints("");
    // The output of cargo is there as well.
    has(
        "stderr",
        &ended.stderr,
        &["denied: no grant for GET http://127.0.0.1:1"],
    );
}

#[test]
fn roll_call_prints_what_its_readme_shows() {
    let shown = shown("roll-call", "run examples/roll-call --trust-manifest --ordered");
    host(["run", "examples/roll-call", "--trust-manifest", "--ordered"])
        .run()
        .exits(0)
        .prints(&shown);
}

#[test]
fn mandelbrot_renders_one_image() {
    let folder = Folder::new();
    let file = folder.path("picture.png");
    let size = ["--", "--width", "200", "--height", "120", "--iterations", "200"];
    host(
        ["run", "examples/mandelbrot", "--trust-manifest", "--output", &file]
            .iter()
            .chain(&size),
    )
    .run()
    .exits(0)
    .prints("");
    let picture = std::fs::read(file).unwrap();
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n", "the signature");
    assert_eq!(&picture[8..16], b"\0\0\0\x0dIHDR");
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (200, 120), "width and height");
    assert!(picture.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"), "the end");
    assert!(picture.len() > 1000, "{} bytes hold no picture", picture.len());

    let streamed = host(["run", &wasm("mandelbrot")].iter().chain(&size)).run().exits(0);
    assert!(streamed.stdout == picture, "stdout and --output differ");
}

#[test]
fn unknown_argument_of_the_operation_fails_the_run() {
    host(["run", &wasm("mandelbrot"), "--", "--colour"])
        .run()
        .exits(1)
        .prints("")
        .stderr_is("unknown_argument_of_the_operation_fails_the_run");
}

/// Lines, words and bytes as a line of `wc` has them.
fn counts(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .map(|number| number.parse().expect(line))
        .collect()
}

/// A text of many chunks: lines of every length, a word longer than a chunk, no newline at the end.
fn text() -> String {
    let mut text = String::new();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    while text.len() < 400_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let draw = state >> 33;
        for letter in 0..draw % 11 {
            text.push(char::from(b'a' + ((draw >> letter) % 26) as u8));
        }
        text.push_str(["\n", " ", "  ", "\t", " \n\n", "\r\n"][(draw % 6) as usize]);
    }
    text.push_str(&"long".repeat(50_000));
    text.push_str(" end");
    text
}

#[test]
fn word_count_agrees_with_wc() {
    let folder = Folder::new();
    let text = text();
    let file = folder.file("book.txt", &text);
    let wanted = [
        text.matches('\n').count() as u64,
        text.split_ascii_whitespace().count() as u64,
        text.len() as u64,
    ];
    let counted = host(["run", "examples/word-count", "--trust-manifest", "--input", &file])
        .run()
        .exits(0);
    assert_eq!(counts(counted.out()), wanted);
    let piped = host(["run", &wasm("word_count"), "--input", "-"])
        .input(text.clone())
        .run()
        .exits(0);
    assert_eq!(counts(piped.out()), wanted);

    let input = std::fs::File::open(file).unwrap();
    match Command::new("wc").env("LC_ALL", "C").stdin(Stdio::from(input)).output() {
        Ok(wc) => assert_eq!(counts(&String::from_utf8(wc.stdout).unwrap()), wanted),
        Err(error) => eprintln!("not compared with wc: {error}"),
    }
}

#[test]
fn word_count_of_empty_input_is_zero() {
    let ended = host(["run", &wasm("word_count"), "--input", "-"]).run().exits(0);
    assert_eq!(counts(ended.out()), [0, 0, 0]);
}

/// The output lines of the flaky example, sorted.
fn squares(ended: &Ended) -> Vec<u64> {
    let mut found: Vec<u64> = ended.out().lines().map(|line| line.parse().unwrap()).collect();
    found.sort_unstable();
    found
}

#[test]
fn flaky_workers_lose_no_action_and_the_broken_worker_is_evicted() {
    let ended = host(["run", "examples/flaky", "--trust-manifest"]).run().exits(0);
    assert_eq!(
        squares(&ended),
        (0..200).map(|number| number * number).collect::<Vec<u64>>()
    );
    assert!(ended.row("mixed/broken").contains("evicted"), "{}", ended.stderr);
    assert!(!ended.row("mixed/steady-a").contains("evicted"), "{}", ended.stderr);
    has("stderr", &ended.stderr, &["200 tasks done, 0 failed"]);
}

#[test]
fn flaky_actions_that_break_every_worker_fail() {
    let ended = host(["run", "examples/flaky", "--trust-manifest", "--", "50", "2"])
        .run()
        .exits(1);
    assert_eq!(
        squares(&ended),
        (0..48).map(|number| number * number).collect::<Vec<u64>>()
    );
    has("stderr", &ended.stderr, &["48 tasks done, 2 failed"]);
}

#[test]
fn operation_with_its_own_worker_needs_no_worker_flag() {
    let ended = host(["run", &wasm("flaky"), "--format", "json", "--", "20"])
        .run()
        .exits(0);
    let events = ended.events();
    assert_eq!(of_type(&events, "report")[0]["tasks"]["done"], 20);
}
