//! `export`: rows of a journal as CSV or JSON Lines.

use std::path::Path;

use disperse_journal::JournalError;
use serde::Serialize;
use serde_json::Value;

use super::rows::{ActionRow, ResultRow, write_lines};
use crate::cli::{
    args::{ExportArgs, FileFormat, Table},
    console::{Failure, exit, json_line},
    recording::RecordedRun,
};

pub(crate) fn export(args: &ExportArgs) -> Result<u8, Failure> {
    let reader = RecordedRun::find(args.run.run.as_deref())?.reader()?;
    let row = |action: Result<_, _>| action.map(ActionRow::of);
    match args.table {
        Table::Results => write(
            args,
            reader.results().map(|task| task.map(ResultRow::of)),
            &ResultRow::COLUMNS,
        )?,
        Table::Actions => write(args, reader.actions().map(row), &ActionRow::COLUMNS)?,
        Table::Dead => write(args, reader.dead().map(row), &ActionRow::COLUMNS)?,
    }
    Ok(exit::DONE)
}

fn write<T: Serialize>(
    args: &ExportArgs,
    rows: impl Iterator<Item = Result<T, JournalError>>,
    columns: &[&str],
) -> Result<(), Failure> {
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    match args.format {
        FileFormat::Jsonl => write_lines(rows.map(|row| Ok(json_line(&row?))), file),
        FileFormat::Csv => {
            let head = csv_line(columns.iter().map(|column| (*column).to_owned()));
            let rows = rows.map(|row| Ok(csv_row(&row?, columns)));
            write_lines(std::iter::once(Ok(head)).chain(rows), file)
        }
    }
}

/// The values of a row in the order of the columns. One that is missing is empty.
fn csv_row(row: &impl Serialize, columns: &[&str]) -> String {
    let row = serde_json::to_value(row).unwrap_or_default();
    csv_line(columns.iter().map(|column| match row.get(column) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
    }))
}

/// A line of CSV, as RFC 4180 has it.
fn csv_line(values: impl Iterator<Item = String>) -> String {
    let quoted = |value: String| {
        if value.contains(['"', ',', '\r', '\n']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value
        }
    };
    values.map(quoted).collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_need_it() {
        let values = ["a", "", "b c", "d,e", "say \"f\"", "g\nh", "i\r"];
        let line = csv_line(values.map(str::to_owned).into_iter());
        assert_eq!(line, "a,,b c,\"d,e\",\"say \"\"f\"\"\",\"g\nh\",\"i\r\"\r\n");
    }
}
