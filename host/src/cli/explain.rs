//! `explain`, `readmit`, `workers` and `drain`: talking to a run that goes on, or to what is kept of one.

use std::{fmt::Write as _, path::PathBuf};

use super::{
    args::{AskArgs, Explain},
    error::{Failure, say},
    exit,
    explained::Explanation,
    inspect::json_line,
    output::print,
    words,
};
use crate::{
    control::{AskError, Folder, Known, Query, State, ask},
    report::Format,
    text::{plain, plain_line},
};

/// How many runs an error lists. Arbitrary.
const LISTED_MAX: usize = 5;

/// Explains a run, an action or a worker.
pub(super) fn explain(what: Option<&Explain>, args: &AskArgs) -> Result<u8, Failure> {
    let query = match what {
        None | Some(Explain::Run) => Query::Run,
        Some(Explain::Action { id }) => Query::Action { id: action(id)? },
        Some(Explain::Worker { name }) => Query::Worker { name: name.clone() },
    };
    put(&query, args)
}

/// Asks, and prints what is said. For a change: only a run that goes on can be changed.
pub(super) fn put(query: &Query, args: &AskArgs) -> Result<u8, Failure> {
    let changes = matches!(
        query,
        Query::Readmit { .. } | Query::Workers { .. } | Query::Drain { .. }
    );
    let unusable = |error: std::io::Error| Failure::machine("cannot look into the folder of run records", &error);
    let folder = Folder::find().map_err(unusable)?.ok_or_else(nothing)?;
    let (runs, foreign) = folder.look().map_err(unusable)?;
    skipped(&foreign);
    let run = match &args.run {
        Some(text) => named(text, &runs)?,
        None => newest(&runs, changes)?,
    };
    if changes && run.state == State::Ended {
        return Err(Failure::usage(format!("the run {} has ended", run.id)).hint(known(&runs)));
    }
    let response = ask(&folder, &run.id, query).map_err(|error| match error {
        AskError::Problem(problem) => {
            // Names in it can be forged, and neither part of it has more than one line.
            let failure = Failure::usage(plain_line(&problem.what));
            match problem.hint {
                Some(hint) => failure.hint(plain_line(&hint)),
                None => failure,
            }
        }
        AskError::Killed => Failure::usage(format!("the run {} was killed, and nothing is kept of it", run.id))
            .because("its socket is there and nobody listens; what a run knows is kept when it comes to its end")
            .hint("the socket is removed now; `--run` names an earlier run"),
        error => Failure::machine(format!("the run {} cannot be asked", run.id), &error),
    })?;
    let explanation = Explanation::of(response);
    let text = match args.format {
        Format::Json => json_line(&explanation),
        Format::Text => words::explanation(&explanation),
    };
    print(&text)?;
    Ok(exit::DONE)
}

/// Warns of files that have a name of a run and are none of its files.
fn skipped(foreign: &[PathBuf]) {
    let Some(first) = foreign.first() else { return };
    let more = match foreign.len() {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    say(&plain(&format!(
        "warning: `{}`{more} skipped: a link, or neither a file nor a socket",
        first.display()
    )));
}

/// An action, as it is written somewhere: `17`, `#17`, `a17`, or an attempt at it, `#17.2`.
fn action(text: &str) -> Result<u64, Failure> {
    let number = text.rsplit_once('#').map_or(text, |(_, number)| number);
    let number = number.strip_prefix('a').unwrap_or(number);
    let number = number.split_once('.').map_or(number, |(action, _)| action);
    number.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is no action"))
            .hint("actions have numbers, which -v and `--format json` say with each failure, as in `#17.2`: attempt 2 of action 17")
    })
}

/// The run that is meant by its name, its beginning or its end.
fn named<'a>(text: &str, runs: &'a [Known]) -> Result<&'a Known, Failure> {
    let mut meant = runs.iter().filter(|run| run.id.is_meant_by(text));
    match (meant.next(), meant.next()) {
        (Some(run), None) => Ok(run),
        (Some(_), Some(_)) => Err(Failure::usage(format!("`{text}` could be several runs")).hint(known(runs))),
        (None, _) => Err(Failure::usage(format!("there is no run `{text}` in this folder")).hint(known(runs))),
    }
}

/// The run that is meant by saying nothing: the newest that goes on. What changes nothing may also mean the newest that does
/// not.
fn newest(runs: &[Known], changes: bool) -> Result<&Known, Failure> {
    let mut up = runs.iter().filter(|run| run.state == State::Up);
    match (up.next(), up.next()) {
        (Some(_), Some(_)) if changes => Err(Failure::usage("several runs are going on in this folder")
            .hint(format!("say which with --run; {}", known(runs)))),
        (Some(run), _) => Ok(run),
        (None, _) if changes => Err(Failure::usage("no run is going on in this folder").hint(known(runs))),
        (None, _) => runs.first().ok_or_else(nothing),
    }
}

fn nothing() -> Failure {
    Failure::usage("no run is going on in this folder, and none is kept")
        .hint("a run is asked in the folder where it was started; with --no-socket it cannot be asked at all")
}

/// The runs that there are, in a few words.
fn known(runs: &[Known]) -> String {
    if runs.is_empty() {
        return "none is known here: a run is asked in the folder where it was started".to_owned();
    }
    let mut text = "known here: ".to_owned();
    for (index, run) in runs.iter().take(LISTED_MAX).enumerate() {
        let state = match run.state {
            State::Up => "going on",
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
    use crate::control::RunId;

    fn run(id: &str, state: State) -> Known {
        Known {
            id: RunId::parse(id).unwrap(),
            state,
        }
    }

    #[test]
    fn an_action_is_found_however_it_is_written() {
        for text in ["17", "a17", "#17", "#17.2", "pool/a#17.2", "17.2"] {
            assert_eq!(action(text).unwrap(), 17, "{text}");
        }
        for text in ["", "x", "-1", "#"] {
            assert!(action(text).is_err(), "{text}");
        }
    }

    #[test]
    fn saying_nothing_means_the_newest_run_unless_that_could_do_harm() {
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
