//! `explain`, `readmit`, `workers` and `drain`: queries to a running run, to the record of an ended one, or to the journal of one that
//! was killed.

use std::{fmt::Write as _, path::PathBuf};

use super::{model::Explanation, text};
use crate::{
    cli::{
        args::{Explain, QueryArgs},
        commands::runs,
        console::{Failure, exit, json_line, print, print_stderr},
        recording::RecordedRun,
    },
    control::{AskError, Folder, Known, Query, RunId, State, ask},
    report::Format,
    text::{plain, plain_line},
};

/// The most runs that an error lists. Arbitrary.
const LISTED_MAX: usize = 5;

/// Explains a run, an action or a worker.
pub(crate) fn explain(what: Option<&Explain>, args: &QueryArgs) -> Result<u8, Failure> {
    let query = match what {
        None | Some(Explain::Run) => Query::Run,
        Some(Explain::Action { id }) => Query::Action { id: action(id)? },
        Some(Explain::Worker { name }) => Query::Worker { name: name.clone() },
    };
    query_run(&query, args)
}

/// Sends a query to a run, and prints the response. Queries that change a run need one that has not ended.
pub(crate) fn query_run(query: &Query, args: &QueryArgs) -> Result<u8, Failure> {
    let changes = matches!(
        query,
        Query::Readmit { .. } | Query::Workers { .. } | Query::Drain { .. }
    );
    let unusable = |error: std::io::Error| Failure::machine("cannot read the folder of run records", &error);
    let folder = Folder::find().map_err(unusable)?.ok_or_else(no_runs)?;
    let (runs, foreign) = folder.look().map_err(unusable)?;
    skipped(&foreign);
    let runs = with_recorded(runs)?;
    let run = match &args.run {
        Some(text) => named(text, &runs)?,
        None => newest(&runs, changes)?,
    };
    if changes && run.state == State::Ended {
        return Err(Failure::usage(format!("the run {} has ended", run.id)).hint(list_runs(&runs)));
    }
    if let Some(explanation) = recorded(query, run)? {
        return shown(&explanation, args.format);
    }
    let response = ask(&folder, &run.id, query).map_err(|error| match error {
        AskError::Problem(problem) => {
            // Names in it may be forged; each part is one line.
            let failure = Failure::usage(plain_line(&problem.what));
            match problem.hint {
                Some(hint) => failure.hint(plain_line(&hint)),
                None => failure,
            }
        }
        AskError::Killed => Failure::usage(format!("the run {} was killed, and left no record", run.id))
            .because("its socket exists but no process listens; a run writes its record when it ends")
            .hint("the socket has been removed; select an earlier run with `--run`"),
        error => Failure::machine(format!("the run {} cannot be queried", run.id), &error),
    })?;
    shown(&Explanation::of(response), args.format)
}

fn shown(explanation: &Explanation, format: Format) -> Result<u8, Failure> {
    print(&match format {
        Format::Json => json_line(explanation),
        Format::Text => text::explanation(explanation),
    })?;
    Ok(exit::DONE)
}

/// Adds the runs of which only the journal is left.
fn with_recorded(mut runs: Vec<Known>) -> Result<Vec<Known>, Failure> {
    for run in RecordedRun::all()? {
        let id = RunId::parse(&run.name()).filter(|id| runs.iter().all(|known| known.id != *id));
        runs.extend(id.map(|id| Known {
            id,
            state: State::Killed,
        }));
    }
    runs.sort_by(|one, other| other.id.cmp(&one.id));
    Ok(runs)
}

/// What the journal has of a run that neither answers nor left a record. None: it may answer, or has no journal.
fn recorded(query: &Query, run: &Known) -> Result<Option<Explanation>, Failure> {
    let journal = (run.state == State::Killed).then(|| RecordedRun::find(Some(run.id.as_str())));
    let Some(Ok(journal)) = journal else {
        return Ok(None);
    };
    if !matches!(query, Query::Run) {
        return Err(
            Failure::usage(format!("no process answers for the run {}", run.id)).hint(format!(
                "its journal is left: see `disperse-host runs show {0}` and `disperse-host dead list {0}`",
                run.id
            )),
        );
    }
    Ok(Some(Explanation::recorded(runs::RunLine::detailed(&journal)?)))
}

