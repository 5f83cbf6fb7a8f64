//! Runs that are killed, stopped or otherwise cut off, and resumed from their journals.

use std::{fs, time::Duration};

use rustix::process::Signal;

use crate::support::{Ended, Folder, becomes_true, body, host, player, probe, records, shell, wasm};

/// Tasks of an operation, each with six actions and a sleep.
fn tasks(count: usize) -> Vec<String> {
    let task = |n| format!("all k a{n} b{n} c{n}; sleep 5; ask k d{n}; submit k e{n}; submit k f{n}; take");
    (1..=count).map(task).collect()
}

/// An output without the times that tasks see, which differ between runs.
fn without_times(output: &str) -> String {
    let words = output.split_inclusive([' ', '\n']);
    words.filter(|word| !word.trim_end().ends_with("ms")).collect()
}

/// A run of these tasks with a journal, whose output goes to a file.
struct Recorded {
    folder: Folder,
    worker: String,
    /// More flags.
    flags: Vec<String>,
    /// None: the player.
    operation: Option<String>,
    tasks: Vec<String>,
}

impl Recorded {
    fn new(worker: &str, tasks: Vec<String>) -> Self {
        let folder = Folder::new();
        let worker = folder.worker("worker.wasm", worker);
        Self {
            folder,
            worker,
            flags: Vec::new(),
            operation: None,
            tasks,
        }
    }

    fn output(&self) -> String {
        self.folder.path("out.txt")
    }

    fn journal(&self) -> String {
        self.folder.path("run.journal")
    }

    fn written(&self) -> String {
        fs::read_to_string(self.output()).unwrap_or_default()
    }

    /// The command line, with the journal.
    fn arguments(&self) -> Vec<String> {
        let journal = format!("--journal={}", self.journal());
        let (operation, output) = (self.operation.clone().unwrap_or_else(player), self.output());
        let run = [
            "run",
            &operation,
            "--worker",
            &self.worker,
            "--ordered",
            "--output",
            &output,
        ];
        let run = run.into_iter().map(str::to_owned);
        run.chain([journal])
            .chain(self.flags.iter().cloned())
            .chain(["--".to_owned()])
            .chain(self.tasks.iter().cloned())
            .collect()
    }

    /// The output of the same run without a journal, which is not interrupted.
    fn expected(&self) -> String {
        let operation = player();
        let run = ["run", &operation, "--worker", &self.worker, "--ordered", "--"];
        let tasks = self.tasks.iter().map(String::as_str);
        let ended = host(run.into_iter().chain(tasks)).run().exits(0);
        without_times(ended.out())
    }

    fn resume(&self) -> Ended {
        host(["resume", &self.journal()]).run()
    }
}

/// Starts a run, or goes on with it, and sends it a signal as soon as so many bytes of its output are written. True: it ended
/// before.
fn cut_off(run: &Recorded, arguments: &[String], bytes: usize, signal: Signal) -> bool {
    let mut live = host(arguments).start();
    let is_over = |live: &mut crate::support::Live| !live.is_running();
    assert!(
        becomes_true(Duration::from_secs(60), || run.written().len() >= bytes
            || is_over(&mut live)),
        "it writes nothing more"
    );
    if is_over(&mut live) {
        live.end().exits(0);
        return true;
    }
    live.send(signal);
    live.end();
    false
}

#[test]
fn killed_run_goes_on_where_it_was() {
    let run = Recorded::new(body::ECHO, tasks(60));
    let expected = run.expected();
    let step = expected.len() / 6;
    let (mut arguments, mut kills, mut written) = (run.arguments(), 0, Vec::new());
    while !cut_off(&run, &arguments, (kills + 1) * step, Signal::KILL) {
        kills += 1;
        written.push(run.written());
        arguments = vec!["resume".to_owned(), run.journal()];
    }
    assert!(kills >= 3, "{kills}");
    assert_eq!(without_times(&run.written()), expected);
    for (kill, before) in written.iter().enumerate() {
        assert!(
            run.written().starts_with(before),
            "what was written at kill {kill} has changed: {before}"
        );
    }
    let again = run.resume().exits(0);
    assert!(
        again.stderr.contains("has finished: there is nothing to resume"),
        "{}",
        again.stderr
    );
}

