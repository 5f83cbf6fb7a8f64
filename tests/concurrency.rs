//! Workers with several concurrent attempts in one instance.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use crate::{
    hostile::attacks,
    server::{Server, ok},
    support::{Ended, Folder, alone, has, host, several, wasm},
};

/// Runs one worker with this many concurrent attempts.
fn at_once(lines: &str, count: usize, flags: &[&str]) -> Ended {
    let several = several();
    let count = count.to_string();
    let args = ["map", &several, "--workers", "1", "--concurrency", &count];
    host(args.iter().chain(flags)).input(lines).run()
}

/// A server that answers with the last part of the path; for `slow`, after this delay.
fn server(slow: Duration) -> Server {
    Server::new(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.starts_with("/slow/") {
            std::thread::sleep(slow);
        }
        ok(last)
    })
}

/// This many lines that wait a little, with `line` in the middle, and the expected results without it.
fn amid(server: &Server, count: usize, line: &str) -> (String, String) {
    let mut lines: Vec<String> = (0..count)
        .map(|n| format!("get {}", server.url(&format!("/slow/{n}"))))
        .collect();
    lines.insert(count / 2, line.to_owned());
    let results: String = (0..count).map(|n| format!("{n}\n")).collect();
    (lines.join("\n"), results)
}

#[test]
fn one_worker_has_twenty_requests_open_at_once() {
    let together = Barrier::new(20);
    let server = Server::new(move |request| {
        together.wait();
        ok(&"x".repeat(request.split(' ').nth(1).unwrap().len()))
    });
    let urls: Vec<String> = (0..20).map(|n| server.url(&format!("/{}", "y".repeat(n)))).collect();
    let expected: String = urls
        .iter()
        .enumerate()
        .map(|(n, url)| format!("200 {:>7} {url}\n", n + 1))
        .collect();
    let grant = server.url("");
    let fetch = wasm("fetch");
    let args = ["map", &fetch, "--workers", "1", "--concurrency", "20", "--http", &grant];
    host(args).input(urls.join("\n")).run().exits(0).prints(&expected);
}

#[test]
fn each_attempt_reads_its_own_context() {
    let together = Barrier::new(20);
    let server = Server::new(move |_| {
        together.wait();
        ok("")
    });
    let lines = format!("context {}\n", server.url("/")).repeat(20);
    let ended = at_once(&lines, 20, &["--http", &server.url(""), "-v"]).exits(0);
    let mut actions: Vec<&str> = ended
        .out()
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(' ').unwrap();
            assert_eq!(before, after);
            before
        })
        .collect();
    for action in &actions {
        for what in ["begins", "ends"] {
            // Each line is a task with one request, and the log names actions in the order in which they were asked for.
            let number = action.rsplit('-').nth(1).unwrap();
            let line = ended
                .stderr
                .lines()
                .find(|line| line.ends_with(&format!("{action} {what}")));
            let line = line.unwrap_or_else(|| panic!("{action} {what}:\n{}", ended.stderr));
            assert!(line.contains(&format!("#{number}.1]")), "{line}");
        }
    }
    actions.sort();
    actions.dedup();
    assert_eq!(actions.len(), 20);
}

#[test]
fn timeout_of_one_attempt_restarts_the_others() {
    let server = server(Duration::from_millis(300));
    let never = Server::new(|_| {
        std::thread::sleep(Duration::from_secs(60));
        String::new()
    });
    let (lines, results) = amid(&server, 10, &format!("get {}", never.url("/")));
    let grants = [server.url(""), never.url("")];
    let flags = [
        "--http",
        &grants[0],
        "--http",
        &grants[1],
        "--timeout",
        "2s",
        "--attempts",
        "2",
    ];
    let ended = at_once(&lines, 20, &flags).exits(1);
    has("stderr", &ended.stderr, &["line 6"]);
    ended.prints(&results);
}

#[test]
fn trap_counts_only_against_its_own_attempt() {
    let server = server(Duration::from_millis(200));
    let trap = format!("trap {}", server.url("/"));
    let (lines, results) = amid(&server, 30, &trap);
    let ended = at_once(&lines, 50, &["--http", &server.url(""), "-v"]).exits(1);
    let failed = ended.row("several/1").split_whitespace().nth(2);
    assert_eq!(failed, Some("4"), "{}", ended.stderr);
    ended
        .stderr_is("trap_counts_only_against_its_own_attempt")
        .prints(&results);
}

