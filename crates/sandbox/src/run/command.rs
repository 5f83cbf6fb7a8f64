//! Workers that are plain WASI programs, unaware of this host. An attempt is one run of the program.
//!
//! The payload is passed on stdin, or as an argument or a file if the arguments have a placeholder for it. The result
//! is the program's stdout, or a file in its scratch folder. The exit status is the class of a failure. If a toolchain
//! only supports success and failure, the last line on stderr has the class instead.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::End;
use wasmtime_wasi::{I32Exit, p2::bindings::filesystem::types::ErrorCode};

use super::{
    fault::Fault,
    share::Admission,
    worker::{Handled, WorkerSpec, set_current, started, stderr_tail},
};
use crate::{
    chain::chain,
    imports::{
        calls::Current,
        guest_env::{GuestEnv, NO_TIME_UNIX_MS, Pipes},
        scratch::{FileClock, SCRATCH_FOLDER, Scratch},
        stdio::{Capture, tail},
    },
    load::sandbox::Sandbox,
};
use disperse_protocol::{
    inbox::{Job, Used},
    limits::{Deadline, Reservation},
    logger::Logger,
    units::Size,
};

/// Exit statuses with a special meaning: `EX_DATAERR`, `EX_TEMPFAIL` and `EX_NOPERM` of sysexits.h.
const PERMANENT: i32 = 65;
const BUSY: i32 = 75;
const UNFIT: i32 = 77;
/// The prefix of a last line on stderr that has the class of a failure.
const MARKER: &str = "disperse: ";

/// Makes one attempt: runs an admitted program from start to end. Cancel safe: nothing is left of a cancelled run.
pub async fn run_program(
    sandbox: &Sandbox,
    spec: &WorkerSpec,
    mut admission: Admission,
    logger: &Logger,
    job: Job,
) -> Handled {
    let began = Instant::now();
    let call = match Call::new(spec, &job, admission.scratch.take()) {
        Ok(call) => call,
        Err(why) => return Handled::failed(End::Permanent, why, Used::default()),
    };
    let mut ended = run(sandbox, spec, admission, logger, &job, &call).await;
    ended.used.wall = began.elapsed();
    if call.scratch.as_ref().is_some_and(Scratch::was_full) {
        let size = Size(spec.invocation.scratch().unwrap_or_default());
        spec.denials.note(&format!(
            "more than {size} in the scratch folder; raise it with --scratch"
        ));
    }
    ended.read(&call, spec)
}

/// The environment of a program for one attempt.
struct Call {
    env: GuestEnv,
    scratch: Option<Scratch>,
    stdout: Capture,
}

impl Call {
    /// Prepares the arguments, the environment and the scratch folder.
    ///
    /// # Errors
    /// The payload cannot be passed to the program, for this reason.
    fn new(spec: &WorkerSpec, job: &Job, memory: Option<Reservation>) -> Result<Self, String> {
        let invocation = &spec.invocation;
        // If results are compared, the program sees only values that are the same on every worker.
        let is_compared = spec.repeatable.is_some();
        let number = if is_compared { 1 } else { job.attempt.number };
        let attempt = format!("{}.{number}", job.action.in_run(&spec.run));
        let args = invocation.args(&job.kind, &attempt, &job.payload)?;
        let scratch = invocation.scratch().zip(memory).map(|(most, memory)| {
            let clock = match is_compared {
                true => FileClock::Stopped(Duration::from_millis(NO_TIME_UNIX_MS)),
                false => FileClock::System,
            };
            Scratch::new(most, memory, clock)
        });
        for name in invocation.payload_files() {
            let given = scratch.as_ref().map(|scratch| scratch.give(name, job.payload.clone()));
            given
                .unwrap_or(Err(ErrorCode::InsufficientSpace))
                .map_err(|_| format!("its scratch folder has no room for the name `{name}`"))?;
        }
        // A program with arguments can have both as placeholders. Its environment gets no variables of this host.
        let is_in_env = !invocation.has_args();
        let own = [
            ("DISPERSE_KIND", is_in_env.then_some(&*job.kind)),
            ("DISPERSE_ATTEMPT", is_in_env.then_some(&*attempt)),
            ("TMPDIR", scratch.as_ref().map(|_| SCRATCH_FOLDER)),
        ];
        // The worker's own settings override these.
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let own = own.filter(|(name, _)| spec.env.iter().all(|(set, _)| set != name));
        let stdout = Capture::new(spec.limits.result);
        let stdin = if invocation.takes_payload() {
            Bytes::new()
        } else {
            job.payload.clone()
        };
        let env = GuestEnv {
            args: args.into(),
            env: spec.env.iter().cloned().chain(own).collect(),
            pipes: Some(Pipes {
                stdin,
                stdout: stdout.clone(),
            }),
            scratch: scratch.clone(),
            ..GuestEnv::default()
        };
        Ok(Self { env, scratch, stdout })
    }
}

