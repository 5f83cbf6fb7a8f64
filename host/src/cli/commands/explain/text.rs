//! Renders explanations as text.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::model::{ActionExplained, Explained, Explanation, RunExplained, WorkerExplained};
use crate::{
    cli::commands::runs,
    text::{plain, plain_line},
    units::Time,
};

/// The whole explanation. Much of its text comes from guests, and a record or a socket may be forged: control characters for
/// terminals are removed, and no untrusted text looks like a line of this program.
pub(super) fn explanation(explanation: &Explanation) -> String {
    let explanation = &one_line_each(explanation);
    let mut text = match &explanation.explained {
        Explained::Run(run) => explained_run(run, explanation),
        Explained::Action(action) => explained_action(action),
        Explained::Worker(worker) => explained_worker(worker, explanation),
        Explained::Recorded(run) => runs::details(run),
        Explained::Done { message } => within(message),
    };
    if explanation.ended && !matches!(explanation.explained, Explained::Run(_) | Explained::Recorded(_)) {
        let _ = write!(
            text,
            "\nthe run {} has ended; this was its final state",
            explanation.run
        );
    }
    text.push('\n');
    plain(&text).into_owned()
}

/// The same with every text in one line, except for messages of attempts, which are shown indented.
fn one_line_each(explanation: &Explanation) -> Explanation {
    fn escape(value: &mut Value, key: &str) {
        match value {
            Value::String(text) if key != "message" => *text = plain_line(text).into_owned(),
            Value::Array(values) => values.iter_mut().for_each(|value| escape(value, "")),
            Value::Object(fields) => {
                let escaped = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                    escape(&mut value, &key);
                    (plain_line(&key).into_owned(), value)
                });
                *fields = escaped.collect();
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(explanation).unwrap_or_default();
    escape(&mut value, "");
    serde_json::from_value(value).unwrap_or_else(|_| explanation.clone())
}

fn time(ms: u64) -> Time {
    Time::from(Duration::from_millis(ms))
}

fn within(text: &str) -> String {
    text.trim_end().replace('\n', "\n          ")
}

fn explained_run(run: &RunExplained, explanation: &Explanation) -> String {
    let state = match (explanation.ended, run.stopping) {
        (true, false) => "ended after",
        (true, true) => "stopped after",
        (false, true) => "stopping after",
        (false, false) => "running for",
    };
    let mut text = format!("run {}: {state} {}", run.id, time(explanation.at_ms));
    let _ = write!(
        text,
        "\n  tasks     {} done, {} failed, {} in flight",
        run.tasks_done, run.tasks_failed, run.tasks_in_flight
    );
    if let Some(total) = run.tasks_total {
        let _ = write!(text, ", of {total}");
    }
    if let Some(left) = run.left_ms {
        let _ = write!(text, "; about {} left", time(left));
    }
    let waiting = &run.waiting;
    let _ = write!(
        text,
        "\n  actions   {} done, {} failed, {} running, {} waiting, {} resting; {} retries",
        run.actions_done, run.actions_refused, run.actions_running, waiting.all, waiting.resting, run.retries
    );
    let reasons = [
        (waiting.for_a_free_worker, "for a free worker"),
        (waiting.for_a_limit, "for workers that are at a limit"),
        (waiting.for_another_worker, "for a worker that has not failed it"),
        (waiting.for_any_worker, "for workers that are out of service"),
    ];
    for (count, what) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "\n  waiting   {count} {what}");
    }
    if waiting.looked_at > 0 && waiting.looked_at < waiting.all {
        let _ = write!(text, "\n  waiting   the others were not examined: too many");
    }
    let healths: Vec<String> = run
        .workers
        .iter()
        .map(|(health, count)| format!("{count} {health}"))
        .collect();
    let _ = write!(text, "\n  workers   {}", healths.join(", "));
    for worker in &run.notable {
        let _ = write!(text, "\n    {}  {}", worker.id, worker.words);
    }
    if run.notable_more > 0 {
        let _ = write!(text, "\n    and {} more", run.notable_more);
    }
    for line in run.quotas.iter().chain(&run.remarks) {
        let _ = write!(text, "\n  {line}");
    }
    text
}

