//! `runs rm`: removes journals.

use disperse_protocol::wall_clock::unix_ms;

use super::{
    line::{Line, RemovedLine},
    text,
};
use crate::{
    cli::{
        args::{Keep, RemoveArgs},
        console::{Failure, json_line, print},
        recording::RecordedRun,
    },
    report::Format,
    units::Size,
};

/// Removes the named runs, or those beyond what is kept, and prints what it removed.
pub(super) fn remove(args: &RemoveArgs, format: Format) -> Result<(), Failure> {
    let runs = match args.keep {
        Some(keep) => beyond(keep)?,
        None => named(&args.runs)?,
    };
    let mut bytes = 0;
    for run in &runs {
        let line = RemovedLine {
            id: run.name(),
            bytes: if args.dry_run { run.bytes() } else { run.remove()? },
            dry_run: args.dry_run,
        };
        bytes += line.bytes;
        print(&match format {
            Format::Json => json_line(&Line::Removed(line)),
            Format::Text => text::removed(&line),
        })?;
    }
    if format == Format::Text && runs.len() != 1 {
        print(&format!("{} runs, {}\n", runs.len(), Size(bytes)))?;
    }
    Ok(())
}

/// The runs with these names, none of which goes on.
fn named(names: &[String]) -> Result<Vec<RecordedRun>, Failure> {
    let mut runs: Vec<RecordedRun> = Vec::new();
    for name in names {
        let run = RecordedRun::find(Some(name))?;
        run.check_free()?;
        if runs.iter().all(|known| known.journal() != run.journal()) {
            runs.push(run);
        }
    }
    Ok(runs)
}

/// The runs that finished or failed, but for those that are kept.
fn beyond(keep: Keep) -> Result<Vec<RecordedRun>, Failure> {
    let now = unix_ms();
    let runs = RecordedRun::ended()?
        .enumerate()
        .filter(|(index, (ended, _))| match keep {
            Keep::Newest(count) => *index >= count,
            Keep::Within(time) => ended.is_some_and(|ended| u128::from(now.saturating_sub(ended)) > time.as_millis()),
        });
    Ok(runs.map(|(_, (_, run))| run).collect())
}
