//! The lines of `runs --format json`, which `text.rs` shows as text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        console::Failure,
        recording::{RecordedRun, RecordedStatus, RunState, resume_command, unusable},
    },
    control::RunId,
};

/// The line of `runs --format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// A run that has a journal.
    Run(Box<RunLine>),
    /// A run whose journal was removed, or would be.
    Removed(RemovedLine),
}

impl Line {
    pub(crate) fn run(line: RunLine) -> Self {
        Self::Run(Box::new(line))
    }
}

/// A run that has a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunLine {
    /// The run's name.
    pub(crate) id: String,
    pub(crate) status: RecordedStatus,
    /// The process that it runs in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) pid: Option<u32>,
    /// Why it stopped or failed, or why the journal cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) reason: Option<String>,
    /// The path of the journal.
    pub(crate) journal: String,
    /// The size of the journal and of what is beside it, such as the copy of the input.
    pub(crate) bytes: u64,
    /// Missing if the journal cannot be read.
    #[serde(flatten)]
    pub(crate) recorded: Option<RecordedLine>,
    /// Of `runs show` alone.
    #[serde(flatten)]
    pub(crate) details: Option<DetailsLine>,
}

/// What the journal has of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordedLine {
    /// The path of the operation.
    pub(crate) operation: String,
    /// When the run began, in ms since 1970.
    pub(crate) began_unix_ms: u64,
    /// When it ended. Missing: it goes on or was killed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) ended_unix_ms: Option<u64>,
    /// How many tasks have started.
    pub(crate) tasks: u64,
    /// How many of them have ended.
    pub(crate) tasks_ended: u64,
    /// How many actions have ended.
    pub(crate) actions: u64,
}

/// The rest of what the journal has of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DetailsLine {
    /// How many tasks failed.
    pub(crate) tasks_failed: u64,
    /// How many actions failed, by reason.
    pub(crate) actions_failed: BTreeMap<String, u64>,
    /// How many bytes of the output are written.
    pub(crate) output_bytes: u64,
    /// The run's time at the last record.
    pub(crate) run_ms: u64,
    /// SHA-256 of the operation's component.
    pub(crate) operation_sha256: String,
    /// The version of the program that began the run.
    pub(crate) version: String,
    pub(crate) seed: u64,
    /// The command line of the run, as a shell takes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) command: Option<String>,
    /// The command that resumes the run. Missing: it goes on or has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) resume: Option<String>,
}

/// A run whose journal was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RemovedLine {
    /// The run's name.
    pub(crate) id: String,
    /// How many bytes that freed.
    pub(crate) bytes: u64,
    /// Whether nothing was removed, because of `--dry-run`.
    pub(crate) dry_run: bool,
}

impl RunLine {
    /// The line of a run in a list.
    pub(crate) fn of(run: &RecordedRun) -> Self {
        match run.state() {
            Ok(state) => Self::read(run, &state),
            Err(error) => Self {
                id: run.name(),
                status: RecordedStatus::Unreadable,
                pid: None,
                reason: Some(error.to_string()),
                journal: run.journal().display().to_string(),
                bytes: run.bytes(),
                recorded: None,
                details: None,
            },
        }
    }

    fn read(run: &RecordedRun, state: &RunState) -> Self {
        let RunState {
            status,
            pid,
            info,
            progress,
        } = state;
        Self {
            id: info.id.clone(),
            status: *status,
            pid: *pid,
            reason: info.reason.clone(),
            journal: run.journal().display().to_string(),
            bytes: run.bytes(),
            recorded: Some(RecordedLine {
                operation: info.operation.clone(),
                began_unix_ms: info.began_unix_ms,
                ended_unix_ms: info.ended_unix_ms,
                tasks: progress.task_starts,
                tasks_ended: progress.task_ends,
                actions: progress.settled,
            }),
            details: None,
        }
    }

    /// The line of one run with all details.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub(crate) fn detailed(run: &RecordedRun) -> Result<Self, Failure> {
        let (state, failures) = (run.state().map_err(unusable)?, run.failures()?);
        let is_resumable = matches!(state.status, RecordedStatus::Stopped | RecordedStatus::Interrupted);
        let id = RunId::parse(&state.info.id).filter(|_| is_resumable);
        let details = DetailsLine {
            tasks_failed: failures.tasks,
            actions_failed: failures.actions,
            output_bytes: state.progress.written_bytes,
            run_ms: state.progress.anchor.run_ms,
            operation_sha256: state.info.operation_sha256.clone(),
            version: state.info.version.clone(),
            seed: state.info.seed,
            command: state.command_line(),
            resume: id.map(|id| resume_command(&id, run.journal())),
        };
        Ok(Self {
            details: Some(details),
            ..Self::read(run, &state)
        })
    }
}
