//! What `map` and `run` write besides plain results.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::support::{Folder, Texts, becomes_true, body, host, of_type, shell, wasm};

/// A worker that fails lines of one byte, and echoes the others.
fn picky(folder: &Folder) -> String {
    let handle = format!(
        "(if (i32.eq (local.get $len) (i32.const 1)) (then (return (call $refuse (i32.const 1))))) {}",
        body::ECHO
    );
    folder.worker("picky.wasm", &handle)
}

/// The text of a file in the folder.
fn text(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path(name)).unwrap()
}

#[test]
fn output_event_of_map_has_its_line_worker_attempts_and_time() {
    let folder = Folder::new();
    // The first call of an instance fails, and the next ones do not.
    let warming = folder.worker(
        "warming.wasm",
        &format!(
            "(if (i32.eqz (global.get $times)) (then (global.set $times (i32.const 1)) (return {})))
             {}",
            body::RETRYABLE,
            body::ECHO
        ),
    );
    let args = ["map", &warming, "--format", "json", "-j2"];
    let events = host(args).input("a\nb\nc\nd\n").run().exits(0).events();
    let (failed, outputs) = (of_type(&events, "attempt-failed"), of_type(&events, "output"));
    assert!(!failed.is_empty() && outputs.len() == 4, "{events:?}");
    for (line, output) in (1..).zip(outputs) {
        let earlier = failed.iter().filter(|failed| failed["id"] == output["id"]);
        assert_eq!(output["line"], line);
        assert_eq!(output["attempts"], earlier.count() + 1, "{output}");
        let worker = output["worker"].as_str().unwrap();
        assert!(["warming/1", "warming/2"].contains(&worker), "{output}");
        assert!(output["ms"].as_f64().unwrap() > 0.0, "{output}");
        assert_eq!(output["task"], Value::Null, "{output}");
    }
}

#[test]
fn output_event_of_a_batch_has_its_first_line() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let args = ["map", &echo, "--format", "json", "--batch", "4"];
    let events = host(args).input("line\n".repeat(10)).run().exits(0).events();
    let lines: Vec<_> = of_type(&events, "output")
        .iter()
        .map(|event| event["line"].as_u64())
        .collect();
    assert_eq!(lines, [Some(1), Some(5), Some(9)]);
}

#[test]
fn origin_of_a_result_that_waited_in_a_file_is_known() {
    let folder = Folder::new();
    // A line of one byte takes far longer than the others.
    let slow = folder.worker(
        "slow.wasm",
        &format!(
            "(if (i32.eq (local.get $len) (i32.const 1)) (then (call $spin (i32.const 300000000)))) {}",
            body::ECHO
        ),
    );
    let line = "a line that is long".repeat(2000);
    let others: String = (0..500).map(|number| format!("{number} {line}\n")).collect();
    let flags = ["--format", "json", "-j2", "--host-memory", "32MiB", "--fuel", "1000T"];
    let events = host(["map", &slow].iter().chain(&flags))
        .input(format!("x\n{others}"))
        .run()
        .exits(0)
        .events();
    let outputs = of_type(&events, "output");
    assert_eq!(outputs.len(), 501);
    for (line, output) in (1..).zip(outputs) {
        assert_eq!(
            (output["line"].as_u64(), output["attempts"].as_u64()),
            (Some(line), Some(1))
        );
        assert!(output["worker"].as_str().unwrap().starts_with("slow/"));
    }
}

#[test]
fn output_event_of_run_has_its_task_and_the_only_action_of_it() {
    let flaky = wasm("flaky");
    let args = ["run", &flaky, "--format", "json", "--", "5"];
    let events = host(args).run().exits(0).events();
    let outputs = of_type(&events, "output");
    assert_eq!(outputs.len(), 5, "{events:?}");
    for output in outputs {
        assert!(
            output["task"].as_u64().is_some() && output["line"].is_null(),
            "{output}"
        );
        assert!(
            output["id"].as_u64().is_some() && output["worker"].is_string(),
            "{output}"
        );
    }
    // Its tasks perform several actions each.
    let roll_call = wasm("roll_call");
    let events = host(["run", &roll_call, "--format", "json"]).run().exits(0).events();
    for output in of_type(&events, "output") {
        assert!(
            output["task"].as_u64().is_some() && output["worker"].is_null(),
            "{output}"
        );
    }
}