/// How a run of a program ended.
struct ProgramEnd {
    /// The exit status, or the fault that ended the program.
    status: Result<i32, Fault>,
    /// The end of its stderr.
    stderr: String,
    used: Used,
    /// A memory growth beyond a limit, if the program continued after it.
    denied: Option<Fault>,
}

impl ProgramEnd {
    fn not(fault: Fault) -> Self {
        Self {
            status: Err(fault),
            stderr: String::new(),
            used: Used::default(),
            denied: None,
        }
    }

    /// The outcome of the attempt.
    fn read(self, call: &Call, spec: &WorkerSpec) -> Handled {
        let Self {
            status,
            stderr,
            used,
            denied,
        } = self;
        let over = Fault::Oversize {
            limit: spec.limits.result,
        };
        let stdout = call.stdout.take();
        let status = match (status, &stdout) {
            (Ok(status), _) => status,
            (Err(_), None) => return Handled::fault_after(&over, used, stderr),
            (Err(fault), Some(_)) => return Handled::fault_after(&fault, used, stderr),
        };
        if spec.invocation.is_ok(status) {
            return match result(call, stdout, spec) {
                Ok(Some(result)) => Handled {
                    end: End::Ok,
                    result,
                    words: None,
                    used,
                    spent: true,
                },
                Ok(None) => Handled::fault_after(&over, used, stderr),
                Err(why) => Handled::failed(End::Transient, why, used).with_stderr(stderr),
            };
        }
        let (end, mut message, rest) = failure_of(status, &stderr);
        // A marked last line is a cause, and not only a symptom.
        let is_symptom = rest.len() == stderr.trim_end().len();
        let denied = denied.filter(|_| matches!(end, End::Transient | End::Permanent));
        let stdout = stdout.filter(|stdout| stderr.is_empty() && !stdout.is_empty());
        match (&denied, &stdout) {
            (Some(denied), _) => message = format!("{message}, after it {denied}"),
            (None, Some(_)) => message.push_str(" (--ok-status makes it a success)"),
            (None, None) => {}
        }
        let stderr_tail = stdout.map_or_else(|| rest.to_owned(), |stdout| tail(&stdout));
        Handled::failed(end, message, used)
            .with_stderr(stderr_tail)
            .symptom(is_symptom)
    }
}

/// The result of a program that succeeded. None: it is too large.
///
/// # Errors
/// The result file is missing or is a folder.
fn result(call: &Call, stdout: Option<Vec<u8>>, spec: &WorkerSpec) -> Result<Option<Bytes>, String> {
    let (Some(path), Some(scratch)) = (spec.invocation.result_file(), &call.scratch) else {
        return Ok(stdout.map(without_line_end));
    };
    let whole = scratch.whole(path, spec.limits.result);
    whole.map_err(|error| match error {
        ErrorCode::IsDirectory => format!("its result `{SCRATCH_FOLDER}/{path}` is a folder"),
        _ => format!("ended without its result, the file `{SCRATCH_FOLDER}/{path}`"),
    })
}

