//! Runs that the user or the machine stops.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, mkfifoat},
    process::{Pid, Signal, kill_process},
};

use crate::support::{Folder, becomes_true, beside, body, host, of_type, probe, shell, state};

/// How long a process may take to end after its second signal: two seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(6);

/// Whether anything arrives on stderr, of which nothing was read.
fn has_output(child: &Child) -> bool {
    let stderr = child.stderr.as_ref().unwrap();
    becomes_true(SOON, || rustix::io::ioctl_fionread(stderr).unwrap() > 0)
}

/// Waits for the end.
fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let is_over = becomes_true(SOON, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !is_over {
        child.kill().unwrap();
        panic!("it did not end");
    }
    status.unwrap()
}

fn stopped_while_busy(signal: Signal, code: i32) {
    let folder = Folder::new();
    let worker = folder.worker("slow.wasm", body::SLOW_ECHO);
    let mut live = host(["map", &worker]).endless("a line\n").start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    // The input stays open: the run must not wait for it.
    live.send(signal);
    let ended = live.end().exits(code);
    assert!(
        ended.out().lines().all(|line| line == "a line"),
        "only whole results are written"
    );
    let done = ended.row("line").split_whitespace().nth(1).map(str::parse);
    assert_eq!(
        done,
        Some(Ok(ended.out().lines().count())),
        "what was done is written too: {}",
        ended.stderr
    );
}

#[test]
fn an_interrupt_ends_a_long_run() {
    stopped_while_busy(Signal::INT, 130);
}

#[test]
fn a_termination_ends_a_long_run() {
    stopped_while_busy(Signal::TERM, 143);
}

#[test]
fn a_hangup_ends_a_long_run() {
    stopped_while_busy(Signal::HUP, 129);
}

#[test]
fn an_interrupt_ends_a_run_that_waits_for_input() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let mut live = host(["map", &worker]).once("a line\n").start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    live.send(Signal::INT);
    live.end().exits(130).prints("a line\n");
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_reader() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    // Far more than a pipe buffers, and the only thread waits for nothing but the reader.
    let input = folder.file("in.txt", "a line\n".repeat(100_000));
    let _beside = beside();
    let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
        .args(["map", &worker, "--input", &input, "--threads", "1", "--no-cache"])
        .env("XDG_STATE_HOME", state())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until the pipe is full.
    let (mut last, until) = (0, Instant::now() + Duration::from_secs(60));
    loop {
        assert!(Instant::now() < until, "the pipe did not fill up");
        std::thread::sleep(Duration::from_millis(500));
        let waiting = rustix::io::ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap();
        if waiting > 0 && waiting == std::mem::replace(&mut last, waiting) {
            break;
        }
    }
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    assert!(has_output(&child), "the first signal prints nothing");
    assert!(child.try_wait().unwrap().is_none(), "the first signal ended it");
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
    // The input is a file, so that all undone lines are counted if there is time for it, and the report waits for the reader too.
    let said = rest(&mut child);
    let (done, undone) = (count(&said, "tasks done"), count(&said, "left undone"));
    let is_right = match said.contains("at least") {
        true => done + undone <= 100_000,
        false => done + undone == 100_000,
    };
    assert!(done > 0 && is_right, "{said}");
}

/// The unread rest of stderr.
fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The number before these words.
#[track_caller]
fn count(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().unwrap();
    let number = before.split_whitespace().next_back().unwrap_or_default();
    assert!(before.len() < text.len(), "`{words}` is not in {text}");
    number
        .parse()
        .unwrap_or_else(|_| panic!("no number before `{words}` in {text}"))
}

