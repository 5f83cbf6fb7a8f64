//! `test`: operations with scripted workers, in virtual time.

use crate::support::{Ended, Folder, Texts, body, host, kinds_of_lines, of_type, player, root, snapshot};

/// A project whose operation runs these tasks, with one script.
struct Project {
    folder: Folder,
    script: String,
    manifest: String,
}

impl Project {
    fn new(tasks: &[&str], script: &str) -> Self {
        let tasks: Vec<String> = tasks.iter().map(|task| format!("{task:?}")).collect();
        Self {
            folder: Folder::new(),
            script: format!("args = [{}]\n{script}", tasks.join(", ")),
            manifest: String::new(),
        }
    }

    fn manifest(mut self, more: &str) -> Self {
        self.manifest = more.to_owned();
        self
    }

    /// Writes the project and runs its test with these flags.
    fn test(&self, flags: &[&str]) -> Ended {
        std::fs::create_dir_all(self.folder.root().join("tests")).unwrap();
        let manifest = format!("[operation]\ncomponent = {:?}\n{}", player(), self.manifest);
        self.folder.file("disperse.toml", manifest);
        self.folder.file("tests/script.toml", &self.script);
        host(["test", &self.folder.path(""), "--trust-manifest"].iter().chain(flags)).run()
    }

    /// Stores the golden log and returns it.
    fn log(&self) -> String {
        let ended = self.test(&["--update"]);
        assert!(ended.code == 0, "{}{}", ended.out(), ended.stderr);
        self.golden()
    }

    fn golden(&self) -> String {
        std::fs::read_to_string(self.folder.path("tests/script.golden")).unwrap()
    }
}

const ECHO: &str = "[[answer]]\necho = true\n";

#[test]
fn the_tests_of_the_examples_pass() {
    let texts = Texts::new("the_tests_of_the_examples_pass");
    for example in ["word-count", "roll-call", "flaky", "api-mining"] {
        host(["test", &format!("examples/{example}"), "--trust-manifest"])
            .run()
            .stdout_to(&texts)
            .exits(0);
    }
    texts.match_snapshot();
}

#[test]
fn golden_log_is_stored_and_differences_are_shown() {
    let texts = Texts::new("golden_log_is_stored_and_differences_are_shown");
    let mut project = Project::new(&["ask greet hello"], ECHO);
    project.test(&[]).stdout_to(&texts).exits(1);

    project.test(&["--update"]).exits(0).stderr_to(&texts);
    let golden = project.golden();
    assert_eq!(
        golden,
        "      0ms  task 1 handed out: ask greet hello\n      \
         0ms  task 1 asks 1.1 greet: hello\n      \
         0ms  1.1#1 to worker\n      \
         0ms  1.1#1 on worker: result: hello\n      \
         0ms  1.1 settled by #1\n      \
         0ms  task 1 done: hello\n      \
         0ms  output: hello\\n\n      \
         0ms  finished\n"
    );
    project.test(&[]).stdout_to(&texts).exits(0);

    project.script = project
        .script
        .replace("echo = true", "result = \"bye\"\nafter = \"5ms\"");
    project.test(&[]).stdout_to(&texts).exits(1);
    assert_eq!(project.golden(), golden, "nothing is written unless it is asked for");
    project.test(&["--update", "--quiet"]).exits(0).prints("");
    project.test(&["--quiet"]).exits(0).prints("");
    texts.match_snapshot();
}

#[test]
fn output_and_exit_code_are_compared() {
    let mut project = Project::new(&["ask greet hello", "fail misery"], "golden = false\n");
    project.script += "[expect]\noutput = \"bye\\n\"\n";
    project.script += ECHO;
    project
        .test(&[])
        .stdout_is("output_and_exit_code_are_compared")
        .exits(1);
    project.script = project.script.replace("\"bye\\n\"\n", "\"hello\\n\"\nexit = 1\n");
    project.test(&[]).exits(0);
}

#[test]
fn virtual_hours_take_no_real_time() {
    let tasks = ["ask fetch a", "sleep 86400000;clock;ask fetch b"];
    let script = "[[answer]]\ntimes = 1\nbusy = \"1h\"\n[[answer]]\nafter = \"10s\"\necho = true\n";
    let log = Project::new(&tasks, script).log();
    snapshot("virtual_hours_take_no_real_time", &log);
}