/// Removes the last line end of a text. Other bytes are not changed, because there a newline is data.
fn without_line_end(mut bytes: Vec<u8>) -> Bytes {
    if bytes.last() == Some(&b'\n') && std::str::from_utf8(&bytes).is_ok() {
        bytes.pop();
    }
    bytes.into()
}

async fn run(
    sandbox: &Sandbox,
    spec: &WorkerSpec,
    admission: Admission,
    logger: &Logger,
    job: &Job,
    call: &Call,
) -> ProgramEnd {
    let deadline = Deadline::after(Instant::now(), job.timeout);
    let late = || Fault::Timeout { limit: job.timeout };
    let start = started(sandbox, spec, admission, logger, job.action, call.env.clone());
    let mut running = match deadline.bound(start).await {
        Ok(Ok(running)) => running,
        Ok(Err(fault)) => return ProgramEnd::not(fault),
        Err(_) => {
            return ProgramEnd {
                stderr: spec
                    .stderr
                    .end_attempt()
                    .map(|talk| talk.stderr_tail)
                    .unwrap_or_default(),
                ..ProgramEnd::not(late())
            };
        }
    };
    let main = match running.func::<(), (Result<(), ()>,)>(spec.program.inner().exports.main) {
        Ok(main) => main,
        Err(error) => return ProgramEnd::not(Fault::Start(chain(&error))),
    };
    running.set_fuel(job.fuel);
    let now = Instant::now();
    set_current(&mut running, Some(Current::of(job, deadline)));
    let answer = {
        let call = pin!(running.call::<(), (Result<(), ()>,)>(now, main, ()));
        deadline.bound(call).await
    };
    // A fault contains the growth itself, so it is only taken here if there is no fault.
    let (status, denied) = match answer {
        Ok(Ok((answer,))) => (Ok(answer.map_or(1, |()| 0)), running.denied_growth()),
        Ok(Err(error)) => match error.downcast_ref() {
            Some(I32Exit(status)) => (Ok(*status), running.denied_growth()),
            None => (Err(running.fault(&error)), None),
        },
        Err(_) => (Err(late()), None),
    };
    ProgramEnd {
        status,
        stderr: stderr_tail(&running),
        used: running.used(),
        denied,
    }
}

/// The failure that an exit status other than 0 means, and stderr without its last line if that was marked.
fn failure_of(status: i32, stderr: &str) -> (End, String, &str) {
    let stderr = stderr.trim_end();
    let (rest, last) = stderr.rsplit_once('\n').unwrap_or(("", stderr));
    if let Some((end, message)) = last.strip_prefix(MARKER).and_then(parse_marked) {
        return (end, message.to_owned(), rest);
    }
    let end = match status {
        PERMANENT => End::Permanent,
        BUSY => End::Busy { wait: Duration::ZERO },
        UNFIT => End::Unfit,
        _ => End::Transient,
    };
    (end, format!("ended with the exit status {status}"), stderr)
}

/// Parses a marked line, without its prefix.
fn parse_marked(line: &str) -> Option<(End, &str)> {
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
    fn one_line_end_is_removed_from_text() {
        for (written, result) in [("a\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("", "")] {
            assert_eq!(without_line_end(written.into()), result, "{written:?}");
        }
        assert_eq!(without_line_end(b"\xff\n".to_vec()), &b"\xff\n"[..]);
    }

    #[test]
    fn marked_lines_are_parsed() {
        let busy = |ms| End::Busy {
            wait: Duration::from_millis(ms),
        };
        assert_eq!(parse_marked("busy 1500"), Some((busy(1500), "busy")));
        assert_eq!(parse_marked("busy"), Some((busy(0), "busy")));
        assert_eq!(parse_marked("busy soon"), Some((busy(0), "busy")));
        assert_eq!(
            parse_marked("permanent no such page"),
            Some((End::Permanent, "no such page"))
        );
        assert_eq!(parse_marked("unfit"), Some((End::Unfit, "unfit")));
        assert_eq!(parse_marked("fine"), None);
    }
}
