//! What an event looks like for people, and whether it is shown at all.
//!
//! What is counted and hidden, so that a run with many failures stays readable, is decided here and nowhere else.

use std::{collections::BTreeMap, time::Duration};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{figures, first_line, is_whole, reasons::Reasons, words};
use crate::{
    inbox::{
        ActionFailed, AttemptFailed, AttemptNumber, FailureClass, HealthState, HostNotice, Numbered, RunEvent,
        RunSummary, told,
    },
    logger::Level,
    units::Time,
};

/// Which events are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TextSettings {
    /// Errors only.
    pub(crate) quiet: bool,
    /// Every failed attempt, and not only failed actions and the first fault of a worker.
    pub(crate) verbose: bool,
    /// For `map`, where errors name lines of the input and not tasks: how many of them make one task.
    pub(crate) lines_a_task: Option<u64>,
}

/// How many lines of one level are written about one subject, as the health of workers; the rest is counted. Arbitrary: a few
/// screens.
const TOLD_MAX: u64 = 100;

/// How many failures of one reason are written before that. Arbitrary: enough to see what they have in common.
const ALIKE_MAX: u64 = 10;

/// How many failed actions are remembered whose tasks may fail for them. Arbitrary.
const FAILED_ACTIONS_MAX: usize = 1024;

/// The subject of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Task,
    Action,
    Attempt,
    Health,
    Denied,
    Pool,
}

/// How an event is shown.
#[derive(Debug, PartialEq)]
pub(super) enum Shown {
    Nothing,
    Line(String),
    /// How far the run is, and how long after its start.
    Progress(String, Duration),
    /// What follows all results, maybe nothing; and whether those are all there.
    Last(String, bool),
}

/// Makes text of events.
pub(super) struct TextFormat {
    settings: TextSettings,
    /// How many lines were shown, by level and subject: news of workers must not use up the lines of errors.
    told: BTreeMap<(Level, Subject), u64>,
    /// How many were left to the count at the end.
    untold: u64,
    reasons: Reasons,
    /// By task: a failed action of it that was shown, and its message.
    failed_actions: FxHashMap<u64, (u64, String)>,
    /// Workers of which a fault was shown or could have been.
    faulted: FxHashSet<String>,
}

impl TextFormat {
    pub(super) fn new(settings: TextSettings) -> Self {
        Self {
            settings,
            told: BTreeMap::new(),
            untold: 0,
            reasons: Reasons::default(),
            failed_actions: FxHashMap::default(),
            faulted: FxHashSet::default(),
        }
    }

    pub(super) fn shown(&mut self, event: &Numbered) -> Shown {
        let now_ms = event.at_ms;
        let line = match &event.event {
            RunEvent::Started { run } => self.if_verbose(Level::Info, || format!("run {run}")),
            RunEvent::Output { .. } => None,
            RunEvent::TaskEnded { task, error, .. } => self.task_ended(*task, error.as_deref()),
            RunEvent::AttemptFailed(failed) => self.attempt_failed(failed),
            RunEvent::Hedged { attempt, kind } => self.hedged(*attempt, kind),
            RunEvent::Outvoted {
                attempt,
                worker,
                dissent,
            } => {
                let dissent = words::dissent(dissent);
                let text = format!("worker {worker} was outvoted on action {}: {dissent}", attempt.action);
                self.line(Level::Warning, Subject::Attempt, &text)
            }
            RunEvent::ActionFailed(failed) => self.action_failed(failed),
            RunEvent::HealthChanged { worker, health } => {
                let is_final = matches!(
                    health,
                    HealthState::EvictedUnfit | HealthState::EvictedUnreliable { .. }
                );
                let level = if is_final { Level::Warning } else { Level::Info };
                let text = format!("worker {worker}: {}", words::health(health, now_ms));
                self.line(level, Subject::Health, &text)
            }
            RunEvent::Barred { worker, kind, until_ms } => {
                let what = match until_ms {
                    Some(until_ms) => format!(
                        "no actions of kind {kind} for {}: it fails them and does others",
                        Time(until_ms.saturating_sub(now_ms))
                    ),
                    None => format!("actions of kind {kind} again"),
                };
                let text = format!("worker {worker} is given {what}");
                self.line(Level::Info, Subject::Health, &text)
            }
            RunEvent::Systemic { pool, on: true } => {
                let text = "everything fails, on every worker: the work or the service is failing, not your workers; \
                            one attempt is made every 10 s";
                self.line(Level::Warning, Subject::Pool, &format!("pool {pool}: {text}"))
            }
            RunEvent::Systemic { pool, on: false } => {
                self.line(Level::Info, Subject::Pool, &format!("pool {pool}: it works again"))
            }
            RunEvent::Denied { worker, message } => {
                let text = format!("worker {worker} was denied: {message}");
                self.line(Level::Warning, Subject::Denied, &text)
            }
            RunEvent::Log { source, level, text } => Some(words::line(source.as_deref(), *level, text)),
            RunEvent::Notice(notice) => self.notice(notice),
            RunEvent::WorkerJoined { worker, pool } => {
                self.if_verbose(Level::Info, || format!("worker {worker} joined the pool {pool}"))
            }
            RunEvent::WorkerLeft { worker } => {
                self.line(Level::Warning, Subject::Health, &format!("worker {worker} has left"))
            }
            RunEvent::Progress(progress) => return Shown::Progress(figures::progress(progress), progress.elapsed),
            RunEvent::Finished(summary) => return Shown::Last(self.last(summary), is_whole(summary)),
        };
        line.map_or(Shown::Nothing, Shown::Line)
    }

