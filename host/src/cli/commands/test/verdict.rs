//! The result of a test, and its comparison with the expectations.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::console::{Failure, exit},
    driver::Rehearsed,
    files::{self, FolderReader},
    inbox::RunSummary,
    run::{self, Stage},
    script::{FILE_MAX, Script, diff, shown},
    units::Time,
};

/// The mode of a golden log that is written, before the umask.
const GOLDEN_MODE: u32 = 0o666;

/// The result of one test.
pub(super) struct Verdict {
    /// The differences from the expectations. Empty: the test passed.
    pub(super) problems: Vec<Problem>,
    /// The golden log, and whether it was written. None: the script has `golden = false`.
    pub(super) golden: Option<(PathBuf, bool)>,
    /// Whether the test finished.
    pub(super) ended: bool,
    pub(super) summary: RunSummary,
    pub(super) log: String,
    pub(super) events: usize,
    pub(super) took: Time,
    /// Log lines of guests.
    pub(super) guest_logs: Vec<String>,
}

/// A difference from an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Problem {
    pub(super) what: What,
    /// The difference as a sentence.
    pub(super) message: String,
    /// The lines that differ, with a few around them: `-` is expected, `+` is found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) diff: Option<String>,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// The test did not finish. Nothing else is compared then.
    End,
    /// The exit code.
    Exit,
    /// The output.
    Output,
    /// The log differs from the golden log.
    Log,
}

impl Problem {
    fn new(what: What, message: impl Into<String>) -> Self {
        Self {
            what,
            message: message.into(),
            diff: None,
        }
    }

    fn diff(mut self, lines: String) -> Self {
        self.diff = Some(lines);
        self
    }
}

impl Verdict {
    /// Runs a test. `reader` reads the golden log. `update`: a golden log that differs is rewritten, which is no problem.
    ///
    /// # Errors
    /// The machine failed, or a golden log cannot be read or written.
    pub(super) async fn of(
        stage: &Stage,
        path: &Path,
        script: Script,
        reader: &FolderReader<'_>,
        update: bool,
    ) -> Result<Self, Failure> {
        let (output, exit, compared) = (script.output.clone(), script.exit, script.golden);
        let rehearsed = run::rehearse(stage, script)
            .await
            .map_err(|error| Failure::machine("the test was stopped by the machine", &error))?;
        let Rehearsed {
            summary,
            log,
            trouble,
            said,
            took,
        } = rehearsed;
        let events = log.lines();
        let (log, written) = log.into_parts();
        let mut verdict = Self {
            problems: Vec::new(),
            golden: compared.then(|| (path.with_extension("golden"), false)),
            ended: trouble.is_none(),
            summary,
            log,
            events,
            took: took.into(),
            guest_logs: said.iter().map(ToString::to_string).collect(),
        };
        // A test that did not finish is not compared.
        if let Some(trouble) = trouble {
            verdict.problems.push(Problem::new(What::End, trouble));
            return Ok(verdict);
        }
        let found = exit::code(&verdict.summary, 0);
        if found != exit {
            let failure = verdict.summary.failure.as_ref();
            let why = failure.map_or_else(String::new, |failure| format!(": {failure}"));
            let message = format!("the exit code is {found}, expected {exit}{why}");
            verdict.problems.push(Problem::new(What::Exit, message));
        }
        verdict
            .problems
            .extend(output.and_then(|output| differs(&output, &written)));
        verdict.compare(reader, update)?;
        Ok(verdict)
    }

    pub(super) fn has_passed(&self) -> bool {
        self.problems.is_empty()
    }

    /// The exit code that `run` would have had. None: the test did not finish.
    pub(super) fn exit(&self) -> Option<u8> {
        self.ended.then(|| exit::code(&self.summary, 0))
    }

    /// The golden log, if it was written.
    pub(super) fn written(&self) -> Option<&Path> {
        self.golden
            .as_ref()
            .filter(|(_, written)| *written)
            .map(|(path, _)| path.as_path())
    }

    /// Compares the log with the golden log, or writes the latter.
    fn compare(&mut self, reader: &FolderReader<'_>, update: bool) -> Result<(), Failure> {
        let Some((golden, written)) = &mut self.golden else {
            return Ok(());
        };
        let known = match reader.read_text(golden, FILE_MAX) {
            Ok(known) => Some(known),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Failure::usage(format!("cannot read `{}`", golden.display())).because(error));
            }
        };
        if known.as_ref() == Some(&self.log) {
            return Ok(());
        }
        if update {
            files::replace(golden, self.log.as_bytes(), GOLDEN_MODE)
                .map_err(|error| Failure::machine(format!("cannot write `{}`", golden.display()), &error))?;
            *written = true;
            return Ok(());
        }
        self.problems.push(match known {
            None => Problem::new(
                What::Log,
                format!(
                    "`{}` is missing; show the log with -v, and write it with --update",
                    golden.display()
                ),
            ),
            Some(known) => Problem::new(
                What::Log,
                format!(
                    "the log differs from `{}`; if the change is intended, write it with --update",
                    golden.display()
                ),
            )
            .diff(diff(&known, &self.log)),
        });
        Ok(())
    }
}

/// The difference of the output from the expected one, if any.
fn differs(expected: &[u8], found: &[u8]) -> Option<Problem> {
    if expected == found {
        return None;
    }
    let lines = match (std::str::from_utf8(expected), std::str::from_utf8(found)) {
        (Ok(expected), Ok(found)) => diff(expected, found),
        _ => format!("-{}\n+{}\n", shown(expected), shown(found)),
    };
    Some(Problem::new(What::Output, "the output differs from the expected one").diff(lines))
}
