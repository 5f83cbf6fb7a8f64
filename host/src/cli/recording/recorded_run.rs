//! A run that has a journal, for the commands that read and remove it.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use disperse_journal::{Failures, JournalError, JournalReader, Progress, RunInfo, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    find::{all, find},
    input::copies,
    started::Started,
};
use crate::cli::console::Failure;

/// How many journals are kept of runs that finished or failed, the newest ones: as many as records of ended runs.
const ENDED_KEPT: usize = 10;

/// A run that has a journal.
pub(crate) struct RecordedRun {
    journal: PathBuf,
}

/// What a journal has of its run.
pub(crate) struct RunState {
    pub(crate) status: RecordedStatus,
    /// The process that has the journal, if the run goes on.
    pub(crate) pid: Option<u32>,
    pub(crate) info: RunInfo,
    pub(crate) progress: Progress,
}

/// How a run goes or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecordedStatus {
    /// It goes on.
    Running,
    /// It was stopped and can be resumed.
    Stopped,
    /// It was killed and can be resumed.
    Interrupted,
    /// It came to its end.
    Finished,
    /// The operation itself failed.
    Failed,
    /// Its journal cannot be read.
    Unreadable,
}

impl RecordedStatus {
    /// The same in a word, as in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Unreadable => "unreadable",
        }
    }
}

impl RecordedRun {
    /// The runs that were started here, the newest first.
    ///
    /// # Errors
    /// The folder of runs cannot be read.
    pub(crate) fn all() -> Result<Vec<Self>, Failure> {
        Ok(all()?.into_iter().map(|(_, journal)| Self { journal }).collect())
    }

    /// Those of them that finished or failed, each with when it ended, in ms since 1970.
    ///
    /// # Errors
    /// The folder of runs cannot be read.
    pub(crate) fn ended() -> Result<impl Iterator<Item = (Option<u64>, Self)>, Failure> {
        Ok(Self::all()?.into_iter().filter_map(|run| {
            // One that cannot be read may be of a newer version.
            let state = run.state().ok()?;
            let is_over = matches!(state.status, RecordedStatus::Finished | RecordedStatus::Failed);
            is_over.then_some((state.info.ended_unix_ms, run))
        }))
    }

    /// Removes the journals of runs that finished or failed but for the newest ones. What cannot be removed stays.
    pub(super) fn forget_oldest() {
        for (_, run) in Self::ended().into_iter().flatten().skip(ENDED_KEPT) {
            let _ = run.remove();
        }
    }

    /// The run that [`find`] finds.
    ///
    /// # Errors
    /// There is none, or several.
    pub(crate) fn find(name: Option<&str>) -> Result<Self, Failure> {
        Ok(Self { journal: find(name)? })
    }

    pub(crate) fn journal(&self) -> &Path {
        &self.journal
    }

    /// The run's name, by that of the file.
    pub(crate) fn name(&self) -> String {
        let name = self.journal.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// How many bytes its files take: the journal and what is beside it.
    pub(crate) fn bytes(&self) -> u64 {
        let copies = copies(&self.journal).map(|copy| copy.metadata().map_or(0, |copy| copy.len()));
        disperse_journal::size(&self.journal) + copies.iter().sum::<u64>()
    }

    /// Opens the journal to read it.
    ///
    /// # Errors
    /// It is not a journal, or cannot be read.
    pub(crate) fn reader(&self) -> Result<JournalReader, Failure> {
        JournalReader::open(&self.journal).map_err(unusable)
    }

    /// What the journal has of the run.
    ///
    /// # Errors
    /// It is not a journal, or cannot be read.
    pub(crate) fn state(&self) -> Result<RunState, JournalError> {
        // Before the journal is read: a run that ends meanwhile is one that has ended.
        let holder = disperse_journal::holder(&self.journal).ok().flatten();
        let reader = JournalReader::open(&self.journal)?;
        let (info, progress) = (reader.info()?, reader.progress()?);
        let status = match (info.status, &holder) {
            (Status::Running, Some(_)) => RecordedStatus::Running,
            (Status::Running, None) => RecordedStatus::Interrupted,
            (Status::Stopped, _) => RecordedStatus::Stopped,
            (Status::Finished, _) => RecordedStatus::Finished,
            (Status::Failed, _) => RecordedStatus::Failed,
        };
        let pid = match holder {
            Some(JournalError::Locked { pid, .. }) => pid.parse().ok(),
            _ => None,
        };
        Ok(RunState {
            status,
            pid,
            info,
            progress,
        })
    }

    /// How many of its tasks and actions failed.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn failures(&self) -> Result<Failures, Failure> {
        self.reader()?.failures().map_err(unusable)
    }

    /// Removes the journal and what is beside it, and returns how many bytes that were.
    ///
    /// # Errors
    /// Another process has it, or it cannot be removed.
    pub(crate) fn remove(&self) -> Result<u64, Failure> {
        let bytes = self.bytes();
        disperse_journal::remove(&self.journal).map_err(unusable)?;
        for copy in copies(&self.journal) {
            match std::fs::remove_file(&copy) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Failure::machine(format!("cannot remove `{}`", copy.display()), &error));
                }
                _ => {}
            }
        }
        Ok(bytes)
    }

    /// Checks that no process has the journal.
    ///
    /// # Errors
    /// One has it, or that cannot be found out.
    pub(crate) fn check_free(&self) -> Result<(), Failure> {
        match disperse_journal::holder(&self.journal) {
            Ok(None) => Ok(()),
            Ok(Some(locked)) => Err(unusable(locked)),
            Err(error) => Err(Failure::machine("cannot find out whether the run goes on", &error)),
        }
    }
}

impl RunState {
    /// The command line of the run, as a shell takes it. None: another version of this program wrote it.
    pub(crate) fn command_line(&self) -> Option<String> {
        let started: Started = serde_json::from_value(self.info.command.clone()).ok()?;
        Some(started.command_line())
    }
}

/// A journal that cannot be used.
pub(crate) fn unusable(error: JournalError) -> Failure {
    match &error {
        JournalError::DiskFull { .. } | JournalError::Io { .. } | JournalError::Twice { .. } => {
            Failure::machine("the journal cannot be used", &error)
        }
        _ => Failure::usage(error.to_string()),
    }
}