    fn task_ended(&mut self, task: u64, error: Option<&str>) -> Option<String> {
        let failed = if self.failed_actions.is_empty() {
            None
        } else {
            self.failed_actions.remove(&task)
        };
        let error = error?;
        let name = self.task_name(task);
        let alike = self.reasons.count(&name, error);
        let text = match failed {
            Some((action, how)) => {
                let error = error.replace(&how, &format!("action {action} failed as told above"));
                format!("{name}: {error}")
            }
            None => format!("{name}: {error}"),
        };
        match alike {
            // The first of its reason is always shown.
            Some(1) => Some(self.counted(Level::Error, Subject::Task, &text)),
            Some(2..=ALIKE_MAX) => self.line(Level::Error, Subject::Task, &text),
            _ if self.settings.verbose => self.line(Level::Error, Subject::Task, &text),
            _ => {
                self.untold += 1;
                None
            }
        }
    }

    /// The name of a task for people.
    fn task_name(&self, task: u64) -> String {
        match self.settings.lines_a_task {
            None => format!("task {task}"),
            Some(1) => format!("line {task}"),
            Some(batch) => format!("the batch from line {}", first_line(task, batch)),
        }
    }

    fn attempt_failed(&mut self, failed: &AttemptFailed) -> Option<String> {
        let told = || told(&failed.message, &failed.stderr, failed.is_symptom);
        let is_first_fault = failed.class == FailureClass::WorkerFault && self.faulted.insert(failed.worker.clone());
        if self.settings.verbose {
            let (action, number) = (failed.attempt.action, failed.attempt.number);
            let class = words::class(failed.class);
            let text = format!("[{}#{action}.{number}] {class}: {}", failed.worker, told());
            return self.line(Level::Info, Subject::Attempt, &text);
        }
        if !is_first_fault {
            return None;
        }
        // Its actions go elsewhere, so that nothing else would tell its fault.
        let text = format!("worker {}: {}", failed.worker, told());
        self.line(Level::Warning, Subject::Attempt, &text)
    }

    fn hedged(&mut self, attempt: AttemptNumber, kind: &str) -> Option<String> {
        if !self.settings.verbose {
            return None;
        }
        let AttemptNumber { action, number } = attempt;
        let text = format!("action {action} ({kind}): attempt {number} is slow, and gets a second one beside it");
        self.line(Level::Info, Subject::Attempt, &text)
    }

    fn action_failed(&mut self, failed: &ActionFailed) -> Option<String> {
        // In `map` the end of the line says the same.
        if self.settings.lines_a_task.is_some() {
            return None;
        }
        let ActionFailed {
            action,
            task,
            kind,
            message,
            ..
        } = failed;
        let reason = words::reason(failed.reason);
        let text = format!("action {action} of task {task} ({kind}) is dead, {reason}: {message}");
        let line = self.line(Level::Warning, Subject::Action, &text);
        if line.is_some() && self.failed_actions.len() < FAILED_ACTIONS_MAX {
            self.failed_actions.insert(*task, (*action, message.clone()));
        }
        line
    }

    fn notice(&self, notice: &HostNotice) -> Option<String> {
        let is_hidden = match notice {
            HostNotice::Stopping | HostNotice::LinesDropped { .. } => self.settings.quiet,
            // What the user should know before it goes wrong, or has asked for.
            HostNotice::Unconfirmed { .. }
            | HostNotice::Unreachable { .. }
            | HostNotice::Halted { .. }
            | HostNotice::ResultsUnwritten { .. } => false,
        };
        let (level, text) = words::notice(notice);
        (!is_hidden).then(|| words::host(level, &text))
    }

    fn if_verbose(&self, level: Level, text: impl FnOnce() -> String) -> Option<String> {
        (self.settings.verbose && !self.settings.quiet).then(|| words::host(level, &text()))
    }

    /// A line about one of many things: only so many are shown, and the rest is left to the count at the end.
    fn line(&mut self, level: Level, subject: Subject, text: &str) -> Option<String> {
        if self.settings.quiet && level < Level::Error {
            return None;
        }
        let told = self.told.get(&(level, subject)).copied().unwrap_or_default();
        if told < TOLD_MAX || self.settings.verbose {
            Some(self.counted(level, subject, text))
        } else {
            self.untold += 1;
            None
        }
    }

