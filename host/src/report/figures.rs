//! The figures of a run as text: its progress in one line, and the report at its end.

use std::{fmt::Write, time::Duration};

use disperse_engine::sink::time_left;

use super::words::{self, health_word};
use crate::{
    inbox::{HealthKind, Progress, RunSummary, TaskCounts, Undone, WorkerSummary},
    text::columns,
    units::{Fuel, Size, Time},
};

/// The longest table. Arbitrary: a screen.
const ROWS_MAX: usize = 40;

/// How far the run is, in one line. A narrow terminal cuts its end, so what matters most comes first.
pub(super) fn progress(progress: &Progress) -> String {
    let Progress {
        tasks,
        total,
        actions,
        retries,
        quota,
        held,
        elapsed,
    } = progress;
    let mut text = match total {
        Some(total) => format!("{}/{total} tasks done", tasks.done),
        None => format!("{} tasks done", tasks.done),
    };
    let _ = write!(text, ", {} in flight", tasks.in_flight);
    if tasks.failed > 0 {
        let _ = write!(text, ", {} failed", tasks.failed);
    }
    let _ = write!(text, " · {}", rate(actions.done, *elapsed));
    if let Some(left) = time_left(tasks, *total, *elapsed) {
        let _ = write!(text, ", about {left} left");
    }
    if *retries > 0 {
        let _ = write!(text, " · {retries} retries");
    }
    if let Some((workers, eta)) = quota {
        let _ = write!(text, " · {workers} of {} workers wait for their quota", actions.workers);
        if let Some(eta) = eta {
            let _ = write!(text, ", {} for what is open", Time::from(whole_seconds(*eta)));
        }
    }
    if let Some(held) = held {
        let _ = write!(text, " · {} results wait for line {}", held.results, held.line);
    }
    if actions.quarantined > 0 {
        let (quarantined, workers) = (actions.quarantined, actions.workers);
        let _ = write!(text, " · {quarantined} of {workers} workers quarantined");
    }
    let _ = write!(
        text,
        " · {} actions done, {} running, {} waiting",
        actions.done, actions.running, actions.waiting
    );
    text
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// How many actions are done in which time, on average since the start.
fn rate(done: u64, elapsed: Duration) -> String {
    let second = done as f64 / elapsed.as_secs_f64().max(0.001);
    // Few enough for a long time to be told apart from none.
    match second {
        _ if done == 0 => "0 actions/s".to_owned(),
        10.0.. => format!("{second:.0} actions/s"),
        1.0.. => format!("{second:.1} actions/s"),
        _ => format!("{:.1} actions/min", second * 60.0),
    }
}

/// The counts of a run that ends before it could report them.
pub(crate) fn unreported(tasks: TaskCounts, left: Undone) -> String {
    format!("{} tasks done, {} failed, {}", tasks.done, tasks.failed, undone(left))
}

/// What is left of the tasks, in words.
pub(super) fn undone(undone: Undone) -> String {
    let at_least = if undone.at_least { "at least " } else { "" };
    format!("{at_least}{} left undone", undone.tasks)
}

/// The final report.
pub(super) fn summary(summary: &RunSummary) -> String {
    let mut text = String::new();
    let tasks = &summary.tasks;
    let _ = write!(text, "{} tasks done, {} failed", tasks.done, tasks.failed);
    if summary.interrupted {
        let _ = write!(text, ", {}: stopped before the end", undone(summary.undone));
    }
    let _ = writeln!(
        text,
        ", in {}; at most {} of memory for guests",
        Time::from(summary.wall),
        Size(summary.peak_host_memory)
    );
    if !summary.kinds.is_empty() {
        let rows = summary.kinds.iter().map(|kind| {
            let name = if kind.kind.is_empty() { "(none)" } else { &kind.kind };
            [
                name.to_owned(),
                kind.done.to_string(),
                kind.refused.to_string(),
                kind.attempts.to_string(),
                kind.failed.to_string(),
                Fuel(kind.fuel).to_string(),
                Time::from(kind.busy).to_string(),
            ]
        });
        table(
            &mut text,
            ["kind", "done", "dead", "attempts", "failed", "fuel", "time"],
            rows.collect(),
        );
    }
    let hedges: u64 = summary.kinds.iter().map(|kind| kind.hedges).sum();
    if hedges > 0 {
        let won: u64 = summary.kinds.iter().map(|kind| kind.hedges_won).sum();
        let _ = writeln!(
            text,
            "  {hedges} second attempts beside slow ones, of which {won} had the result first"
        );
    }
    let rows = summary.workers.iter().map(|worker| {
        [
            worker.worker.clone(),
            worker.ok.to_string(),
            worker.failed.to_string(),
            Fuel(worker.fuel).to_string(),
            Time::from(worker.busy).to_string(),
            Size(worker.peak_memory).to_string(),
            state(worker),
        ]
    });
    let denied: u64 = summary.workers.iter().map(|worker| worker.denied).sum();
    // A hundred workers that all did the same are no news.
    let rows: Vec<_> = rows.collect();
    if rows.len() <= ROWS_MAX {
        table(
            &mut text,
            ["worker", "ok", "failed", "fuel", "time", "memory", "health"],
            rows,
        );
    } else if denied > 0 {
        let _ = writeln!(text, "workers were denied something {denied} times");
    }
    if !summary.quotas.is_empty() && summary.quotas.len() <= ROWS_MAX {
        let or_dash = |count: u64, text: String| if count == 0 { "-".to_owned() } else { text };
        let rows = summary.quotas.iter().map(|quota| {
            let share = 100.0 * quota.used as f64 / quota.capacity as f64;
            [
                quota.quota.clone(),
                words::quota(quota.terms),
                quota.used.to_string(),
                or_dash(quota.capacity, format!("{share:.1}%")),
                or_dash(quota.resets, quota.wasted_last.to_string()),
                or_dash(quota.resets, quota.wasted.to_string()),
            ]
        });
        table(
            &mut text,
            [
                "quota",
                "allows",
                "spent",
                "of what was offered",
                "left at the last reset",
                "in all",
            ],
            rows.collect(),
        );
    }
    text.trim_end().to_owned()
}

/// The health of a worker in the end, and why.
fn state(worker: &WorkerSummary) -> String {
    let kind = worker.health.kind();
    let health = health_word(kind);
    let mut text = match worker.quarantines {
        0 => health.to_owned(),
        n if kind == HealthKind::Quarantined => format!("{health}, {n}x"),
        n => format!("{health}, quarantined {n}x"),
    };
    if worker.outvoted > 0 {
        let _ = write!(text, ", outvoted {}x", worker.outvoted);
    }
    if worker.denied > 0 {
        let _ = write!(text, ", denied {}x", worker.denied);
    }
    text
}

fn table<const N: usize>(text: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    for line in columns(std::iter::once(head.map(str::to_owned)).chain(rows)) {
        let _ = writeln!(text, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::ActionCounts;

    const PROGRESS: Progress = Progress {
        tasks: TaskCounts {
            done: 30,
            failed: 0,
            in_flight: 6,
        },
        total: None,
        actions: ActionCounts {
            waiting: 2,
            running: 4,
            done: 1000,
            workers: 5,
            quarantined: 0,
        },
        retries: 0,
        quota: None,
        held: None,
        elapsed: Duration::from_secs(20),
    };

    #[test]
    fn progress_says_only_what_is_known() {
        assert_eq!(
            progress(&PROGRESS),
            "30 tasks done, 6 in flight · 50 actions/s · 1000 actions done, 4 running, 2 waiting"
        );
        let all = Progress {
            tasks: TaskCounts {
                failed: 10,
                ..PROGRESS.tasks
            },
            total: Some(100),
            actions: ActionCounts {
                quarantined: 1,
                ..PROGRESS.actions
            },
            retries: 12,
            ..PROGRESS
        };
        assert_eq!(
            progress(&all),
            "30/100 tasks done, 6 in flight, 10 failed · 50 actions/s, about 30s left · 12 retries · \
             1 of 5 workers quarantined · 1000 actions done, 4 running, 2 waiting"
        );
    }

    #[test]
    fn a_slow_pace_is_more_than_none() {
        let minute = Duration::from_secs(60);
        assert_eq!(rate(0, minute), "0 actions/s");
        assert_eq!(rate(2, minute), "2.0 actions/min");
        assert_eq!(rate(90, minute), "1.5 actions/s");
        assert_eq!(rate(6000, minute), "100 actions/s");
    }
}
