//! The text output of `inspect`.

use std::{fmt::Write as _, path::Path};

use super::report::ComponentReport;
use crate::{
    limits::{Limits, STACK, default_host_memory},
    text::{plain, shown},
    units::{Fuel, Size, Time},
};

/// The most imports, and the most exports, that the text lists.
const LISTED_MAX: usize = 256;

/// The description as text.
pub(super) fn text(path: &Path, report: &ComponentReport) -> String {
    let (path, digest, size) = (path.display(), &report.digest, Size(report.size as u64));
    let mut text = format!("{path}\n  sha256   {digest}\n  size     {size}\n");
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<8} {value}");
        }
    };
    row(
        "kind",
        match (report.module, &report.contract) {
            (true, Ok(_)) => "core module, made into a component when it is loaded",
            (true, Err(_)) => "core module",
            (false, _) => "component",
        },
    );
    row("language", report.origin.language.as_deref().unwrap_or_default());
    if report.is_program() {
        row("role", "worker: a WASI program, run once for each action");
    } else {
        for (role, form) in report.roles() {
            row("role", &format!("{role}, {}", form.word()));
        }
    }
    row("world", &report.worlds().join(", "));
    row("made by", &report.origin.producers.join(", "));
    let misspelt = report.misspelt();
    list(
        &mut text,
        "exports",
        &report.shape.exports,
        report.shape.more_exports,
        |(name, ty)| {
            let meant = misspelt.iter().find(|(misspelt, _)| misspelt == name);
            let note = meant.map(|(_, meant)| format!("  (like `{meant}`, which is missing)"));
            format!("{}: {ty}{}", shown(name), note.unwrap_or_default())
        },
    );
    list(
        &mut text,
        "imports",
        &report.shape.imports,
        report.shape.more_imports,
        |import| {
            let note = report.note(import).map(|note| format!("  ({})", note.text));
            format!("{}{}", shown(&import.name), note.unwrap_or_default())
        },
    );
    if report.contract.is_err() {
        return plain(&text).into_owned();
    }
    text.push_str("  limits   by default\n");
    for (flag, what) in limits() {
        let _ = writeln!(text, "    {flag:<19} {what}");
    }
    text.push_str("  grants   none by default");
    let grants = report.grants();
    if !grants.is_empty() {
        text.push_str("; its imports could use");
    }
    for (flag, what) in grants {
        let _ = write!(text, "\n    {flag}  {what}");
    }
    text.push('\n');
    plain(&text).into_owned()
}

/// Adds a line for each item of `all`, up to [`LISTED_MAX`]. `unlisted`: the number of items beside `all`.
fn list<T>(
    text: &mut String,
    name: &str,
    all: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    unlisted: usize,
    line: impl Fn(T) -> String,
) {
    let all = all.into_iter();
    let more = all.len().saturating_sub(LISTED_MAX) + unlisted;
    let none = if all.len() == 0 { "  none" } else { "" };
    let _ = writeln!(text, "  {name}{none}");
    for one in all.take(LISTED_MAX) {
        let _ = writeln!(text, "    {}", line(one));
    }
    match (more, unlisted) {
        (0, _) => {}
        (_, 0) => drop(writeln!(text, "    and {more} more, which `--format json` lists")),
        _ => drop(writeln!(text, "    and {more} more")),
    }
}

/// The flags of limits, and their defaults.
pub(super) fn limits() -> impl Iterator<Item = (&'static str, String)> {
    let (worker, planner) = (Limits::WORKER, Limits::PLANNER);
    [
        ("--fuel", Fuel(worker.fuel).to_string()),
        (
            "--memory",
            format!("{}, {} for a planner", Size(worker.memory), Size(planner.memory)),
        ),
        ("--timeout", Time::from(worker.timeout).to_string()),
        ("--result-size", Size(worker.result).to_string()),
        ("--stack", Size(STACK).to_string()),
        ("--handles", worker.handles.to_string()),
        ("--actions-in-flight", worker.in_flight.to_string()),
        ("--random-size", Size(worker.random).to_string()),
        ("--header-size", Size(worker.headers).to_string()),
        ("--log-rate", format!("{} per second", Size(worker.log_rate))),
        ("--log-size", format!("{} per attempt", Size(worker.log_size))),
        ("--compile-timeout", "15s plus 4s per MB, at most 2m".to_owned()),
        (
            "--compile-memory",
            "512MiB plus 40 times the size, at most 4GiB".to_owned(),
        ),
        (
            "--host-memory",
            format!("{}, half of this machine's", Size(default_host_memory())),
        ),
    ]
    .into_iter()
}
