//! `map`: lines in, lines out.

use std::{fmt::Write, time::Duration};

use rustix::process::Signal;

use crate::{
    control::progress,
    support::{Folder, Texts, becomes_true, body, host, of_type, shell, snapshot, wasm},
};

#[test]
fn a_hundred_thousand_lines_are_answered_in_order() {
    let numbers = 1..=100_000u64;
    let lines = |value: &dyn Fn(u64) -> u64| {
        numbers.clone().fold(String::new(), |mut text, number| {
            writeln!(text, "{}", value(number)).unwrap();
            text
        })
    };
    let ended = host(["map", "examples/square", "--trust-manifest"])
        .input(lines(&|number| number))
        .run()
        .exits(0);
    assert!(
        ended.out() == lines(&|number| number * number),
        "the squares differ; stderr:\n{}",
        ended.stderr
    );
}

#[test]
fn lines_stream_in_bounded_memory() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let line = "a line that is long enough to be seen in the memory if all of them were kept there until the end\n";
    let mut live = host(["map", &echo]).endless(line).start();
    let mut peak_after = |lines: usize| {
        live.wait_until("enough results", |stdout, _| stdout.len() >= lines * line.len());
        live.peak_memory()
    };
    // Ten thousand lines fill every queue; the rest is 19 MB and the record of each line.
    let (Some(before), Some(after)) = (peak_after(10_000), peak_after(210_000)) else {
        return eprintln!("not measured: this system does not tell");
    };
    assert!(after < before + 24, "the program grew from {before} to {after} MiB");
}

#[test]
fn long_lines_are_read_only_as_earlier_ones_finish() {
    let folder = Folder::new();
    let slow = folder.worker(
        "slow.wasm",
        "(call $spin (i32.const 20000000)) (call $answer (local.get $payload) (i32.const 1))",
    );
    let args = ["map", &slow, "--workers", "1", "--host-memory", "32MiB"];
    let mut live = host(args).endless("x".repeat(4 << 20) + "\n").start();
    live.wait_until("ten results", |stdout, _| stdout.len() >= 20);
    let Some(peak) = live.peak_memory() else {
        return eprintln!("not measured: this system does not tell");
    };
    assert!(
        peak < 300,
        "the program has {peak} MiB, of {} lines of 4 MiB",
        live.fed()
    );
}

#[test]
fn unordered_results_are_the_same_set() {
    let input: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    let ended = host(["map", &wasm("square"), "--unordered", "--workers", "4"])
        .input(input)
        .run()
        .exits(0);
    let mut found: Vec<u64> = ended.out().lines().map(|line| line.parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (1..=5000).map(|number| number * number).collect::<Vec<u64>>());
}

