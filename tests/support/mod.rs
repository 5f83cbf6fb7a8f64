//! Runs the program under a deadline.

mod guests;
pub(crate) mod imports;
mod machine;
mod snapshot;

use std::{
    ffi::{OsStr, OsString},
    io::{ErrorKind, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub(crate) use guests::*;
pub(crate) use machine::{alone, beside};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
pub(crate) use snapshot::*;

/// The deadline of every run and wait. Only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The interval of polling.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The folder of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The value of `XDG_STATE_HOME` in tests.
pub(crate) fn state() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("state")
}

/// The folder of the records of runs that were started in `folder`.
pub(crate) fn records(folder: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;

    if folder.join("disperse.toml").exists() {
        return folder.join(".disperse");
    }
    let digest = <sha2::Sha256 as sha2::Digest>::digest(folder.canonicalize().unwrap().as_os_str().as_bytes());
    state().join("disperse/runs").join(hex::encode(&digest[..8]))
}

/// A command with the environment of tests: their own cache and trust store, and no variables of the `cargo` that runs them.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    command
        .env("XDG_CACHE_HOME", own.join("cache"))
        .env("XDG_STATE_HOME", state())
        .env("NO_COLOR", "1")
        .env_remove("COLUMNS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET");
    command
}

/// The `--host-memory`, in MiB, of every run that does not set one: each may use at most twice as much. `.ci/soak` sets it.
fn memory_of_runs() -> Option<u64> {
    std::env::var("DISPERSE_TEST_HOST_MEMORY").ok()?.parse().ok()
}

/// `disperse-host` with these arguments, in the folder of the project.
pub(crate) fn host<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Host {
    let mut command = command(env!("CARGO_BIN_EXE_disperse-host"));
    let mut args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    if let (Some(memory), Some("map" | "run")) = (memory_of_runs(), args.first().and_then(|arg| arg.to_str()))
        && !args.iter().any(|arg| arg == "--host-memory")
    {
        let flag = ["--host-memory".into(), format!("{memory}MiB").into()];
        args.splice(1..1, flag);
    }
    without_journal(&mut args);
    command.args(args).current_dir(root());
    Host {
        command,
        input: Input::Bytes(Vec::new()),
    }
}

/// A run has a journal only in tests that say so: each commit waits for the disk.
const NO_JOURNAL: &str = "--no-journal";

fn without_journal(args: &mut Vec<OsString>) {
    let is_said = |arg: &OsString| arg == NO_JOURNAL || arg.to_string_lossy().starts_with("--journal");
    let is_said = args.iter().any(is_said);
    if args.first().is_some_and(|arg| arg == "run") && !is_said {
        args.insert(1, NO_JOURNAL.into());
    }
}