#[test]
fn tag_begins_each_line_of_a_result_with_its_input() {
    let folder = Folder::new();
    let picky = picky(&folder);
    folder.file("a", "two\nlines");
    folder.file("b", "x");
    folder.file("c", "");
    let run = |flags: &[&str], input: &str| {
        let args = ["map", &picky, "--tag"].into_iter().chain(flags.iter().copied());
        host(args).folder(folder.root()).input(input).run()
    };
    run(&[], "one\nx\n\n").exits(1).prints("one\tone\n\t\n");
    run(&["--on-error", "empty"], "one\nx\n")
        .exits(1)
        .prints("one\tone\nx\t\n");
    run(&["--null"], "one\0t\nwo\0")
        .exits(0)
        .prints("one\tone\0t\nwo\tt\nwo\0");
    let files = ["--files", "--on-error", "empty"];
    run(&files, "a\nb\nc\nmissing\n")
        .exits(1)
        .prints("a\ttwo\na\tlines\nb\t\nc\t\nmissing\t\n");
    run(&["--batch", "2"], "").exits(2);
}

#[test]
fn line_that_failed_is_skipped_or_empty_in_the_output() {
    let folder = Folder::new();
    let picky = picky(&folder);
    let run = |flags: &[&str], output: &str| {
        let args = ["map", &picky].into_iter().chain(flags.iter().copied());
        host(args).input("one\nx\ntwo\ny\nz").run().exits(1).prints(output);
    };
    run(&[], "one\ntwo\n");
    run(&["--on-error", "skip"], "one\ntwo\n");
    run(&["--on-error", "empty"], "one\n\ntwo\n\n\n");
    // Each line of a batch that failed: the last one is of one byte.
    run(&["--on-error", "empty", "--batch", "2"], "one\nx\ntwo\ny\n\n");
    let long = ["--on-error", "empty", "--batch", "3", "--result-size", "4B"];
    run(&long, "\n\n\ny\nz\n");
}

#[test]
fn failed_lines_are_an_input_to_run_again() {
    let folder = Folder::new();
    let picky = picky(&folder);
    let run = |flags: &[&str], input: &str| {
        let args = ["map", &picky, "--failed", "failed"].into_iter();
        host(args.chain(flags.iter().copied()))
            .folder(folder.root())
            .input(input)
            .run()
    };
    let input = "x\nlong\n\r\n\nlong\ny";
    run(&[], input).exits(1);
    assert_eq!(text(&folder, "failed"), "x\n\r\ny\n", "byte for byte, in their order");
    run(&["--unordered", "-j1"], input).exits(1);
    assert_eq!(text(&folder, "failed").len(), "x\n\r\ny\n".len());
    run(&["--null"], "x\0long\0\n").exits(1);
    assert_eq!(text(&folder, "failed"), "x\0\n\0");
    run(&[], "long\n").exits(0);
    assert_eq!(text(&folder, "failed"), "");
    // The last batch is one line of one byte.
    run(&["--batch", "2"], "x\nlong\ny\n").exits(1);
    assert_eq!(text(&folder, "failed"), "y\n");
    folder.file("a", "x");
    run(&["--files"], "a\nmissing\n").exits(1);
    assert_eq!(text(&folder, "failed"), "a\nmissing\n");
}

#[test]
fn line_that_is_too_long_for_a_payload_is_whole_among_the_failed_ones() {
    let folder = Folder::new();
    let picky = picky(&folder);
    // Longer than a piece, and not a multiple of it.
    let (long, longer) = ("a".repeat(3_000_000), "b".repeat(1 << 21));
    let input = folder.file("input", format!("{long}\nshort\n{longer}\nx\n"));
    let failed = folder.path("failed");
    let flags = [
        "--result-size",
        "100B",
        "--failed",
        &failed,
        "--tag",
        "--on-error",
        "empty",
    ];
    let ended = host(["map", &picky, "--input", &input].iter().chain(&flags))
        .run()
        .exits(1);
    assert!(ended.out() == format!("{long}\t\nshort\tshort\n{longer}\t\nx\t\n"));
    assert!(text(&folder, "failed") == format!("{long}\n{longer}\nx\n"));
}

