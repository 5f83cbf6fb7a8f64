//! Runs as text. What is read from a journal may be of unknown origin: each part of it is shown in one line.

use std::fmt::Write as _;

use disperse_protocol::wall_clock::Utc;

use super::line::{DetailsLine, RecordedLine, RemovedLine, RunLine};
use crate::{
    text::{columns, plain_line},
    units::{Size, Time},
};

/// Runs as a table, and why the journals of some cannot be read.
pub(super) fn table(runs: &[RunLine]) -> String {
    let head = ["run", "status", "began (UTC)", "tasks", "actions", "size"];
    let rows = runs.iter().map(cells);
    let lines = columns(std::iter::once(head.map(str::to_owned)).chain(rows));
    let operations = runs.iter().map(|run| match (&run.recorded, &run.reason) {
        (Some(recorded), _) => plain_line(&recorded.operation),
        (None, reason) => plain_line(reason.as_deref().unwrap_or_default()),
    });
    let last = std::iter::once("operation".into()).chain(operations);
    lines
        .iter()
        .zip(last)
        .map(|(line, last)| format!("{line}  {last}\n"))
        .collect()
}

fn cells(run: &RunLine) -> [String; 6] {
    let (began, tasks, actions) = match &run.recorded {
        Some(recorded) => (
            time(recorded.began_unix_ms),
            format!("{}/{}", recorded.tasks_ended, recorded.tasks),
            recorded.actions.to_string(),
        ),
        None => <_>::default(),
    };
    let size = Size(run.bytes).to_string();
    [
        plain_line(&run.id).into_owned(),
        status(run),
        began,
        tasks,
        actions,
        size,
    ]
}

fn status(run: &RunLine) -> String {
    match run.pid {
        Some(pid) => format!("{} by process {pid}", run.status.word()),
        None => run.status.word().to_owned(),
    }
}

/// A run with all details.
pub(crate) fn details(run: &RunLine) -> String {
    let mut text = format!("run {}: {}", plain_line(&run.id), status(run));
    if let (Some(recorded), Some(details)) = (&run.recorded, &run.details) {
        detail(&mut text, run, recorded, details);
    }
    text
}

fn detail(text: &mut String, run: &RunLine, recorded: &RecordedLine, details: &DetailsLine) {
    let mut line = |what: &str, value: &str| {
        let _ = write!(text, "\n  {what:<9} {}", plain_line(value));
    };
    if let Some(reason) = &run.reason {
        line("reason", reason);
    }
    line("operation", &recorded.operation);
    line("", &format!("SHA-256 {}", details.operation_sha256));
    line(
        "began",
        &format!("{} UTC, by version {}", time(recorded.began_unix_ms), details.version),
    );
    if let Some(ended) = recorded.ended_unix_ms {
        line("ended", &format!("{} UTC", time(ended)));
    }
    line("time", &format!("{} until the last record", Time(details.run_ms)));
    let (ended, failed) = (recorded.tasks_ended, details.tasks_failed);
    line(
        "tasks",
        &format!("{ended} of {} ended, {failed} failed", recorded.tasks),
    );
    line("actions", &actions(recorded.actions, details));
    line("output", &format!("{} written", Size(details.output_bytes)));
    line("journal", &format!("{} ({})", run.journal, Size(run.bytes)));
    if let Some(command) = &details.command {
        line("command", command);
    }
    if let Some(resume) = &details.resume {
        line("go on", resume);
    }
}

/// How many actions there are, and how many failed for which reasons.
fn actions(count: u64, details: &DetailsLine) -> String {
    let failed: u64 = details.actions_failed.values().sum();
    let reasons = details
        .actions_failed
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"));
    let reasons: Vec<String> = reasons.collect();
    match failed {
        0 => format!("{count} ended, 0 failed"),
        _ => format!("{count} ended, {failed} failed: {}", reasons.join(", ")),
    }
}

/// A run that was removed, or would be.
pub(super) fn removed(line: &RemovedLine) -> String {
    let what = if line.dry_run { "would remove" } else { "removed" };
    format!("{what} {}: {}\n", plain_line(&line.id), Size(line.bytes))
}

fn time(unix_ms: u64) -> String {
    Utc::of(unix_ms / 1000).to_string()
}