/// Each action appends its name to a file: what was done outside.
#[test]
fn settled_actions_are_not_performed_again() {
    const TASKS: usize = 60;
    /// How many actions may be at work or not recorded when the run is killed: no action of a task is given to a worker before the
    /// answers that the task has seen are on disk, so at most three of each task in flight.
    const OPEN: usize = 3 * IN_FLIGHT;
    const IN_FLIGHT: usize = 6;
    let tasks = (1..=TASKS).map(|n| format!("all k $DO{n}a, $DO{n}b, $DO{n}c,; ask k $DO{n}d,; ask k $DO{n}e,"));
    let mut run = Recorded::new(body::ECHO, tasks.collect());
    run.worker = probe();
    fs::create_dir(run.folder.path("log")).unwrap();
    let log = run.folder.file("log/performed", "");
    let folder = run.folder.path("log");
    let in_flight = IN_FLIGHT.to_string();
    let flags = [
        "--env",
        "DO=append /log/performed ",
        "--dir",
        &format!("{folder}::/log:rw"),
        "--tasks",
        &in_flight,
    ];
    run.flags = flags.map(str::to_owned).to_vec();
    let performed = || fs::read_to_string(&log).unwrap();
    let (mut arguments, mut kills) = (run.arguments(), 0);
    loop {
        let mut live = host(&arguments).start();
        let enough = performed().len() + 2 * TASKS;
        assert!(
            becomes_true(Duration::from_secs(60), || performed().len() >= enough
                || !live.is_running()),
            "nothing more is performed"
        );
        if !live.is_running() {
            live.end().exits(0);
            break;
        }
        live.send(Signal::KILL);
        live.end();
        kills += 1;
        arguments = vec!["resume".to_owned(), run.journal()];
    }
    assert!(kills >= 3, "{kills}");
    let performed = performed();
    let mut names: Vec<&str> = performed.split_terminator(',').collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5 * TASKS, "each is performed");
    assert!(
        all - names.len() <= kills * OPEN,
        "{} more than once, in {kills} kills",
        all - names.len()
    );
}

#[test]
fn interrupted_run_prints_how_to_go_on_and_does() {
    let run = Recorded::new(body::SLOW_ECHO, tasks(20));
    let expected = run.expected();
    let mut live = host(run.arguments()).start();
    assert!(becomes_true(Duration::from_secs(60), || !run.written().is_empty()));
    live.send(Signal::INT);
    live.wait_until("the command", |_, stderr| {
        stderr.contains("go on with: disperse-host resume")
    });
    live.end().exits(130);
    run.resume().exits(0);
    assert_eq!(without_times(&run.written()), expected);
}

/// The rest of a pipe is gone with the run that read it.
#[test]
fn run_that_needs_more_of_a_lost_pipe_says_so() {
    let folder = Folder::new();
    let journal = folder.path("run.journal");
    let text = "one two three two\n".repeat(20_000);
    let flag = format!("--journal={journal}");
    let mut live = host(["run", &wasm("word_count"), &flag]).once(text).start();
    let copied = || fs::metadata(folder.path("run.input-part")).map_or(0, |copy| copy.len());
    assert!(becomes_true(Duration::from_secs(60), || copied() >= 100_000));
    assert!(live.is_running());
    live.send(Signal::KILL);
    live.end();
    let ended = host(["resume", &journal]).run().exits(1);
    assert!(
        ended
            .stderr
            .contains("it came from a pipe that was not read to its end"),
        "{}",
        ended.stderr
    );
}

#[test]
fn two_hosts_cannot_have_one_journal() {
    let run = Recorded::new(body::SLOW_ECHO, tasks(20));
    let live = host(run.arguments()).start();
    assert!(becomes_true(Duration::from_secs(60), || !run.written().is_empty()));
    let second = run.resume().exits(2);
    assert!(second.stderr.contains("is in use by process"), "{}", second.stderr);
    live.end().exits(0);
}

