//! What is read of runs that have a journal: `runs`, `results`, `export` and `dead`.

use std::{fs, time::Duration};

use regex::Regex;
use rustix::process::Signal;

use crate::support::{Ended, Folder, Live, Texts, becomes_true, body, has, host, player, shell, wasm};

/// Refuses payloads of three bytes, and returns all others.
const STRICT: &str = "(if (i32.eq (local.get $len) (i32.const 3)) (then (return (call $refuse (i32.const 1))))) \
                      (call $answer (local.get $payload) (local.get $len))";

/// A project whose runs have journals.
struct Project {
    folder: Folder,
    worker: String,
}

impl Project {
    fn new(worker: &str) -> Self {
        let folder = Folder::new();
        folder.file("disperse.toml", "");
        let worker = folder.worker("worker.wasm", worker);
        Self { folder, worker }
    }

    fn start<S: AsRef<str>>(&self, tasks: &[S]) -> Live {
        let operation = player();
        let run = ["run", &operation, "--worker", &self.worker, "--journal", "--"];
        let tasks = tasks.iter().map(AsRef::as_ref);
        host(run.into_iter().chain(tasks)).folder(self.folder.root()).start()
    }

    fn host(&self, words: &str) -> Ended {
        host(words.split(' ')).folder(self.folder.root()).run()
    }

    /// A run that is killed as soon as one of its tasks has ended.
    fn killed(&self) {
        let live = self.start(&["ask k first", "nap-for-ever"]);
        self.first_result();
        live.send(Signal::KILL);
        live.end();
    }

    fn first_result(&self) {
        let has_result = || host(["results", "-q"]).folder(self.folder.root()).run().stdout == b"first\n";
        assert!(becomes_true(Duration::from_secs(60), has_result));
    }

    /// The names of the runs, the newest first.
    fn runs(&self) -> Vec<String> {
        let lines = self.host("runs --format json").exits(0).events();
        lines
            .iter()
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path(".disperse")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| {
            ![".ended", ".sock", ".gitignore"]
                .iter()
                .any(|other| name.ends_with(other))
        });
        names.sort();
        names
    }
}

