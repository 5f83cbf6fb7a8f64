//! The file of a script.

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use disperse_scheduler::End;
use serde::Deserialize;
use toml::Spanned;

use super::rules::{Payload, Rule, Rules, Says, When};
use crate::units::{Time, explain, nearest};

/// How many workers, and how many tasks at once, a test may have. Each task in flight takes an instance, of which there are a
/// thousand: a task that waits for one could never be told from one that computes.
const MANY_MAX: usize = 500;

/// A script, read.
#[derive(Debug)]
pub(crate) struct Script {
    /// What the run's luck is drawn from.
    pub(crate) seed: u64,
    /// Arguments for the operation, after those of the manifest.
    pub(crate) args: Vec<String>,
    /// What the planner reads. None: nothing.
    pub(crate) input: Option<Bytes>,
    /// How many tasks may be in flight. None: as for a run.
    pub(crate) tasks: Option<NonZeroUsize>,
    /// Whether the ends of tasks are collected in the order in which they were handed out.
    pub(crate) ordered: bool,
    /// Whether the log is compared.
    pub(crate) golden: bool,
    /// At least one.
    pub(crate) workers: Vec<ScriptedWorker>,
    pub(crate) rules: Rules,
    /// None: whatever is written is right.
    pub(crate) output: Option<Bytes>,
    pub(crate) exit: u8,
}

/// A worker that is played by a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptedWorker {
    pub(crate) name: String,
    /// None: those that no other worker lists. Sorted. Workers with the same kinds are one pool.
    pub(crate) kinds: Vec<String>,
    /// How many attempts it takes at once.
    pub(crate) slots: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileTable {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    args: Vec<String>,
    input: Option<String>,
    input_file: Option<PathBuf>,
    tasks: Option<NonZeroUsize>,
    #[serde(default)]
    ordered: bool,
    #[serde(default = "yes")]
    golden: bool,
    #[serde(default)]
    expect: ExpectTable,
    #[serde(default)]
    worker: Vec<WorkerTable>,
    #[serde(default)]
    answer: Vec<Spanned<AnswerTable>>,
}

fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ExpectTable {
    output: Option<String>,
    output_file: Option<PathBuf>,
    #[serde(default)]
    exit: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WorkerTable {
    name: String,
    #[serde(default)]
    kinds: Vec<String>,
    slots: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AnswerTable {
    // Which attempts it is for.
    kind: Option<String>,
    payload: Option<String>,
    payload_json: Option<serde_json::Value>,
    payload_starts: Option<String>,
    payload_contains: Option<String>,
    attempt: Option<NonZeroU32>,
    worker: Option<String>,
    times: Option<NonZeroU32>,
    // How they end; one of these.
    result: Option<String>,
    json: Option<serde_json::Value>,
    base64: Option<String>,
    file: Option<PathBuf>,
    echo: Option<bool>,
    fail: Option<String>,
    permanent: Option<String>,
    trap: Option<String>,
    busy: Option<Time>,
    unfit: Option<String>,
    lost: Option<bool>,
    // After so long.
    after: Option<Time>,
}

impl Script {
    /// Reads a script and the files that it names, which are relative to its folder.
    ///
    /// # Errors
    /// It cannot be read or cannot be meant; says what is wrong and where.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a text; see [`Script::read`].
    ///
    /// # Errors
    /// As [`Script::read`].
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let table: FileTable = toml::from_str(text).map_err(|error| explain(&error))?;
        let workers = workers(table.worker)?;
        if table.tasks.is_some_and(|tasks| tasks.get() > MANY_MAX) {
            return Err(format!("`tasks` is over {MANY_MAX}"));
        }
        let mut rules = Vec::with_capacity(table.answer.len());
        for answer in table.answer {
            let line = text.get(..answer.span().start).unwrap_or(text).matches('\n').count() + 1;
            let rule = rule(answer.into_inner(), line, &workers, folder);
            rules.push(rule.map_err(|problem| format!("the [[answer]] in line {line}: {problem}"))?);
        }
        Ok(Self {
            seed: table.seed,
            args: table.args,
            input: either("input", table.input, table.input_file, folder)?,
            tasks: table.tasks,
            ordered: table.ordered,
            golden: table.golden,
            workers,
            rules: Rules::new(rules),
            output: either("output", table.expect.output, table.expect.output_file, folder)?,
            exit: table.expect.exit,
        })
    }

    /// How many attempts the workers take at once.
    pub(crate) fn slots(&self) -> usize {
        self.workers.iter().map(|worker| worker.slots as usize).sum()
    }

    /// How many tasks may be in flight, where `wanted` is what others say of it.
    pub(crate) fn tasks_max(&self, wanted: Option<NonZeroUsize>) -> usize {
        let tasks = self.tasks.or(wanted).map_or(3 * self.slots(), NonZeroUsize::get);
        tasks.min(MANY_MAX)
    }
}

/// Those of a script, or one that does everything.
fn workers(tables: Vec<WorkerTable>) -> Result<Vec<ScriptedWorker>, String> {
    if tables.len() > MANY_MAX {
        return Err(format!("there are more than {MANY_MAX} workers"));
    }
    let mut names = BTreeSet::new();
    let mut workers = Vec::with_capacity(tables.len());
    for WorkerTable { name, mut kinds, slots } in tables {
        if !names.insert(name.clone()) {
            return Err(format!("two workers are named `{name}`"));
        }
        kinds.sort();
        kinds.dedup();
        let slots = slots.map_or(1, NonZeroU32::get);
        workers.push(ScriptedWorker { name, kinds, slots });
    }
    if workers.is_empty() {
        workers.push(ScriptedWorker {
            name: "worker".into(),
            kinds: Vec::new(),
            slots: 1,
        });
    }
    Ok(workers)
}

/// A text that is written here, or in a file.
fn either(what: &str, text: Option<String>, file: Option<PathBuf>, folder: &Path) -> Result<Option<Bytes>, String> {
    match (text, file) {
        (Some(_), Some(_)) => Err(format!("`{what}` and `{what}-file` cannot both be meant")),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(file)) => read(&folder.join(file)).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Result<Bytes, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(bytes.into())
}

fn rule(table: AnswerTable, line: usize, workers: &[ScriptedWorker], folder: &Path) -> Result<Rule, String> {
    if let Some(kind) = &table.kind
        && workers.iter().all(|worker| !worker.kinds.is_empty())
    {
        let kinds: Vec<String> = workers.iter().flat_map(|worker| worker.kinds.clone()).collect();
        known("no worker serves the kind", kind, &kinds)?;
    }
    if let Some(name) = &table.worker {
        let names: Vec<String> = workers.iter().map(|worker| worker.name.clone()).collect();
        known("there is no worker", name, &names)?;
    }
    let payload = [
        table.payload.clone().map(|text| Payload::Is(text.into())),
        table.payload_json.clone().map(Payload::Json),
        table.payload_starts.clone().map(|text| Payload::Starts(text.into())),
        table
            .payload_contains
            .clone()
            .map(|text| Payload::Contains(text.into())),
    ];
    Ok(Rule {
        line,
        when: When {
            kind: table.kind.clone(),
            worker: table.worker.clone(),
            attempt: table.attempt.map(NonZeroU32::get),
            payload: payload.into_iter().flatten().collect(),
        },
        left: table.times.map(NonZeroU32::get),
        after: table.after.map(Time::duration).unwrap_or_default(),
        says: says(table, folder)?,
    })
}

fn known(problem: &str, name: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(match nearest(name, names) {
        Some(near) => format!("{problem} `{name}`; did you mean `{near}`?"),
        None => format!("{problem} `{name}`; there are `{}`", names.join("`, `")),
    })
}

/// How the attempts of a rule end, which is said once.
fn says(table: AnswerTable, folder: &Path) -> Result<Says, String> {
    let fails = |end: End| move |message: String| Says::Fails { end, message };
    let on = |name: &str, given: Option<bool>| match given {
        Some(false) => Err(format!("`{name} = false` says nothing; leave it out")),
        given => Ok(given.is_some()),
    };
    let lost = "the worker went away with it".to_owned();
    let ways = [
        ("result", table.result.map(|text| Says::Result(text.into()))),
        ("json", table.json.map(|value| Says::Result(value.to_string().into()))),
        ("base64", table.base64.map(|text| decoded(&text)).transpose()?),
        (
            "file",
            table
                .file
                .map(|file| read(&folder.join(file)).map(Says::Result))
                .transpose()?,
        ),
        ("echo", on("echo", table.echo)?.then_some(Says::Echo)),
        ("fail", table.fail.map(fails(End::Transient))),
        ("permanent", table.permanent.map(fails(End::Permanent))),
        (
            "trap",
            table.trap.map(|text| {
                let fingerprint = fingerprint(&text);
                fails(End::Trap { fingerprint })(format!("trapped: {text}"))
            }),
        ),
        (
            "busy",
            table
                .busy
                .map(|wait| fails(End::Busy { wait: wait.duration() })("busy".into())),
        ),
        ("unfit", table.unfit.map(fails(End::Unfit))),
        ("lost", on("lost", table.lost)?.then(|| fails(End::Lost)(lost))),
    ];
    let names = ways.each_ref().map(|(name, _)| *name).join("`, `");
    let mut said = ways.into_iter().filter_map(|(name, says)| Some((name, says?)));
    match (said.next(), said.next()) {
        (None, _) => Err(format!("it does not say how the attempt ends; give one of `{names}`")),
        (Some((one, _)), Some((other, _))) => Err(format!("`{one}` and `{other}` cannot both be meant")),
        (Some((_, says)), None) => Ok(says),
    }
}

fn decoded(text: &str) -> Result<Says, String> {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
    let bytes = bytes.map_err(|error| format!("`base64` is no base64: {error}"))?;
    Ok(Says::Result(bytes.into()))
}

/// The same words, the same trap. FNV-1a; never 0, which means that nothing is known.
fn fingerprint(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Script::parse(text, Path::new("")).unwrap_err()
    }

    #[test]
    fn a_script_that_says_little_is_enough() {
        let script = Script::parse("[[answer]]\necho = true\n", Path::new("")).unwrap();
        assert_eq!((script.seed, script.exit, script.golden), (0, 0, true));
        assert_eq!((script.workers.len(), script.tasks_max(None)), (1, 3));
        assert_eq!((script.input, script.output), (None, None));
    }

    #[test]
    fn what_cannot_be_meant_is_said_with_its_place() {
        for (text, wanted) in [
            ("[[answer]]\npaylod = \"a\"\necho = true\n", "did you mean `payload`?"),
            ("[expect]\noutptu = \"\"\n", "did you mean `output`?"),
            (
                "seed = 1\n[[answer]]\n",
                "the [[answer]] in line 2: it does not say how",
            ),
            (
                "[[answer]]\necho = true\nlost = true\n",
                "`echo` and `lost` cannot both",
            ),
            ("[[answer]]\necho = false\n", "leave it out"),
            ("[[answer]]\nresult = \"\"\nafter = 5\n", "after"),
            ("[[answer]]\nresult = \"\"\nbusy = \"soon\"\n", "such as 30s"),
            ("[[answer]]\nbase64 = \"!\"\n", "no base64"),
            ("[[answer]]\nfile = \"/no/such/file\"\n", "cannot read `/no/such/file`"),
            ("input = \"a\"\ninput-file = \"b\"\n", "`input` and `input-file`"),
            ("tasks = 501\n", "over 500"),
            (
                "[[worker]]\nname = \"a\"\n[[worker]]\nname = \"a\"\n",
                "two workers are named `a`",
            ),
            (
                "[[worker]]\nname = \"anne\"\n[[answer]]\nworker = \"anna\"\necho = true\n",
                "did you mean `anne`?",
            ),
            (
                "[[worker]]\nname = \"a\"\nkinds = [\"fetch\"]\n[[answer]]\nkind = \"x\"\necho = true\n",
                "there are `fetch`",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