/// A command line from a README, in the folder of the project.
pub(crate) fn shell(line: &str) -> Host {
    let program = Path::new(env!("CARGO_BIN_EXE_disperse-host")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(program.to_owned()).chain(std::env::split_paths(&path));
    let mut command = command("sh");
    command
        .args(["-c", line])
        .env("PATH", std::env::join_paths(path).unwrap())
        .current_dir(root());
    Host {
        command,
        input: Input::Bytes(Vec::new()),
    }
}

/// The words of a command line as a user types it, without what tests add.
fn words_of(command: &Command) -> Vec<String> {
    let program = Path::new(command.get_program()).file_name().unwrap();
    let words = std::iter::once(program).chain(command.get_args());
    let words = words.filter(|word| *word != NO_JOURNAL);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

enum Input {
    Bytes(Vec<u8>),
    /// Feeds a line this many times, then nothing, and leaves the input open until it is stopped.
    Held(u64, String),
}

/// A run that is about to begin.
pub(crate) struct Host {
    command: Command,
    input: Input,
}

impl Host {
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Runs in this folder instead of that of the project.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets a variable of the host's environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Feeds this line again and again until [`Live::close`].
    pub(crate) fn endless(mut self, line: impl Into<String>) -> Self {
        self.input = Input::Held(u64::MAX, line.into());
        self
    }

    /// Feeds this line once, and leaves the input open.
    pub(crate) fn once(mut self, line: impl Into<String>) -> Self {
        self.input = Input::Held(1, line.into());
        self
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }

    /// Starts, and leaves it running.
    pub(crate) fn start(mut self) -> Live {
        let beside = beside();
        let until = Instant::now() + DEADLINE;
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = Pipe::read(child.stdout.take().unwrap());
        let stderr = Pipe::read(child.stderr.take().unwrap());
        let feeder = Arc::new(Feeder::default());
        let mut stdin = child.stdin.take().unwrap();
        std::thread::spawn({
            let feeder = feeder.clone();
            move || match self.input {
                // A run that needs no more input closes the pipe; its end shows whether that was right.
                Input::Bytes(bytes) => drop(stdin.write_all(&bytes)),
                Input::Held(times, line) => feeder.feed(&mut stdin, times, &line),
            }
        });
        Live {
            words: words_of(&self.command),
            child,
            stdout,
            stderr,
            feeder,
            until,
            _beside: beside,
        }
    }
}

#[derive(Default)]
struct Feeder {
    closed: AtomicBool,
    lines: AtomicU64,
}

impl Feeder {
    fn feed(&self, stdin: &mut impl Write, times: u64, line: &str) {
        while !self.closed.load(Ordering::SeqCst) {
            if self.lines.load(Ordering::SeqCst) == times {
                std::thread::sleep(POLL_INTERVAL);
                continue;
            }
            match stdin.write_all(line.as_bytes()) {
                Ok(()) => self.lines.fetch_add(1, Ordering::SeqCst),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
                Err(error) => panic!("cannot feed the program: {error}"),
            };
        }
    }
}

/// The bytes read from a pipe so far.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pipe {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let bytes = bytes.clone();
            move || {
                let mut piece = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from.read(&mut piece) {
                    bytes.lock().unwrap().extend_from_slice(&piece[..count]);
                }
            }
        });
        Self { bytes, reader }
    }

    fn so_far(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap()
    }
}

/// A run in progress. It is killed when it is dropped.
pub(crate) struct Live {
    words: Vec<String>,
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
    feeder: Arc<Feeder>,
    until: Instant,
    /// Released when the run has ended: the last field.
    _beside: Option<machine::Beside>,
}

