//! The journal of a run: where it is, how the run was started, and how it is resumed.

mod begin;
mod earlier;
mod find;
mod input;
mod recorded_run;
mod started;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use disperse::assembly::Recording;
use disperse_engine::driver::Clock;
use disperse_journal::{JournalHandle, OpenJournal, Status};
use disperse_protocol::wall_clock::unix_ms;

use self::started::Started;
pub(crate) use self::{
    begin::{Wanted, begin},
    find::{find, resume_command},
    recorded_run::{RecordedRun, RecordedStatus, RunState, unusable},
};
use crate::{
    cli::console::{Failure, print_stderr},
    control::RunId,
    digest::Digest,
    inbox::RunSummary,
    run::{Plan, RunError},
};

/// The operation of a run that is recorded.
pub(crate) struct RecordedOperation {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) arguments: Vec<String>,
}

/// A run that was begun before, whose journal is open.
pub(crate) struct Resumed {
    journal: OpenJournal,
    path: PathBuf,
    id: RunId,
    started: Started,
    /// Whether the operation may be another one.
    accepts_new_code: bool,
}

/// The journal of a run that goes on.
pub(crate) struct Recorder {
    handle: JournalHandle,
    id: RunId,
    path: PathBuf,
}

impl Resumed {
    /// Opens the journal of a run that has not ended. None: it has, of which it prints a line.
    ///
    /// # Errors
    /// There is none, another process has it, or it cannot be used.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let journal = disperse_journal::open(path).map_err(unusable)?;
        let info = journal.info();
        if info.status == Status::Finished {
            print_stderr(&format!("the run {} has finished: there is nothing to resume", info.id));
            return Ok(None);
        }
        let started = serde_json::from_value(info.command.clone());
        let (Some(id), Ok(started)) = (RunId::parse(&info.id), started) else {
            return Err(Failure::usage(format!(
                "the journal `{}` does not say how its run was started",
                path.display()
            ))
            .hint("another version of this program wrote it: resume the run with that"));
        };
        let path = path.to_owned();
        Ok(Some(Self {
            journal,
            path,
            id,
            started,
            accepts_new_code: false,
        }))
    }

    /// Has the run go on with its operation as it is now.
    pub(crate) fn accept_new_code(&mut self) {
        self.accepts_new_code = true;
    }

    /// The command line of the run, without the program.
    pub(crate) fn arguments(&self) -> &[String] {
        &self.started.arguments
    }

    /// The command line, as a shell takes it.
    pub(crate) fn command_line(&self) -> String {
        self.started.command_line()
    }

    /// Goes to the folder in which the run was started.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn enter_folder(&mut self) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            let folder = self.started.folder.display();
            Failure::usage(format!("cannot enter `{folder}`, in which the run was started")).because(error)
        };
        let path = std::path::absolute(&self.path).map_err(cannot)?;
        std::env::set_current_dir(&self.started.folder).map_err(cannot)?;
        self.path = path;
        Ok(())
    }

    /// Has a plan go on with the run.
    ///
    /// # Errors
    /// The operation or the input is another one, or the journal cannot be read.
    pub(crate) fn resume(self, plan: &mut Plan, operation: &RecordedOperation) -> Result<Recorder, Failure> {
        let Self {
            mut journal,
            path,
            id,
            started,
            accepts_new_code,
        } = self;
        let digest = operation.digest.to_string();
        if accepts_new_code {
            journal.accept_operation(digest.clone());
        }
        let info = journal.info();
        if info.operation_sha256 != digest {
            return Err(
                Failure::usage(format!("the operation `{}` has changed", operation.path.display()))
                    .because(format!(
                        "its SHA-256 was {} when the run {id} began, and is {digest}",
                        info.operation_sha256
                    ))
                    .hint(
                        "restore the component that the run began with; or go on with this one by --accept-new-code: tasks that do \
                         something else than before fail",
                    ),
            );
        }
        started.input.reopen(&mut plan.run.input, &path)?;
        let (seed, began) = (info.seed, info.began_unix_ms);
        let progress = *journal.progress();
        let (writer, history, anchor) = journal.resume().map_err(unusable)?;
        let passed = Duration::from_millis(anchor.run_ms_at(unix_ms()));
        let written = match &plan.output {
            // What is missing is made again.
            Some(file) => file.metadata().map_or(0, |file| file.len()).min(progress.written_bytes),
            None => progress.written_bytes,
        };
        let handle = writer.handle();
        plan.kept = Some(written);
        plan.run.seed = seed;
        plan.run.recording = Some(Recording {
            id: id.clone(),
            clock: Clock::resume(began, passed),
            journal: Box::new(writer),
            history: Some(Box::new(history)),
            written,
        });
        if !plan.quiet {
            print_stderr(&format!(
                "resuming the run {id}: {} of {} tasks have ended, {} actions are settled",
                progress.task_ends, progress.task_starts, progress.settled
            ));
        }
        Ok(Recorder { handle, id, path })
    }
}

impl Recorder {
    /// Ends the journal of a run that ended like this. `written`: how many bytes of its output are at their target.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn end(self, ended: Result<&RunSummary, &RunError>, written: u64, quiet: bool) -> Result<(), Failure> {
        let (status, reason) = match ended {
            Ok(summary) if summary.interrupted => (Status::Stopped, None),
            Ok(summary) => match &summary.failure {
                Some(failure) => (Status::Failed, Some(failure.clone())),
                None => (Status::Finished, None),
            },
            Err(error) => (Status::Stopped, Some(error.to_string())),
        };
        let is_resumable = status == Status::Stopped;
        self.handle.wrote(written);
        self.handle.end(status, reason).map_err(|error| {
            Failure::machine("the end of the run cannot be recorded", &error)
                .hint("what was recorded before can be resumed")
        })?;
        RecordedRun::forget_oldest();
        if is_resumable && !quiet {
            print_stderr(&format!("go on with: {}", resume_command(&self.id, &self.path)));
        }
        Ok(())
    }
}
