//! The file of a script.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Rules,
    answer::{AnswerTable, rule},
    worker::{ReadFile, ScriptedWorker},
};
use crate::{
    files::FolderReader,
    settings::{QuotaTable, Spender, check_quotas, explain},
};

/// The most workers, and tasks at once, of a test. Each task in flight takes an instance, of which there are a
/// thousand: a task that waits for one could not be distinguished from one that computes.
const MANY_MAX: usize = 500;

/// The largest script, and the largest file that it names or is compared with, in bytes.
const SCRIPT_MAX: u64 = 16 << 20;
pub(crate) const FILE_MAX: u64 = 64 << 20;

/// A parsed script.
#[derive(Debug)]
pub(crate) struct Script {
    /// The seed of the run's random numbers.
    pub(crate) seed: u64,
    /// Arguments for the operation, after those of the manifest.
    pub(crate) args: Vec<String>,
    /// The planner's input. None: empty.
    pub(crate) input: Option<Bytes>,
    /// The most tasks in flight. None: as for a run.
    pub(crate) tasks: Option<NonZeroUsize>,
    /// Whether the ends of tasks are collected in the order in which they were handed out.
    pub(crate) ordered: bool,
    /// Whether the log is compared.
    pub(crate) golden: bool,
    /// At least one.
    pub(crate) workers: Vec<ScriptedWorker>,
    pub(crate) rules: Rules,
    /// None: any output is right.
    pub(crate) output: Option<Bytes>,
    pub(crate) exit: u8,
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
    /// The quotas that a service allows each worker, or all workers of an account together.
    #[serde(default)]
    quota: Vec<QuotaTable>,
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WorkerTable {
    name: String,
    #[serde(default)]
    kinds: Vec<String>,
    slots: Option<NonZeroU32>,
    quota: Option<Vec<QuotaTable>>,
    account: Option<String>,
}

impl Script {
    /// Reads a script and, with this reader, the files that it names, which are relative to its folder.
    ///
    /// # Errors
    /// A file cannot be read, or the script is invalid; holds the reason and the line.
    pub(crate) fn read(path: &Path, reader: &FolderReader<'_>) -> Result<Self, String> {
        let text = reader.read_text(path, SCRIPT_MAX);
        let text = text.map_err(|error| format!("cannot read it: {error}"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &|file| read(reader, &folder.join(file)))
    }

    /// Parses the text of a script; `read` reads the files that it names.
    ///
    /// # Errors
    /// As [`Script::read`].
    pub(crate) fn parse(text: &str, read: &ReadFile<'_>) -> Result<Self, String> {
        let table: FileTable = toml::from_str(text).map_err(|error| explain(&error))?;
        let workers = workers(table.worker, &table.quota)?;
        if table.tasks.is_some_and(|tasks| tasks.get() > MANY_MAX) {
            return Err(format!("`tasks` is over {MANY_MAX}"));
        }
        let mut rules = Vec::with_capacity(table.answer.len());
        for answer in table.answer {
            let line = text.get(..answer.span().start).unwrap_or(text).matches('\n').count() + 1;
            let rule = rule(answer.into_inner(), line, &workers, read);
            rules.push(rule.map_err(|problem| format!("the [[answer]] in line {line}: {problem}"))?);
        }
        Ok(Self {
            seed: table.seed,
            args: table.args,
            input: either("input", table.input, table.input_file, read)?,
            tasks: table.tasks,
            ordered: table.ordered,
            golden: table.golden,
            workers,
            rules: Rules::new(rules),
            output: either("output", table.expect.output, table.expect.output_file, read)?,
            exit: table.expect.exit,
        })
    }

    /// How many attempts the workers make at once.
    pub(crate) fn slots(&self) -> usize {
        self.workers.iter().map(|worker| worker.slots as usize).sum()
    }

    /// The most tasks in flight; `wanted`: the setting outside of the script.
    pub(crate) fn tasks_max(&self, wanted: Option<NonZeroUsize>) -> usize {
        let tasks = self.tasks.or(wanted).map_or(3 * self.slots(), NonZeroUsize::get);
        tasks.min(MANY_MAX)
    }
}

/// The workers of a script, or one that serves all kinds. `quotas`: of workers that have none of their own.
fn workers(mut tables: Vec<WorkerTable>, quotas: &[QuotaTable]) -> Result<Vec<ScriptedWorker>, String> {
    if tables.len() > MANY_MAX {
        return Err(format!("there are more than {MANY_MAX} workers"));
    }
    if tables.is_empty() {
        tables.push(WorkerTable {
            name: "worker".into(),
            ..WorkerTable::default()
        });
    }
    let spenders = tables.iter().map(|table| Spender {
        name: &table.name,
        quota: table.quota.as_deref(),
        account: table.account.as_deref(),
    });
    check_quotas(("all workers", quotas), spenders, |name| format!("the worker `{name}`"))?;
    let mut workers: Vec<ScriptedWorker> = Vec::with_capacity(tables.len());
    for mut table in tables {
        table.kinds.sort();
        table.kinds.dedup();
        if workers.iter().any(|known| known.name == table.name) {
            return Err(format!("two workers are named `{}`", table.name));
        }
        let first = workers
            .iter()
            .find(|known| table.account.is_some() && known.account == table.account);
        if let (Some(first), Some(account)) = (first.filter(|first| first.kinds != table.kinds), &table.account) {
            return Err(format!(
                "the account `{account}` is that of `{}` and of `{}`, whose kinds differ; an account belongs to one pool",
                first.name, table.name
            ));
        }
        let own = table.quota.as_deref().unwrap_or(quotas);
        let quotas = first.map_or(own, |first| &first.quotas).to_vec();
        workers.push(ScriptedWorker {
            name: table.name,
            kinds: table.kinds,
            slots: table.slots.map_or(1, NonZeroU32::get),
            quotas,
            account: table.account,
        });
    }
    Ok(workers)
}

/// A text that is given inline, or in a file.
fn either(
    what: &str,
    text: Option<String>,
    file: Option<PathBuf>,
    read: &ReadFile<'_>,
) -> Result<Option<Bytes>, String> {
    match (text, file) {
        (Some(_), Some(_)) => Err(format!("`{what}` and `{what}-file` exclude each other")),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(file)) => read(&file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(reader: &FolderReader<'_>, path: &Path) -> Result<Bytes, String> {
    let bytes = reader.read(path, FILE_MAX);
    let bytes = bytes.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn parse(text: &str) -> Result<Script, String> {
        Script::parse(text, &|file| read(&FolderReader::new(None, &Cell::new(0)), file))
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn script_with_few_settings_is_valid() {
        let script = parse("[[answer]]\necho = true\n").unwrap();
        assert_eq!((script.seed, script.exit, script.golden), (0, 0, true));
        assert_eq!((script.workers.len(), script.tasks_max(None)), (1, 3));
        assert_eq!((script.input, script.output), (None, None));
    }

    #[test]
    fn invalid_script_is_reported_with_its_line() {
        for (text, wanted) in [
            ("[[answer]]\npaylod = \"a\"\necho = true\n", "did you mean `payload`?"),
            ("[expect]\noutptu = \"\"\n", "did you mean `output`?"),
            (
                "seed = 1\n[[answer]]\n",
                "the [[answer]] in line 2: it has no end of the attempt",
            ),
            ("[[answer]]\necho = true\nlost = true\n", "`echo` and `lost` exclude"),
            ("[[answer]]\necho = false\n", "leave it out"),
            ("[[answer]]\nresult = \"\"\nafter = 5\n", "after"),
            ("[[answer]]\nresult = \"\"\nbusy = \"soon\"\n", "such as 30s"),
            ("[[answer]]\nbase64 = \"!\"\n", "invalid `base64`"),
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
            (
                "quota = [{ limit = 2 }]\n",
                "invalid quota of all workers: `limit` is without `per`",
            ),
            (
                "[[worker]]\nname = \"a\"\nquota = [{ concurent = 2 }]\n",
                "did you mean `concurrent`?",
            ),
            (
                "quota = [{ concurrent = 1 }]\n[[worker]]\nname = \"a\"\naccount = \"x\"\n\
                 [[worker]]\nname = \"b\"\naccount = \"x\"\nquota = []\n",
                "`a` has the same account, `x`",
            ),
            (
                "[[worker]]\nname = \"a\"\naccount = \"x\"\n[[worker]]\nname = \"b\"\nkinds = [\"k\"]\naccount = \"x\"\n",
                "the account `x` is that of `a` and of `b`",
            ),
            (
                "[[answer]]\necho = true\nreport = [{ remaining = 1 }]\n",
                "no worker has exactly one quota",
            ),
            (
                "[[worker]]\nname = \"a\"\n[[worker]]\nname = \"b\"\nquota = [{ name = \"q\", concurrent = 1 }]\n\
                 [[answer]]\nworker = \"a\"\necho = true\nreport = [{ name = \"q\", remaining = 1 }]\n",
                "of the quota `q`, which the worker `a` does not have",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
