//! Readers of a run's output that are slow or never read: the run waits, and does not grow.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    io::ioctl_fionread,
    process::{Pid, Signal, kill_process},
};

use crate::support::{Folder, becomes_true, beside, body};

/// The most memory that the host may use without a reader, in MiB: at most 16 MiB wait to be written, and their buffers
/// take as much again beside the host's usual memory.
const CEILING: u64 = 150;

/// How long a run may take until it stands still.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that is fed as fast as it reads, and whose stdout and stderr are not read.
struct Unread {
    child: Child,
    fed: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
    #[allow(dead_code, reason = "its worker is in it")]
    folder: Folder,
}

impl Unread {
    fn start(folder: Folder, worker: &str, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_disperse-host"))
            .env("XDG_STATE_HOME", crate::support::state())
            .args(["map", worker, "--no-cache"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (fed, enough) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let feeder = std::thread::spawn({
            let (fed, enough) = (fed.clone(), enough.clone());
            move || {
                while !enough.load(Ordering::SeqCst) && stdin.write_all(b"a line of it\n").is_ok() {
                    fed.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self {
            child,
            fed,
            enough,
            feeder: Some(feeder),
            folder,
        }
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether one of the pipes is nearly full.
    fn is_full(&self) -> bool {
        let (stdout, stderr) = (self.child.stdout.as_ref().unwrap(), self.child.stderr.as_ref().unwrap());
        ioctl_fionread(stdout).unwrap().max(ioctl_fionread(stderr).unwrap()) > 32 << 10
    }

    /// Waits until nothing is read and almost nothing computed for a second, and checks that the run stays small until then.
    fn stands_still(&self) {
        let cpu = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            let fields = fields.split_whitespace().skip(11).take(2);
            fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>()
        };
        let mut last = (0, 0, Instant::now());
        let stands = becomes_true(PATIENCE, || {
            let memory = self.status("VmHWM:") / 1024;
            assert!(memory < CEILING, "the host has {memory} MiB without a reader");
            let (fed, cpu) = (self.fed.load(Ordering::SeqCst), cpu());
            // In hundredths of a second: occasional polling is allowed.
            if !self.is_full() || fed != last.0 || cpu > last.1 + 20 {
                last = (fed, cpu, Instant::now());
            }
            last.2.elapsed() > Duration::from_secs(1)
        });
        assert!(stands, "the run continues without a reader");
        eprintln!("{} MiB", self.status("VmHWM:") / 1024);
    }

    /// Reads until the run ends and counts the lines of stdout that contain `part`.
    fn read_to_the_end(mut self, part: &str) -> (u64, u64) {
        self.enough.store(true, Ordering::SeqCst);
        let mut stderr = self.child.stderr.take().unwrap();
        let drained = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let count = count(self.child.stdout.take().unwrap(), part);
        self.feeder.take().unwrap().join().unwrap();
        drained.join().unwrap().unwrap();
        (count, self.fed.load(Ordering::SeqCst))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // The run has ended, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(mut stdout: ChildStdout, part: &str) -> u64 {
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    text.lines().filter(|line| line.contains(part)).count() as u64
}

#[test]
fn unread_results_wait_and_none_is_lost() {
    let _beside = beside();
    for (flags, part) in [(&[][..], "a line of it"), (&["--format", "json"], r#""type":"output""#)] {
        let folder = Folder::new();
        let worker = folder.worker("echo.wasm", body::ECHO);
        let run = Unread::start(folder, &worker, flags);
        run.stands_still();
        let (read, fed) = run.read_to_the_end(part);
        assert_eq!(read, fed, "{flags:?}");
    }
}

/// Results of control characters are six times as long in JSON.
#[test]
fn unread_results_wait_when_json_enlarges_them() {
    let _beside = beside();
    let folder = Folder::new();
    let worker = folder.worker("zeros.wasm", "(call $answer (i32.const 2048) (i32.const 50000))");
    let run = Unread::start(folder, &worker, &["--format", "json"]);
    run.stands_still();
}

/// Each line fails permanently, which counts against no worker, so that only the reader slows the run.
#[test]
fn unread_failures_wait() {
    let _beside = beside();
    let folder = Folder::new();
    let worker = folder.worker("no.wasm", "(call $refuse (i32.const 1))");
    Unread::start(folder, &worker, &["--format", "json"]).stands_still();
}

/// With `-v` each line is a failure that is reported on stderr.
#[test]
fn unread_stderr_neither_stops_a_run_nor_fills_memory() {
    /// The reports of this many lines are twice what may wait.
    const LINES: u64 = 400_000;
    let _beside = beside();
    let folder = Folder::new();
    let worker = folder.worker("no.wasm", "(call $refuse (i32.const 1))");
    let mut run = Unread::start(folder, &worker, &["-v", "--attempts=1", "--unordered"]);
    let fed = || run.fed.load(Ordering::SeqCst);
    assert!(
        becomes_true(PATIENCE, || fed() > LINES),
        "it waits for a reader of its stderr: {} lines",
        fed()
    );
    assert!(run.is_full(), "it writes little");
    let memory = run.status("VmHWM:") / 1024;
    assert!(memory < CEILING, "the host has {memory} MiB without a reader");
    run.enough.store(true, Ordering::SeqCst);
    let mut code = None;
    let ended = becomes_true(PATIENCE, || {
        code = run.child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert!(ended, "it waits for a reader of its report");
    assert_eq!(code, Some(Some(1)));
}

#[test]
fn signals_end_a_run_that_waits_for_readers_of_stdout_and_stderr() {
    let _beside = beside();
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let mut run = Unread::start(folder, &worker, &["-v", "--format", "json"]);
    run.stands_still();
    let pid = Pid::from_child(&run.child);
    let mut code = None;
    // Nothing shows when the first signal was received: its message waits for a reader too.
    let ended = becomes_true(Duration::from_secs(20), || {
        if code.is_none() {
            kill_process(pid, Signal::TERM).unwrap();
        }
        code = run.child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert!(ended, "the run continues after many signals");
    assert_eq!(code, Some(Some(143)));
}
