//! Tells of an earlier run that could be resumed instead of beginning one.

use std::path::Path;

use disperse_journal::RunInfo;

use super::{RecordedOperation, RecordedRun, RecordedStatus, Started, input, resume_command};
use crate::{cli::console::print_stderr, control::RunId};

/// How many journals are examined, the newest ones. Arbitrary: each takes less than a millisecond.
const EXAMINED: usize = 20;

/// Prints how to go on with the newest run of this operation, if it has the same arguments and input and was stopped.
pub(super) fn tell(operation: &RecordedOperation, input: &input::Recorded) {
    let runs = RecordedRun::all().unwrap_or_default();
    let found = runs.iter().take(EXAMINED).find_map(|run| {
        let state = run.state().ok()?;
        is_the_same(&state.info, run.journal(), operation, input).then_some((run, state))
    });
    let Some((run, state)) = found else { return };
    let can_go_on = matches!(state.status, RecordedStatus::Interrupted | RecordedStatus::Stopped);
    if let Some(id) = RunId::parse(&state.info.id).filter(|_| can_go_on) {
        print_stderr(&format!(
            "note: this run begins anew. The run {id} of the same operation was stopped after {} tasks and {} actions: go on with it by {}",
            state.progress.task_ends,
            state.progress.settled,
            resume_command(&id, run.journal())
        ));
    }
}

fn is_the_same(info: &RunInfo, journal: &Path, operation: &RecordedOperation, input: &input::Recorded) -> bool {
    let same = info.operation_sha256 == operation.digest.to_string() && info.arguments == operation.arguments;
    same && serde_json::from_value(info.command.clone())
        .is_ok_and(|started: Started| input.is_as(&started.input, journal))
}