impl Live {
    /// Sets a longer deadline than that of other runs.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.until = Instant::now() + time;
        self
    }

    /// Waits until a condition on the output so far (stdout, stderr) holds.
    pub(crate) fn wait_until(&mut self, what: &str, mut seen: impl FnMut(&[u8], &str) -> bool) {
        loop {
            // Checked before the pipes are read, so that the last output is not missed.
            let ended = self.child.try_wait().unwrap();
            if seen(&self.stdout.so_far(), &String::from_utf8_lossy(&self.stderr.so_far())) {
                return;
            }
            if ended.is_some() {
                self.give_up(&format!("it ended before {what}"));
            }
            self.poll_again(what);
        }
    }

    /// Whether stderr has this text so far.
    pub(crate) fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.stderr.so_far()).contains(text)
    }

    /// Closes an endless input.
    pub(crate) fn close(&self) {
        self.feeder.closed.store(true, Ordering::SeqCst);
    }

    /// How many lines were fed.
    pub(crate) fn fed(&self) -> u64 {
        self.feeder.lines.load(Ordering::SeqCst)
    }

    /// The peak memory of the process so far, in MiB. None if the system does not report it.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.child.id())
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How many bytes of results there are so far.
    pub(crate) fn results(&self) -> usize {
        self.stdout.so_far().len()
    }

    /// The user ID that owns this file of the process in `/proc`. None if there is no such file.
    pub(crate) fn owner_of(&self, name: &str) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        let path = format!("/proc/{}/{name}", self.child.id());
        Some(std::fs::metadata(path).ok()?.uid())
    }

    /// The current memory in MiB, open files and threads of the process. None if the system does not report them.
    pub(crate) fn holds(&self) -> Option<(u64, usize, usize)> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let memory = line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024;
        let count = |name| Some(std::fs::read_dir(folder.join(name)).ok()?.count());
        Some((memory, count("fd")?, count("task")?))
    }

    /// Waits until the process has no more open files and threads than these. A single check may find a file that is open for a
    /// moment, such as the one with the free memory.
    pub(crate) fn settles_at(&mut self, files: usize, threads: usize) {
        while let Some((_, files_now, threads_now)) = self.holds() {
            if files_now <= files && threads_now <= threads {
                return;
            }
            self.poll_again(&format!(
                "the end of {files_now} open files and {threads_now} threads, {files} and {threads} before,"
            ));
        }
    }

    /// The CPU time of the process so far, in steps of 10 ms. None if the system does not report it.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name, in brackets, may contain blanks. The 14th and 15th field are the time of its own code and that of the
        // system for it, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields = fields.split_whitespace().skip(11).take(2);
        let hundredths: Option<u64> = fields.map(|field| field.parse::<u64>().ok()).sum();
        Some(Duration::from_millis(hundredths? * 10))
    }

    /// The process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let mut peak_memory = None;
        let status = loop {
            peak_memory = self.peak_memory().or(peak_memory);
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.poll_again("its end");
        };
        while !(self.stdout.reader.is_finished() && self.stderr.reader.is_finished()) {
            self.poll_again("the end of its output");
        }
        if let (Some(memory), Some(peak)) = (memory_of_runs(), peak_memory) {
            assert!(peak < 2 * memory, "{peak} MiB, with a host memory of {memory} MiB");
        }
        Ended {
            code: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            stdout: std::mem::take(&mut *self.stdout.so_far()),
            stderr: String::from_utf8_lossy(&self.stderr.so_far()).into_owned(),
            words: std::mem::take(&mut self.words),
            peak_memory,
        }
    }

    fn poll_again(&mut self, what: &str) {
        if Instant::now() > self.until {
            self.give_up(&format!("{what} did not come in time"));
        }
        std::thread::sleep(POLL_INTERVAL);
    }

    fn give_up(&mut self, why: &str) -> ! {
        let stdout = self.stdout.so_far();
        panic!(
            "{why}; stdout: {} bytes, stderr:\n{}",
            stdout.len(),
            String::from_utf8_lossy(&self.stderr.so_far())
        )
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
        // The run has ended, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peak memory of a process so far, in MiB. None if the system does not report it.
pub(crate) fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// A run that has ended.
pub(crate) struct Ended {
    /// The command line, for snapshots.
    words: Vec<String>,
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// Its peak memory at the last check, in MiB. None if the system does not report it.
    pub(crate) peak_memory: Option<u64>,
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let shown = &self.stdout[..self.stdout.len().min(2000)];
        assert_eq!(
            self.code,
            code,
            "the exit code; stdout:\n{}\nstderr:\n{}",
            String::from_utf8_lossy(shown),
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert_eq!(self.out(), text, "stdout; stderr:\n{}", self.stderr);
        self
    }

    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// The row of the final report about this worker or kind.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> &str {
        let mut rows = self
            .stderr
            .lines()
            .filter(|line| line.split_whitespace().next() == Some(name));
        rows.next_back()
            .unwrap_or_else(|| panic!("the report has no row `{name}`:\n{}", self.stderr))
    }

    /// The lines of `--format json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out()
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

/// The events of one type.
pub(crate) fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).collect()
}

/// Whether a condition becomes true within this time.
pub(crate) fn becomes_true(within: Duration, mut seen: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    while !seen() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    true
}

/// Checks that a text contains all of these parts.
#[track_caller]
pub(crate) fn has(what: &str, text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in {what}:\n{text}");
    }
}