#[test]
fn stopped_run_counts_the_undone_lines_of_a_file() {
    let folder = Folder::new();
    let worker = folder.worker("slow.wasm", body::SLOW_ECHO);
    // Far more than the host reads ahead, and no newline at its end.
    let input = folder.file("in.txt", "a line\n".repeat(100_000) + "the last");
    for line in [
        format!("exec disperse-host map {worker} -i {input}"),
        format!("exec disperse-host map {worker} -k < {input}"),
        format!("exec disperse-host map {worker} -i {input} --batch 10"),
    ] {
        let all = if line.contains("--batch") { 10_001 } else { 100_001 };
        let mut live = shell(&line).start();
        live.wait_until("a result", |stdout, _| !stdout.is_empty());
        live.send(Signal::INT);
        let ended = live.end().exits(130);
        let counts = ["tasks done", "failed", "left undone"].map(|words| count(&ended.stderr, words));
        assert_eq!(counts.iter().sum::<u64>(), all, "{}", ended.stderr);
        assert!(!ended.stderr.contains("at least"), "{}", ended.stderr);
    }
    let mut live = host(["map", &worker, "-i", &input, "--format", "json"]).start();
    live.wait_until("a result", |stdout, _| stdout.len() > 1000);
    live.send(Signal::TERM);
    let events = live.end().exits(143).events();
    let report = of_type(&events, "report")[0];
    let (done, undone) = (&report["tasks"]["done"], &report["undone"]);
    assert_eq!(
        done.as_u64().unwrap() + undone["tasks"].as_u64().unwrap(),
        100_001,
        "{report}"
    );
    assert_eq!(undone["at_least"], false);
}

#[test]
fn stopped_run_reports_how_much_it_read_of_a_pipe() {
    let folder = Folder::new();
    let worker = folder.worker("slow.wasm", body::SLOW_ECHO);
    let mut live = host(["map", &worker]).endless("a line\n").start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    let until = Instant::now() + Duration::from_secs(60);
    // More than a pipe of 64 KiB holds, so that the host has read the rest.
    while live.fed() < 11_000 {
        assert!(Instant::now() < until, "the input is not read");
        std::thread::yield_now();
    }
    live.send(Signal::INT);
    let ended = live.end().exits(130);
    let ended = ended.stderr_is("stopped_run_reports_how_much_it_read_of_a_pipe");
    assert!(count(&ended.stderr, "left undone") > 500, "{}", ended.stderr);
}

#[test]
fn finished_run_reports_nothing_undone() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let ended = host(["map", &worker, "--format", "json"]).input("a\n").run().exits(0);
    assert!(of_type(&ended.events(), "report")[0].get("undone").is_none());
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_guest() {
    let folder = Folder::new();
    let worker = folder.worker(
        "stuck.wasm",
        // The second line never ends and occupies one of two workers.
        &format!(
            "(if (i32.ge_u (local.get $len) (i32.const 2)) (then (loop $again (br $again)))) {}",
            body::ECHO
        ),
    );
    let args = ["map", &worker, "--workers", "2", "--fuel", "1000T", "--timeout", "1h"];
    let mut live = host(args).input("a\nbb\n").start();
    live.wait_until("a result", |stdout, _| stdout == b"a\n");
    live.send(Signal::INT);
    live.wait_until("the message about the interrupt", |_, stderr| !stderr.is_empty());
    live.send(Signal::INT);
    let ended = live.end().exits(130).prints("a\n");
    let ended = ended.stderr_is("a_second_interrupt_does_not_wait_for_a_guest");
    assert_eq!(
        ["tasks done", "left undone"].map(|words| count(&ended.stderr, words)),
        [1, 1]
    );
}

/// A run in which workers block every thread of the host: each waits for the certificates of the machine, which
/// are a pipe with a writer that never writes.
struct BlockedRun {
    child: Child,
    stdin: ChildStdin,
    folder: Folder,
    /// Both of its ends stay open.
    writer: Option<OwnedFd>,
}

impl BlockedRun {
    fn start(threads: u32, flags: &[&str]) -> Self {
        let folder = Folder::new();
        let certificates = folder.path("certificates");
        mkfifoat(CWD, &certificates, Mode::RUSR | Mode::WUSR).unwrap();
        let (threads, probe) = (threads.to_string(), probe());
        let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
            .args([
                "map",
                &probe,
                "--workers",
                "4",
                "--threads",
                &threads,
                "--http",
                "http://127.0.0.1:9",
            ])
            .args(flags)
            .env("XDG_STATE_HOME", state())
            .env("SSL_CERT_FILE", &certificates)
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self {
            child,
            stdin,
            folder,
            writer: None,
        }
    }

