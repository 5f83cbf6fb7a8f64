//! `exec`: runs granted programs of the worker's machine.
//!
//! Programs run without a shell and with an empty environment, and do not outlive the attempt. A program is the leader
//! of a process group. The group is killed when the program ends, when it times out, when the attempt is cancelled, and
//! when this process ends in any way (`processes.rs`). If the machine has no file, thread or memory left for a program,
//! its start is retried for a while. After that the attempt ends as one that is repeated at no cost, because the guest
//! could not distinguish this from a program that does not work.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use wasmtime::{
    Result, StoreContextMut,
    component::{LinkerInstance, WasmStr},
};

use super::{
    abi::{ExecCommand, ExecEnded, ExecProblem},
    calls::Calls,
    charge::charge,
    state::State,
};
use crate::{process::processes::Guarded, shortage::HostResource};
use disperse_protocol::{
    limits::{Deadline, Shortage},
    units::{Size, Time},
};

/// The most arguments of a program, and the most bytes of its name and arguments together. Arbitrary, and far below the
/// limits of systems; larger data goes to the program's input.
const ARGUMENTS_MAX: usize = 4096;
const COMMAND_LINE_MAX: usize = 1 << 20;

/// How long the start of a program is retried while the machine has run out of a resource. Arbitrary: enough for short
/// programs to end, and short for an attempt that holds what others wait for.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// How long a program's output is read after its end, if a process that has left its group holds the pipes. Arbitrary:
/// the program's own output is there at once.
const REST_PATIENCE: Duration = Duration::from_millis(100);

/// The time between two tries to start a program.
const START_AGAIN: Duration = Duration::from_millis(20);

pub(super) fn link(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "run",
        |mut store: StoreContextMut<'_, State>, (command,): (ExecCommand,)| {
            Box::new(async move {
                Calls::attribute(&mut store)?;
                // Before the first await, after which other attempts may call from the same instance.
                let time = store.data_mut().worker()?.time(command.timeout);
                let call = match Call::read(&mut store, command).await? {
                    Ok(call) => call,
                    Err(problem) => return Ok((Err(problem),)),
                };
                let output_max = store.data().result_max;
                let worker = store.data_mut().worker()?;
                let rules = &worker.grants.exec;
                if !rules.iter().any(|rule| rule.allows(&call.program, &call.arguments)) {
                    let why = format!(
                        "no grant to run `{}`; the operator's flag is --exec",
                        call.command_line()
                    );
                    worker.denials.note(&why);
                    return Ok((Err(ExecProblem::Denied(why)),));
                }
                let ended = run(call, time, output_max).await?;
                if let Ok(ended) = &ended {
                    charge(&mut store, ended.output.len() + ended.errors.len(), 0).await?;
                }
                Ok((ended,))
            })
        },
    )
}

/// An `exec.command`, copied out of the guest.
struct Call {
    program: String,
    arguments: Vec<String>,
    input: Vec<u8>,
}

impl Call {
    /// Copies the command out of the guest, and charges for it.
    ///
    /// # Errors
    /// It is not UTF-8, or not enough fuel is left; traps the guest. Inner error: it is larger than allowed.
    async fn read(
        store: &mut StoreContextMut<'_, State>,
        command: ExecCommand,
    ) -> Result<std::result::Result<Self, ExecProblem>> {
        let too_much = |what: String| Ok(Err(ExecProblem::Failed(format!("a program is given {what} at most"))));
        if command.arguments.len() > ARGUMENTS_MAX {
            return too_much(format!("{ARGUMENTS_MAX} arguments"));
        }
        let arguments: Vec<WasmStr> = command.arguments.iter(&mut *store)?.collect::<Result<_>>()?;
        charge(store, command.input.len(), 1 + arguments.len()).await?;
        let mut bytes = 0;
        let mut words = Vec::with_capacity(1 + arguments.len());
        for word in std::iter::once(&command.program).chain(&arguments) {
            let word = word.to_str(&*store)?;
            bytes += word.len();
            if bytes > COMMAND_LINE_MAX {
                return too_much(format!("{} of arguments", Size(COMMAND_LINE_MAX as u64)));
            }
            words.push(word.into_owned());
        }
        charge(store, bytes, 0).await?;
        let input = command.input.as_le_slice(&*store).to_vec();
        let mut words = words.into_iter();
        Ok(Ok(Self {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            input,
        }))
    }

