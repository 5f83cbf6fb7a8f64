//! Control of a run from outside: `explain`, `readmit`, `drain`, and the folder of run records.

use std::{
    io::{Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Folder, Live, Texts, becomes_true, body, has, host, of_type, records};

const DEADLINE: Duration = Duration::from_secs(60);

/// Settings that evict a worker when it fails three actions.
const SETTINGS: &str = r#"
    [health]
    # One failure is waited for, and one verdict is enough.
    suspect-after = 1
    quarantine-score = 1.0
    quarantine = "50ms"
    evict-after = 2
"#;

fn ask(folder: &Path, args: &[&str]) -> Ended {
    host(args).folder(folder).run()
}

/// The JSON answer of a run in this folder to a command.
pub(crate) fn json_answer(folder: &Path, args: &[&str]) -> Value {
    answer(folder, args).unwrap_or_else(|ended| panic!("{args:?}: {}", ended.stderr))
}

/// The state of a run in this folder, once it answers.
pub(crate) fn progress(folder: &Path) -> Option<Value> {
    answer(folder, &["explain"]).ok()
}

fn answer(folder: &Path, args: &[&str]) -> Result<Value, Ended> {
    let args: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
    let ended = ask(folder, &args);
    if ended.code != 0 {
        return Err(ended);
    }
    let mut answers = ended.events();
    assert_eq!(answers.len(), 1);
    Ok(answers.remove(0))
}

/// The run records with this extension, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(records(folder)) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

fn id(file: &Path) -> String {
    file.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[track_caller]
fn until(what: &str, seen: impl FnMut() -> bool) {
    assert!(becomes_true(DEADLINE, seen), "{what} did not happen in time");
}

/// Starts an endless run and waits until it has begun.
fn endless(folder: &Path, args: &[&str]) -> Live {
    let line = "a line ".repeat(600);
    let mut live = host(args).folder(folder).endless(format!("{line}\n")).start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    live
}

/// Connects to a socket whose path may be longer than an address.
fn connect(socket: &Path) -> UnixStream {
    let folder = std::fs::File::open(socket.parent().unwrap()).unwrap();
    let folder = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    UnixStream::connect(folder.join(socket.file_name().unwrap())).unwrap()
}

/// Sends bytes over the control socket and returns the answer.
fn raw(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = connect(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The run answers even if it does not read all of the request.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_worker_is_explained_and_readmitted() {
    let texts = Texts::new("a_worker_is_explained_and_readmitted");
    let folder = Folder::new();
    let manifest = folder.mixed(SETTINGS, "other", body::RETRYABLE);
    let root = folder.root();
    let mut live = endless(root, &["map", &manifest, "-v"]);
    until("the eviction", || {
        json_answer(root, &["explain", "worker", "mallory"])["health"] == "evicted"
    });

    let worker = json_answer(root, &["explain", "worker", "mallory"]);
    assert_eq!(
        (&worker["type"], &worker["id"], &worker["health"]),
        (&"worker".into(), &"other/mallory".into(), &"evicted".into())
    );
    assert_eq!(worker["ended"].as_bool(), Some(false), "{worker}");
    // One failure at least before each quarantine and before the eviction; more if it had several actions when the first failed.
    let failed = worker["failed"].as_u64().unwrap();
    assert!(failed >= 3, "{worker}");
    let healths: Vec<&str> = worker["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| turn["health"].as_str().unwrap())
        // It is suspect only if it failed several actions before the first of them succeeded elsewhere.
        .filter(|health| *health != "suspect")
        .collect();
    assert_eq!(
        healths,
        ["quarantined", "probation", "quarantined", "probation", "evicted"]
    );
    let failure = &worker["failures"][0];
    assert_eq!(
        (&failure["message"], &failure["class"]),
        (&"it says no".into(), &"transient".into())
    );
    let action = failure["action"].as_u64().unwrap().to_string();
    // The report says that other workers completed the actions.
    for failure in worker["failures"].as_array().unwrap() {
        let failed = failure["action"].as_u64().unwrap().to_string();
        until("the action's end", || {
            json_answer(root, &["explain", "action", &failed])["state"] == "done"
        });
    }
    let explained = json_answer(root, &["explain", "action", &action]);
    assert_eq!(
        (&explained["attempts"][0]["worker"], &explained["kind"]),
        (&"other/mallory".into(), &"line".into())
    );
    assert!(
        explained["words"].as_str().unwrap().starts_with("it passed on honest/"),
        "{explained}"
    );
    ask(root, &["explain", "worker", "other/mallory"])
        .exits(0)
        .stdout_kinds_to(&texts);

    let run = json_answer(root, &["explain"]);
    assert_eq!(
        (&run["workers"]["evicted"], &run["workers"]["healthy"]),
        (&1.into(), &2.into()),
        "{run}"
    );
    assert_eq!(
        (&run["notable"][0]["id"], &run["run"]),
        (&"other/mallory".into(), &run["id"])
    );
    ask(root, &["explain", "run"]).exits(0).stdout_kinds_to(&texts);

    ask(root, &["readmit", "malory"]).exits(2).prints("").stderr_to(&texts);
    ask(root, &["explain", "action", "99999999"]).exits(2).stderr_to(&texts);
    ask(root, &["explain", "action", "line"]).exits(2).stderr_to(&texts);
    ask(root, &["readmit", "mallory"]).exits(0).stdout_to(&texts);
    live.wait_until("the message about it", |_, stderr| {
        stderr.contains("worker other/mallory: healthy")
    });
    until("another eviction", || {
        let worker = json_answer(root, &["explain", "worker", "mallory"]);
        worker["failed"].as_u64() > Some(failed) && worker["health"] == "evicted"
    });

    live.close();
    live.end().exits(0);
    // `explain` still answers.
    assert!(files(root, "sock").is_empty());
    let worker = json_answer(root, &["explain", "worker", "mallory"]);
    assert_eq!((&worker["ended"], &worker["health"]), (&true.into(), &"evicted".into()));
    assert_eq!(
        json_answer(root, &["explain", "action", &action])["words"],
        explained["words"]
    );
    let well = worker["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["action"].as_u64().unwrap())
        .max()
        .unwrap()
        + 1;
    ask(root, &["explain", "action", &well.to_string()])
        .exits(0)
        .stdout_kinds_to(&texts);
    ask(root, &["explain"]).exits(0).stdout_kinds_to(&texts);
    ask(root, &["explain", "worker", "unknown"]).exits(2).stderr_to(&texts);
    ask(root, &["readmit", "mallory"]).exits(2).stderr_to(&texts);
    let name = json_answer(root, &["explain"])["id"].as_str().unwrap().to_owned();
    ask(root, &["drain", "--run", &name]).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn action_without_an_available_worker_is_explained() {
    let texts = Texts::new("action_without_an_available_worker_is_explained");
    let folder = Folder::new();
    let root = folder.root();
    // The first line never ends and occupies the only worker.
    let stuck = folder.worker("stuck.wasm", body::ENDLESS);
    let args = ["map", &stuck, "--workers", "1", "--fuel", "1000T", "--timeout", "1h"];
    let live = host(args).folder(root).input("a\nb\n").start();
    until("the first action", || {
        let said = ask(root, &["explain", "action", "1", "--format", "json"]);
        said.code == 0 && said.events()[0]["state"] == "running"
    });
    ask(root, &["explain", "action", "a2"]).exits(0).stdout_kinds_to(&texts);
    let run = json_answer(root, &["explain", "run"]);
    assert_eq!(
        (&run["waiting"]["for_a_free_worker"], &run["actions_running"]),
        (&1.into(), &1.into()),
        "{run}"
    );
    ask(root, &["explain", "worker", "1"]).exits(0).stdout_kinds_to(&texts);
    // It is the only one.
    ask(root, &["drain", "stuck/1"]).exits(2).stderr_to(&texts);
    live.send(Signal::KILL);
    live.end().exits(137);
    ask(root, &["explain"]).exits(2).prints("").stderr_to(&texts);
    assert!(files(root, "sock").is_empty(), "its socket is gone");
    ask(root, &["explain"]).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn socket_of_a_killed_run_is_removed_by_the_next_run() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let live = endless(folder.root(), &["map", &echo]);
    live.send(Signal::KILL);
    live.end().exits(137);
    let stale = files(folder.root(), "sock");
    assert_eq!(stale.len(), 1);
    host(["map", &echo])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    assert!(files(folder.root(), "sock").is_empty());
    assert_eq!(files(folder.root(), "ended").len(), 1);
    ask(folder.root(), &["explain", "--run", &id(&stale[0])])
        .exits(2)
        .stderr_is("socket_of_a_killed_run_is_removed_by_the_next_run");
}

#[test]
fn a_worker_is_drained_and_then_the_run() {
    let texts = Texts::new("a_worker_is_drained_and_then_the_run");
    let folder = Folder::new();
    let manifest = folder.mixed(SETTINGS, "other", body::SLOW_ECHO);
    let root = folder.root();
    let live = endless(root, &["map", &manifest]);
    // How many attempts run depends on timing, and so does the end of the sentence.
    let drained = |ended: Ended| texts.add("drain", ended.exits(0).out().split(';').next().unwrap());
    drained(ask(root, &["drain", "mallory"]));
    until("its last attempt", || {
        json_answer(root, &["explain", "worker", "mallory"])["holds"].is_null()
    });
    let before = json_answer(root, &["explain", "worker", "mallory"]);
    let done = |run: Value| run["actions_done"].as_u64().unwrap();
    let so_far = done(json_answer(root, &["explain"]));
    until("more of the others", || {
        done(json_answer(root, &["explain"])) > so_far + 10
    });
    assert_eq!(json_answer(root, &["explain", "worker", "mallory"])["ok"], before["ok"]);

    drained(ask(root, &["drain"]));
    // The input stays open: the run does not wait for it.
    let ended = live.end().exits(130).stderr_to(&texts);
    let lines = ended.out().lines().count().to_string();
    assert_eq!(
        ended.row("line").split_whitespace().nth(1),
        Some(&*lines),
        "what was done is written: {}",
        ended.stderr
    );
    ask(root, &["explain"]).exits(0).stdout_kinds_to(&texts);
    texts.match_snapshot();
}

#[test]
fn two_runs_in_one_folder_are_addressed_by_name() {
    let folder = Folder::new();
    let root = folder.root();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let one = endless(root, &["map", &echo]);
    let first = id(&files(root, "sock")[0]);
    let other = endless(root, &["map", &echo]);
    let both = files(root, "sock");
    assert_eq!(both.len(), 2);
    let second = both.iter().map(|file| id(file)).find(|id| *id != first).unwrap();
    for run in [&first, &second] {
        assert_eq!(json_answer(root, &["explain", "--run", run])["run"], **run);
    }
    let ended = ask(root, &["drain"])
        .exits(2)
        .stderr_is("two_runs_in_one_folder_are_addressed_by_name");
    has("stderr", &ended.stderr, &[&first, &second]);
    ask(root, &["drain", "--run", &first]).exits(0);
    one.end().exits(130);
    // One run is left, which need not be named.
    assert_eq!(json_answer(root, &["explain"])["run"], *second);
    assert_eq!(json_answer(root, &["explain", "run", "--run", &first])["ended"], true);
    // The end of the run's name is enough.
    ask(root, &["drain", "--run", &second[16..]]).exits(0);
    other.end().exits(130);
    assert_eq!(files(root, "ended").len(), 2);
}

#[test]
fn other_users_can_neither_read_nor_control_a_run() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let live = endless(folder.root(), &["map", &echo]);
    let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&records(folder.root())), 0o700);
    assert_eq!(mode(&files(folder.root(), "sock")[0]), 0o600);
    live.close();
    live.end().exits(0);
    assert_eq!(mode(&files(folder.root(), "ended")[0]), 0o600);
}

#[test]
fn invalid_requests_get_errors_and_idle_clients_block_no_others() {
    let folder = Folder::new();
    let root = folder.root();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let live = endless(root, &["map", &echo]);
    let socket = files(root, "sock").remove(0);
    // More connections than are served at once, and one sends half a request.
    let mut silent: Vec<_> = (0..12).map(|_| connect(&socket)).collect();
    silent[0].write_all(b"{\"v\":2,").unwrap();
    let before = live.fed();
    until("more fed lines", || live.fed() > before + 50);
    // They are closed after a timeout, and then others are served.
    assert!(json_answer(root, &["explain"])["actions_done"].as_u64() > Some(0));
    drop(silent);
    let texts = Texts::new("invalid_requests_get_errors_and_idle_clients_block_no_others");
    for bytes in [
        &b""[..],
        b"\n",
        b"\xff\xfe\x00\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"v\":1,\"ask\":\"run\"}\n",
        b"{\"v\":2,\"ask\":\"kill\"}\n",
        b"{\"v\":2,\"ask\":\"action\",\"id\":-1}\n",
        &vec![b'a'; 3 << 20],
        &[vec![b'['; 3 << 20], b"\n".to_vec()].concat(),
    ] {
        let said = raw(&socket, bytes);
        assert!(
            said.starts_with("{\"v\":2,\"problem\":") && said.ends_with('\n'),
            "{said}"
        );
        texts.add(&bytes[..bytes.len().min(40)].escape_ascii().to_string(), &said);
    }
    texts.match_snapshot();
    // One client that does not read its answer, and many that do.
    let mut deaf = connect(&socket);
    deaf.write_all(b"{\"v\":2,\"ask\":\"run\"}\n").unwrap();
    for _ in 0..50 {
        assert!(raw(&socket, b"{\"v\":2,\"ask\":\"run\"}\n").starts_with("{\"v\":2,\"response\":{"));
    }
    live.close();
    live.end().exits(0);
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn run_outside_a_project_leaves_no_files() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let live = endless(folder.root(), &["map", &echo]);
    // The same folder by another path.
    let link = Folder::new();
    std::os::unix::fs::symlink(folder.root(), link.root().join("link")).unwrap();
    assert_eq!(json_answer(&link.root().join("link"), &["explain"])["ended"], false);
    ask(folder.root(), &["drain"]).exits(0);
    live.end().exits(130);
    assert_eq!(json_answer(folder.root(), &["explain"])["ended"], true);
    assert_eq!(names(folder.root()), ["echo.wasm"]);
    // Another folder has its own runs.
    ask(link.root(), &["explain"]).exits(2);
}

#[test]
fn project_stores_its_runs_in_a_folder_that_git_ignores() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let run = || host(["map", &echo]).folder(folder.root()).input("a\n").run().exits(0);
    run();
    // A run from before the folder was a project is still found.
    folder.file("disperse.toml", "");
    assert_eq!(json_answer(folder.root(), &["explain"])["ended"], true);
    run();
    assert_eq!(names(folder.root()), [".disperse", "disperse.toml", "echo.wasm"]);
    assert_eq!(
        std::fs::read_to_string(folder.path(".disperse/.gitignore")).unwrap(),
        "*\n"
    );
    assert_eq!(files(folder.root(), "ended").len(), 1);
    assert_eq!(json_answer(folder.root(), &["explain"])["ended"], true);
}

#[test]
fn records_fall_back_to_the_current_folder() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let blocked = folder.file("blocked", "");
    std::fs::create_dir_all(folder.path("open/disperse/runs")).unwrap();
    for (state, home) in [
        ("", ""),
        (&blocked[..], ""),
        ("", &blocked[..]),
        (&folder.path("open")[..], ""),
    ] {
        let here = Folder::new();
        let with = |args: &[&str]| {
            host(args)
                .folder(here.root())
                .env("XDG_STATE_HOME", state)
                .env("HOME", home)
        };
        with(&["map", &echo]).input("a\n").run().exits(0).prints("a\n");
        assert_eq!(names(here.root()), [".disperse"], "{state} {home}");
        let ended = with(&["explain", "--format", "json"]).run().exits(0);
        assert_eq!(ended.events()[0]["ended"], true);
    }
}

#[test]
fn run_continues_without_a_record_folder() {
    let texts = Texts::new("run_continues_without_a_record_folder");
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    folder.file("disperse.toml", "");
    folder.file(".disperse", "");
    let run = |args: &[&str]| host(args).folder(folder.root()).input("a\n").run().exits(0);
    assert!(!run(&["map", &echo]).prints("a\n").stderr.contains(".disperse"));
    run(&["map", &echo, "-v"]).prints("a\n").stderr_to(&texts);
    ask(folder.root(), &["explain"]).exits(4).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn run_without_a_socket_leaves_no_files() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    host(["map", &echo, "--no-socket"])
        .folder(folder.root())
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    assert!(!folder.root().join(".disperse").exists() && !records(folder.root()).exists());
    ask(folder.root(), &["explain"])
        .exits(2)
        .stderr_is("run_without_a_socket_leaves_no_files");
}

#[test]
fn control_works_in_a_folder_with_a_long_path() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::SLOW_ECHO);
    let deep = folder.root().join("a".repeat(100)).join("b".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let live = endless(&deep, &["map", &echo]);
    assert!(json_answer(&deep, &["explain"])["actions_done"].as_u64() > Some(0));
    live.close();
    live.end().exits(0);
}

#[test]
fn last_ten_ended_runs_are_kept_and_the_first_event_names_the_run() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wasm", body::ECHO);
    let mut last = String::new();
    for _ in 0..12 {
        let events = host(["map", &echo, "--format", "json"])
            .folder(folder.root())
            .input("a\n")
            .run()
            .exits(0)
            .events();
        assert_eq!(events[0]["type"], "run");
        assert_eq!(of_type(&events, "run").len(), 1);
        last = events[0]["id"].as_str().unwrap().to_owned();
    }
    assert_eq!(files(folder.root(), "ended").len(), 10);
    assert_eq!(
        json_answer(folder.root(), &["explain", "--run", &last])["actions_done"],
        1
    );
}