    fn feed(&mut self, lines: &str) {
        self.stdin.write_all(lines.as_bytes()).unwrap();
    }

    /// Blocks all threads from now on.
    fn hold(&mut self) {
        self.feed(&"get http://127.0.0.1:9/\n".repeat(8));
        let certificates = self.folder.path("certificates");
        let held = becomes_true(Duration::from_secs(60), || {
            // This opening for writing succeeds once a reader waits.
            self.writer = rustix::fs::open(&certificates, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
            self.writer.is_some()
        });
        assert!(held, "no worker reads the certificates");
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends two signals, the second after the first was received, and returns the exit code.
    fn stop(&mut self, first: Signal, second: Signal) -> Option<i32> {
        self.send(first);
        assert!(has_output(&self.child), "the first signal prints nothing");
        self.send(second);
        let code = ended(&mut self.child).code();
        // No thread is left for the run's own report.
        let said = rest(&mut self.child);
        assert!(said.contains("at least") && count(&said, "left undone") > 0, "{said}");
        code
    }
}

impl Drop for BlockedRun {
    fn drop(&mut self) {
        // The run has ended, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn second_signal_ends_a_run_whose_threads_are_all_blocked() {
    let _beside = beside();
    for (threads, first, second, code) in [
        (1, Signal::INT, Signal::INT, 130),
        (1, Signal::INT, Signal::TERM, 143),
        (2, Signal::TERM, Signal::HUP, 129),
        (2, Signal::HUP, Signal::INT, 130),
    ] {
        let mut held = BlockedRun::start(threads, &[]);
        held.hold();
        assert_eq!(held.stop(first, second), Some(code), "{first:?} {second:?}");
    }
}

#[test]
fn programs_of_guests_end_with_a_host_whose_threads_are_blocked() {
    let _beside = beside();
    let mut held = BlockedRun::start(1, &["--exec", "/bin/sh *"]);
    let (script, pid) = (held.folder.path("script"), held.folder.path("pid"));
    let text = format!("{}; exec sleep 1000", writes_pid("$$", &pid));
    std::fs::write(&script, text).unwrap();
    held.feed(&format!("run /bin/sh {script}\n"));
    let program = pid_in(&pid);
    held.hold();
    assert_eq!(held.stop(Signal::INT, Signal::INT), Some(130));
    ends(&program);
}

#[test]
fn ignored_hangup_stays_ignored() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let program = env!("CARGO_BIN_EXE_disperse-host");
    let mut live = shell(&format!("exec nohup {program} map {worker}"))
        .once("a line\n")
        .start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    live.send(Signal::HUP);
    live.send(Signal::INT);
    live.end().exits(130).prints("a line\n");
}

/// Waits until a file exists, and reads the process ID in it.
fn pid_in(path: &str) -> String {
    let is_there = becomes_true(Duration::from_secs(60), || std::fs::exists(path).unwrap());
    assert!(is_there, "nothing has written {path}");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Fails unless a process ends soon. A zombie counts as ended; when it disappears depends on the process that inherits it.
fn ends(pid: &str) {
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let gone = becomes_true(SOON, || {
        state().is_ok_and(|stat| stat.contains(") Z ")) || state().is_err()
    });
    assert!(gone, "{:?}", state());
}

/// A shell command that writes a process ID to a file, by renaming, so that the file is complete when it exists.
fn writes_pid(variable: &str, path: &str) -> String {
    format!("echo {variable} > {path}.new; mv {path}.new {path}")
}

#[test]
fn killed_host_leaves_no_program_and_no_child_of_one() {
    let folder = Folder::new();
    let (script, pid, child) = (folder.path("script"), folder.path("pid"), folder.path("child"));
    let text = format!(
        "sleep 1000 & {}; {}; exec sleep 1000",
        writes_pid("$!", &child),
        writes_pid("$$", &pid)
    );
    std::fs::write(&script, text).unwrap();
    let args = ["map", &probe(), "--exec", "/bin/sh *", "--exec", "/bin/true"];
    // The earlier ones have ended: they are not among those that are killed.
    let lines = format!("run /bin/true\nrun /bin/true\nrun /bin/sh {script}\n");
    let live = host(args).input(lines).start();
    let (pid, child) = (pid_in(&pid), pid_in(&child));
    live.send(Signal::KILL);
    ends(&pid);
    ends(&child);
}

#[test]
fn killed_host_leaves_no_build() {
    let (folder, pid) = building();
    let live = host(["map", ".", "--trust-manifest"]).folder(folder.root()).start();
    let pid = pid_in(&pid);
    live.send(Signal::KILL);
    ends(&pid);
}

/// A project whose build writes its process ID to a file and runs for long.
fn building() -> (Folder, String) {
    let folder = Folder::new();
    let pid = folder.path("pid");
    folder.file("build.sh", format!("sleep 1000 & {}; wait", writes_pid("$!", &pid)));
    let manifest = "[worker]\nbuild = \"sh build.sh; true\"\ncomponent = \"w.wasm\"\n";
    folder.file("disperse.toml", manifest);
    (folder, pid)
}

#[test]
fn signal_ends_a_build_with_one_line() {
    for (command, signal, code, line) in [
        ("map", Signal::INT, 130, "stopped before the run began"),
        ("map", Signal::TERM, 143, "stopped before the run began"),
        ("compile", Signal::HUP, 129, "stopped before the end"),
    ] {
        let (folder, pid) = building();
        let live = host([command, ".", "--trust-manifest"]).folder(folder.root()).start();
        let pid = pid_in(&pid);
        live.send(signal);
        let ended = live.end().exits(code);
        let lines: Vec<_> = ended.stderr.lines().skip(1).collect();
        assert_eq!(lines, [line], "{command}: {}", ended.stderr);
        ends(&pid);
    }
}

#[test]
fn interrupt_of_a_terminal_ends_a_build_with_one_line() {
    use std::os::unix::process::CommandExt;

    let _beside = beside();
    let (folder, pid) = building();
    let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
        .args(["map", ".", "--trust-manifest"])
        .current_dir(folder.root())
        .env("XDG_STATE_HOME", state())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let pid = pid_in(&pid);
    // As a terminal does: the signal goes to the host and all programs of the build.
    rustix::process::kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
    let said = rest(&mut child);
    assert_eq!(
        said.lines().skip(1).collect::<Vec<_>>(),
        ["stopped before the run began"],
        "{said}"
    );
    ends(&pid);
}

#[test]
fn signal_ends_compiling_with_one_line() {
    let folder = Folder::new();
    // Functions of many additions, which take a compiler many seconds.
    let adds = "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 3)) (local.get 1)))".repeat(600);
    let functions = format!("(func (param i32 i32) (result i32) {adds} (local.get 0))").repeat(200);
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    let at = text.find("(func").unwrap();
    let worker = folder.guest("large.wasm", &format!("{}{functions}{}", &text[..at], &text[at..]));
    let live = host(["map", &worker, "--no-cache"]).once("a\n").start();
    let threads = format!("/proc/{}/task", live.id());
    let is_compiling = becomes_true(Duration::from_secs(60), || {
        let mut threads = std::fs::read_dir(&threads).into_iter().flatten().flatten();
        threads.any(|thread| {
            let children = std::fs::read_to_string(thread.path().join("children"));
            children.is_ok_and(|children| !children.trim().is_empty())
        })
    });
    assert!(is_compiling, "no child compiles");
    live.send(Signal::INT);
    let ended = live.end().exits(130);
    assert_eq!(ended.stderr, "stopped before the run began\n");
}
