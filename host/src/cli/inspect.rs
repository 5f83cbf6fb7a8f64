//! `inspect`: what a component is, and if it is of no use here, why.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    args::InspectArgs,
    error::Failure,
    exit,
    facts::Facts,
    inspected::Line,
    output::print,
    plan,
    project::{Source, source},
    trust,
};
use crate::{
    files::leads_out,
    limits::{Limits, STACK, default_host_memory},
    report::Format,
    text::{plain, plain_json, plain_line, shown},
    units::{Fuel, Size, Time},
};

/// How many imports and how many exports are listed for people.
const LISTED_MAX: usize = 256;

/// A component that is inspected.
struct InspectedFile {
    path: PathBuf,
    /// Whether it was typed itself.
    typed: bool,
    /// Where it leads, if that is out of its folder, which is not trusted.
    out: Option<PathBuf>,
}

/// The components that are inspected. Of a manifest, prints what it asks for.
fn found(args: &InspectArgs) -> Result<Vec<InspectedFile>, Failure> {
    let project = match source(&args.path, false)? {
        Source::Project(project) => project,
        Source::Component(path) => {
            return Ok(vec![InspectedFile {
                path,
                typed: true,
                out: None,
            }]);
        }
    };
    let asks = project.asks(false);
    let path = project.shown.display().to_string();
    let trusted = project.trusted;
    match args.format {
        Format::Json => print_line(&Line::Manifest { path, trusted, asks }),
        Format::Text if asks.is_empty() => Ok(()),
        Format::Text => {
            let state = if trusted { "trusted" } else { "not trusted" };
            print(&format!(
                "{}\n  asks for ({state})\n{}",
                plain_line(&path),
                trust::lines(&asks, usize::MAX, usize::MAX)
            ))
        }
    }?;
    let mut paths = project.manifest.components();
    paths.sort();
    paths.dedup();
    let found = paths.into_iter().map(|path| InspectedFile {
        path: project.folder.join(path),
        typed: false,
        out: leads_out(&project.folder, path).filter(|_| !trusted),
    });
    Ok(found.collect())
}

fn facts(found: &InspectedFile) -> Result<Facts, Failure> {
    let path = &found.path;
    if let Some(target) = &found.out {
        return Err(Failure::usage(format!("`{}` is not inspected", path.display()))
            .because(format!(
                "it leads to `{}`, out of its folder, which is not trusted",
                target.display()
            ))
            .hint("inspect that file itself, or see `disperse-host trust`"));
    }
    plan::read(path, found.typed).and_then(|bytes| Facts::of(path, &bytes))
}

/// Explains each of them, and those that are of no use too. Of those that cannot even be read, it says so.
pub(super) fn inspect(args: &InspectArgs) -> Result<u8, Failure> {
    let mut code = exit::DONE;
    for found in found(args)? {
        let path = &found.path;
        let facts = match facts(&found) {
            Ok(facts) => facts,
            Err(failure) => {
                failure.print();
                code = code.max(failure.code);
                if args.format == Format::Json {
                    print_line(&Line::failed(path, &failure))?;
                }
                continue;
            }
        };
        match args.format {
            Format::Json => print_line(&Line::of(path, &facts, limits())),
            Format::Text => print(&text(path, &facts)),
        }?;
        if let Err(error) = &facts.contract {
            let failure = plan::unusable(path, error);
            failure.print();
            code = code.max(failure.code);
        }
    }
    Ok(code)
}

/// One of the lines of `--format json`.
pub(super) fn json_line(line: &impl Serialize) -> String {
    format!("{}\n", plain_json(&serde_json::to_string(line).unwrap_or_default()))
}

fn print_line(line: &Line) -> Result<(), Failure> {
    print(&json_line(line))
}

/// All of it, for people.
fn text(path: &Path, facts: &Facts) -> String {
    let (path, digest, size) = (path.display(), &facts.digest, Size(facts.size as u64));
    let mut text = format!("{path}\n  sha256   {digest}\n  size     {size}\n");
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<8} {value}");
        }
    };
    row(
        "kind",
        match (facts.module, &facts.contract) {
            (true, Ok(_)) => "core module, of which a component is made when it is loaded",
            (true, Err(_)) => "core module",
            (false, _) => "component",
        },
    );
    row("language", facts.origin.language.as_deref().unwrap_or_default());
    if facts.is_program() {
        row("role", "worker: a program of WASI, run once for each action");
    } else {
        for (role, form) in facts.roles() {
            row("role", &format!("{role}, {}", form.word()));
        }
    }
    row("world", &facts.worlds().join(", "));
    row("made by", &facts.origin.producers.join(", "));
    let misspelt = facts.misspelt();
    list(
        &mut text,
        "exports",
        &facts.shape.exports,
        facts.shape.more_exports,
        |(name, ty)| {
            let meant = misspelt.iter().find(|(misspelt, _)| misspelt == name);
            let note = meant.map(|(_, meant)| format!("  (near `{meant}`, which is missing)"));
            format!("{}: {ty}{}", shown(name), note.unwrap_or_default())
        },
    );
    list(
        &mut text,
        "imports",
        &facts.shape.imports,
        facts.shape.more_imports,
        |import| {
            let note = facts.note(import).map(|note| format!("  ({})", note.text));
            format!("{}{}", shown(&import.name), note.unwrap_or_default())
        },
    );
    if facts.contract.is_err() {
        return plain(&text).into_owned();
    }
    text.push_str("  limits   unless set otherwise\n");
    for (flag, what) in limits() {
        let _ = writeln!(text, "    {flag:<19} {what}");
    }
    text.push_str("  grants   none unless given");
    let grants = facts.grants();
    if !grants.is_empty() {
        text.push_str("; its imports could use");
    }
    for (flag, what) in grants {
        let _ = write!(text, "\n    {flag}  {what}");
    }
    text.push('\n');
    plain(&text).into_owned()
}

/// Adds a line for each, not more than a person reads. `unlisted`: how many there are beside `all`.
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

/// The flags that set limits, and what holds without them.
fn limits() -> impl Iterator<Item = (&'static str, String)> {
    let (worker, planner) = (Limits::WORKER, Limits::PLANNER);
    [
        ("--fuel", Fuel(worker.fuel).to_string()),
        (
            "--memory",
            format!("{}, of a planner {}", Size(worker.memory), Size(planner.memory)),
        ),
        ("--timeout", Time::from(worker.timeout).to_string()),
        ("--result-size", Size(worker.result).to_string()),
        ("--stack", Size(STACK).to_string()),
        ("--handles", worker.handles.to_string()),
        ("--actions-in-flight", worker.in_flight.to_string()),
        ("--random-size", Size(worker.random).to_string()),
        ("--header-size", Size(worker.headers).to_string()),
        ("--log-rate", format!("{} a second", Size(worker.log_rate))),
        ("--log-size", format!("{} an attempt", Size(worker.log_size))),
        ("--compile-timeout", "15s and 4s for each MB, at most 2m".to_owned()),
        (
            "--compile-memory",
            "512MiB and 40 times the size, at most 4GiB".to_owned(),
        ),
        (
            "--host-memory",
            format!("{}, half of this machine's", Size(default_host_memory())),
        ),
    ]
    .into_iter()
}
