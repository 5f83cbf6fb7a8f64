//! Being stopped by the user or by the machine.

use std::{
    io::Write,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, mkfifoat},
    process::{Pid, Signal, kill_process},
};

use crate::support::{Folder, beside, body, comes, host, probe};

/// How long a process may take to end after its second signal: two seconds, and more on a machine that is busy.
const SOON: Duration = Duration::from_secs(6);

/// Whether something comes to be said on stderr, of which nothing was read.
fn is_heard(child: &Child) -> bool {
    let stderr = child.stderr.as_ref().unwrap();
    comes(SOON, || rustix::io::ioctl_fionread(stderr).unwrap() > 0)
}

/// Waits for the end.
fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let is_over = comes(SOON, || {
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
    // The input stays open: nothing may wait for it.
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
    // Far more than a pipe holds, and the only thread has nothing to wait for but whoever reads it.
    let input = folder.file("in.txt", "a line\n".repeat(100_000));
    let _beside = beside();
    let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
        .args(["map", &worker, "--input", &input, "--threads", "1", "--no-cache"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until nothing more fits into the pipe.
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
    assert!(is_heard(&child), "nothing is said of the first one");
    assert!(child.try_wait().unwrap().is_none(), "it ended at the first one");
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_guest() {
    let folder = Folder::new();
    let worker = folder.worker(
        "stuck.wasm",
        // The second line never ends, and keeps one of two workers.
        &format!(
            "(if (i32.ge_u (local.get $len) (i32.const 2)) (then (loop $again (br $again)))) {}",
            body::ECHO
        ),
    );
    let args = ["map", &worker, "--workers", "2", "--fuel", "1000T", "--timeout", "1h"];
    let mut live = host(args).input("a\nbb\n").start();
    live.wait_until("a result", |stdout, _| stdout == b"a\n");
    live.send(Signal::INT);
    live.wait_until("a word about the interrupt", |_, stderr| !stderr.is_empty());
    live.send(Signal::INT);
    live.end().exits(130).prints("a\n");
}

/// A run in which a worker holds every thread there is, within the host: it waits for the certificates of the machine, which
/// are a pipe with a writer that never writes.
struct Held {
    child: Child,
    stdin: ChildStdin,
    folder: Folder,
    /// Both ends of it stay open.
    writer: Option<OwnedFd>,
}

impl Held {
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

    /// Has the threads held from now on.
    fn hold(&mut self) {
        self.feed(&"get http://127.0.0.1:9/\n".repeat(8));
        let certificates = self.folder.path("certificates");
        let held = comes(Duration::from_secs(60), || {
            // A pipe can be opened for writing like this once a reader waits for it.
            self.writer = rustix::fs::open(&certificates, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
            self.writer.is_some()
        });
        assert!(held, "no worker reads the certificates");
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends two signals, the second when the first was heard; says the exit code.
    fn stop(&mut self, first: Signal, second: Signal) -> Option<i32> {
        self.send(first);
        assert!(is_heard(&self.child), "nothing is said of the first signal");
        self.send(second);
        ended(&mut self.child).code()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It has ended, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn second_signal_ends_a_run_whose_threads_are_all_held() {
    let _beside = beside();
    for (threads, first, second, code) in [
        (1, Signal::INT, Signal::INT, 130),
        (1, Signal::INT, Signal::TERM, 143),
        (2, Signal::TERM, Signal::HUP, 129),
        (2, Signal::HUP, Signal::INT, 130),
    ] {
        let mut held = Held::start(threads, &[]);
        held.hold();
        assert_eq!(held.stop(first, second), Some(code), "{first:?} {second:?}");
    }
}

#[test]
fn programs_of_guests_end_with_a_process_whose_threads_are_held() {
    let _beside = beside();
    let mut held = Held::start(1, &["--exec", "/bin/sh *"]);
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
fn a_hangup_that_was_ignored_stays_ignored() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let program = env!("CARGO_BIN_EXE_disperse-host");
    let mut live = crate::support::shell(&format!("exec nohup {program} map {worker}"))
        .once("a line\n")
        .start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    live.send(Signal::HUP);
    live.send(Signal::INT);
    live.end().exits(130).prints("a line\n");
}

/// Waits until a file is there, and reads the process ID in it.
fn pid_in(path: &str) -> String {
    let is_there = comes(Duration::from_secs(60), || std::fs::exists(path).unwrap());
    assert!(is_there, "nothing has written {path}");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Fails unless a process ends soon. A zombie has ended; when it is gone is a matter of the process that inherits it.
fn ends(pid: &str) {
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let gone = comes(SOON, || {
        state().is_ok_and(|stat| stat.contains(") Z ")) || state().is_err()
    });
    assert!(gone, "{:?}", state());
}

/// Renamed, so that a process ID is whole when it is there.
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
    // Those before it have ended: they are none of those that are killed.
    let lines = format!("run /bin/true\nrun /bin/true\nrun /bin/sh {script}\n");
    let live = host(args).input(lines).start();
    let (pid, child) = (pid_in(&pid), pid_in(&child));
    live.send(Signal::KILL);
    ends(&pid);
    ends(&child);
}

#[test]
fn killed_host_leaves_no_build() {
    let folder = Folder::new();
    let pid = folder.path("pid");
    folder.file("build.sh", format!("sleep 1000 & {}; wait", writes_pid("$!", &pid)));
    let manifest = "[worker]\nbuild = \"sh build.sh; true\"\ncomponent = \"w.wasm\"\n";
    folder.file("disperse.toml", manifest);
    let live = host(["map", ".", "--trust-manifest"]).folder(folder.root()).start();
    let pid = pid_in(&pid);
    live.send(Signal::KILL);
    ends(&pid);
}