/// A folder with a worker, and the command line of a run with these flags in it that the shell starts, so that tests add no flags.
fn in_folder(flags: &str) -> (Folder, String) {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    let line = format!(
        "cd {} && disperse-host run {} --worker {worker} {flags} -- 'ask k a'",
        folder.root().display(),
        player()
    );
    (folder, line)
}

fn journals(folder: &Folder) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(records(folder.root())).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "journal"))
        .collect()
}

#[test]
fn run_has_a_journal_unless_it_says_otherwise() {
    let (folder, line) = in_folder("");
    shell(&line).run().exits(0);
    assert_eq!(journals(&folder).len(), 1);
    let (folder, line) = in_folder("--no-journal");
    shell(&line).run().exits(0);
    assert_eq!(journals(&folder), Vec::<std::path::PathBuf>::new());
}

#[test]
fn run_that_can_have_no_journal_says_so_and_goes_on() {
    // A folder that is a file.
    let unusable = "XDG_STATE_HOME=/dev/null HOME=/dev/null";
    let (folder, line) = in_folder("");
    fs::write(folder.path(".disperse"), "").unwrap();
    let run = |line: &str| shell(&line.replace("disperse-host", &format!("{unusable} disperse-host"))).run();
    let ended = run(&line).exits(0);
    assert!(
        ended
            .stderr
            .contains("warning: the run is not recorded, so it cannot be resumed"),
        "{}",
        ended.stderr
    );
    let asked = run(&line.replace(" -- ", " --journal -- ")).exits(4);
    assert!(
        asked.stderr.contains("cannot create the folder of runs"),
        "{}",
        asked.stderr
    );
}

#[test]
fn new_run_tells_of_an_earlier_one_that_was_stopped() {
    let folder = Folder::new();
    let worker = folder.worker("worker.wasm", body::ECHO);
    let run = |last: &str| {
        let operation = player();
        let run = [
            "run",
            &operation,
            "--worker",
            &worker,
            "--journal",
            "--",
            "ask k a",
            last,
        ];
        host(run).folder(folder.root()).start()
    };
    let killed = |mut run: crate::support::Live, by_then: &str| {
        run.wait_until(by_then, |out, err| {
            err.contains(by_then) || String::from_utf8_lossy(out).contains(by_then)
        });
        run.send(Signal::KILL);
        run.end().stderr
    };
    let told = "this run begins anew";
    let first = killed(run("sleep 600000"), "1 a");
    assert!(!first.contains(told), "{first}");
    let again = killed(run("sleep 600000"), told);
    assert!(
        again.contains("after 1 tasks and 1 actions: go on with it by disperse-host resume"),
        "{again}"
    );
    let other = run("sleep 1").end().exits(0);
    assert!(!other.stderr.contains(told), "it has other arguments: {}", other.stderr);
}

/// The same component with a section more, so that its digest is another one.
#[test]
fn operation_that_has_changed_is_accepted_on_request() {
    let mut run = Recorded::new(body::SLOW_ECHO, tasks(20));
    let expected = run.expected();
    let operation = run.folder.path("operation.wasm");
    fs::copy(player(), &operation).unwrap();
    run.operation = Some(operation.clone());
    assert!(!cut_off(&run, &run.arguments(), 1, Signal::KILL));
    let mut component = fs::read(&operation).unwrap();
    // A custom section of four bytes: the length of its name, the name and its content.
    component.extend([0, 4, 1, b'x', b'y', b'z']);
    fs::write(&operation, component).unwrap();
    let refused = run.resume().exits(2);
    assert!(refused.stderr.contains("--accept-new-code"), "{}", refused.stderr);
    host(["resume", "--accept-new-code", &run.journal()]).run().exits(0);
    assert_eq!(without_times(&run.written()), expected);
    let again = run.resume().exits(0);
    assert!(again.stderr.contains("has finished"), "{}", again.stderr);
}
