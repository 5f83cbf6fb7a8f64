//! `explain`, `readmit` and `drain`: talking to a run from another terminal.

use std::fmt::Write;

use super::{
    args::{DrainArgs, ExplainArgs, ExplainWhat, Place, ReadmitArgs},
    error::Failure,
    exit, inspect,
};
use crate::{
    control::{
        ActionExplained, AskError, Explained, Folder, Problem, Query, RunExplained, RunId, Said, State,
        WorkerExplained, ask,
    },
    report::Format,
    units::Time,
};

pub(super) fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let query = match &args.what {
        None | Some(ExplainWhat::Run) => Query::Run,
        Some(ExplainWhat::Action { id }) => Query::Action { id: *id },
        Some(ExplainWhat::Worker { name }) => Query::Worker { name: name.clone() },
    };
    talk(&args.place, &query)
}

pub(super) fn readmit(args: &ReadmitArgs) -> Result<u8, Failure> {
    let worker = args.worker.clone();
    talk(&args.place, &Query::Readmit { worker })
}

pub(super) fn drain(args: &DrainArgs) -> Result<u8, Failure> {
    let worker = args.worker.clone();
    talk(&args.place, &Query::Drain { worker })
}

fn talk(place: &Place, query: &Query) -> Result<u8, Failure> {
    let unusable = |error: std::io::Error| Failure::machine("cannot look into the folder `.disperse`", &error);
    let folder = Folder::find().map_err(unusable)?.ok_or_else(nothing)?;
    let id = choose(&folder, place.run.as_deref())?;
    let said = ask(&folder, &id, query).map_err(|error| failed(&id, error))?;
    let text = match place.format {
        Format::Json => format!("{}\n", serde_json::to_string(&said).unwrap_or_default()),
        Format::Text => words(&said),
    };
    inspect::print(&text)?;
    Ok(exit::DONE)
}

fn nothing() -> Failure {
    Failure::usage("no run is known in this folder")
        .because("there is no `.disperse` of a run here")
        .hint("run this in the folder in which `disperse-host run` was started")
}

/// Which run is meant: what was typed, else the only one that goes on, else the newest.
fn choose(folder: &Folder, typed: Option<&str>) -> Result<RunId, Failure> {
    let unusable = |error: std::io::Error| Failure::machine("cannot look into the folder `.disperse`", &error);
    let runs = folder.runs().map_err(unusable)?;
    let list = |runs: &[&RunId]| {
        let names: Vec<String> = runs.iter().take(10).map(ToString::to_string).collect();
        names.join(", ")
    };
    if let Some(typed) = typed {
        let meant: Vec<&RunId> = runs
            .iter()
            .map(|known| &known.id)
            .filter(|id| id.is_meant_by(typed))
            .collect();
        return match meant.as_slice() {
            [only] => Ok((*only).clone()),
            [] => {
                let all: Vec<&RunId> = runs.iter().map(|known| &known.id).collect();
                Err(Failure::usage(format!("no run is called `{typed}` here"))
                    .hint(format!("known are {}", list(&all))))
            }
            several => Err(Failure::usage(format!("`{typed}` may be any of several runs"))
                .hint(format!("they are {}", list(several)))),
        };
    }
    let up: Vec<&RunId> = runs
        .iter()
        .filter(|known| known.state == State::Up)
        .map(|known| &known.id)
        .collect();
    match (up.as_slice(), runs.first()) {
        ([only], _) => Ok((*only).clone()),
        ([], Some(newest)) => Ok(newest.id.clone()),
        ([], None) => Err(nothing()),
        (several, _) => Err(Failure::usage("several runs go on in this folder")
            .hint(format!("say which one with --run: {}", list(several)))),
    }
}

