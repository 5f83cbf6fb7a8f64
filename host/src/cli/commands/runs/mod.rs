//! `runs`: the runs that have a journal here.

mod line;
mod remove;
mod text;

use self::line::Line;
pub(crate) use self::{line::RunLine, text::details};
use crate::{
    cli::{
        args::{RunsArgs, RunsCommand},
        console::{Failure, exit, json_line, print, print_stderr},
        recording::RecordedRun,
    },
    report::Format,
};

/// The schema of a line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

pub(crate) fn runs(args: &RunsArgs) -> Result<u8, Failure> {
    match &args.what {
        None | Some(RunsCommand::List) => list(args.format)?,
        Some(RunsCommand::Show(run)) => show(&RecordedRun::find(run.run.as_deref())?, args.format)?,
        Some(RunsCommand::Remove(remove)) => remove::remove(remove, args.format)?,
    }
    Ok(exit::DONE)
}

fn list(format: Format) -> Result<(), Failure> {
    let runs: Vec<RunLine> = RecordedRun::all()?.iter().map(RunLine::of).collect();
    if runs.is_empty() {
        print_stderr("no run has a journal here");
        return Ok(());
    }
    print(&match format {
        Format::Json => runs.into_iter().map(|run| json_line(&Line::run(run))).collect(),
        Format::Text => text::table(&runs),
    })
}

fn show(run: &RecordedRun, format: Format) -> Result<(), Failure> {
    let line = RunLine::detailed(run)?;
    print(&match format {
        Format::Json => json_line(&Line::run(line)),
        Format::Text => details(&line) + "\n",
    })
}