/// A text without times, sizes and process IDs, and without the blanks that depend on their lengths.
fn without_figures(text: &str) -> String {
    [
        (r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
        (r"\b\d[\d.]*([KM]i)?B\b", "SIZE"),
        (r"\b\d[\d.]*(ms|s)\b", "TIME"),
        (r"by process \d+", "by process PID"),
        (r"  +", "  "),
        (r"\.tmp\w{6}\b", "TMP"),
        (r"/\S*/", "FOLDER/"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (pattern, mask)| {
        Regex::new(pattern).unwrap().replace_all(&text, *mask).into_owned()
    })
}

#[test]
fn results_and_failed_actions_are_printed_and_exported() {
    let texts = Texts::new("results_and_failed_actions_are_printed_and_exported");
    let project = Project::new(STRICT);
    let tasks = [
        "ask k a\"bc",
        "ask k bad; ask k fine",
        "fail gone",
        "submit k one,; take",
    ];
    project.start(&tasks).end().exits(1);
    project
        .host("results")
        .exits(0)
        .prints("a\"bc\n(Reason::Permanent) fine\none,\n")
        .stderr_to(&texts);
    let lines = project.host("results --format json").exits(0).events();
    assert_eq!(lines.len(), 4);
    let ids: Vec<_> = lines.iter().map(|line| (&line["id"], &line["task"])).collect();
    assert!(
        ids.iter()
            .zip(1..)
            .all(|(&(id, task), number)| *id == number && *task == number),
        "{ids:?}"
    );
    assert_eq!(
        (&lines[1]["input"], &lines[1]["result"]),
        (&tasks[1].into(), &"(Reason::Permanent) fine".into())
    );
    assert_eq!(
        (lines[2]["error"].as_str(), lines[2].get("result")),
        (Some("gone"), None)
    );
    assert!(lines[0]["ms"].is_u64());

    let file = project.folder.path("rows.csv");
    project.host(&format!("export --output {file}")).exits(0).prints("");
    let exported = fs::read_to_string(&file).unwrap();
    texts.add("results as CSV", &without_ms(&exported));
    assert_eq!(exported.matches("\r\n").count(), 5);
    for table in ["actions", "dead"] {
        let rows = project
            .host(&format!("export --table {table} --format jsonl"))
            .exits(0)
            .events();
        let csv = project.host(&format!("export --table {table}")).exits(0);
        assert_eq!(csv.out().matches("\r\n").count(), rows.len() + 1);
        assert_eq!(rows.len(), if table == "dead" { 1 } else { 4 });
    }

    project.host("dead").exits(0).stdout_to(&texts);
    let dead = project.host("dead list --format json").exits(0).events();
    assert_eq!(
        (&dead[0]["id"], &dead[0]["reason"], &dead[0]["attempts"]),
        (&"2-1".into(), &"permanent".into(), &1.into())
    );
    assert_eq!(dead[0]["payload_beginning"], "bad");
    let shown = project.host("dead show 2-1").exits(0);
    texts.add("dead show 2-1", &without_figures(shown.out()));
    project.host("dead show 2-2").exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

/// CSV without its last column, and with the ends of lines of a text.
fn without_ms(csv: &str) -> String {
    Regex::new(r",(ms|\d+)\r\n")
        .unwrap()
        .replace_all(csv, "\n")
        .into_owned()
}

#[test]
fn runs_are_listed_shown_and_removed() {
    let texts = Texts::new("runs_are_listed_shown_and_removed");
    let project = Project::new(STRICT);
    project.host("runs").exits(0).prints("").stderr_to(&texts);
    for _ in 0..3 {
        project.start(&["ask k a", "ask k bad", "fail gone"]).end().exits(1);
    }
    project.killed();
    project
        .folder
        .file(".disperse/20260101-000000-aaaaa.journal", "no journal");
    let text = project.host("runs").exits(0);
    texts.add("runs", &without_figures(text.out()));
    let lines = project.host("runs list --format json").exits(0).events();
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(
        statuses,
        ["interrupted", "finished", "finished", "finished", "unreadable"]
    );
    let finished = &lines[1];
    assert_eq!(
        (&finished["tasks"], &finished["tasks_ended"], &finished["actions"]),
        (&3.into(), &3.into(), &2.into())
    );
    assert!(finished["bytes"].as_u64() > Some(10_000), "{finished}");

    let names = project.runs();
    let shown = project.host("runs show").exits(0);
    has(
        "the killed run",
        shown.out(),
        &[&format!("disperse-host resume {}", names[0])],
    );
    let shown = project.host(&format!("runs show {}", names[1])).exits(0);
    texts.add("runs show", &without_figures(shown.out()));
    let shown = &project
        .host(&format!("runs show {} --format json", names[1]))
        .exits(0)
        .events()[0];
    assert_eq!(
        (&shown["tasks_failed"], &shown["actions_failed"]["permanent"]),
        (&1.into(), &1.into())
    );
    project
        .host(&format!("runs show {}", names[4]))
        .exits(2)
        .stderr_to(&texts);

    let dry = project.host("runs rm --keep 1 --dry-run").exits(0);
    texts.add("runs rm --keep 1 --dry-run", &without_figures(dry.out()));
    assert_eq!(project.runs(), names);
    project.host("runs rm --keep 30d").exits(0).prints("0 runs, 0B\n");
    let removed = project.host("runs rm --keep 1 --format json").exits(0).events();
    let removed: Vec<_> = removed.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(removed, names[2..4]);
    project.host("runs rm --keep 0").exits(0);
    assert_eq!(project.runs(), [&names[0], &names[4]].map(Clone::clone));
    // One that can be resumed, and one that cannot be read, only by name.
    let removed = project.host(&format!("runs rm {} {}", names[0], names[4])).exits(0);
    texts.add("runs rm RUN RUN", &without_figures(removed.out()));
    assert_eq!(project.runs(), Vec::<String>::new());
    assert_eq!(project.files(), Vec::<String>::new());
    project.host("runs rm").exits(2).stderr_to(&texts);
    project.host("runs rm --keep many").exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn run_that_goes_on_is_read_and_not_removed() {
    let project = Project::new(body::ECHO);
    let live = project.start(&["ask k first", "nap-for-ever"]);
    project.first_result();
    let run = &project.host("runs --format json").exits(0).events()[0];
    assert_eq!(
        (run["status"].as_str(), &run["pid"]),
        (Some("running"), &live.id().into())
    );
    let text = project.host("runs").exits(0);
    has("the list", text.out(), &[&format!("running by process {}", live.id())]);
    let name = run["id"].as_str().unwrap();
    let refused = project.host(&format!("runs rm {name}")).exits(2);
    has("the error", &refused.stderr, &["is in use by process"]);
    project.host("runs rm --keep 0").exits(0).prints("0 runs, 0B\n");
    live.send(Signal::INT);
    live.end().exits(130);
    assert_eq!(
        project.host("runs --format json").exits(0).events()[0]["status"],
        "stopped"
    );
    project.host("results").exits(0).prints("first\n");
}

/// The reader of `| head` closes the pipe while there is more than it holds.
#[test]
fn reader_that_closes_the_pipe_is_not_an_error() {
    let project = Project::new(&body::large(300_000));
    project.start(&["ask k a", "ask k b", "ask k c"]).end().exits(0);
    for command in [
        "results",
        "results --format json",
        "export",
        "export --format jsonl --table actions",
    ] {
        let ended = shell(&format!(
            "{{ disperse-host {command}; echo code $? >&2; }} | head -c 10"
        ))
        .folder(project.folder.root())
        .run();
        assert_eq!((ended.stdout.len(), &*ended.stderr), (10, "code 0\n"), "{command}");
    }
}

#[test]
fn explain_reads_the_journal_of_a_killed_run() {
    let texts = Texts::new("explain_reads_the_journal_of_a_killed_run");
    let project = Project::new(body::ECHO);
    project.killed();
    // With the socket that is left of it, and without.
    for _ in 0..2 {
        let text = project.host("explain").exits(0);
        texts.add("explain", &without_figures(text.out()));
    }
    let name = &project.runs()[0];
    let line = &project
        .host(&format!("explain --run {name} --format json"))
        .exits(0)
        .events()[0];
    assert_eq!(
        (&line["type"], &line["status"]),
        (&"recorded".into(), &"interrupted".into())
    );
    assert_eq!((&line["tasks"], &line["tasks_ended"]), (&2.into(), &1.into()));
    assert_eq!(line["at_ms"], line["run_ms"]);
    project.host("explain worker worker/1").exits(2).stderr_to(&texts);
    project
        .host(&format!("readmit worker/1 --run {name}"))
        .exits(2)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn names_of_runs_with_a_journal_are_completed() {
    let project = Project::new(body::ECHO);
    project.start(&["ask k a"]).end().exits(0);
    let script = project
        .folder
        .file("completions", host(["completions", "bash"]).run().exits(0).out());
    for command in ["resume", "results", "export", "runs rm"] {
        let complete = format!(
            ". {script}; COMP_WORDS=(disperse-host {command} \"\"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _disperse_host_names; echo ${{COMPREPLY[*]}}"
        );
        shell(&format!("bash -c '{complete}'"))
            .folder(project.folder.root())
            .run()
            .exits(0)
            .prints(&format!("{}\n", project.runs()[0]));
    }
}

#[test]
fn copy_of_an_input_is_removed_with_its_journal() {
    let project = Project::new(body::ECHO);
    host(["run", &wasm("word_count"), "--journal"])
        .folder(project.folder.root())
        .input("one two\n")
        .run()
        .exits(0);
    let name = &project.runs()[0];
    assert_eq!(project.files(), [format!("{name}.input"), format!("{name}.journal")]);
    project.host(&format!("runs rm {name}")).exits(0);
    assert_eq!(project.files(), Vec::<String>::new());
}