    /// The start of the command line, for messages.
    fn command_line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let letters = words.flat_map(|word| word.chars().chain([' ']));
        letters.take(200).collect::<String>().trim_end().to_owned()
    }
}

/// A program and its process group. Dropping it kills them.
struct Group {
    child: Child,
    guarded: Guarded,
}

impl Group {
    /// Starts a program as the leader of a group.
    ///
    /// # Errors
    /// It cannot be started.
    fn start(command: &mut Command) -> io::Result<Self> {
        let (child, guarded) = Guarded::group(|| {
            let child = command.process_group(0).kill_on_drop(true).spawn()?;
            let id = child.id();
            Ok((child, id))
        })?;
        Ok(Self { child, guarded })
    }

    /// Waits for the end of the program, and kills the rest of its group.
    ///
    /// Cancel safe.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.guarded.kill();
        Ok(status)
    }
}

/// Starts a program, and retries while the machine has run out of a resource.
///
/// # Errors
/// That lasted longer than [`START_PATIENCE`] or `time`; ends the attempt. Inner error: it cannot be started for
/// another reason.
///
/// Cancel safe.
async fn start(command: &mut Command, time: Duration) -> Result<io::Result<Group>> {
    let until = Instant::now() + time.min(START_PATIENCE);
    loop {
        let error = match Group::start(command) {
            Ok(group) => return Ok(Ok(group)),
            Err(error) => error,
        };
        let Some(resource) = HostResource::of_system(&error, Shortage::of_start) else {
            return Ok(Err(error));
        };
        if Instant::now() + START_AGAIN > until {
            return Err(resource.into());
        }
        tokio::time::sleep(START_AGAIN).await;
    }
}

/// Runs a program to its end.
///
/// # Errors
/// The machine has run out of a resource that the start needs; ends the attempt. Inner error: the program failed.
async fn run(command: Call, time: Duration, output_max: u64) -> Result<std::result::Result<ExecEnded, ExecProblem>> {
    // From here on, because the program may run, and this process be stopped, before the start returns.
    let deadline = Deadline::after(Instant::now(), time);
    let mut program = Command::new(&command.program);
    program
        .args(&command.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(match start(&mut program, time).await? {
        Ok(group) => communicate(command, group, deadline, time, output_max).await,
        Err(error) => Err(ExecProblem::Failed(format!("{}: {error}", command.program))),
    })
}

/// Writes the input of a started program and reads its output until it ends or its `time` is over. Its process group is
/// killed then.
async fn communicate(
    command: Call,
    mut group: Group,
    deadline: Deadline,
    time: Duration,
    output_max: u64,
) -> std::result::Result<ExecEnded, ExecProblem> {
    let failed = |error: io::Error| ExecProblem::Failed(format!("{}: {error}", command.program));
    let child = &mut group.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let exchange = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read its input.
                let _ = stdin.write_all(&command.input).await;
            }
        };
        let pipes = async {
            let out = read(stdout, output_max, &mut output);
            let ((), out, err) = tokio::join!(feed, out, read(stderr, output_max, &mut errors));
            out.and(err)
        };
        let mut pipes = std::pin::pin!(pipes);
        let mut read = None;
        let status = loop {
            tokio::select! {
                status = group.end() => break status.map_err(failed)?,
                done = &mut pipes, if read.is_none() => read = Some(done),
            }
        };
        if read.is_none() {
            // A process that has left the group may hold the pipes for any time.
            read = tokio::time::timeout(REST_PATIENCE, &mut pipes).await.ok();
        }
        read.unwrap_or(Ok(())).map_err(failed)?;
        Ok(status)
    };
    let status = match deadline.bound(exchange).await {
        Ok(done) => done?,
        Err(_) => {
            let why = format!("{} was not done within {}", command.program, Time::from(time));
            return Err(ExecProblem::Timeout(why));
        }
    };
    if output.len() as u64 > output_max || errors.len() as u64 > output_max {
        let why = format!(
            "{} wrote more than {}; raise it with --result-size",
            command.program,
            Size(output_max)
        );
        return Err(ExecProblem::Oversize(why));
    }
    Ok(ExecEnded {
        code: status.code(),
        output,
        errors,
    })
}

/// Reads to the end, or to one byte more than allowed. After that the pipe is closed, and further writes fail.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(from) = from {
        from.take(most.saturating_add(1)).read_to_end(into).await?;
    }
    Ok(())
}