#[test]
fn failed_lines_are_written_while_the_run_goes_on() {
    let folder = Folder::new();
    let (picky, failed) = (picky(&folder), folder.path("failed"));
    let mut live = host(["map", &picky, "--failed", &failed]).once("x\nlong\n").start();
    let written = becomes_true(Duration::from_secs(60), || {
        fs::read_to_string(&failed).is_ok_and(|text| text == "x\n")
    });
    assert!(written && live.is_running());
    live.close();
    live.end().exits(1);
}

#[test]
fn files_beside_the_output_are_apart_from_all_others() {
    let texts = Texts::new("files_beside_the_output_are_apart_from_all_others");
    let folder = Folder::new();
    let picky = picky(&folder);
    let input = folder.file("input", "x\n");
    for flags in [
        "--failed input",
        "--joblog ./input",
        "--failed new --joblog ./new",
        "--output new --failed new",
        "--failed .",
        "--failed missing/failed",
        "--results .",
        "--results input",
        "--on-error stop --halt 2",
        "--halt 101%",
    ] {
        let line = format!("disperse-host map {picky} --input input {flags}");
        let ended = shell(&line).folder(folder.root()).run().exits(2);
        ended.prints("").stderr_to(&texts);
        assert_eq!(fs::read_to_string(&input).unwrap(), "x\n");
        assert!(!folder.root().join("new").exists());
    }
    texts.match_snapshot();
}

#[test]
fn file_that_cannot_be_written_ends_the_run() {
    let folder = Folder::new();
    let picky = picky(&folder);
    for flag in ["--failed", "--joblog"] {
        let ended = host(["map", &picky, flag, "/dev/full"]).endless("x\n").start().end();
        let ended = ended.exits(4);
        assert!(ended.stderr.contains("`/dev/full`: No space left"), "{}", ended.stderr);
    }
}

/// The fields of the rows of a job log, after its header.
fn rows(log: &str) -> Vec<Vec<&str>> {
    let header =
        "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tAction\tAttempt\tOutcome\tFuel";
    assert_eq!(log.lines().next(), Some(header));
    log.lines().skip(1).map(|row| row.split('\t').collect()).collect()
}

#[test]
fn job_log_has_a_row_for_each_attempt() {
    let folder = Folder::new();
    let worker = folder.worker(
        "worker.wasm",
        &format!(
            "(if (i32.eq (local.get $len) (i32.const 1)) (then (return {}))) {}",
            body::RETRYABLE,
            body::ECHO
        ),
    );
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let (before, log) = (now(), folder.path("log"));
    let args = ["map", &worker, "--joblog", &log, "--attempts", "2", "--format", "json"];
    let events = host(args).input("four\nx\nthree\n").run().exits(1).events();
    let log = text(&folder, "log");
    let rows = rows(&log);
    assert_eq!(rows.len(), 4, "{log}");
    for row in &rows {
        let (began, took): (f64, f64) = (row[2].parse().unwrap(), row[3].parse().unwrap());
        assert!(began > before - 1.0 && began + took < now() + 1.0, "{row:?}");
        assert!(
            row[1].starts_with("worker/") && row[12].parse::<u64>().unwrap() > 0,
            "{row:?}"
        );
        let expected: [&[&str]; 2] = match row[0] {
            "1" => [&["4", "4", "0", "0", "line"], &["1", "ok"]],
            "3" => [&["5", "5", "0", "0", "line"], &["1", "ok"]],
            _ => [&["1", "0", "1", "0", "line"], &[row[10], "transient"]],
        };
        assert_eq!([&row[4..9], &row[10..12]], expected, "{row:?}");
    }
    let failed: Vec<_> = rows.iter().filter(|row| row[11] == "transient").collect();
    assert_eq!((failed[0][10], failed[1][10]), ("1", "2"), "{log}");
    let event = of_type(&events, "attempt-failed")[0];
    assert_eq!(
        (failed[0][9], failed[0][1]),
        (event["id"].to_string().as_str(), event["worker"].as_str().unwrap())
    );
}