/// Warns about files that are named like run records but are neither files nor sockets.
fn skipped(foreign: &[PathBuf]) {
    let Some(first) = foreign.first() else { return };
    let more = match foreign.len() {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    print_stderr(&plain(&format!(
        "warning: skipped `{}`{more}: a link, or neither a file nor a socket",
        first.display()
    )));
}

/// The number of an action, written as `17`, `#17` or `a17`, or as an attempt at it, `#17.2`.
fn action(text: &str) -> Result<u64, Failure> {
    let number = text.rsplit_once('#').map_or(text, |(_, number)| number);
    let number = number.strip_prefix('a').unwrap_or(number);
    let number = number.split_once('.').map_or(number, |(action, _)| action);
    number.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is not an action")).hint(
            "give its number, which -v and `--format json` show with each failure: `#17.2` is attempt 2 of action 17",
        )
    })
}

/// The run with this name, or with a name that begins or ends like this.
fn named<'a>(text: &str, runs: &'a [Known]) -> Result<&'a Known, Failure> {
    let mut meant = runs.iter().filter(|run| run.id.is_meant_by(text));
    match (meant.next(), meant.next()) {
        (Some(run), None) => Ok(run),
        (Some(_), Some(_)) => Err(Failure::usage(format!("`{text}` matches several runs")).hint(list_runs(runs))),
        (None, _) => Err(Failure::usage(format!("there is no run `{text}` in this folder")).hint(list_runs(runs))),
    }
}

/// The default run: the newest one that is running. A query that changes nothing may also go to the newest one that is not.
fn newest(runs: &[Known], changes: bool) -> Result<&Known, Failure> {
    let mut up = runs.iter().filter(|run| run.state == State::Up);
    match (up.next(), up.next()) {
        (Some(_), Some(_)) if changes => Err(Failure::usage("several runs are active in this folder")
            .hint(format!("select one with --run; {}", list_runs(runs)))),
        (Some(run), _) => Ok(run),
        (None, _) if changes => Err(Failure::usage("no run is active in this folder").hint(list_runs(runs))),
        (None, _) => runs.first().ok_or_else(no_runs),
    }
}

fn no_runs() -> Failure {
    Failure::usage("no run is active in this folder, and no record of one is left")
        .hint("query a run in the folder where it was started; a run with --no-socket cannot be queried")
}

/// The runs of this folder with their states, for a hint.
fn list_runs(runs: &[Known]) -> String {
    if runs.is_empty() {
        return "this folder has no runs: query a run in the folder where it was started".to_owned();
    }
    let mut text = "runs of this folder: ".to_owned();
    for (index, run) in runs.iter().take(LISTED_MAX).enumerate() {
        let state = match run.state {
            State::Up => "active",
            State::Ended => "ended",
            State::Killed => "killed",
        };
        let _ = write!(text, "{}{} ({state})", if index == 0 { "" } else { ", " }, run.id);
    }
    if runs.len() > LISTED_MAX {
        let _ = write!(text, " and {} more", runs.len() - LISTED_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, state: State) -> Known {
        Known {
            id: RunId::parse(id).unwrap(),
            state,
        }
    }

    #[test]
    fn actions_and_attempts_are_parsed_in_all_notations() {
        for text in ["17", "a17", "#17", "#17.2", "pool/a#17.2", "17.2"] {
            assert_eq!(action(text).unwrap(), 17, "{text}");
        }
        for text in ["", "x", "-1", "#"] {
            assert!(action(text).is_err(), "{text}");
        }
    }

    #[test]
    fn default_run_is_the_newest_unless_a_change_would_be_ambiguous() {
        let (new, old) = (
            run("20260102-000000-bbbbb", State::Up),
            run("20260101-000000-aaaaa", State::Up),
        );
        let ended = run("20260103-000000-ccccc", State::Ended);
        let all = [ended.clone(), new.clone(), old.clone()];
        assert_eq!(newest(&all, false).unwrap(), &new);
        assert!(newest(&all, true).is_err());
        assert_eq!(newest(&all[..2], true).unwrap(), &new);
        assert_eq!(newest(&all[..1], false).unwrap(), &ended);
        assert!(newest(&all[..1], true).is_err());
        assert_eq!(named("aaaa", &all).unwrap(), &old);
        assert!(named("2026010", &all).is_err());
        assert!(named("zzzz", &all).is_err());
    }
}
