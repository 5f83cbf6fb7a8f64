//! `exec`: programs of the worker's machine, as far as they are granted.
//!
//! There is no shell, nothing of the host's environment, and nothing that outlives the attempt: a program is the leader of a
//! process group, and the group is killed when the program ends, when its time is up, or when the attempt is given up.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use wasmtime::{Result, StoreContextMut, component::LinkerInstance};

use super::others_first;
use crate::{
    sandbox::{
        abi::{ExecCommand, ExecEnded, ExecProblem},
        calls::Calls,
        state::State,
    },
    units::{Size, Time},
};

pub(super) fn link(to: &mut LinkerInstance<'_, State>) -> Result<()> {
    to.func_wrap_async(
        "run",
        |mut store: StoreContextMut<'_, State>, (command,): (ExecCommand,)| {
            Box::new(async move {
                Calls::attribute(&mut store)?;
                let words = std::iter::once(&command.program).chain(&command.arguments);
                others_first(command.input.len() + words.map(String::len).sum::<usize>()).await;
                let output_max = store.data().result_max;
                let worker = store.data_mut().worker()?;
                if !worker
                    .grants
                    .exec
                    .iter()
                    .any(|rule| rule.allows(&command.program, &command.arguments))
                {
                    let shown: String = std::iter::once(&command.program)
                        .chain(&command.arguments)
                        .flat_map(|word| [word.as_str(), " "])
                        .collect();
                    let shown: String = shown.trim_end().chars().take(200).collect();
                    let why = format!("no grant to run `{shown}`; the operator's flag is --exec");
                    worker.denials.note(&why);
                    return Ok((Err(ExecProblem::Denied(why)),));
                }
                let time = worker.time(command.timeout);
                Ok((run(command, time, output_max).await,))
            })
        },
    )
}

/// A program and all that it started. Dropping it kills them.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // There may be nobody left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn run(command: ExecCommand, time: Duration, output_max: u64) -> std::result::Result<ExecEnded, ExecProblem> {
    let failed = |error: std::io::Error| ExecProblem::Failed(format!("{}: {error}", command.program));
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let leader = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut group = Group { child, leader };
    let talk = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
                let _ = stdin.write_all(&command.input).await;
            }
        };
        let ((), output, errors) = tokio::join!(feed, read(stdout, output_max), read(stderr, output_max));
        Ok((
            output.map_err(failed)?,
            errors.map_err(failed)?,
            group.child.wait().await.map_err(failed)?,
        ))
    };
    let (output, errors, status) = match tokio::time::timeout(time, talk).await {
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
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
