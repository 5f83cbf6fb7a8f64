//! Operations that trap, and operations that never end.

use std::collections::BTreeSet;

use crate::support::{Ended, Folder, Texts, body, host, of_type, player, probe};

fn run(function: &str, body: &str, flags: &[&str]) -> Ended {
    let folder = Folder::new();
    let operation = folder.operation("operation.wasm", function, body);
    let worker = folder.worker("echo.wasm", body::ECHO);
    host(["run", &operation, "--worker", &worker].iter().chain(flags)).run()
}

#[test]
fn honest_operation_succeeds() {
    run("next", "", &[]).exits(0).stderr_is("honest_operation_succeeds");
}

#[test]
fn planner_keeps_its_state_between_calls() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    host(["run", &player(), "--worker", &worker, "--", "count", "count", "count"])
        .run()
        .exits(0)
        .prints("\n\n\n3 3\n");
}

/// An action is named by its run, its task and its index among the task's requests. Nothing else, such as which worker was
/// free first, is part of the name: a service that gets it as an idempotency key recognizes the action.
#[test]
fn action_names_differ_between_runs_only_in_the_run_name() {
    let (player, probe) = (player(), probe());
    let tasks: Vec<String> = (1..=20)
        .map(|task| {
            format!(
                "all k {}; submit k name; submit k name; take",
                "name ".repeat(1 + task % 5)
            )
        })
        .collect();
    let expected: BTreeSet<String> = (1..=20)
        .flat_map(|task| (1..=3 + task % 5).map(move |request| format!("{task}-{request}")))
        .collect();
    let mut runs = BTreeSet::new();
    for threads in ["1", "8", "2", "8", "1"] {
        let args = [
            "run",
            &player,
            "--worker",
            &probe,
            "--workers",
            "4",
            "--seed",
            "7",
            "--threads",
            threads,
            "--",
        ];
        let ended = host(args.into_iter().chain(tasks.iter().map(String::as_str)))
            .run()
            .exits(0);
        let out = ended.out();
        let names: Vec<(&str, &str)> = out
            .split_whitespace()
            .map(|name| {
                let (at, _) = name.match_indices('-').nth(2).unwrap();
                (&name[..at], &name[at + 1..])
            })
            .collect();
        assert!(names.iter().all(|(run, _)| *run == names[0].0), "{out}");
        assert!(runs.insert(names[0].0.to_owned()), "{} names two runs", names[0].0);
        assert_eq!(names.len(), expected.len());
        assert_eq!(
            names
                .iter()
                .map(|(_, name)| (*name).to_owned())
                .collect::<BTreeSet<_>>(),
            expected
        );
    }
}

/// Waiting tasks keep their instances, of which there are fewer than tasks: the others start as those end, and workers always get
/// instances.
#[test]
fn sleeping_tasks_all_finish_with_few_instances() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let player = player();
    let args = ["run", &player, "--worker", &worker, "--tasks", "2000", "--"];
    let ended = host(args.into_iter().chain(std::iter::repeat_n("sleep 50; ask k x", 2000)))
        .run()
        .exits(0);
    assert_eq!(ended.out().lines().filter(|line| line.ends_with(" x")).count(), 2000);
}

#[test]
fn a_trap_in_next_is_named() {
    run("next", "unreachable", &[])
        .exits(1)
        .prints("")
        .stderr_is("a_trap_in_next_is_named");
}

#[test]
fn a_trap_in_run_fails_the_task() {
    let ended = run("run", "unreachable", &[]).exits(1);
    ended.prints("").stderr_is("a_trap_in_run_fails_the_task");
}

#[test]
fn a_trap_in_collect_is_named_with_the_task() {
    let ended = run("collect", "unreachable", &[]).exits(1);
    ended.prints("").stderr_is("a_trap_in_collect_is_named_with_the_task");
}

#[test]
fn a_trap_in_finish_is_named() {
    run("finish", "unreachable", &[])
        .exits(1)
        .prints("")
        .stderr_is("a_trap_in_finish_is_named");
}