    fn counted(&mut self, level: Level, subject: Subject, text: &str) -> String {
        *self.told.entry((level, subject)).or_default() += 1;
        words::host(level, text)
    }

    /// What follows all results.
    fn last(&self, summary: &RunSummary) -> String {
        let mut head = String::new();
        if self.untold > 0 {
            head = format!("… and {} more lines like these; -v shows all\n", self.untold);
        }
        head += &self.reasons.table(summary.tasks.done);
        if let Some(failure) = &summary.failure {
            head = head + &words::host(Level::Error, failure) + "\n";
        }
        if self.settings.quiet {
            // Errors, and what was left out of them.
            head.trim_end().to_owned()
        } else {
            head + &figures::summary(summary)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disperse_protocol::samples::samples;

    fn format(settings: TextSettings) -> TextFormat {
        TextFormat::new(settings)
    }

    /// What is shown of each event, in the order of the samples.
    fn shown(settings: TextSettings) -> Vec<Shown> {
        let mut format = format(settings);
        samples().iter().map(|event| format.shown(event)).collect()
    }

    fn line(text: &str) -> Shown {
        Shown::Line(text.to_owned())
    }

    fn progress() -> Shown {
        let text = "0 tasks done, 0 in flight · 0 actions/s · 0 actions done, 0 running, 0 waiting";
        Shown::Progress(text.to_owned(), Duration::from_secs(10))
    }

    #[test]
    fn every_event_is_shown_as_its_settings_say() {
        let outvoted = "warning: worker w/1 was outvoted on action 7: its result of 10 bytes is not the one of 4200 bytes that others have";
        let failing = "warning: pool w: everything fails, on every worker: the work or the service is failing, not your workers; one attempt is made every 10 s";
        let stopping = "stopping, as `drain` asks: attempts that run are let end";
        let report = "0 tasks done, 0 failed, in 0ms; at most 0B of memory for guests\n  worker  ok  failed  fuel  time  memory  health";
        assert_eq!(
            shown(TextSettings::default()),
            [
                Shown::Nothing,
                Shown::Nothing,
                line("error: task 3: it broke"),
                line("warning: worker w/1: it cannot\n      said: because"),
                Shown::Nothing,
                line(outvoted),
                line("warning: action 7 of task 3 (k) is dead, exhausted: 2 attempts failed"),
                line("worker w/1: quarantined for 30s (round 1)"),
                line("worker w/1 is given no actions of kind k for 1min: it fails them and does others"),
                line(failing),
                line("warning: worker w/1 was denied: http to example.org"),
                line("[w/1#7.2] warning: hello"),
                line(stopping),
                Shown::Nothing,
                line("warning: worker w/1 has left"),
                progress(),
                Shown::Last(report.to_owned(), true),
            ]
        );
        let verbose = shown(TextSettings {
            verbose: true,
            ..TextSettings::default()
        });
        assert_eq!(verbose[0], line("run r"));
        assert_eq!(
            verbose[3],
            line("[w/1#7.2] worker-fault: it cannot\n      said: because")
        );
        assert_eq!(
            verbose[4],
            line("action 7 (k): attempt 2 is slow, and gets a second one beside it")
        );
        assert_eq!(verbose[13], line("worker w/1 joined the pool w"));
        let quiet = shown(TextSettings {
            quiet: true,
            ..TextSettings::default()
        });
        let kept: Vec<usize> = (0..)
            .zip(&quiet)
            .filter(|(_, shown)| **shown != Shown::Nothing)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(kept, [2, 11, 15, 16], "errors, and what guests write");
    }

    #[test]
    fn news_do_not_use_up_the_lines_of_errors() {
        let mut format = format(TextSettings::default());
        for _ in 0..2 * TOLD_MAX {
            format.line(Level::Info, Subject::Health, "worker w/1: busy");
        }
        assert!(format.line(Level::Info, Subject::Attempt, "worker w/1: no").is_some());
        let error = format.line(Level::Error, Subject::Task, "line 1: it can never work");
        assert!(error.is_some());
        assert_eq!(format.untold, TOLD_MAX);
    }

    #[test]
    fn every_reason_is_shown_and_few_failures_of_each() {
        let mut format = format(TextSettings {
            quiet: true,
            verbose: false,
            lines_a_task: Some(1),
        });
        let mut shown = 0;
        for reason in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
            for task in 1..=1000 {
                let line = format.task_ended(task, Some(&format!("{reason} of {task}")));
                shown += u64::from(line.is_some());
            }
        }
        assert_eq!(
            shown,
            TOLD_MAX + 2,
            "ten of each, and the first of those after a hundred"
        );
        assert_eq!(format.untold, 12_000 - shown);
    }
}
