//! Begins the journal of a run.

use std::{io, path::Path};

use disperse::assembly::Recording;
use disperse_engine::driver::Clock;
use disperse_journal::{JournalError, RunInfo, Status};

use super::{RecordedOperation, Recorder, Started, earlier, input, unusable};
use crate::{
    cli::console::{Failure, print_stderr},
    control::{Folder, JOURNAL, RunId},
    run::Plan,
    text::plain,
};

/// Which journal a run that begins is to have.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// One in the folder of runs, if there can be one.
    ByDefault,
    /// One in the folder of runs.
    InFolder,
    /// This file.
    At(&'a Path),
}

/// Why a run has no journal.
enum Unrecorded {
    /// There can be none of this run, or none in that place.
    Impossible(Failure),
    Failed(Failure),
}

impl From<Failure> for Unrecorded {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Begins the journal of a run. `input`: the path of its input, if that is a file. None: the run has none, of which it warns.
///
/// # Errors
/// It was asked for and there can be none; or the disk is full, or the input cannot be read.
pub(crate) fn begin(
    plan: &mut Plan,
    wanted: Wanted<'_>,
    operation: &RecordedOperation,
    input: Option<&Path>,
) -> Result<Option<Recorder>, Failure> {
    match create(plan, wanted, operation, input) {
        Ok(recorder) => Ok(Some(recorder)),
        Err(Unrecorded::Impossible(why)) if matches!(wanted, Wanted::ByDefault) => {
            if !plan.quiet {
                print_stderr(&plain(&format!(
                    "warning: the run is not recorded, so it cannot be resumed: {}",
                    why.text()
                )));
            }
            Ok(None)
        }
        Err(Unrecorded::Impossible(failure) | Unrecorded::Failed(failure)) => Err(failure),
    }
}

fn create(
    plan: &mut Plan,
    wanted: Wanted<'_>,
    operation: &RecordedOperation,
    input: Option<&Path>,
) -> Result<Recorder, Unrecorded> {
    let id = RunId::new();
    let input = input::Recorded::of(&mut plan.run.input, input)?;
    let started = Started {
        folder: std::env::current_dir()
            .map_err(|error| Unrecorded::Impossible(Failure::machine("cannot find out the working folder", &error)))?,
        arguments: arguments()?,
        input,
    };
    let path = match wanted {
        Wanted::At(path) => path.to_owned(),
        Wanted::ByDefault | Wanted::InFolder => {
            let folder = Folder::make().map_err(no_folder)?;
            if !plan.quiet {
                earlier::tell(operation, &started.input);
            }
            folder.file(&id, JOURNAL)
        }
    };
    let clock = Clock::start();
    let command = serde_json::to_value(&started)
        .map_err(|error| Failure::machine("cannot record how the run was started", &error))?;
    let info = RunInfo {
        id: id.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_unix_ms: clock.began_unix_ms(),
        seed: plan.run.seed,
        began_unix_ms: clock.began_unix_ms(),
        operation: operation.path.display().to_string(),
        operation_sha256: operation.digest.to_string(),
        arguments: operation.arguments.clone(),
        command,
        status: Status::Running,
        reason: None,
        ended_unix_ms: None,
    };
    let writer = disperse_journal::create(&path, &info).map_err(not_created)?;
    started.input.keep(&mut plan.run.input, &path);
    let handle = writer.handle();
    plan.kept = Some(0);
    plan.run.recording = Some(Recording {
        id: id.clone(),
        clock,
        journal: Box::new(writer),
        history: None,
        written: 0,
    });
    Ok(Recorder { handle, id, path })
}

/// The command line, without the program.
fn arguments() -> Result<Vec<String>, Unrecorded> {
    let arguments = std::env::args_os().skip(1).map(|argument| {
        argument.into_string().map_err(|argument| {
            Unrecorded::Impossible(
                Failure::usage(format!("the argument `{}` is not UTF-8", argument.display()))
                    .hint("a run with such an argument has no journal"),
            )
        })
    });
    arguments.collect()
}

/// What to do if the disk has no room for a journal.
const NO_ROOM: &str = "make room, or run without a journal: --no-journal";

fn no_folder(error: io::Error) -> Unrecorded {
    let failure = Failure::machine("cannot create the folder of runs", &error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Unrecorded::Failed(failure.hint(NO_ROOM)),
        _ => Unrecorded::Impossible(failure),
    }
}

fn not_created(error: JournalError) -> Unrecorded {
    match &error {
        JournalError::NetworkFileSystem { .. } | JournalError::Io { .. } | JournalError::Missing { .. } => {
            Unrecorded::Impossible(unusable(error))
        }
        JournalError::DiskFull { .. } => Unrecorded::Failed(unusable(error).hint(NO_ROOM)),
        _ => Unrecorded::Failed(unusable(error)),
    }
}
