//! Work on a file from outside, in a child process with limits of its own: the parent's side.
//!
//! Parsers and compilers take as long and as much memory as their input makes them. So this program starts itself once more
//! for each file: the child lowers its own limits, reads the file from stdin and writes what it made to stdout. Whatever
//! happens to the child, the host gets a bounded answer or an error.

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
    limits::{TICK, awake, cores},
    sandbox::{
        engine::{EngineKind, Space},
        inspect::shape::Depth,
        process::again::again,
    },
};

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiles a component for the engine of this kind, with memories that have their address space in this way.
    Compile(EngineKind, Space),
    /// Finds out what a file is, and makes a component of a core module.
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

/// What a child may take, as far as this process may, and how much of its output is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildLimits {
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Wall time. The time of all cores together is limited to as much on each.
    pub(crate) timeout: Duration,
    /// Bytes of output. More counts as a failure of the child.
    pub(crate) output: u64,
}

/// Why a child did not do its work.
#[derive(Debug)]
pub(crate) enum ChildError {
    /// The work cannot be done with this input; says why.
    Refused(String),
    Timeout,
    /// It took all the CPU time that this process is limited to, which is less than it was to have.
    Cpu(Duration),
    /// It ended otherwise; says how. Too little memory or stack is the usual reason.
    Broken(String),
    /// It could not be started, or not go on: the machine has not what that takes.
    Start(io::Error),
}

/// How long a child that was interrupted is not reported. Arbitrary: far more than this process takes to end, which was interrupted
/// too unless the signal was for the child alone.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// How much of the child's stderr is kept, in bytes.
const WORDS_MAX: u64 = 64 << 10;

/// What the child writes before its output, so that nothing else is taken for that.
pub(super) const MADE: &[u8] = b"disperse: made\n";

/// Does the work in a child process. Blocks until it is done.
///
/// # Errors
/// It cannot be done, or not within the limits.
pub(crate) fn run(work: Work, input: &[u8], limits: ChildLimits) -> Result<Vec<u8>, ChildError> {
    let began = Instant::now();
    let (memory, seconds) = (limits.memory.to_string(), limits.timeout.as_secs().to_string());
    let mut child = again(&[work.word(), &memory, &seconds])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ChildError::Start)?;
    let most = limits.output.saturating_add(MADE.len() as u64);
    let done = talk(&mut child, input, most, (began, limits.timeout)).map_err(ChildError::Start);
    // Ends it if it goes on, and is nothing to it if it has ended.
    let _ = child.kill();
    let status = child.wait().map_err(ChildError::Start)?;
    if status.signal() == Some(Signal::INT.as_raw()) {
        // Ctrl-C reaches this process too, which ends of it.
        std::thread::sleep(INTERRUPTED);
    }
    let Some((mut output, words)) = done? else {
        return Err(ChildError::Timeout);
    };
    match (status.code(), status.signal()) {
        (Some(0), _) if output.len() as u64 > most => Err(ChildError::Broken("its output is too large".to_owned())),
        (Some(0), _) if output.starts_with(MADE) => {
            output.drain(..MADE.len());
            Ok(output)
        }
        (Some(0), _) => Err(ChildError::Start(io::Error::other(
            "this program, started once more, did something else: it has to offer itself as a compiler first of all",
        ))),
        (Some(code), _) if code == i32::from(REFUSED) => Err(ChildError::Refused(words.trim_end().to_owned())),
        (Some(code), _) if code == i32::from(MACHINE) => {
            Err(ChildError::Start(io::Error::other(words.trim_end().to_owned())))
        }
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
            let (asked, own) = (cpu(limits.timeout.as_secs()), own(Resource::Cpu));
            let lower = own.filter(|own| *own < asked);
            Err(lower.map_or(ChildError::Timeout, |own| ChildError::Cpu(Duration::from_secs(own))))
        }
        _ => Err(ChildError::Broken(how(status, &words))),
    }
}

/// Hands over the input and reads the output, one byte more than it may have at most, and stderr. None if that took longer than the
/// time that there was when it began; while this process is stopped, so is the child.
///
/// # Errors
/// There are no threads for it; the child is killed.
fn talk(
    child: &mut Child,
    input: &[u8],
    most: u64,
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
                // A child that stops reading says why on stderr.
                let _ = stdin.write_all(input);
            })?;
            let words = read(scope, stderr, WORDS_MAX)?;
            let output = read(scope, stdout, most.saturating_add(1))?;
            let (done, wait) = mpsc::channel();
            Builder::new().spawn_scoped(scope, move || {
                let output = output.join().unwrap_or_default();
                let words = words.join().unwrap_or_default();
                let _ = done.send((output, String::from_utf8_lossy(&words).into_owned()));
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
            // The threads above end when the child does.
            let _ = child.kill();
        }
        done
    })
}

fn read<'scope>(
    scope: &'scope Scope<'scope, '_>,
    from: impl Read + Send + 'static,
    most: u64,
) -> io::Result<ScopedJoinHandle<'scope, Vec<u8>>> {
    Builder::new().spawn_scoped(scope, move || {
        let mut bytes = Vec::new();
        // What was read until an error is what there is.
        let _ = from.take(most).read_to_end(&mut bytes);
        bytes
    })
}

fn how(status: ExitStatus, words: &str) -> String {
    match words.lines().find(|line| !line.is_empty()) {
        Some(line) => format!("{status}: {line}"),
        None => status.to_string(),
    }
}

/// The child's exit code for a machine on which the work cannot be done. Also that of this program for everybody else, so that
/// it is the same where a thread that cannot be had ends it.
pub(super) const MACHINE: u8 = 4;

/// The child's exit code for an input with which the work cannot be done.
pub(super) const REFUSED: u8 = 65;

/// How much CPU time a child has that may take so many seconds: as many on all cores together, so that it is the wall clock that
/// ends it first.
pub(super) fn cpu(seconds: u64) -> u64 {
    seconds.saturating_mul(cores() as u64).saturating_add(1)
}

/// What this process may have of something itself. None: as much as there is.
pub(super) fn own(resource: Resource) -> Option<u64> {
    getrlimit(resource).current
}

/// The memory that a child has which is to have so much, in bytes.
pub(crate) fn memory(asked: u64) -> u64 {
    let own = [Resource::As, Resource::Data].into_iter().filter_map(own);
    own.fold(asked, u64::min)
}
