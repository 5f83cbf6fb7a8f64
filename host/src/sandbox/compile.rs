//! Compiling, in a process of its own.
//!
//! A compiler is large, takes as long and as much memory as its input makes it, and what is compiled may come from a
//! stranger. So this program starts itself once more for each component: the child lowers its own limits, reads the
//! component from stdin and writes the compiled code to stdout. Whatever happens to it, the host is told and goes on.
//! What makes a component of a core module is run in the same way.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Instant,
};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use wasmtime::Engine;

use super::{
    adapt,
    engine::{self, Form},
    fault,
};
use crate::{
    limits::{CompileLimits, cores},
    units::{Size, Time},
};

/// The word that makes this program a compiler; what follows is the form and the memory that it may use.
const CHILD: &str = "compile-child";

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Compiles a component for the engine of this form.
    Compile(Form),
    /// Makes a component of a core module.
    Adapt,
}

impl Work {
    const ALL: [Self; 3] = [Self::Compile(Form::Blocking), Self::Compile(Form::Async), Self::Adapt];

    fn word(self) -> &'static str {
        match self {
            Self::Compile(form) => form.word(),
            Self::Adapt => "adapt",
        }
    }
}

/// The largest compiled code. Python's has 60 MiB.
const CODE_MAX: u64 = 1 << 30;

/// How much of what the child says is kept.
const WORDS_MAX: u64 = 64 << 10;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("{0}")]
    Refused(String),
    #[error("it was not compiled within {0}; raise it with --compile-timeout")]
    Timeout(Time),
    #[error(
        "compiling it took more than {memory} of memory, or broke the compiler ({how}); raise it with --compile-memory"
    )]
    Broken { memory: Size, how: String },
    #[error("the compiler could not be started: {0}")]
    Start(io::Error),
}

/// What the child writes before what it made, so that nothing else is taken for that.
const MADE: &[u8] = b"disperse: made\n";

/// Does it in a child process. Blocks until it is done.
///
/// # Errors
/// It cannot be done, or not within the limits.
pub(super) fn apart(work: Work, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
    let until = Instant::now() + limits.timeout;
    // This very program, also when its file has been exchanged for a newer one meanwhile.
    let mut child = Command::new("/proc/self/exe")
        .args([
            CHILD,
            work.word(),
            &limits.memory.to_string(),
            &limits.timeout.as_secs().to_string(),
        ])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CompileError::Start)?;
    let done = talk(&mut child, component, until);
    // Ends it if it goes on, and is nothing to it if it has ended.
    let _ = child.kill();
    let status = child.wait().map_err(CompileError::Start)?;
    let Some((code, words)) = done else {
        return Err(CompileError::Timeout(limits.timeout.into()));
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => match code.strip_prefix(MADE) {
            Some(made) => Ok(made.to_vec()),
            None => Err(CompileError::Start(io::Error::other(
                "this program, started once more, did something else: it has to offer itself as a compiler first of all",
            ))),
        },
        (Some(code), _) if code == i32::from(REFUSED) => Err(CompileError::Refused(words.trim_end().to_owned())),
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => Err(CompileError::Timeout(limits.timeout.into())),
        _ => Err(CompileError::Broken {
            memory: Size(limits.memory),
            how: how(status, &words),
        }),
    }
}

/// Hands over the component and reads the code and what the child has to say. None if that took too long.
fn talk(child: &mut Child, component: &[u8], until: Instant) -> Option<(Vec<u8>, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take()?, child.stdout.take()?, child.stderr.take()?);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = stdin;
            // A child that stops reading has more to say about it than we have.
            let _ = stdin.write_all(component);
        });
        let (done, wait) = mpsc::channel();
        scope.spawn(move || {
            let words = read(stderr, WORDS_MAX);
            let code = read(stdout, CODE_MAX).join().unwrap_or_default();
            let words = words.join().unwrap_or_default();
            let _ = done.send((code, String::from_utf8_lossy(&words).into_owned()));
        });
        match wait.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(done) => Some(done),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                // The threads above end when the child does.
                let _ = child.kill();
                None
            }
        }
    })
}

fn read(from: impl Read + Send + 'static, most: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
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

/// The child's exit code for a component that does not compile.
const REFUSED: u8 = 65;

/// If this process was started to compile: does it, and says the exit code.
pub(crate) fn as_child() -> Option<u8> {
    let mut args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.into_string().unwrap_or_default());
    let asked = (args.next(), args.next(), args.next(), args.next(), args.next());
    match asked {
        (Some(child), Some(work), Some(memory), Some(seconds), None) if child == CHILD => {
            Some(child_of(&work, memory.parse().ok()?, seconds.parse().ok()?))
        }
        _ => None,
    }
}

/// The child: does this work on what is on stdin, to stdout, and says its exit code.
fn child_of(work: &str, memory: u64, seconds: u64) -> u8 {
    let work = Work::ALL.into_iter().find(|known| known.word() == work);
    let known = work.ok_or_else(|| io::Error::other("there is no such work"));
    match known.and_then(|work| confine(memory, seconds).and_then(|()| done(work))) {
        Ok(()) => 0,
        Err(error) => {
            // The parent reads it or is gone.
            let _ = writeln!(io::stderr(), "{error}");
            REFUSED
        }
    }
}

fn confine(memory: u64, seconds: u64) -> io::Result<()> {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, limit(memory))?;
    // All cores together, so it is the wall clock that ends it first.
    let cores = cores() as u64;
    setrlimit(Resource::Cpu, limit(seconds.saturating_mul(cores).saturating_add(1)))?;
    setrlimit(Resource::Core, limit(0))?;
    setrlimit(Resource::Fsize, limit(0))?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn done(work: Work) -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let output = match work {
        Work::Compile(form) => engine::compiler(form)
            .map_err(|error| io::Error::other(fault::chain(&error)))
            .and_then(|engine| here(&engine, &input).map_err(io::Error::other)),
        Work::Adapt => adapt::component(&input).map_err(io::Error::other),
    }?;
    io::stdout().write_all(MADE)?;
    io::stdout().write_all(&output)
}

/// Compiles a component here, for those who trust it.
///
/// # Errors
/// It does not compile.
pub(super) fn here(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine
        .precompile_component(component)
        .map_err(|error| CompileError::Refused(format!("it does not compile: {}", fault::chain(&error))))
}
