//! `exec`: programs of the worker's machine, as far as they are granted.
//!
//! There is no shell, nothing of the host's environment, and nothing that outlives the attempt: a program is the leader of a
//! process group, and the group is killed when the program ends, when its time is up, when the attempt is given up, and when this
//! process ends, however that happens (`processes.rs`). Where the machine has no file, thread or memory for a program now, its start waits a while, and then the attempt ends as one that is made again at no cost: the guest
//! could not tell that from a program that does not work.

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
use crate::{
    limits::{Deadline, Shortage},
    sandbox::{process::processes::Guarded, shortage::HostResource},
    units::{Size, Time},
};

/// How many arguments a program may be given, and how many bytes its name and they may have together. Arbitrary, and far below
/// what systems take; a program reads more from its input.
const ARGUMENTS_MAX: usize = 4096;
const WORDS_MAX: usize = 1 << 20;

/// How long the start of a program waits for what the machine has none left of. Arbitrary: enough for programs of a moment to
/// end, and short for an attempt that holds what others wait for.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// How long a program's output is read on after its end, where something that has left its process group holds the pipes.
/// Arbitrary: what the program wrote itself is there at once.
const REST_PATIENCE: Duration = Duration::from_millis(100);

/// How long it waits before it tries again.
const START_AGAIN: Duration = Duration::from_millis(20);

pub(super) fn link(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "run",
        |mut store: StoreContextMut<'_, State>, (command,): (ExecCommand,)| {
            Box::new(async move {
                Calls::attribute(&mut store)?;
                // Before anything waits: then others may call from the same instance.
                let time = store.data_mut().worker()?.time(command.timeout);
                let call = match Call::read(&mut store, command).await? {
                    Ok(call) => call,
                    Err(problem) => return Ok((Err(problem),)),
                };
                let output_max = store.data().result_max;
                let worker = store.data_mut().worker()?;
                let rules = &worker.grants.exec;
                if !rules.iter().any(|rule| rule.allows(&call.program, &call.arguments)) {
                    let why = format!("no grant to run `{}`; the operator's flag is --exec", call.shown());
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

/// `exec.command`, read.
struct Call {
    program: String,
    arguments: Vec<String>,
    input: Vec<u8>,
}

impl Call {
    /// Takes it out of the guest, and charges it.
    ///
    /// # Errors
    /// It is not text, or there is no fuel for it; traps the guest. Within: it is more than may be passed.
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
            if bytes > WORDS_MAX {
                return too_much(format!("{} of arguments", Size(WORDS_MAX as u64)));
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

    /// The beginning of it, for people.
    fn shown(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let letters = words.flat_map(|word| word.chars().chain([' ']));
        letters.take(200).collect::<String>().trim_end().to_owned()
    }
}

/// A program and all that it started. Dropping it kills them.
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

    /// Waits for the end of the program, and kills what it leaves in its group.
    ///
    /// Cancel safe.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.guarded.kill();
        Ok(status)
    }
}

/// Starts a program, and waits for what the machine has none left of.
///
/// # Errors
/// That did not pass within [`START_PATIENCE`] or `time`; ends the attempt. Within: it cannot be started for another reason.
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
/// The machine has not what starting it takes; ends the attempt. Within: it did not end as it should.
async fn run(command: Call, time: Duration, output_max: u64) -> Result<std::result::Result<ExecEnded, ExecProblem>> {
    // From here on: the program may have begun, and the process be stopped, before it is known here that it was started.
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
        Ok(group) => talk(command, group, deadline, time, output_max).await,
        Err(error) => Err(ExecProblem::Failed(format!("{}: {error}", command.program))),
    })
}

/// Feeds a program that was started, and reads what it writes until it ends, at the latest at the end of its `time`. What it
/// started is killed when it ends.
async fn talk(
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
    let talk = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
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
            // What has left the group may hold the pipes for as long as it likes.
            read = tokio::time::timeout(REST_PATIENCE, &mut pipes).await.ok();
        }
        read.unwrap_or(Ok(())).map_err(failed)?;
        Ok(status)
    };
    let status = match deadline.bound(talk).await {
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

/// Reads to the end, or one byte more than allowed, which closes the pipe under the writer.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(from) = from {
        from.take(most.saturating_add(1)).read_to_end(into).await?;
    }
    Ok(())
}