#[test]
fn one_worker_gets_the_lines_in_order() {
    let folder = Folder::new();
    // Every line is one byte longer than the one before, and every other one fails permanently.
    let strict = folder.worker(
        "strict.wasm",
        &format!(
            "(if (i32.ne (local.get $len) (global.get $times)) (then (return (call $refuse (i32.const 1)))))
             (global.set $times (i32.add (global.get $times) (i32.const 1)))
             {}",
            body::ECHO
        ),
    );
    let input: String = (0..2000).map(|number| "x".repeat(number) + "\n").collect();
    for flags in [&[][..], &["--unordered"], &["--threads", "1"], &["--threads", "8"]] {
        let args = ["map", &strict, "--workers", "1"];
        let ended = host(args.iter().chain(flags)).input(input.clone()).run().exits(0);
        // The order of the results is tested elsewhere.
        assert!(
            ended.out() == input || flags == ["--unordered"],
            "{flags:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn empty_input_is_no_error() {
    host(["map", &wasm("square")]).run().exits(0).prints("");
}

#[test]
fn empty_lines_count_and_the_last_newline_may_be_missing() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    host(["map", &echo])
        .input("a\n\n\nb")
        .run()
        .exits(0)
        .prints("a\n\n\nb\n");
}

#[test]
fn failed_line_is_reported_with_its_number_and_the_rest_continues() {
    let ended = host(["map", &wasm("square")]).input("1\n2\nthree\n4\n").run().exits(1);
    ended
        .prints("1\n4\n16\n")
        .stderr_is("failed_line_is_reported_with_its_number_and_the_rest_continues");
}

#[test]
fn line_over_the_length_limit_fails_alone() {
    let texts = Texts::new("line_over_the_length_limit_fails_alone");
    let folder = Folder::new();
    let slow = folder.worker("slow.wasm", body::SLOW_ECHO);
    let long = format!("1\n2\n3\n{}\n5\n", "x".repeat(101));
    let args = ["map", &slow, "--result-size", "100B"];
    let ended = host(args).input(long.as_str()).run().exits(1);
    ended.prints("1\n2\n3\n5\n").stderr_to(&texts);
    let batch = ["--batch", "3"];
    let together = "x".repeat(49) + "\n";
    let ended = host(args.iter().chain(&batch)).input(together.repeat(5)).run().exits(1);
    ended.prints(&together.repeat(2)).stderr_to(&texts);
    // Newlines between the lines of a batch count.
    let ended = host(args.iter().chain(&["--batch", "2"]))
        .input(together.repeat(2))
        .run();
    ended.exits(0).prints(&together.repeat(2));
    texts.match_snapshot();
}

/// A worker that never ends on a line of one byte, and echoes the others.
fn hanging(folder: &Folder) -> String {
    let hang = format!(
        "(if (i32.eq (local.get $len) (i32.const 1)) (then {})) {}",
        body::ENDLESS,
        body::ECHO
    );
    folder.worker("hanging.wasm", &hang)
}

#[test]
fn slow_line_delays_only_the_results_written_after_it() {
    let folder = Folder::new();
    let hanging = hanging(&folder);
    let others = "a line\n".repeat(10_000);
    // Far longer than the other lines take.
    let flags = ["--attempts", "1", "--timeout", "20s", "--fuel", "1000T", "-j2"];
    let mut live = host(["map", &hanging].iter().chain(&flags))
        .folder(folder.root())
        .input(format!("x\n{others}"))
        .start();
    let mut run = serde_json::Value::Null;
    let done = becomes_true(Duration::from_secs(60), || {
        run = progress(folder.root()).unwrap_or_default();
        run["tasks_done"] == 10_000
    });
    assert!(done && live.is_running(), "{run}");
    assert_eq!((&run["tasks_in_flight"], live.results()), (&1.into(), 0), "{run}");
    snapshot("waiting_results_are_explained", &run["remarks"].to_string());
    live.wait_until("a line of progress", |_, stderr| {
        stderr.contains(" · 10000 results wait for line 1 · ")
    });
    live.end()
        .exits(1)
        .prints(&others)
        .stderr_is("slow_line_delays_only_the_results_written_after_it");
}

#[test]
fn waiting_results_are_written_when_the_run_is_stopped() {
    let folder = Folder::new();
    // Occupied by a line of one byte until the end of the test.
    let busy = format!(
        "(if (i32.eq (local.get $len) (i32.const 1)) (then (return (call $refuse (i32.const 2))))) {}",
        body::ECHO
    );
    let busy = folder.worker("busy.wasm", &busy);
    let others = "a line\n".repeat(500);
    let mut live = host(["map", &busy, "-j2"])
        .folder(folder.root())
        .once(format!("x\n{others}"))
        .start();
    let done = becomes_true(Duration::from_secs(60), || {
        progress(folder.root()).is_some_and(|run| run["tasks_done"] == 500)
    });
    assert!(done && live.is_running());
    live.send(Signal::INT);
    live.end().exits(130).prints(&others);
}

#[test]
fn results_over_the_memory_limit_wait_in_a_file() {
    let folder = Folder::new();
    let hanging = hanging(&folder);
    let line = "a line that is long".repeat(2000);
    // 38 MB, of which 4 MiB wait in memory.
    let others: String = (0..1000).map(|number| format!("{number} {line}\n")).collect();
    let flags = [
        "--attempts",
        "1",
        "--timeout",
        "4s",
        "--fuel",
        "1000T",
        "-j2",
        "--host-memory",
        "32MiB",
    ];
    let live = host(["map", &hanging].iter().chain(&flags))
        .folder(folder.root())
        .input(format!("x\n{others}"))
        .start();
    let ended = live.end().exits(1);
    assert!(ended.out() == others, "{} of {} bytes", ended.out().len(), others.len());
    ended.stderr_is("results_over_the_memory_limit_wait_in_a_file");
}

#[test]
fn full_results_file_ends_the_run_after_the_results_are_written() {
    let folder = Folder::new();
    let hanging = hanging(&folder);
    let line = "a line that is long".repeat(2000);
    let others = format!("{line}\n").repeat(1000);
    let input = folder.file("input", format!("x\n{others}"));
    // No file may be longer than 512 KiB.
    let line = format!(
        "trap '' XFSZ; ulimit -f 1024; exec disperse-host map {hanging} -i {input} --attempts 1 --timeout 10s --fuel 1000T -j2 \
         --host-memory 32MiB --no-cache --no-socket"
    );
    let ended = shell(&line).run().exits(4);
    let ended = ended.stderr_is("full_results_file_ends_the_run_after_the_results_are_written");
    assert!(!ended.stdout.is_empty(), "{}", ended.stderr);
}

#[test]
fn folder_is_not_an_input() {
    let folder = Folder::new();
    host(["map", &wasm("square"), "--input", &folder.path(".")])
        .run()
        .exits(2)
        .stderr_is("folder_is_not_an_input");
}

#[test]
fn failed_batch_is_reported_with_its_first_line() {
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", "(call $refuse (i32.const 1))");
    let ended = host(["map", &strict, "--batch", "3"])
        .input("1\n2\n3\n4\n")
        .run()
        .exits(1);
    ended.stderr_is("failed_batch_is_reported_with_its_first_line");
}

#[test]
fn every_failure_is_shown_or_counted() {
    let folder = Folder::new();
    let strict = folder.worker("strict.wasm", "(call $refuse (i32.const 1))");
    let args = ["map", &strict, "--workers", "1"];
    let count = |text: &str| text.lines().filter(|line| line.starts_with("error: line ")).count();
    let ended = host(args).input("x\n".repeat(150)).run().exits(1);
    assert_eq!(count(&ended.stderr), 10);
    ended.stderr_is("every_failure_is_shown_or_counted");
    let ended = host(args.iter().chain(&["-v"])).input("x\n".repeat(150)).run().exits(1);
    assert_eq!(count(&ended.stderr), 150);
    assert!(!ended.stderr.contains("more lines"), "{}", ended.stderr);
}

#[test]
fn permanent_failure_is_not_retried() {
    let events = host(["map", &wasm("square"), "--format", "json"])
        .input("x\n")
        .run()
        .exits(1)
        .events();
    assert_eq!(of_type(&events, "attempt-failed").len(), 1, "{events:?}");
    assert_eq!(of_type(&events, "action-dead")[0]["reason"], "permanent");
    assert_eq!(of_type(&events, "report")[0]["tasks"]["failed"], 1);
    assert_eq!(events.last().unwrap()["type"], "report");
}

#[test]
fn input_and_output_can_be_files() {
    let folder = Folder::new();
    let input = folder.file("in.txt", "3\n4\n");
    let output = folder.path("out.txt");
    let ended = host(["map", &wasm("square"), "--input", &input, "--output", &output])
        .run()
        .exits(0);
    ended.prints("");
    assert_eq!(std::fs::read_to_string(output).unwrap(), "9\n16\n");
}

#[test]
fn output_never_truncates_a_file_that_is_read() {
    let texts = Texts::new("output_never_truncates_a_file_that_is_read");
    let folder = Folder::new();
    let file = folder.file("same.txt", "3\n4\n");
    let again = folder.path("./same.txt");
    let secret = folder.file("token", "secret\n");
    let worker = folder.worker("worker.wasm", body::ECHO);
    let manifest = folder.file("disperse.toml", "[worker]\ncomponent = \"worker.wasm\"\n");
    let with_secret = format!("{worker} --http http://127.0.0.1:9 --secret T=file:{secret}");
    for (read, args) in [
        (&file, format!("{worker} --input {file} --output {again}")),
        (&file, format!("{worker} --output {again} <{file}")),
        (&file, format!("{worker} --input - --output {again} <{file}")),
        (&worker, format!("{worker} --output {worker}")),
        (&worker, format!("{manifest} --output {worker}")),
        (&manifest, format!("{manifest} --output {manifest}")),
        (&secret, format!("{with_secret} --output {secret}")),
    ] {
        let before = std::fs::read(read).unwrap();
        let ended = shell(&format!("disperse-host map {args}")).run().exits(2);
        ended.stderr_to(&texts);
        assert_eq!(std::fs::read(read).unwrap(), before, "{args}");
    }
    let to_stdout = host(["map", &worker, "--output", "-"]).folder(folder.root());
    to_stdout.input("a\n").run().exits(0).prints("a\n");
    assert!(!folder.root().join("-").exists());
    texts.match_snapshot();
}

#[test]
fn a_batch_is_one_action_of_many_lines() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let output = folder.path("out.txt");
    let args = ["map", &echo, "--batch", "4", "--format", "json", "--output", &output];
    let events = host(args)
        .input("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")
        .run()
        .exits(0)
        .events();
    assert_eq!(of_type(&events, "report")[0]["kinds"][0]["done"], 3, "{events:?}");
    assert_eq!(
        std::fs::read_to_string(output).unwrap(),
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"
    );
}