#[test]
fn attempt_that_never_yields_runs_out_of_fuel() {
    let server = server(Duration::from_secs(1));
    let (lines, results) = amid(&server, 10, &format!("spin {}", server.url("/")));
    let flags = ["--http", &server.url(""), "--fuel", "20M", "--attempts", "2"];
    at_once(&lines, 20, &flags)
        .exits(1)
        .stderr_is("attempt_that_never_yields_runs_out_of_fuel")
        .prints(&results);
}

#[test]
fn attempt_that_never_yields_times_out() {
    // The loop starts earlier than that: the others wait while it holds the instance.
    let server = server(Duration::from_millis(300));
    let (lines, results) = amid(&server, 10, &format!("spin {}", server.url("/")));
    let flags = [
        "--http",
        &server.url(""),
        "--fuel",
        "1000T",
        "--timeout",
        "1s",
        "--attempts",
        "2",
    ];
    let ended = at_once(&lines, 20, &flags).exits(1);
    let failed = ended.row("several/1").split_whitespace().nth(2);
    assert_eq!(failed, Some("2"), "{}", ended.stderr);
    has("stderr", &ended.stderr, &["line 6"]);
    ended.prints(&results);
}

/// The first attempt has waited for a fifth of its timeout when the third takes the rest; its answer was due at half.
#[test]
fn timeout_counts_against_the_attempt_that_used_the_time() {
    let folder = Folder::new();
    let manifest = folder.file(
        "disperse.toml",
        format!("[worker]\ncomponent = \"{}\"\nconcurrency = 2\n", several()),
    );
    let server = Server::new(|request| {
        let wait = [("/first", 1000), ("/second", 400)];
        let wait = wait.into_iter().find(|(path, _)| request.contains(path));
        std::thread::sleep(Duration::from_millis(wait.map_or(0, |(_, ms)| ms)));
        ok("x")
    });
    let url = |path| server.url(path);
    let lines = format!("get {}\nget {}\nspin {}\n", url("/first"), url("/second"), url("/"));
    let args = [
        "map",
        &manifest,
        "--trust-manifest",
        "--workers",
        "1",
        "--timeout",
        "2s",
        "--fuel",
        "1000T",
        "--attempts",
        "1",
    ];
    let grant = server.url("");
    let _alone = alone();
    let args = args.into_iter().chain(["--http", &grant]);
    let ended = host(args).input(lines).start().end().exits(1);
    ended
        .stderr_is("timeout_counts_against_the_attempt_that_used_the_time")
        .prints("x\nx\n");
}

/// No task waits for it any more, and the other attempts of the instance continue.
#[test]
fn cancelled_attempt_does_not_disturb_the_others() {
    let server = Server::new(|request| {
        let wait = if request.contains("/wanted") { 600 } else { 60_000 };
        std::thread::sleep(Duration::from_millis(wait));
        ok("here")
    });
    let [wanted, given_up] = ["/wanted", "/given-up"].map(|path| format!("get {}", server.url(path)));
    let (several, grant) = (several(), server.url(""));
    let flags = [
        "run",
        &several,
        "--workers",
        "1",
        "--concurrency",
        "2",
        "--http",
        &grant,
    ];
    let began = Instant::now();
    host(flags.iter().chain(&["--", &wanted, &given_up]))
        .run()
        .exits(0)
        .prints("here\n");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it waited for the cancelled request"
    );
    assert_eq!(server.asked().len(), 2, "each was asked for once: {:?}", server.asked());
}

/// Traps for a long line and waits for ever for a short one.
const TRAP_IF_LONG: &str = "
    (if (i32.gt_u (local.get 3) (i32.const 1)) (then unreachable))
    (i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4)))";

/// A component that contains this one.
fn composed(inner: &str) -> String {
    format!(
        r#"(component
          (import "disperse:guest/types@0.1.0" (instance $types
            (type $bytes (list u8))
            (type $an-action (record (field "kind" string) (field "payload" $bytes)))
            (export "action" (type (eq $an-action)))
            (type $a-failure (variant
              (case "retryable" string) (case "permanent" string) (case "busy" u32) (case "unfit" string)))
            (export "failure" (type (eq $a-failure)))))
          (alias export $types "action" (type $action))
          (alias export $types "failure" (type $failure))
          {}
          (instance $i (instantiate $inner
            (with "disperse:guest/types@0.1.0" (instance $types))
            (with "action" (type $action))
            (with "failure" (type $failure))))
          (alias export $i "handle" (func $handle))
          (export "handle" (func $handle)))"#,
        inner.replacen("(component", "(component $inner", 1)
    )
}

