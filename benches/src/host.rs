//! The host as a user runs it: the program with arguments.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Most rows are those of a run without a journal.
const NO_JOURNAL: &str = "--no-journal";

/// The program and the guest, built.
pub(crate) struct Host {
    program: PathBuf,
    guest: PathBuf,
}

/// The fields of the last line of `--format json` that are used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    wall_ms: f64,
    kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    done: u64,
}

impl Report {
    /// Returns microseconds of the run for each action.
    pub(crate) fn us(&self) -> f64 {
        let done: u64 = self.kinds.iter().map(|kind| kind.done).sum();
        self.wall_ms * 1e3 / done as f64
    }
}

/// The work of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) flags: &'a [&'a str],
    pub(crate) tasks: u32,
    /// For each task.
    pub(crate) actions: u32,
    pub(crate) kind: &'a str,
    pub(crate) number: u32,
    /// Whether the run has a journal.
    pub(crate) is_recorded: bool,
}

impl Host {
    /// Builds the program, in the profile of the tests, and the guest.
    pub(crate) fn build() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the benchmark has no folder above it")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = std::env::current_exe()?;
        let target = target
            .ancestors()
            .nth(2)
            .context("the benchmark is not in a target folder")?;
        // What `cargo run` tells this program of its own package is input of some build scripts: ring and all that is above it, up to
        // the host, would be built once more here, and again by the next cargo outside.
        let is_own = |name: &OsStr| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
        };
        let run = |command: &mut Command| -> Result<()> {
            for (name, _) in std::env::vars_os().filter(|(name, _)| is_own(name)) {
                command.env_remove(name);
            }
            let status = command.current_dir(root).env("CARGO_TARGET_DIR", target).status()?;
            ensure!(status.success(), "{command:?} failed");
            Ok(())
        };
        run(Command::new(&cargo).args("build --quiet --profile ci --bin disperse-host".split(' ')))?;
        run(Command::new(&cargo).args(
            "build --quiet --locked --release --target wasm32-wasip2 --manifest-path benches/guest/Cargo.toml"
                .split(' '),
        ))
        .context("is the target there? `rustup target add wasm32-wasip2`")?;
        Ok(Self {
            program: target.join("ci/disperse-host"),
            guest: target.join("wasm32-wasip2/release/bench_guest.wasm"),
        })
    }

    /// Returns the component that every layer runs.
    pub(crate) fn guest(&self) -> &Path {
        &self.guest
    }

    /// Runs a load and reads the report.
    pub(crate) fn run(&self, load: Load<'_>) -> Result<Report> {
        let Load {
            flags,
            tasks,
            actions,
            kind,
            number,
            is_recorded,
        } = load;
        // On the disk of the program: in memory nothing is synced.
        let folder = tempfile::tempdir_in(self.program.parent().unwrap_or(Path::new(".")))?;
        let journal = match is_recorded {
            true => format!("--journal={}", folder.path().join("run.journal").display()),
            false => NO_JOURNAL.to_owned(),
        };
        let output = Command::new(&self.program)
            .arg("run")
            .arg(&self.guest)
            .args(["--format", "json", &journal])
            .args(flags)
            .arg("--")
            .args([
                tasks.to_string(),
                actions.to_string(),
                kind.to_owned(),
                number.to_string(),
            ])
            .output()?;
        ensure!(
            output.status.success(),
            "a run failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let last = output
            .stdout
            .split(|byte| *byte == b'\n')
            .rfind(|line| !line.is_empty());
        let report: Report = serde_json::from_slice(last.unwrap_or_default()).context("a run gave no report")?;
        let done: u64 = report.kinds.iter().map(|kind| kind.done).sum();
        ensure!(done == u64::from(tasks) * u64::from(actions), "a run lost actions");
        Ok(report)
    }

    /// Measures milliseconds from the start of the program to the first byte of its first result, with compiled code
    /// cached.
    pub(crate) fn first_result(&self) -> Result<f64> {
        let began = Instant::now();
        let mut child = Command::new(&self.program)
            .arg("run")
            .arg(&self.guest)
            .args([NO_JOURNAL, "--", "1", "1", "echo", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut byte = [0];
        let read = child.stdout.take().context("no output")?.read_exact(&mut byte);
        let took = began.elapsed();
        ensure!(child.wait()?.success(), "a run failed");
        read.context("a run gave no result")?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Measures the bytes of the host while this many tasks wait for this many actions each, and no worker takes one.
    pub(crate) fn waiting(&self, tasks: u32, actions: u32) -> Result<u64> {
        let mut child = Command::new(&self.program)
            .arg("run")
            .arg(&self.guest)
            .args([NO_JOURNAL, "--workers", "1", "--tasks", &tasks.to_string(), "--"])
            .args([&tasks.to_string(), &actions.to_string(), "pile", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let resident = resident_when_parked(&mut child, tasks);
        child.kill()?;
        child.wait()?;
        resident
    }
}

/// Waits for the line of each task that all of its actions are requested. The host writes it after it has received
/// them: it reads the requests of tasks before their output.
fn resident_when_parked(child: &mut Child, tasks: u32) -> Result<u64> {
    let stderr = BufReader::new(child.stderr.take().context("no stderr")?);
    let parked = stderr
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.contains("parked"));
    ensure!(
        parked.take(tasks as usize).count() == tasks as usize,
        "the waiting tasks did not request all of their actions"
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).context("memory needs /proc")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("no VmRSS")? * 1024)
}