#[test]
fn job_log_of_run_names_tasks_and_grows_when_the_run_is_resumed() {
    let folder = Folder::new();
    let (flaky, log, journal) = (wasm("flaky"), folder.path("log"), folder.path("journal"));
    let journal_flag = format!("--journal={journal}");
    let args = [
        "run",
        &flaky,
        "--joblog",
        &log,
        &journal_flag,
        "--halt",
        "1",
        "--attempts",
        "1",
        "--",
        "9",
        "9",
    ];
    let ended = host(args).folder(folder.root()).run().exits(1);
    assert!(
        ended.stderr.contains("stopping, as --halt asks: 1 of 1 tasks failed"),
        "{}",
        ended.stderr
    );
    let before = text(&folder, "log");
    let done = rows(&before).len();
    assert!(
        (1..9).contains(&done) && rows(&before).iter().all(|row| row[8] == "step"),
        "{before}"
    );
    // It stops again after one more.
    host(["resume", &journal]).folder(folder.root()).run().exits(1);
    let after = text(&folder, "log");
    assert!(after.starts_with(&before) && rows(&after).len() > done, "{after}");
}

#[test]
fn run_stops_after_so_many_failed_lines() {
    let folder = Folder::new();
    let picky = picky(&folder);
    let stopped = |flags: &[&str], line: &str, failed: u64| {
        let args = ["map", &picky, "-j1", "--format", "json"]
            .into_iter()
            .chain(flags.iter().copied());
        let events = host(args).endless(line).start().end().exits(1).events();
        let report = of_type(&events, "report")[0];
        assert_eq!(report["interrupted"], true, "{flags:?}: {report}");
        let found = report["tasks"]["failed"].as_u64().unwrap();
        // Attempts that were on their way end too.
        assert!((failed..failed + 10).contains(&found), "{flags:?}: {report}");
    };
    stopped(&["--halt", "1"], "x\nlong\n", 1);
    stopped(&["--halt", "30"], "x\n", 30);
    stopped(&["--on-error", "stop"], "long\nx\n", 1);
    // Half of the lines fail.
    stopped(&["--halt", "50%"], "x\nlong\n", 10);
    let lines = "long\nx\n".repeat(50);
    let args = ["map", &picky, "-j1", "--halt", "51%"];
    let ended = host(args).input(lines.as_str()).run().exits(1);
    assert!(!ended.stderr.contains("stopping"), "{}", ended.stderr);
}

#[test]
fn results_are_files_named_by_their_lines() {
    let folder = Folder::new();
    let picky = picky(&folder);
    let run = |flags: &[&str], results: &str, input: &str| {
        let args = ["map", &picky, "--results", results].into_iter();
        host(args.chain(flags.iter().copied()))
            .folder(folder.root())
            .input(input)
            .run()
    };
    let names = |results: &str| {
        let files = fs::read_dir(folder.path(results)).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let ended = run(&["--tag"], "new/results", "long\nx\n\n").exits(1);
    ended.prints("long\tlong\n\t\n");
    assert_eq!(names("new/results"), ["000000001", "000000002.err", "000000003"]);
    assert_eq!(text(&folder, "new/results/000000001"), "long");
    assert_eq!(text(&folder, "new/results/000000003"), "");
    let error = text(&folder, "new/results/000000002.err");
    assert!(error.contains("it says no") && error.ends_with('\n'), "{error}");
    fs::create_dir(folder.path("empty")).unwrap();
    run(&["--batch", "3"], "empty", "1\n2\n3\n4\n5").exits(0);
    assert_eq!(names("empty"), ["000000001", "000000004"]);
    assert_eq!(text(&folder, "empty/000000004"), "4\n5");
    run(&[], "empty", "long\n").exits(2);
}