fn explained_action(action: &ActionExplained) -> String {
    let mut text = format!("action {}", action.id);
    if action.task > 0 {
        let _ = write!(text, " of task {} ({})", action.task, action.kind);
    }
    let _ = write!(text, ": {}", action.words);
    for one in &action.attempts {
        let _ = write!(
            text,
            "\n  {:>7} attempt {} failed on {}, {}: {}\n          {}",
            time(one.at_ms).to_string(),
            one.attempt,
            one.worker,
            one.class,
            within(&one.message),
            one.verdict
        );
    }
    text
}

fn explained_worker(worker: &WorkerExplained, explanation: &Explanation) -> String {
    let since = explanation.at_ms.saturating_sub(worker.since_ms);
    let mut text = format!(
        "worker {}: {} (since {}, {} ago)",
        worker.id,
        worker.words,
        time(worker.since_ms),
        time(since)
    );
    let _ = write!(
        text,
        "\n  attempts  {} with a result, {} failed",
        worker.ok, worker.failed
    );
    for (count, what) in [
        (worker.faults, "by its own fault"),
        (worker.lost, "lost"),
        (worker.busy, "answered busy"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if worker.quarantines > 0 {
        let _ = write!(text, "; quarantined {}x", worker.quarantines);
    }
    if worker.outvoted > 0 {
        let _ = write!(text, "; outvoted {}x", worker.outvoted);
    }
    if worker.score >= 0.05 {
        let _ = write!(
            text,
            "\n  score     {:.1}, quarantined from {:.1}: a bad worker is e^{:.1} times likelier than one of average flakiness",
            worker.score, worker.score_max, worker.score
        );
    }
    if (1..worker.slots).contains(&worker.width) {
        let _ = write!(
            text,
            "\n  slots     {} of {}: it reported to be busy repeatedly though its quota was not spent",
            worker.width, worker.slots
        );
    }
    for line in &worker.has {
        let _ = write!(text, "\n  running   {line}");
    }
    let more = (worker.holds as usize).saturating_sub(worker.has.len());
    match (worker.holds, more) {
        (0, _) => text.push_str("\n  running   nothing"),
        (_, 0) => {}
        (_, more) => drop(write!(text, "\n  running   and {more} more")),
    }
    for line in &worker.barred {
        let _ = write!(text, "\n  barred    {line}");
    }
    for line in &worker.quotas {
        let _ = write!(text, "\n  {line}");
    }
    if worker.failures_forgotten > 0 {
        let _ = write!(
            text,
            "\n  … {} earlier failures are no longer recorded",
            worker.failures_forgotten
        );
    }
    // Failures and changes of health in the order of time. A failure comes before the change that it led to.
    let mut timeline: Vec<(u64, bool, String)> = Vec::new();
    for one in &worker.failures {
        let line = format!(
            "action {}, attempt {} failed here, {}: {}\n          {}",
            one.action,
            one.attempt,
            one.class,
            within(&one.message),
            one.fate
        );
        timeline.push((one.at_ms, false, line));
    }
    for turn in &worker.history {
        timeline.push((turn.at_ms, true, turn.words.clone()));
    }
    timeline.sort_by_key(|(at_ms, is_turn, _)| (*at_ms, *is_turn));
    for (at_ms, _, line) in timeline {
        let _ = write!(text, "\n  {:>7} {line}", time(at_ms).to_string());
    }
    let passed = worker.failures.iter().filter(|one| one.passed == Some(true)).count();
    let failed = worker.failures.iter().filter(|one| one.passed == Some(false)).count();
    if passed + failed > 0 {
        let _ = write!(
            text,
            "\n  of these failures, {passed} were of actions that passed elsewhere, {failed} of actions that failed"
        );
    }
    text
}
