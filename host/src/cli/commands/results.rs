//! `results`: the results that a run has so far.

use disperse_journal::EndedTask;

use super::rows::{ResultRow, write_lines};
use crate::{
    cli::{
        args::ResultsArgs,
        console::{Failure, exit, json_line, print_stderr},
        recording::RecordedRun,
    },
    report::Format,
};

/// The schema of a line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(ResultRow)
}

pub(crate) fn results(args: &ResultsArgs) -> Result<u8, Failure> {
    let reader = RecordedRun::find(args.run.run.as_deref())?.reader()?;
    let mut failed = 0_u64;
    let lines = reader.results().map(|task| {
        let task = task?;
        let line = match (args.format, task.outcome) {
            (Format::Json, outcome) => json_line(&ResultRow::of(EndedTask { outcome, ..task })).into_bytes(),
            (Format::Text, Ok(mut result)) => {
                result.push(b'\n');
                result
            }
            (Format::Text, Err(_)) => {
                failed += 1;
                Vec::new()
            }
        };
        Ok(line)
    });
    write_lines(lines, None)?;
    if failed > 0 && !args.quiet {
        print_stderr(&format!("{failed} tasks failed: --format json shows why"));
    }
    Ok(exit::DONE)
}
