//! Processes an untrusted file in a child process with its own limits: the parent's side.
//!
//! Input can make parsers and compilers take arbitrary time and memory. So this program starts itself again for each
//! file. The child lowers its own limits, reads the file from stdin and writes the output to stdout. Whatever happens
//! to the child, the host gets a bounded output or an error.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc,
    thread::{Builder, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Signal, getrlimit};

use crate::{
    engine::{EngineKind, Space},
    inspect::shape::Depth,
    process::child_command::child_command,
};
use disperse_protocol::limits::{TICK, awake, cores};

/// The work of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiles a component for an engine of this kind whose memories get their address space in this way.
    Compile(EngineKind, Space),
    /// Inspects a file, and makes a component of a core module.
    Inspect(Depth),
}

impl Work {
    pub(super) const ALL: [Self; 6] = [
        Self::Compile(EngineKind::Blocking, Space::Reserved),
        Self::Compile(EngineKind::Async, Space::Reserved),
        Self::Compile(EngineKind::Blocking, Space::Grown),
        Self::Compile(EngineKind::Async, Space::Grown),
        Self::Inspect(Depth::Declarations),
        Self::Inspect(Depth::Everything),
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Compile(EngineKind::Blocking, Space::Reserved) => "blocking",
            Self::Compile(EngineKind::Async, Space::Reserved) => "async",
            Self::Compile(EngineKind::Blocking, Space::Grown) => "blocking-grown",
            Self::Compile(EngineKind::Async, Space::Grown) => "async-grown",

            Self::Inspect(depth) => depth.word(),
        }
    }
}

/// Limits of a child. Lower limits of this process apply to the child too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildLimits {
    /// Bytes of memory.
    pub memory: u64,
    /// Wall time. CPU time is limited to this much for each core.
    pub timeout: Duration,
    /// Bytes of output. A longer output counts as a failure of the child.
    pub output: u64,
}

/// Why a child produced no output.
#[derive(Debug)]
pub(crate) enum ChildError {
    /// The work cannot be done with this input, for this reason.
    Rejected(String),
    Timeout,
    /// The child used up the CPU time that this process is limited to, which is less than the child's own limit.
    Cpu(Duration),
    /// The child ended in another way, described here. Too little memory or stack is the usual reason.
    Broken(String),
    /// The child could not be started or continue, because the machine has run out of a resource.
    Start(io::Error),
}

/// How long the report of an interrupted child is delayed. A Ctrl-C interrupts this process too, which then ends before
/// the report. Arbitrary: far more than this process takes to end.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// The most bytes of the child's stderr that are kept.
const STDERR_MAX: u64 = 64 << 10;

/// A marker before the child's output, so that other text on stdout is not taken for output.
pub(super) const MADE: &[u8] = b"disperse: made\n";

/// Does the work in a child process, on an input in several parts, and returns its output. Blocks.
///
/// # Errors
/// The work cannot be done, or not within the limits.
pub(crate) fn run(work: Work, input: &[&[u8]], limits: ChildLimits) -> Result<Vec<u8>, ChildError> {
    let began = Instant::now();
    let (memory, seconds) = (limits.memory.to_string(), limits.timeout.as_secs().to_string());
    let mut child = child_command(&[work.word(), &memory, &seconds])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ChildError::Start)?;
    let max = limits.output.saturating_add(MADE.len() as u64);
    let done = exchange(&mut child, input, max, (began, limits.timeout)).map_err(ChildError::Start);
    // Has no effect on a child that has ended.
    let _ = child.kill();
    let status = child.wait().map_err(ChildError::Start)?;
    if status.signal() == Some(Signal::INT.as_raw()) {
        // Ctrl-C reaches this process too, and ends it.
        std::thread::sleep(INTERRUPTED);
    }
    let Some((mut output, stderr)) = done? else {
        return Err(ChildError::Timeout);
    };
    match (status.code(), status.signal()) {
        (Some(0), _) if output.len() as u64 > max => Err(ChildError::Broken("its output is too large".to_owned())),
        (Some(0), _) if output.starts_with(MADE) => {
            output.drain(..MADE.len());
            Ok(output)
        }
        (Some(0), _) => Err(ChildError::Start(io::Error::other(
            "this program, started as a compiler, did something else: it must handle the arguments of a child first",
        ))),
        (Some(code), _) if code == i32::from(REJECTED) => Err(ChildError::Rejected(stderr.trim_end().to_owned())),
        (Some(code), _) if code == i32::from(MACHINE) => {
            Err(ChildError::Start(io::Error::other(stderr.trim_end().to_owned())))
        }
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
            let (asked, own) = (cpu(limits.timeout.as_secs()), own_limit(Resource::Cpu));
            let lower = own.filter(|own| *own < asked);
            Err(lower.map_or(ChildError::Timeout, |own| ChildError::Cpu(Duration::from_secs(own))))
        }
        _ => Err(ChildError::Broken(exit_message(status, &stderr))),
    }
}

