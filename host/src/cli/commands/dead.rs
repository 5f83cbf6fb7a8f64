//! `dead`: the actions of a run that failed.

use std::fmt::Write as _;

use super::rows::{ActionRow, write_lines};
use crate::{
    cli::{
        args::{DeadArgs, DeadCommand},
        console::{Failure, exit, json_line, print},
        recording::{RecordedRun, unusable},
    },
    report::Format,
    text::{plain, plain_line},
    units::Time,
};

/// The schema of a line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(ActionRow)
}

pub(crate) fn dead(args: &DeadArgs) -> Result<u8, Failure> {
    match &args.what {
        None => list(None, args.format)?,
        Some(DeadCommand::List(run)) => list(run.run.as_deref(), args.format)?,
        Some(DeadCommand::Show { id, run }) => show(id, run.run.as_deref(), args.format)?,
    }
    Ok(exit::DONE)
}

fn list(run: Option<&str>, format: Format) -> Result<(), Failure> {
    let reader = RecordedRun::find(run)?.reader()?;
    let lines = reader.dead().map(|action| {
        let row = ActionRow::of(action?);
        Ok(match format {
            Format::Json => json_line(&row),
            Format::Text => summary(&row) + "\n",
        })
    });
    write_lines(lines, None)
}

fn show(id: &str, run: Option<&str>, format: Format) -> Result<(), Failure> {
    let reader = RecordedRun::find(run)?.reader()?;
    for action in reader.dead() {
        let row = ActionRow::of(action.map_err(unusable)?);
        if row.id == id {
            return print(&match format {
                Format::Json => json_line(&row),
                Format::Text => details(&row),
            });
        }
    }
    Err(Failure::usage(format!("no failed action `{id}` is in the journal")).hint("`disperse-host dead` lists them"))
}

/// An action in one line: with the reason in words, and the first failed attempt. Its texts come from guests.
fn summary(row: &ActionRow) -> String {
    let message = row.message.as_deref().unwrap_or_default();
    let first: Vec<&str> = message.lines().take(2).map(str::trim).collect();
    plain_line(&format!("{}: {}", title(row), first.join("; "))).into_owned()
}

/// All of an action.
fn details(row: &ActionRow) -> String {
    let mut text = plain_line(&title(row)).into_owned();
    let _ = write!(text, "\n  at       {} of the run's time", Time(row.at_ms));
    let payload = match (&row.payload_beginning, &row.payload_beginning_base64) {
        (Some(text), _) => format!("begins with `{}`", plain_line(text)),
        (None, Some(base64)) => format!("begins with {base64} (base64)"),
        (None, None) => String::new(),
    };
    let _ = write!(
        text,
        "\n  payload  {payload}\n           SHA-256 {}",
        row.payload_sha256
    );
    for line in row.message.as_deref().unwrap_or_default().lines() {
        let _ = write!(text, "\n  {}", plain(line));
    }
    text + "\n"
}

fn title(row: &ActionRow) -> String {
    let reason = row.reason.as_deref().unwrap_or_default();
    let at = match row.attempts {
        0 => String::new(),
        attempts => format!(" at attempt {attempts}"),
    };
    format!("{} ({}): {reason}{at}", row.id, row.kind)
}
