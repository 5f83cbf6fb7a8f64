//! Processes an untrusted file in a child process with its own limits: the child's side.

use std::io::{self, Read, Write};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

use super::{
    child::{MACHINE, MADE, REJECTED, Work, cpu},
    compile,
    error::InspectionError,
    inspection,
};
use crate::process::{child_command::CHILD, isolation::isolate, processes};
use disperse_protocol::limits::{Shortage, cores};

/// Address space that a thread reserves without using it, in bytes: an arena of glibc's allocator, twice 64 MiB while
/// it is being aligned.
const RESERVED: u64 = 128 << 20;

/// Does the work and returns the exit code, if this process was started as a child; else none.
pub fn as_child() -> Option<u8> {
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

/// Does this work on stdin, writes the output to stdout, and returns the exit code.
fn child_of(work: &str, memory: u64, seconds: u64) -> u8 {
    let work = Work::ALL.into_iter().find(|known| known.word() == work);
    let known = work.ok_or_else(|| io::Error::other("unknown work"));
    let (code, error) = match (known, confine(memory, seconds)) {
        (_, Err(error)) => (MACHINE, error),
        (Err(error), _) => (REJECTED, error),
        (Ok(work), Ok(())) => match done(work) {
            Ok(()) => return 0,
            Err(error) if Shortage::of_start(&error).is_some() => (MACHINE, error),
            Err(error) => (REJECTED, error),
        },
    };
    // If this fails, the parent is gone.
    let _ = writeln!(io::stderr(), "{error}");
    code
}

/// Lowers the limits of this process, and isolates it. Lower limits stay: only the superuser may raise them.
fn confine(memory: u64, seconds: u64) -> io::Result<()> {
    lower(Resource::Data, "memory", memory)?;
    // Not every kernel counts all memory as data. In addition, the thread of each core reserves address space it never
    // uses.
    let reserved = RESERVED.saturating_mul(cores() as u64);
    lower(Resource::As, "address space", memory.saturating_add(reserved))?;
    lower(Resource::Cpu, "CPU time", cpu(seconds))?;
    lower(Resource::Core, "core files", 0)?;
    lower(Resource::Fsize, "file sizes", 0)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    isolate();
    Ok(())
}

/// Lowers a limit to `max`. A lower limit stays.
fn lower(resource: Resource, name: &str, max: u64) -> io::Result<()> {
    let before = getrlimit(resource);
    let maximum = before.maximum.map_or(max, |own| own.min(max));
    // At the hard limit on CPU time a process gets SIGKILL. At the soft limit it gets SIGXCPU, which the parent can
    // recognise.
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
        io::Error::other(format!("its limit on {name} cannot be lowered to {max}: {error}"))
    })
}

fn done(work: Work) -> io::Result<()> {
    let output = match work {
        Work::Compile(kind, space) => compile::child((kind, space), &mut io::stdin())?,
        Work::Inspect(depth) => {
            let mut input = Vec::new();
            io::stdin().read_to_end(&mut input)?;
            let answer = inspection::in_process(&input, depth).map_err(|error| match error {
                // Kept as it is, because its kind shows which resource has run out.
                InspectionError::Start(error) => error,
                error => io::Error::other(error),
            })?;
            vec![answer.encode()?]
        }
    };
    io::stdout().write_all(MADE)?;
    output.iter().try_for_each(|part| io::stdout().write_all(part))
}