#[test]
fn attempt_without_a_rule_is_named_with_the_nearest_rule() {
    let texts = Texts::new("attempt_without_a_rule_is_named_with_the_nearest_rule");
    let script = "[[worker]]\nname = \"ann\"\n[[answer]]\nkind = \"other\"\necho = true\n\
                  [[answer]]\nkind = \"greet\"\npayload = \"bye\"\necho = true\n";
    let project = Project::new(&["ask greet hello"], script);
    for flags in [&[][..], &["--update"]] {
        project.test(flags).stdout_to(&texts).exits(1);
    }
    assert!(!std::path::Path::new(&project.folder.path("tests/script.golden")).exists());
    texts.match_snapshot();
}

#[test]
fn invalid_script_fails_before_anything_runs() {
    let texts = Texts::new("invalid_script_fails_before_anything_runs");
    for script in [
        "[[answer]]\npaylaod = \"x\"\necho = true\n",
        "[[answer]]\nkind = \"x\"\n",
        "[[worker]]\nname = \"ann\"\nslots = 0\n",
        "input-file = \"book.txt\"\n",
        "seed = ",
    ] {
        let ended = Project::new(&[], script).test(&[]);
        ended.exits(2).prints("").stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn argument_that_is_not_a_test_is_a_usage_error() {
    let texts = Texts::new("argument_that_is_not_a_test_is_a_usage_error");
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let operation = folder.operation("operation.wasm", "run", "");
    let script = folder.file("script.toml", "golden = false\n");
    host(["test", &operation]).run().exits(2).stderr_to(&texts);
    host(["test", &worker, "--script", &script])
        .run()
        .exits(2)
        .stderr_to(&texts);
    host(["test", &operation, "--script", "no-such.toml"])
        .run()
        .exits(2)
        .stderr_to(&texts);
    host(["test", &operation, "--script", &script, "--script", &script])
        .run()
        .exits(0)
        .prints(&format!(
            "{0}{0}2 passed, 0 failed\n",
            format!("ok   {script} (3 events in 0ms)\n")
        ));
    texts.match_snapshot();
}

#[test]
fn script_in_the_book_runs() {
    let text = std::fs::read_to_string(root().join("docs/book/src/testing.md")).unwrap();
    let script = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let log = Project::new(&["ask square 2"], script).log();
    snapshot("script_in_the_book_runs", &log);
}

/// Tasks that race each other, receive results in batches, cancel and fail; workers of every kind.
fn race() -> Project {
    let tasks = [
        "submit a 1;submit a 2;submit b 3;any;any;take",
        "all a x y z;spin 3000000;all b x y z",
        "submit a 4;submit a slow;any;sleep 30;drop;submit c 5;take;clock",
        "spin 1000000;ask a trap;ask b 6;ask c 7",
        "sleep 5;all c 1 2 3 4 5 6;fail enough",
        "all a 1 2 3 4;sleep 1;all a 1 2 3 4",
    ];
    let workers = "[[worker]]\nname = \"ann\"\nslots = 2\n[[worker]]\nname = \"ben\"\n[[worker]]\nname = \"cid\"\nkinds = [\"c\"]\n\
                   [[worker]]\nname = \"dot\"\n[[worker]]\nname = \"eve\"\nkinds = [\"c\"]\n";
    let answers = "[[answer]]\npayload = \"slow\"\nafter = \"20s\"\necho = true\n\
                   [[answer]]\npayload = \"trap\"\ntrap = \"broken\"\nafter = \"1ms\"\n\
                   [[answer]]\nworker = \"ben\"\ntimes = 9\nfail = \"moody\"\nafter = \"3ms\"\n\
                   [[answer]]\nkind = \"b\"\nattempt = 1\ntimes = 2\nlost = true\nafter = \"2ms\"\n\
                   [[answer]]\nworker = \"dot\"\ntimes = 1\nbusy = \"50ms\"\n\
                   [[answer]]\nworker = \"eve\"\nunfit = \"tired\"\n\
                   [[answer]]\necho = true\nafter = \"2ms\"\n";
    let script = format!("seed = 11\n[expect]\nexit = 1\n{workers}{answers}");
    Project::new(&tasks, &script).manifest("[health]\nquarantine = \"10ms\"\nquarantine-score = 1.0\n")
}

#[test]
fn log_is_the_same_for_any_number_of_threads() {
    let project = race();
    let log = project.log();
    snapshot("log_is_the_same_for_any_number_of_threads", &kinds_of_lines(&log));
    for round in 0..20 {
        let threads = (round % 5 + 1).to_string();
        let ended = project.test(&["--threads", &threads]);
        assert!(ended.code == 0, "round {round}, {threads} threads:\n{}", ended.out());
    }
}

#[test]
fn another_seed_gives_another_log() {
    let mut project = race();
    let log = project.log();
    project.script = project.script.replace("seed = 11", "seed = 12");
    assert_ne!(project.log(), log);
}

#[test]
fn limits_and_policy_come_from_the_manifest() {
    let script = "[expect]\nexit = 1\n[[worker]]\nname = \"ann\"\n[[answer]]\nkind = \"slow\"\nafter = \"1h\"\necho = true\n\
                  [[answer]]\nresult = \"more than twenty-four bytes\"\n";
    let project = Project::new(&["ask slow a", "ask large b", "spin 100000000;sleep 1"], script);
    let log = project
        .manifest("[limits]\nfuel = \"20M\"\ntimeout = \"2s\"\nresult-size = \"24B\"\n[health]\nattempts = 1\n")
        .log();
    snapshot("limits_and_policy_come_from_the_manifest", &log);
}

#[test]
fn unfit_workers_set_the_exit_code() {
    let project = Project::new(
        &["ask fetch a"],
        "[expect]\nexit = 3\n[[answer]]\nunfit = \"revoked\"\n",
    );
    let log = project.log();
    snapshot("unfit_workers_set_the_exit_code", &log);
}

#[test]
fn endless_test_is_stopped() {
    let texts = Texts::new("endless_test_is_stopped");
    let endless = Project::new(&["spin 18446744073709551615"], ECHO).manifest("[limits]\nfuel = \"1000T\"\n");
    endless.test(&["--timeout", "500ms"]).stdout_to(&texts).exits(1);

    Project::new(&["nap-for-ever"], ECHO)
        .test(&[])
        .stdout_to(&texts)
        .exits(1);
    texts.match_snapshot();
}

#[test]
fn worker_that_is_always_busy_fails_in_the_end() {
    let log = Project::new(&["ask fetch a"], "[[answer]]\nbusy = \"1h\"\n").log();
    // Twenty busy replies in a row count as an attempt, of four.
    assert_eq!(log.matches("busy for").count(), 80, "{log}");
    let last: Vec<_> = log.lines().skip_while(|line| !line.contains("settled")).collect();
    snapshot("worker_that_is_always_busy_fails_in_the_end", &last.join("\n"));
}

#[test]
fn failed_test_shows_the_log_lines_of_its_guests() {
    let texts = Texts::new("failed_test_shows_the_log_lines_of_its_guests");
    let mut project = Project::new(
        &["say peep", "ask a b"],
        "golden = false\n[[answer]]\nkind = \"a\"\nresult = \"\"\n",
    );
    project.test(&[]).exits(0).prints(&format!(
        "ok   {} (11 events in 0ms)\n1 passed, 0 failed\n",
        project.folder.path("tests/script.toml")
    ));
    project.test(&["-v"]).stdout_to(&texts).exits(0);
    project.script += "[expect]\noutput = \"c\"\n";
    project.test(&[]).stdout_to(&texts).exits(1);
    texts.match_snapshot();
}

/// Five attempts that take 50 ms each.
fn five(quotas: &str, answers: &str) -> String {
    let script = format!("{quotas}{answers}[[answer]]\nafter = \"50ms\"\necho = true\n");
    let log = Project::new(&["all fetch 1 2 3 4 5"], &script).log();
    assert!(!log.contains("#2"), "waiting counts as an attempt:\n{log}");
    log
}

/// When attempts were dispatched to workers, in ms.
fn given(log: &str) -> Vec<u64> {
    let given = log.lines().filter(|line| line.contains("#1 to "));
    given
        .map(|line| line.trim().split("ms").next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn worker_with_a_spent_quota_waits_in_virtual_time() {
    // A unit counts from its dispatch until the window and its margin, 10.1 s, after its answer.
    let log = five("quota = [{ limit = 2, per = \"10s\" }]\n", "");
    snapshot("worker_with_a_spent_quota_waits_in_virtual_time", &log);
    assert_eq!(given(&log), [0, 50, 10150, 10200, 20300]);

    let log = five(
        "quota = [{ concurrent = 1 }]\n[[worker]]\nname = \"ann\"\nslots = 5\n",
        "",
    );
    assert_eq!(given(&log), [0, 50, 100, 150, 200]);
    assert!(!log.contains("is spent"), "{log}");
}

#[test]
fn account_is_shared_by_all_its_workers() {
    let workers = "quota = [{ name = \"calls\", limit = 1, per = \"10s\" }]\n\
                   [[worker]]\nname = \"ann\"\naccount = \"alice\"\n[[worker]]\nname = \"ben\"\naccount = \"alice\"\n\
                   [[worker]]\nname = \"cid\"\nquota = [{ limit = 3, per = \"1h\" }]\n\
                   [[worker]]\nname = \"dot\"\nquota = []\nkinds = [\"other\"]\n";
    let log = five(workers, "");
    snapshot("account_is_shared_by_all_its_workers", &log);
    assert_eq!(given(&log), [0, 0, 50, 100, 10150]);
    for line in log.lines().filter(|line| line.contains(" to ")) {
        let of_alice = line.contains("1.1#") || line.contains("1.5#");
        assert_ne!(of_alice, line.ends_with("cid"), "{log}");
    }
}

#[test]
fn quota_reports_of_scripted_workers_are_applied() {
    let quota = "quota = [{ limit = 2, per = \"10s\", window = \"fixed\" }]\n";
    let report =
        "[[answer]]\ntimes = 1\nafter = \"50ms\"\necho = true\nreport = [{ remaining = 0, resets = \"2s\" }]\n";
    let log = five(quota, report);
    snapshot("quota_reports_of_scripted_workers_are_applied", &log);
    // The same for any number of threads: log lines appear in virtual time.
    for threads in ["1", "2", "5"] {
        let script = format!("{quota}{report}[[answer]]\nafter = \"50ms\"\necho = true\n");
        let project = Project::new(&["all fetch 1 2 3 4 5"], &script);
        project.test(&["--update", "--threads", threads]).exits(0);
        assert_eq!(project.golden(), log);
    }
}

#[test]
fn test_results_are_available_as_json() {
    let mut project = Project::new(&["ask greet hello", "say peep"], ECHO);
    project.script = format!("quota = [{{ limit = 9, per = \"1h\" }}]\n{}", project.script);
    let path = project.folder.path("tests/script.toml");
    let golden = project.folder.path("tests/script.golden");
    let json = ["--format", "json"];

    let events = project.test(&[&json[..], &["--update"]].concat()).exits(0).events();
    assert_eq!(events.len(), 2);
    let test = &events[0];
    for (key, wanted) in [
        ("type", "test".into()),
        ("id", path.as_str().into()),
        ("name", "script".into()),
        ("passed", true.into()),
        ("problems", serde_json::json!([])),
        ("golden", golden.as_str().into()),
        ("golden_written", true.into()),
        ("exit", 0.into()),
        ("took_ms", 0.0.into()),
        ("tasks", serde_json::json!({ "done": 2, "failed": 0, "in_flight": 0 })),
        ("log", serde_json::Value::Null),
        ("said", serde_json::Value::Null),
    ] {
        assert_eq!(test[key], wanted, "{key}");
    }
    assert_eq!(
        (&test["kinds"][0]["kind"], &test["kinds"][0]["attempts"]),
        (&"greet".into(), &1.into())
    );
    assert_eq!(
        (&test["quotas"][0]["quota"], &test["quotas"][0]["used"]),
        (&"worker".into(), &1.into())
    );
    assert_eq!(
        events[1],
        serde_json::json!({ "type": "report", "passed": 1, "failed": 0 })
    );

    let events = project.test(&[&json[..], &["-v"]].concat()).exits(0).events();
    assert_eq!(events[0]["log"], project.golden());
    assert_eq!(events[0]["said"], serde_json::json!(["[task 2] info: peep"]));
    let events = project.test(&[&json[..], &["--quiet"]].concat()).exits(0).events();
    assert_eq!(events.len(), 1, "a test that passes has no further events");

    project.script = project
        .script
        .replace("echo = true", "result = \"bye\"\nafter = \"5ms\"");
    project.script += "[expect]\noutput = \"\\nhello\\n\"\nexit = 1\n";
    let events = project.test(&[&json[..], &["--quiet"]].concat()).exits(1).events();
    let [test, report] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&test["passed"], &test["took_ms"]), (&false.into(), &5.0.into()));
    let problems = test["problems"].as_array().unwrap();
    let problems: Vec<_> = problems.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(problems, ["exit", "output", "log"]);
    assert_eq!(test["problems"][0]["message"], "the exit code is 0, expected 1");
    assert_eq!(test["problems"][0]["diff"], serde_json::Value::Null);
    assert_eq!(
        test["problems"][1]["diff"].as_str().unwrap(),
        "@@ line 1 @@\n \n-hello\n+bye\n \n"
    );
    assert_eq!(test["said"], serde_json::json!(["[task 2] info: peep"]));
    assert_eq!(
        report,
        &serde_json::json!({ "type": "report", "passed": 0, "failed": 1 })
    );
}

#[test]
fn unfinished_test_is_reported_as_json() {
    let events = Project::new(&["ask greet hello"], "golden = false\n")
        .test(&["--format", "json"])
        .exits(1)
        .events();
    let tests = of_type(&events, "test");
    let [test] = tests[..] else { panic!("{events:?}") };
    assert_eq!(test["problems"][0]["what"], "end");
    assert!(test.get("exit").is_none() && test.get("golden").is_none(), "{test}");
}
