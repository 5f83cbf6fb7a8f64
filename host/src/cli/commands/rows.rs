//! The rows that `results`, `export` and `dead` read from a journal: their lines, and how they are written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use disperse_journal::{EndedTask, JournalError, SettledAction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        console::{Failure, to_stdout},
        recording::unusable,
    },
    report::text_or_base64,
};

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct ResultRow {
    /// The key of the line: the number of the task.
    id: u64,
    /// From 1 in the order of being handed out.
    task: u64,
    /// Its input, if that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    input: Option<String>,
    /// Its input, if that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    input_base64: Option<String>,
    /// Its result, if that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    result: Option<String>,
    /// Its result, if that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    result_base64: Option<String>,
    /// Why it has no result.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<String>,
    /// From its start to its end, in ms of the run's time.
    ms: u64,
}

impl ResultRow {
    /// The columns of a table of them.
    pub(super) const COLUMNS: [&str; 8] = [
        "id",
        "task",
        "input",
        "input_base64",
        "result",
        "result_base64",
        "error",
        "ms",
    ];

    pub(super) fn of(ended: EndedTask) -> Self {
        let (input, input_base64) = text_or_base64(&ended.input);
        let ((result, result_base64), error) = match ended.outcome {
            Ok(result) => (text_or_base64(&result), None),
            Err(error) => ((None, None), Some(error)),
        };
        Self {
            id: ended.task.0,
            task: ended.task.0,
            input,
            input_base64,
            result,
            result_base64,
            error,
            ms: ended.ms,
        }
    }
}

/// An action that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct ActionRow {
    /// `TASK-REQUEST`: the end of the name that workers see.
    pub(super) id: String,
    pub(super) task: u64,
    /// From 1 in the order in which the task made its requests.
    pub(super) request: u32,
    pub(super) kind: String,
    /// Its result, if that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) result: Option<String>,
    /// Its result, if that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) result_base64: Option<String>,
    /// Why it has no result: permanent, exhausted, poison, unroutable, cancelled, deadline or oversize.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) message: Option<String>,
    pub(super) attempts: u32,
    /// The run's time at its end.
    pub(super) at_ms: u64,
    /// The first 64 bytes of its payload, if they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) payload_beginning: Option<String>,
    /// The first 64 bytes of its payload, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) payload_beginning_base64: Option<String>,
    /// SHA-256 of the whole payload.
    pub(super) payload_sha256: String,
}

impl ActionRow {
    /// The columns of a table of them.
    pub(super) const COLUMNS: [&str; 13] = [
        "id",
        "task",
        "request",
        "kind",
        "result",
        "result_base64",
        "reason",
        "message",
        "attempts",
        "at_ms",
        "payload_beginning",
        "payload_beginning_base64",
        "payload_sha256",
    ];

    pub(super) fn of(settled: SettledAction) -> Self {
        let (task, request) = (settled.name.task.0, settled.name.request);
        let ((result, result_base64), failed) = match settled.outcome {
            Ok(result) => (text_or_base64(&result), None),
            Err(failed) => ((None, None), Some(failed)),
        };
        let (reason, message) = failed.map(|failed| (failed.reason, failed.message)).unzip();
        let (payload_beginning, payload_beginning_base64) = text_or_base64(whole(&settled.payload_beginning));
        Self {
            id: format!("{task}-{request}"),
            task,
            request,
            kind: settled.kind,
            result,
            result_base64,
            reason,
            message,
            attempts: settled.attempts,
            at_ms: settled.settled_ms,
            payload_beginning,
            payload_beginning_base64,
            payload_sha256: settled.payload_sha256,
        }
    }
}

/// The beginning of a text without the part of a character at its end.
fn whole(beginning: &[u8]) -> &[u8] {
    match std::str::from_utf8(beginning) {
        Err(error) if error.error_len().is_none() => beginning.get(..error.valid_up_to()).unwrap_or(beginning),
        _ => beginning,
    }
}

/// Writes lines to a file, or to stdout, as they are read. A reader of stdout that closes it early is not an error.
///
/// # Errors
/// The journal cannot be read, or the output not be written.
pub(super) fn write_lines<L: AsRef<[u8]>>(
    lines: impl Iterator<Item = Result<L, JournalError>>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let mut unread = None;
    let write = |output: &mut dyn Write| -> io::Result<()> {
        let mut output = BufWriter::new(output);
        for line in lines {
            match line {
                Ok(line) => output.write_all(line.as_ref())?,
                Err(error) => {
                    unread = Some(error);
                    break;
                }
            }
        }
        output.flush()
    };
    match file {
        None => to_stdout(|| write(&mut io::stdout().lock()))?,
        Some(path) => File::create(path)
            .and_then(|mut file| write(&mut file))
            .map_err(|error| Failure::machine(format!("cannot write `{}`", path.display()), &error))?,
    }
    unread.map_or(Ok(()), |error| Err(unusable(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields in the schema of a row.
    fn fields<T: JsonSchema>() -> Vec<String> {
        let schema = schemars::schema_for!(T).to_value();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn table_has_a_column_for_each_field() {
        let sorted = |columns: &[&str]| {
            let mut columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
            columns.sort();
            columns
        };
        assert_eq!(sorted(&ResultRow::COLUMNS), fields::<ResultRow>());
        assert_eq!(sorted(&ActionRow::COLUMNS), fields::<ActionRow>());
    }

    #[test]
    fn beginning_of_a_text_ends_with_a_whole_character() {
        let text = "é".repeat(32) + "x";
        assert_eq!(whole(&text.as_bytes()[1..]), &text.as_bytes()[1..]);
        assert_eq!(whole(&text.as_bytes()[..63]), &text.as_bytes()[..62]);
        assert_eq!(whole(b"\xff\xc3"), b"\xff\xc3");
    }
}