#[test]
fn trap_that_cannot_be_attributed_counts_against_all() {
    let folder = Folder::new();
    let text = attacks::concurrent(TRAP_IF_LONG);
    for (name, text, first) in [
        ("whole.wasm", text.clone(), "was not done within 500ms"),
        ("parts.wasm", composed(&text), "trapped: wasm `unreachable`"),
    ] {
        let worker = folder.guest(name, &text);
        let flags = [
            "--workers",
            "1",
            "--concurrency",
            "2",
            "--attempts",
            "1",
            "--timeout",
            "500ms",
            "-v",
        ];
        let ended = host(["map", &worker].iter().chain(&flags))
            .input("a\nbb\n")
            .run()
            .exits(1);
        let short = ended.stderr.split("error: ").find(|text| text.starts_with("line 1"));
        assert!(
            short.is_some_and(|text| text.contains(first)),
            "{name}: {}",
            ended.stderr
        );
        let long = ended.stderr.split("error: ").find(|text| text.starts_with("line 2"));
        assert!(
            long.is_some_and(|text| text.contains("trapped")),
            "{name}: {}",
            ended.stderr
        );
    }
}

#[test]
fn oversize_result_fails_only_its_attempt() {
    let lines = "echo a\nlarge 2000\nlarge 1000\necho b\n";
    let ended = at_once(lines, 4, &["--result-size", "1KB"]).exits(1);
    ended
        .stderr_is("oversize_result_fails_only_its_attempt")
        .prints(&format!("a\n{}\nb\n", "x".repeat(1000)));
}

#[test]
fn instance_is_replaced_after_many_calls() {
    let lines = "given\n".repeat(10_005);
    let ended = at_once(&lines, 3, &[]).exits(0);
    let mut given: Vec<usize> = ended.out().lines().map(|line| line.parse().unwrap()).collect();
    given.sort();
    let mut expected: Vec<usize> = (1..=10_000).chain(1..=5).collect();
    expected.sort();
    assert_eq!(given, expected);
}

/// How long a run of this many lines takes.
fn time(lines: &str, count: usize) -> Duration {
    let _alone = alone();
    let (several, count) = (several(), count.to_string());
    let args = ["map", &several, "--workers", "1", "--concurrency", &count];
    let began = Instant::now();
    let ended = host(args).input(lines).start().end().exits(0);
    let took = began.elapsed();
    let expected: String = (0..LINES).map(|n| format!("{n}\n")).collect();
    ended.prints(&expected);
    took
}

const LINES: usize = 20_000;

#[test]
fn concurrent_lines_are_correct_and_no_slower_than_sequential_ones() {
    let lines: String = (0..LINES).map(|n| format!("echo {n}\n")).collect();
    let mut ratios: Vec<f64> = (0..5)
        .map(|_| time(&lines, 50).as_secs_f64() / time(&lines, 1).as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    eprintln!("fifty at once take {:.2} of the time of one by one", ratios[2]);
    assert!(
        ratios[2] < 1.2,
        "fifty at once take {:.2} of the time of one by one",
        ratios[2]
    );
}

/// By how many MiB the host may grow between a fifth of the run and its end. Most of it is the record of each failed line
/// for the report.
const GROWTH: u64 = 24;

#[test]
fn memory_stays_flat_over_many_lines_and_replaced_instances() {
    let folder = Folder::new();
    let text = format!(
        "[worker]\ncomponent = \"{}\"\nconcurrency = 20\n\
         [limits]\nfuel = \"1M\"\nmemory = \"4MiB\"\n\
         [health]\nsuspect-after = 1000000\nquarantine-score = 1e9\nattempts = 1\n",
        several()
    );
    let manifest = folder.file("disperse.toml", text);
    let sorts = ["die", "work 10", "work 1000000000", "large 1000000000"];
    let lines: String = (0..LINES)
        .map(|n| match n % 20 {
            3 => sorts[n / 20 % sorts.len()].to_owned() + "\n",
            _ => "echo x\n".to_owned(),
        })
        .collect();
    let answers = lines
        .lines()
        .filter(|line| *line == "echo x" || *line == "work 10")
        .count();
    let mut live = host(["map", &manifest, "--trust-manifest", "--workers", "2", "--unordered"])
        .once(lines)
        .start();
    let seen = |stdout: &[u8]| stdout.iter().filter(|&&byte| byte == b'\n').count();
    live.wait_until("a fifth", |stdout, _| seen(stdout) >= answers / 5);
    let early = live.holds();
    live.wait_until("the last", |stdout, _| seen(stdout) == answers);
    let late = live.holds();
    if let (Some((before, files, threads)), Some((after, ..))) = (early, late) {
        eprintln!("{before} MiB, {files} files and {threads} threads, then {after} MiB");
        assert!(after <= before + GROWTH, "the host grew from {before} MiB to {after}");
        live.settles_at(files, threads);
    }
    live.close();
    live.end().exits(1);
}