#[test]
fn fresh_instance_has_no_earlier_state() {
    let folder = Folder::new();
    // Returns how often this instance was called, as a digit.
    let counter = folder.worker(
        "counter.wasm",
        "(global.set $times (i32.add (global.get $times) (i32.const 1)))
         (i32.store8 (i32.const 512) (i32.add (i32.const 48) (global.get $times)))
         (call $answer (i32.const 512) (i32.const 1))",
    );
    let args = ["map", &counter, "--workers", "1"];
    host(args).input("a\nb\nc\n").run().exits(0).prints("1\n2\n3\n");
    host(args.iter().chain(&["--fresh"]))
        .input("a\nb\nc\n")
        .run()
        .exits(0)
        .prints("1\n1\n1\n");
}

#[test]
fn progress_shows_the_known_figures() {
    let folder = Folder::new();
    // Every other call returns busy for 64 ms, so that lines take long without computing.
    folder.worker(
        "slow.wasm",
        &format!(
            "(global.set $times (i32.xor (global.get $times) (i32.const 1)))
             (if (global.get $times) (then (return (call $refuse (i32.const 2)))))
             {}",
            body::ECHO
        ),
    );
    folder.worker("broken.wasm", body::TRAP);
    let manifest = folder.file(
        "disperse.toml",
        r#"
            [health]
            quarantine = "1h"

            [[pool]]
            name = "slow"
            component = "slow.wasm"
            kinds = ["line"]
            workers = 1

            [[pool]]
            name = "broken"
            component = "broken.wasm"
            kinds = ["line"]
            workers = 1
        "#,
    );
    let mut live = host(["map", &manifest]).input("a line\n".repeat(1000)).start();
    let mut line = String::new();
    live.wait_until("a line of progress", |_, stderr| {
        let lines = stderr.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        line = lines
            .filter(|line| line.contains(" in flight"))
            .collect::<Vec<_>>()
            .concat();
        !line.is_empty()
    });
    for part in [
        "/1000 tasks done, ",
        " actions/",
        " left · ",
        " retries · ",
        " · 1 of 2 workers quarantined · ",
        " running, ",
    ] {
        assert!(line.contains(part), "`{part}` is not in `{line}`");
    }
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn stdout_closed_early_is_no_error() {
    let shell = format!("seq 1 1000000 | \"$0\" map {} | head -n 3", wasm("square"));
    let output = std::process::Command::new("sh")
        .env("XDG_STATE_HOME", crate::support::state())
        .args(["-c", &shell, env!("CARGO_BIN_EXE_disperse-host")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n4\n9\n");
    assert!(output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn events_closed_early_do_not_cut_the_results() {
    let folder = Folder::new();
    let output = folder.path("out.txt");
    let square = wasm("square");
    let shell = format!(
        "seq 1 100000 | \"$0\" map {square} --format json --output {output} | head -n 1; exit ${{PIPESTATUS[1]}}"
    );
    let status = std::process::Command::new("bash")
        .env("XDG_STATE_HOME", crate::support::state())
        .args(["-c", &shell, env!("CARGO_BIN_EXE_disperse-host")])
        .output()
        .unwrap()
        .status;
    assert!(status.success(), "{status}");
    assert_eq!(std::fs::read_to_string(output).unwrap().lines().count(), 100_000);
}
