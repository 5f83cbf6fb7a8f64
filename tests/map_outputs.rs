//! What `map` and `run` write besides plain results.

use serde_json::Value;

use crate::support::{Folder, body, host, of_type, wasm};

/// A worker that fails lines of one byte in this way, and echoes the others.
fn picky(folder: &Folder, refuse: &str) -> String {
    let handle = format!(
        "(if (i32.eq (local.get $len) (i32.const 1)) (then (return {refuse}))) {}",
        body::ECHO
    );
    folder.worker("picky.wasm", &handle)
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
