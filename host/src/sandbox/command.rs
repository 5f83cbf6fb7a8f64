//! A worker that is a plain program of WASI and knows nothing of us: an attempt is one run of it.
//!
//! The payload is its stdin and what it writes to stdout is the result. What it wants to say beside that it says with its exit
//! status, or, where a toolchain has no more than yes and no, with the last line on stderr.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use disperse_scheduler::End;

use super::{
    fault::{Fault, chain},
    program::Sandbox,
    share::Admission,
    stdio::Capture,
    worker::{Handled, WorkerSpec, last_words, set_current, started},
    world::{Pipes, World},
};
use crate::{
    inbox::{Job, Used},
    limits::Deadline,
    logger::Logger,
};

/// Exit statuses that say more than that it failed.
const PERMANENT: i32 = 65;
const BUSY: i32 = 75;
const UNFIT: i32 = 77;
/// What a last line on stderr that is meant for us begins with.
const MARK: &str = "disperse: ";

/// Makes one attempt: runs a program that was admitted from its start to its end.
///
/// Cancel safe: nothing is left of a run that was given up.
pub(crate) async fn run_program(
    sandbox: &Sandbox,
    spec: &WorkerSpec,
    admission: Admission,
    logger: &Logger,
    job: Job,
) -> Handled {
    let began = Instant::now();
    let stdout = Capture::new(spec.limits.result);
    let run = pin!(run(sandbox, spec, admission, logger, &job, &stdout));
    let ended = Deadline::after(began, job.timeout).bound(run).await;
    let mut ended = ended.unwrap_or_else(|_| Ran {
        said: spec.voice.end_attempt().map(|talk| talk.last_words).unwrap_or_default(),
        ..Ran::not(Fault::Timeout { limit: job.timeout })
    });
    ended.used.wall = began.elapsed();
    ended.read(&stdout, spec)
}

/// How a program ended.
struct Ran {
    /// The exit status, or how it failed instead.
    status: Result<i32, Fault>,
    /// Its last words.
    said: String,
    used: Used,
}

impl Ran {
    fn not(fault: Fault) -> Self {
        Self {
            status: Err(fault),
            said: String::new(),
            used: Used::default(),
        }
    }

    /// What that means.
    fn read(self, stdout: &Capture, spec: &WorkerSpec) -> Handled {
        let Self { status, said, used } = self;
        let over = Fault::Oversize {
            limit: spec.limits.result,
        };
        match (status, stdout.take()) {
            (Ok(0), Some(result)) => Handled {
                end: End::Ok,
                result: result.into(),
                words: None,
                used,
                spent: true,
            },
            (Ok(0) | Err(_), None) => Handled::fault_after(&over, used, said),
            (Err(fault), Some(_)) => Handled::fault_after(&fault, used, said),
            (Ok(status), _) => {
                let (end, message, rest) = meant(status, &said);
                Handled::failed(end, message, used).saying(rest.to_owned())
            }
        }
    }
}

async fn run(
    sandbox: &Sandbox,
    spec: &WorkerSpec,
    admission: Admission,
    logger: &Logger,
    job: &Job,
    stdout: &Capture,
) -> Ran {
    // Where it is compared with others, it is shown nothing that would be different on another worker.
    let number = if spec.repeatable.is_some() {
        1
    } else {
        job.attempt.number
    };
    let attempt = format!("{}.{number}", job.attempt.action);
    let own = [("DISPERSE_KIND", &*job.kind), ("DISPERSE_ATTEMPT", &attempt)];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let world = World {
        // Many programs take it for granted that there is one.
        args: Arc::new([job.kind.to_string()]),
        env: spec.env.iter().cloned().chain(own).collect(),
        pipes: Some(Pipes {
            stdin: job.payload.clone(),
            stdout: stdout.clone(),
        }),
        ..World::default()
    };
    let mut running = match started(sandbox, spec, admission, logger, job.attempt.action, world).await {
        Ok(running) => running,
        Err(fault) => return Ran::not(fault),
    };
    let main = match running.func::<(), (Result<(), ()>,)>(spec.program.inner().exports.main) {
        Ok(main) => main,
        Err(error) => return Ran::not(Fault::Start(chain(&error))),
    };
    running.set_fuel(job.fuel);
    let now = Instant::now();
    set_current(&mut running, Some((job.attempt, Deadline::after(now, job.timeout))));
    let answer = running.call::<(), (Result<(), ()>,)>(now, main, ()).await;
    let status = match answer {
        Ok((answer,)) => Ok(answer.map_or(1, |()| 0)),
        Err(error) => match running.fault(&error) {
            Fault::Exit { status } => Ok(status),
            fault => Err(fault),
        },
    };
    Ran {
        status,
        said: last_words(&running),
        used: running.used(),
    }
}

/// What an exit status other than 0 means, and what is left of the last words if the last line was meant for us.
fn meant(status: i32, said: &str) -> (End, String, &str) {
    let said = said.trim_end();
    let (rest, last) = said.rsplit_once('\n').unwrap_or(("", said));
    if let Some((end, message)) = last.strip_prefix(MARK).and_then(marked) {
        return (end, message.to_owned(), rest);
    }
    let end = match status {
        PERMANENT => End::Permanent,
        BUSY => End::Busy { wait: Duration::ZERO },
        UNFIT => End::Unfit,
        _ => End::Transient,
    };
    (end, format!("ended with the exit status {status}"), said)
}

/// What a line that is meant for us says.
fn marked(line: &str) -> Option<(End, &str)> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let end = match word {
        "busy" => End::Busy {
            wait: Duration::from_millis(rest.trim().parse::<u32>().unwrap_or_default().into()),
        },
        "permanent" => End::Permanent,
        "unfit" => End::Unfit,
        _ => return None,
    };
    Some((end, if rest.is_empty() || word == "busy" { word } else { rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_meant_for_us() {
        let busy = |ms| End::Busy {
            wait: Duration::from_millis(ms),
        };
        assert_eq!(marked("busy 1500"), Some((busy(1500), "busy")));
        assert_eq!(marked("busy"), Some((busy(0), "busy")));
        assert_eq!(marked("busy soon"), Some((busy(0), "busy")));
        assert_eq!(marked("permanent no such page"), Some((End::Permanent, "no such page")));
        assert_eq!(marked("unfit"), Some((End::Unfit, "unfit")));
        assert_eq!(marked("fine"), None);
    }
}
