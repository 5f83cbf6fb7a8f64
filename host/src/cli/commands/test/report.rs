//! The output of `test`: text, or JSON Lines with the schema `docs/schema/test.json`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::{Problem, Verdict};
use crate::{
    cli::{args::TestArgs, console::json_line},
    report::{Format, KindSummary, QuotaSummary, TaskCounts},
    text::plain,
};

/// One line of `test --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// The result of one test.
    Test(Box<Test>),
    /// The last line: the result of all tests.
    Report {
        /// Number of passed tests.
        passed: u64,
        /// Number of failed tests.
        failed: u64,
    },
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Test {
    /// The script's path.
    id: String,
    /// The script's file name, without `.toml`.
    name: String,
    passed: bool,
    /// The differences from the expectations. Empty if the test passed.
    problems: Vec<Problem>,
    /// The path of the golden log. Absent: the script has `golden = false`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    golden: Option<String>,
    /// Whether the golden log was written.
    golden_written: bool,
    /// The exit code that `run` would have had. Absent: the test did not finish.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    exit: Option<u8>,
    /// Why the operation itself failed. Absent: it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failure: Option<String>,
    /// The virtual time of the test.
    took_ms: f64,
    /// Number of lines of its log.
    events: u64,
    tasks: TaskCounts,
    /// In the order of first use.
    kinds: Vec<KindSummary>,
    /// In the order of the script.
    quotas: Vec<QuotaSummary>,
    /// The log. Present with `-v`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    log: Option<String>,
    /// Log lines of guests, at most a thousand. Present with `-v` or if the test failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    said: Option<Vec<String>>,
}

/// The schema of one line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

/// The output for one test. Empty if it passed and `--quiet` is given.
pub(super) fn test(path: &Path, verdict: &Verdict, args: &TestArgs) -> String {
    if verdict.has_passed() && args.quiet {
        return String::new();
    }
    match args.format {
        Format::Text => text(path, verdict, args),
        Format::Json => json_line(&Line::Test(Box::new(tested(path, verdict, args)))),
    }
}

/// The output for all tests.
pub(super) fn all(passed: u64, failed: u64, args: &TestArgs) -> String {
    match args.format {
        Format::Text if args.quiet => String::new(),
        Format::Text => format!("{passed} passed, {failed} failed\n"),
        Format::Json => json_line(&Line::Report { passed, failed }),
    }
}

fn tested(path: &Path, verdict: &Verdict, args: &TestArgs) -> Test {
    let (golden, golden_written) = match &verdict.golden {
        Some((golden, written)) => (Some(golden.display().to_string()), *written),
        None => (None, false),
    };
    let summary = &verdict.summary;
    Test {
        id: path.display().to_string(),
        name: path
            .file_stem()
            .map_or_else(String::new, |name| name.display().to_string()),
        passed: verdict.has_passed(),
        problems: verdict.problems.clone(),
        golden,
        golden_written,
        exit: verdict.exit(),
        failure: summary.failure.clone(),
        took_ms: verdict.took.duration().as_secs_f64() * 1e3,
        events: verdict.events as u64,
        tasks: TaskCounts::of(summary.tasks),
        kinds: summary.kinds.iter().map(KindSummary::of).collect(),
        quotas: summary.quotas.iter().map(QuotaSummary::of).collect(),
        log: (args.verbose > 0).then(|| verdict.log.clone()),
        said: shows_guest_logs(verdict, args).then(|| verdict.guest_logs.clone()),
    }
}

fn shows_guest_logs(verdict: &Verdict, args: &TestArgs) -> bool {
    args.verbose > 0 || !verdict.has_passed()
}

fn text(path: &Path, verdict: &Verdict, args: &TestArgs) -> String {
    let word = if verdict.has_passed() { "ok  " } else { "FAIL" };
    let (events, took) = (verdict.events, verdict.took);
    let mut text = format!("{word} {} ({events} events in {took})\n", path.display());
    let mut add = |lines: &str| {
        for line in lines.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    };
    for Problem { message, diff, .. } in &verdict.problems {
        match diff {
            None => add(message),
            Some(lines) => add(&format!("{message}:\n{lines}")),
        }
    }
    if args.verbose > 0 {
        add("log:");
        add(&verdict.log);
    }
    if !verdict.guest_logs.is_empty() && shows_guest_logs(verdict, args) {
        add("guest logs:");
        verdict.guest_logs.iter().for_each(|line| add(line));
    }
    plain(&text).into_owned()
}
