//! Words for people.

use std::{fmt::Write, time::Duration};

use disperse_scheduler::{Counts, Evicted, Health, Moment};

use super::{Summary, TaskCounts};
use crate::{
    logger::{Level, Line},
    units::{Fuel, Size, Time},
};

/// One word for what is thought of a worker.
pub(crate) fn health_word(health: Health) -> String {
    match health {
        Health::Healthy => "healthy",
        Health::Suspect => "suspect",
        Health::Quarantined { .. } => "quarantined",
        Health::Probation { .. } => "probation",
        Health::Busy { .. } => "busy",
        Health::Draining => "draining",
        Health::Evicted(_) => "evicted",
        Health::Gone => "gone",
    }
    .to_owned()
}

/// The same with its reason and times.
pub(super) fn health(health: Health, now: Moment) -> String {
    let left = |until: Moment| Time::from(until.since(now));
    match health {
        Health::Quarantined { until, round } => format!("quarantined for {} (round {round})", left(until)),
        Health::Probation { round } => format!("on probation after quarantine {round}"),
        Health::Busy { until } => format!("busy for {}", left(until)),
        Health::Evicted(Evicted::Unfit) => "evicted: it says that it can do no more work".to_owned(),
        Health::Evicted(Evicted::Unreliable { quarantines }) => {
            format!("evicted: {quarantines} quarantines without passing probation")
        }
        Health::Suspect => "suspect: it keeps failing, but too few others are left to quarantine it".to_owned(),
        other => health_word(other),
    }
}

/// A line of the host.
pub(super) fn host(level: Level, text: &str) -> String {
    match level {
        Level::Debug | Level::Info => text.to_owned(),
        Level::Warning => format!("warning: {text}"),
        Level::Error => format!("error: {text}"),
    }
}

/// A line that somebody said.
pub(super) fn line(line: &Line) -> String {
    match &line.speaker {
        Some(speaker) => format!("[{speaker}] {}", host(line.level, &line.text)),
        None => host(line.level, &line.text),
    }
}

/// How far the run is, in one line.
pub(super) fn progress(counts: &Counts, tasks: &TaskCounts, elapsed: Duration) -> String {
    let rate = counts.done as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!(
        "{} tasks done, {} in flight · {} actions done, {} running, {} waiting · {rate:.0}/s",
        tasks.done, tasks.in_flight, counts.done, counts.running, counts.waiting
    );
    if tasks.failed > 0 {
        let _ = write!(text, " · {} tasks failed", tasks.failed);
    }
    if counts.quarantined > 0 {
        let _ = write!(
            text,
            " · {} of {} workers quarantined",
            counts.quarantined, counts.workers
        );
    }
    text
}

/// The final report.
pub(super) fn summary(summary: &Summary, untold: u64) -> String {
    let mut text = String::new();
    if untold > 0 {
        let _ = writeln!(text, "… and {untold} more lines like these; -v shows all");
    }
    if let Some(failure) = &summary.failure {
        let _ = writeln!(text, "error: {failure}");
    }
    let tasks = &summary.tasks;
    let _ = write!(text, "{} tasks done, {} failed", tasks.done, tasks.failed);
    if summary.interrupted {
        let _ = write!(text, ", {} left undone: stopped before the end", tasks.in_flight);
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
                time(kind.run_ms),
            ]
        });
        table(
            &mut text,
            ["kind", "done", "dead", "attempts", "failed", "fuel", "time"],
            rows.collect(),
        );
    }
    let rows = summary.workers.iter().map(|worker| {
        [
            worker.worker.clone(),
            worker.ok.to_string(),
            worker.failed.to_string(),
            Fuel(worker.fuel).to_string(),
            time(worker.run_ms),
            Size(worker.peak_memory).to_string(),
            match worker.quarantines {
                0 => worker.health.clone(),
                n => format!("{}, quarantined {n}x", worker.health),
            },
        ]
    });
    // A hundred workers that all did the same are no news.
    let rows: Vec<_> = rows.collect();
    if rows.len() <= 40 {
        table(
            &mut text,
            ["worker", "ok", "failed", "fuel", "time", "memory", "health"],
            rows,
        );
    }
    text.trim_end().to_owned()
}

fn time(ms: f64) -> String {
    Time::from(Duration::from_secs_f64(ms / 1e3)).to_string()
}

fn table<const N: usize>(text: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.max().unwrap_or_default().max(title.len())
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::from(" ");
        for ((column, cell), width) in cells.enumerate().zip(&widths) {
            let _ = if column == 0 {
                write!(out, " {cell:<width$}")
            } else {
                write!(out, "  {cell:>width$}")
            };
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&mut head.into_iter());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}