fn failed(id: &RunId, error: AskError) -> Failure {
    match error {
        AskError::Problem(Problem { what, hint }) => {
            let failure = Failure::usage(what);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
        AskError::Io(error) => Failure::machine(format!("cannot talk to the run {id}"), &error),
        other => Failure::usage(format!("the run {id} cannot be asked")).because(other),
    }
}

/// What was said, for people.
fn words(said: &Said) -> String {
    let mut text = String::new();
    let when = Time::from(std::time::Duration::from_millis(said.at_ms));
    let state = if said.ended { "ended after" } else { "goes on since" };
    match &said.explained {
        Explained::Done { message } => {
            let _ = writeln!(text, "{message}");
            return text;
        }
        Explained::Run(run) => {
            let _ = writeln!(text, "run {} {state} {when}", said.run);
            run_words(&mut text, run);
        }
        Explained::Action(action) => action_words(&mut text, action),
        Explained::Worker(worker) => worker_words(&mut text, worker),
    }
    text
}

fn run_words(text: &mut String, run: &RunExplained) {
    if run.stopping {
        let _ = writeln!(text, "it is being stopped: no more attempts are started");
    }
    let total = run.tasks_total.map_or_else(String::new, |total| format!(" of {total}"));
    let left = run
        .left_ms
        .map_or_else(String::new, |left| format!(", about {} left", Time(left)));
    let _ = writeln!(
        text,
        "tasks: {}{total} done, {} failed, {} in flight{left}",
        run.tasks_done, run.tasks_failed, run.tasks_in_flight
    );
    let _ = writeln!(
        text,
        "actions: {} done, {} without a result, {} running, {} waiting, {} retries",
        run.actions_done, run.actions_refused, run.actions_running, run.waiting.all, run.retries
    );
    let waiting = &run.waiting;
    let looked = match waiting.looked_at < waiting.all {
        true => format!(" (of {} that were looked at)", waiting.looked_at),
        false => String::new(),
    };
    for (count, what) in [
        (waiting.for_a_free_worker, "wait until a worker is free"),
        (waiting.for_a_limit, "wait for workers that are at a limit"),
        (waiting.for_another_worker, "wait for a worker that has not failed them"),
        (
            waiting.for_any_worker,
            "wait though none of their workers is given work now",
        ),
        (waiting.resting, "rest, because every worker failed them"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}{looked}");
        }
    }
    let workers: Vec<String> = run
        .workers
        .iter()
        .map(|(health, count)| format!("{count} {health}"))
        .collect();
    let _ = writeln!(text, "workers: {}", workers.join(", "));
    for worker in &run.notable {
        let _ = writeln!(text, "  {}: {}", worker.id, worker.words);
    }
    if run.notable_more > 0 {
        let _ = writeln!(text, "  and {} more", run.notable_more);
    }
    for line in run.quotas.iter().chain(&run.remarks) {
        let _ = writeln!(text, "{line}");
    }
}

fn action_words(text: &mut String, action: &ActionExplained) {
    let _ = writeln!(
        text,
        "action {} ({}) of task {}: {}",
        action.id, action.kind, action.task, action.words
    );
    for attempt in &action.attempts {
        let _ = writeln!(
            text,
            "  at {} attempt {} failed on {}, {}: {}\n    {}",
            Time(attempt.at_ms),
            attempt.attempt,
            attempt.worker,
            attempt.class,
            indented(&attempt.message),
            attempt.verdict
        );
    }
}

fn worker_words(text: &mut String, worker: &WorkerExplained) {
    let _ = writeln!(
        text,
        "worker {}: {}, since {}",
        worker.id,
        worker.words,
        Time(worker.since_ms)
    );
    let _ = writeln!(
        text,
        "attempts: {} with a result, {} failed, {} lost, busy {} times, at fault {} times, quarantined {} times",
        worker.ok, worker.failed, worker.lost, worker.busy, worker.faults, worker.quarantines
    );
    for line in &worker.quotas {
        let _ = writeln!(text, "{line}");
    }
    for line in &worker.has {
        let _ = writeln!(text, "has {line}");
    }
    let more = u64::from(worker.holds).saturating_sub(worker.has.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "has {more} more");
    }
    for turn in &worker.history {
        let _ = writeln!(text, "at {}: {}", Time(turn.at_ms), turn.words);
    }
    if worker.failures_forgotten > 0 {
        let _ = writeln!(text, "{} earlier failures are not kept", worker.failures_forgotten);
    }
    for failure in &worker.failures {
        let _ = writeln!(
            text,
            "failed here at {}: action {} ({}) attempt {}, {}: {}\n    {}; {}",
            Time(failure.at_ms),
            failure.action,
            failure.kind,
            failure.attempt,
            failure.class,
            indented(&failure.message),
            failure.fate,
            failure.verdict
        );
    }
}

/// A guest's words: in their place, and no commands to a terminal.
fn indented(message: &str) -> String {
    crate::report::plain(message).replace('\n', "\n    ")
}