#[test]
fn endless_loop_in_any_function_runs_out_of_fuel() {
    let texts = Texts::new("endless_loop_in_any_function_runs_out_of_fuel");
    let endless = "(loop $again (br $again))";
    for function in ["next", "run", "collect", "finish"] {
        run(function, endless, &["--fuel", "50M"])
            .exits(1)
            .prints("")
            .stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn error_of_finish_fails_the_run() {
    let ended = run(
        "finish",
        "(return (call $say (i32.const 1) (i32.const 64) (i32.const 6)))",
        &[],
    )
    .exits(1);
    ended.stderr_is("error_of_finish_fails_the_run");
}

#[test]
fn error_of_run_fails_only_the_task() {
    let body = "(return (call $say (i32.const 1) (i32.const 64) (i32.const 6)))";
    let events = run("run", body, &["--format", "json"]).exits(1).events();
    let ended = of_type(&events, "task-ended");
    assert_eq!(ended.len(), 1, "{events:?}");
    assert_eq!(ended[0]["error"], "a task");
    assert_eq!(of_type(&events, "report")[0]["tasks"]["failed"], 1);
}

/// Runs an operation with this function, these limits in its manifest and these flags.
fn limited(function: &str, body: &str, limits: &str, flags: &[&str]) -> Ended {
    let folder = Folder::new();
    folder.operation("operation.wasm", function, body);
    folder.worker("echo.wasm", body::ECHO);
    let manifest = folder.file(
        "disperse.toml",
        format!(
            r#"
                [operation]
                component = "operation.wasm"

                [limits]
                {limits}

                [[pool]]
                name = "echo"
                component = "echo.wasm"
            "#
        ),
    );
    host(["run", &manifest].iter().chain(flags)).run()
}

/// Allocates a hundred MiB once, or traps.
const HUNGRY: &str = "(if (i32.lt_u (memory.size) (i32.const 1600))
    (then (if (i32.eq (memory.grow (i32.const 1600)) (i32.const -1)) (then unreachable))))";

#[test]
fn planner_has_more_memory_than_a_task_by_default() {
    let texts = Texts::new("planner_has_more_memory_than_a_task_by_default");
    limited("next", HUNGRY, "", &[]).exits(0);
    limited("next", HUNGRY, "memory = \"32MiB\"", &[])
        .exits(1)
        .stderr_to(&texts);
    limited("next", HUNGRY, "", &["--memory", "32MiB"])
        .exits(1)
        .stderr_to(&texts);
    limited("next", HUNGRY, "memory = \"1GiB\"", &["--memory", "32MiB"])
        .exits(1)
        .stderr_to(&texts);
    limited("next", HUNGRY, "memory = \"32MiB\"", &["--memory", "128MiB"]).exits(0);
    texts.match_snapshot();
}

#[test]
fn manifest_or_flag_sets_the_memory_of_a_task() {
    limited("run", HUNGRY, "", &[])
        .exits(1)
        .stderr_is("manifest_or_flag_sets_the_memory_of_a_task");
    limited("run", HUNGRY, "memory = \"128MiB\"", &[]).exits(0);
    limited("run", HUNGRY, "", &["--memory", "128MiB"]).exits(0);
}

#[test]
fn result_size_limit_of_a_manifest_applies_to_the_planner() {
    // Its one task has two KiB.
    let large = "(if (i32.eqz (global.get $handed)) (then
                   (global.set $handed (i32.const 1))
                   (return (call $say (i32.const 1) (i32.const 2048) (i32.const 2048)))))";
    limited("next", large, "", &[]).exits(0);
    limited("next", large, "result-size = \"1KiB\"", &[])
        .exits(1)
        .stderr_is("result_size_limit_of_a_manifest_applies_to_the_planner");
    limited("next", large, "result-size = \"1KiB\"", &["--result-size", "2KiB"]).exits(0);
}
