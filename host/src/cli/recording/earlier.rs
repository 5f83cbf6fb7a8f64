//! Tells of an earlier run that could be resumed instead of beginning one.

use std::path::Path;

use disperse_journal::{JournalReader, RunInfo, Status};

use super::{RecordedOperation, Started, find::journals, input};
use crate::cli::console::print_stderr;

/// How many journals are examined, the newest ones. Arbitrary: each takes less than a millisecond.
const EXAMINED: usize = 20;

/// Prints how to go on with the newest run of this operation, if it has the same arguments and input and was stopped.
pub(super) fn tell(folder: &Path, operation: &RecordedOperation, input: &input::Recorded) {
    let journals = journals(folder).unwrap_or_default();
    let mut infos = journals.iter().take(EXAMINED).filter_map(|(_, path)| {
        let journal = JournalReader::open(path).ok()?;
        let info = journal.info().ok()?;
        is_the_same(&info, path, operation, input).then_some((info, journal, path))
    });
    let Some((info, journal, path)) = infos.next() else {
        return;
    };
    let goes_on = !matches!(disperse_journal::holder(path), Ok(None));
    if goes_on || !matches!(info.status, Status::Running | Status::Stopped) {
        return;
    }
    let Ok(progress) = journal.progress() else { return };
    print_stderr(&format!(
        "note: this run begins anew. The run {} of the same operation was stopped after {} tasks and {} actions: go on with it by disperse-host resume {}",
        info.id, progress.task_ends, progress.settled, info.id
    ));
}

fn is_the_same(info: &RunInfo, journal: &Path, operation: &RecordedOperation, input: &input::Recorded) -> bool {
    let same = info.operation_sha256 == operation.digest.to_string() && info.arguments == operation.arguments;
    same && serde_json::from_value(info.command.clone())
        .is_ok_and(|started: Started| input.is_as(&started.input, journal))
}
