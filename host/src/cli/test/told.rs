//! What is said of tests: as text, or as JSON Lines, whose schema is published in `docs/schema/test.json`.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{args::TestArgs, inspect::json_line},
    verdict::{Problem, Verdict},
};
use crate::{
    report::{Format, KindSummary, QuotaSummary, TaskCounts},
    text::plain,
};

/// One line of `test --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// How one test went.
    Test(Box<Test>),
    /// The last line: how all of them went.
    Report {
        /// Tests that passed.
        passed: u64,
        /// Tests that did not.
        failed: u64,
    },
}

/// How one test went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Test {
    /// The script's path.
    id: String,
    /// The script's name alone, without `.toml`.
    name: String,
    passed: bool,
    /// What differs from what was expected. Empty if it passed.
    problems: Vec<Problem>,
    /// The path of the log that it is compared with. Absent: the script wants none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    golden: Option<String>,
    /// Whether that was written.
    golden_written: bool,
    /// The exit code that a run would have had. Absent: the test did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    exit: Option<u8>,
    /// Why the operation itself failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failure: Option<String>,
    /// Virtual time.
    took_ms: f64,
    /// How many lines its log has.
    events: u64,
    tasks: TaskCounts,
    /// In the order of first use.
    kinds: Vec<KindSummary>,
    /// In the order of the script.
    quotas: Vec<QuotaSummary>,
    /// With `-v` all that happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    log: Option<String>,
    /// With `-v`, and of a test that failed: what guests said, a thousand lines at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    said: Option<Vec<String>>,
}

/// The schema of one line.
pub(in crate::cli) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

/// What is said of one test. Nothing, if it passed and `--quiet` is given.
pub(super) fn test(path: &Path, verdict: &Verdict, args: &TestArgs) -> String {
    if verdict.has_passed() && args.quiet {
        return String::new();
    }
    match args.format {
        Format::Text => text(path, verdict, args),
        Format::Json => json_line(&Line::Test(Box::new(tested(path, verdict, args)))),
    }
}

/// What is said of all of them.
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
        said: is_said_shown(verdict, args).then(|| verdict.said.clone()),
    }
}

fn is_said_shown(verdict: &Verdict, args: &TestArgs) -> bool {
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
        add("its log:");
        add(&verdict.log);
    }
    if !verdict.said.is_empty() && is_said_shown(verdict, args) {
        add("what guests said:");
        verdict.said.iter().for_each(|line| add(line));
    }
    plain(&text).into_owned()
}