#[test]
fn workers_that_join_a_run_are_given_work() {
    let texts = Texts::new("workers_that_join_a_run_are_given_work");
    let folder = Folder::new();
    folder.worker("echo.wasm", body::SLOW_ECHO);
    let pools = "[[pool]]\nname = \"many\"\ncomponent = \"echo.wasm\"\nkinds = [\"line\"]\nworkers = 1\n\
                 [[pool]]\nname = \"own\"\ncomponent = \"echo.wasm\"\nkinds = [\"other\"]\n[[pool.worker]]\nname = \"a\"\n";
    let manifest = folder.file("disperse.toml", pools);
    let root = folder.root();
    let live = endless(root, &["map", &manifest]);
    ask(root, &["workers", "add", "many", "--count", "2"])
        .exits(0)
        .stdout_to(&texts);
    until("their work", || {
        let ok = |name| json_answer(root, &["explain", "worker", name])["ok"].as_u64();
        ok("many/2") > Some(0) && ok("many/3") > Some(0)
    });
    ask(root, &["workers", "add", "many"]).exits(0).stdout_to(&texts);
    ask(root, &["workers", "add", "more"]).exits(2).stderr_to(&texts);
    ask(root, &["workers", "add", "own"]).exits(2).stderr_to(&texts);
    ask(root, &["workers", "add", "many", "--count", "50000"])
        .exits(2)
        .stderr_to(&texts);
    live.close();
    live.end().exits(0);
    texts.match_snapshot();
}
