//! Work on a file from outside, in a child process with limits of its own.
//!
//! Parsers and compilers take as long and as much memory as their input makes them. So this program starts itself once more
//! for each file: the child lowers its own limits, reads the file from stdin and writes what it made to stdout. Whatever
//! happens to the child, the host gets a bounded answer or an error.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{Builder, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

use super::{
    compile,
    inspection::{self, Depth, InspectionError},
};
use crate::{
    limits::{Shortage, TICK, awake, cores},
    sandbox::{
        engine::{self, Form, Space},
        process::processes,
        run::fault,
    },
};

/// The word that makes this program a child; what follows is the work, the memory in bytes and the time in seconds.
const CHILD: &str = "compile-child";

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiles a component for the engine of this form, with memories that have their address space in this way.
    Compile(Form, Space),
    /// Finds out what a file is, and makes a component of a core module.
    Inspect(Depth),
}

impl Work {
    const ALL: [Self; 6] = [
        Self::Compile(Form::Blocking, Space::Reserved),
        Self::Compile(Form::Async, Space::Reserved),
        Self::Compile(Form::Blocking, Space::Grown),
        Self::Compile(Form::Async, Space::Grown),
        Self::Inspect(Depth::Declarations),
        Self::Inspect(Depth::Everything),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Compile(Form::Blocking, Space::Reserved) => "blocking",
            Self::Compile(Form::Async, Space::Reserved) => "async",
            Self::Compile(Form::Blocking, Space::Grown) => "blocking-grown",
            Self::Compile(Form::Async, Space::Grown) => "async-grown",

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
const MADE: &[u8] = b"disperse: made\n";

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

/// This program once more, as a child that does this work: its word and two numbers.
pub(crate) fn again(work: &[&str; 3]) -> Command {
    // This very program, also when its file has been exchanged for a newer one meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(CHILD)
        .args(work)
        .env_clear()
        // Else there may be eight of them a core, and each reserves address space.
        .env("MALLOC_ARENA_MAX", cores().to_string())
        .current_dir("/");
    command
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
const MACHINE: u8 = 4;

/// The child's exit code for an input with which the work cannot be done.
const REFUSED: u8 = 65;

/// Address space that a thread reserves without using it, in bytes: an arena of glibc's allocator, which is twice 64 MiB while
/// it is being aligned.
const RESERVED: u64 = 128 << 20;

/// If this process was started as a child: does the work, and returns the exit code.
pub(crate) fn as_child() -> Option<u8> {
    let mut args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.into_string().unwrap_or_default());
    let asked = (args.next(), args.next(), args.next(), args.next(), args.next());
    match asked {
        (Some(child), Some(work), Some(_), Some(_), None) if child == CHILD && work == processes::GUARD => {
            Some(processes::guard())
        }
        (Some(child), Some(work), Some(memory), Some(seconds), None) if child == CHILD => {
            Some(child_of(&work, memory.parse().ok()?, seconds.parse().ok()?))
        }
        _ => {
            processes::can_guard();
            None
        }
    }
}

/// The child: does this work on stdin, to stdout, and returns its exit code.
fn child_of(work: &str, memory: u64, seconds: u64) -> u8 {
    let work = Work::ALL.into_iter().find(|known| known.word() == work);
    let known = work.ok_or_else(|| io::Error::other("there is no such work"));
    let (code, error) = match (known, confine(memory, seconds)) {
        (_, Err(error)) => (MACHINE, error),
        (Err(error), _) => (REFUSED, error),
        (Ok(work), Ok(())) => match done(work) {
            Ok(()) => return 0,
            Err(error) if Shortage::of_start(&error).is_some() => (MACHINE, error),
            Err(error) => (REFUSED, error),
        },
    };
    // The parent reads it or is gone.
    let _ = writeln!(io::stderr(), "{error}");
    code
}

/// Lowers the limits of this process. None is raised, which only the superuser may.
fn confine(memory: u64, seconds: u64) -> io::Result<()> {
    lower(Resource::Data, "memory", memory)?;
    // Not every kernel counts all memory as data. A thread for each core reserves beside that what it never uses.
    let reserved = RESERVED.saturating_mul(cores() as u64);
    lower(Resource::As, "address space", memory.saturating_add(reserved))?;
    lower(Resource::Cpu, "CPU time", cpu(seconds))?;
    lower(Resource::Core, "core files", 0)?;
    lower(Resource::Fsize, "file sizes", 0)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// How much CPU time a child has that may take so many seconds: as many on all cores together, so that it is the wall clock that
/// ends it first.
fn cpu(seconds: u64) -> u64 {
    seconds.saturating_mul(cores() as u64).saturating_add(1)
}

/// What this process may have of something itself. None: as much as there is.
fn own(resource: Resource) -> Option<u64> {
    getrlimit(resource).current
}

/// The memory that a child has which is to have so much, in bytes.
pub(crate) fn memory(asked: u64) -> u64 {
    let own = [Resource::As, Resource::Data].into_iter().filter_map(own);
    own.fold(asked, u64::min)
}

/// Lowers a limit; one that is lower stays.
fn lower(resource: Resource, name: &str, most: u64) -> io::Result<()> {
    let before = getrlimit(resource);
    let maximum = before.maximum.map_or(most, |own| own.min(most));
    // At the hard limit on CPU time a process is killed; at a soft one below it is told, which is what can be seen.
    let soft = match resource {
        Resource::Cpu => maximum.saturating_sub(1).max(1),
        _ => maximum,
    };
    let limit = Rlimit {
        current: Some(before.current.map_or(soft, |own| own.min(soft))),
        maximum: Some(maximum),
    };
    setrlimit(resource, limit).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::other(format!("its limit on {name} cannot be lowered to {most}: {error}"))
    })
}

fn done(work: Work) -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let output = match work {
        Work::Compile(form, space) => engine::compiler(form, space)
            .map_err(|error| io::Error::other(fault::chain(&error)))
            .and_then(|engine| compile::here(&engine, &input).map_err(io::Error::other)),
        Work::Inspect(depth) => inspection::here(&input, depth)
            .map_err(|error| match error {
                // What the machine has none left of is read from it.
                InspectionError::Start(error) => error,
                error => io::Error::other(error),
            })
            .and_then(|answer| answer.encode()),
    }?;
    io::stdout().write_all(MADE)?;
    io::stdout().write_all(&output)
}