/// Writes the input and reads output and stderr; of the output at most one byte more than allowed. None if that takes
/// longer than `time`. While this process is stopped, so is the child, and that time does not count.
///
/// # Errors
/// No threads can be started; the child is killed.
fn exchange(
    child: &mut Child,
    input: &[&[u8]],
    max: u64,
    (began, time): (Instant, Duration),
) -> io::Result<Option<(Vec<u8>, String)>> {
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Ok(None);
    };
    std::thread::scope(|scope| {
        let started = (|| {
            Builder::new().spawn_scoped(scope, move || {
                let mut stdin = stdin;
                // A child that stops reading reports the reason on stderr.
                let _ = input.iter().try_for_each(|part| stdin.write_all(part));
            })?;
            let stderr = read(scope, stderr, STDERR_MAX)?;
            let output = read(scope, stdout, max.saturating_add(1))?;
            let (done, wait) = mpsc::channel();
            Builder::new().spawn_scoped(scope, move || {
                let output = output.join().unwrap_or_default();
                let stderr = stderr.join().unwrap_or_default();
                let _ = done.send((output, String::from_utf8_lossy(&stderr).into_owned()));
            })?;
            Ok(wait)
        })();
        let done = started.map(|wait| {
            let (mut looked, mut left) = (began, time);
            loop {
                let done = wait.recv_timeout(left.min(TICK)).ok();
                let now = Instant::now();
                left = left.saturating_sub(awake(now.saturating_duration_since(looked)));
                looked = now;
                if done.is_some() || left.is_zero() {
                    return done;
                }
            }
        });
        if !matches!(done, Ok(Some(_))) {
            // The threads above end with the child.
            let _ = child.kill();
        }
        done
    })
}

fn read<'scope>(
    scope: &'scope Scope<'scope, '_>,
    from: impl Read + Send + 'static,
    max: u64,
) -> io::Result<ScopedJoinHandle<'scope, Vec<u8>>> {
    Builder::new().spawn_scoped(scope, move || {
        let mut bytes = Vec::new();
        // After an error, the bytes read so far are used.
        let _ = from.take(max).read_to_end(&mut bytes);
        bytes
    })
}

fn exit_message(status: ExitStatus, stderr: &str) -> String {
    match stderr.lines().find(|line| !line.is_empty()) {
        Some(line) => format!("{status}: {line}"),
        None => status.to_string(),
    }
}

/// The child's exit code if the machine has run out of a resource. The host itself uses the same code, so that it is
/// also right where a failed thread start ends the process.
pub(super) const MACHINE: u8 = 4;

/// The child's exit code for an input that cannot be processed.
pub(super) const REJECTED: u8 = 65;

/// The CPU time limit for a wall time limit, in seconds: that much on each core, plus one. So the wall clock limit
/// applies first.
pub(super) fn cpu(seconds: u64) -> u64 {
    seconds.saturating_mul(cores() as u64).saturating_add(1)
}

/// This process's own soft limit on a resource. None: unlimited.
pub(super) fn own_limit(resource: Resource) -> Option<u64> {
    getrlimit(resource).current
}

/// The effective memory limit of a child, in bytes: `asked`, or a lower limit of this process.
pub(crate) fn memory(asked: u64) -> u64 {
    let own = [Resource::As, Resource::Data].into_iter().filter_map(own_limit);
    own.fold(asked, u64::min)
}
