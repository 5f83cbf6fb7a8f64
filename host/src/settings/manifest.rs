//! `disperse.toml`.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use disperse_scheduler::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    check::check,
    limits::{CompileTable, LimitsTable},
    quota::{QuotaTable, Spender},
};
use crate::{
    digest::Digest,
    signer::Signer,
    units::{Size, Time, explain},
};

pub(crate) use crate::files::MANIFEST as FILE_NAME;

/// The largest manifest, in bytes. 1 MiB holds some ten thousand workers with settings of their own.
pub(crate) const MANIFEST_MAX: u64 = 1 << 20;

/// A whole manifest. Paths are relative to its folder. Build commands, grants, secrets and paths that lead out of the folder are
/// only asked for: they need trust, see `disperse-host trust`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The operation that `run` runs.
    pub(crate) operation: Option<Operation>,
    /// The worker that `map` maps with.
    pub(crate) worker: Option<Component>,
    /// A public key of minisign. A component without a signature by it, in a file beside it that has `.minisig` behind the
    /// component's name, is not run.
    pub(crate) signed_by: Option<Signer>,
    /// Limits for planner, tasks and workers alike; for workers their pool's own come first.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
    /// What compiling one component may take.
    #[serde(default)]
    pub(crate) compile: CompileTable,
    /// When a worker is taken out.
    #[serde(default)]
    pub(crate) health: Health,
    /// Who performs the actions. Without a pool, a component that brings its own worker uses that.
    #[serde(default)]
    pub(crate) pool: Vec<Pool>,
}

/// An operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Operation {
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256 in hexadecimal. Another component is not run.
    pub(crate) sha256: Option<Digest>,
    /// A command that makes it, run in the manifest's folder with your rights before anything else.
    pub(crate) build: Option<String>,
    /// What the build reads, relative to the manifest: files, folders, patterns with `*` for a part of a name and `**` for any
    /// folders, and after a `!` what is not read of those before. It is built again only when one of them has another content,
    /// or the command changes. Default: it is built each time, for commands that look themselves, as cargo does.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// How many tasks may be in flight. Default: three for each attempt that workers take at once.
    pub(crate) max_concurrent_tasks: Option<NonZeroUsize>,
    /// Arguments, before those of the command line.
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

/// A component and how to make it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Component {
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256 in hexadecimal. Another component is not run.
    pub(crate) sha256: Option<Digest>,
    /// A command that makes it, run in the manifest's folder with your rights before anything else.
    pub(crate) build: Option<String>,
    /// What the build reads, relative to the manifest; as of an operation. Default: it is built each time.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// Arguments of a program: a component or core module that runs once for each action. In them `{}` stands for the payload,
    /// `{file}` for the path of a file with it, `{file.EXT}` for one whose name ends so, `{kind}` and `{attempt}` for those of
    /// the action; a placeholder in double braces is text. Without `{}` and `{file}` the payload is on stdin.
    pub(crate) args: Option<Vec<String>>,
    /// How large a program's scratch folder is, `/tmp`, which is empty at each attempt. Default: 16MiB if `{file}` or
    /// `result-file` is used, else there is none. It is kept in memory and counts as that of the host.
    pub(crate) scratch: Option<Size>,
    /// The file in a program's scratch folder that is its result. Default: what it writes to stdout.
    pub(crate) result_file: Option<String>,
    /// The exit statuses of a program that are a success. Default: `[0]`.
    pub(crate) ok_status: Option<Vec<i32>>,
    /// How many attempts one worker takes at once, in one instance: for async workers that mostly wait. Default 1.
    pub(crate) concurrency: Option<NonZeroU32>,
    /// Folders that workers see, as `PATH[::GUEST][:rw]`, relative to the manifest. Read-only without `:rw`.
    #[serde(default)]
    pub(crate) dirs: Vec<String>,
    /// Programs that workers may run, each as its absolute path and patterns for its arguments: `*` in one stands for any
    /// text, a last `...` for any number of arguments.
    #[serde(default)]
    pub(crate) exec: Vec<Vec<String>>,
    /// Requests that workers may send, as `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`; a host `*.NAME` stands
    /// for all names below that one. An address that is not public is granted only as itself, never by a name.
    #[serde(default)]
    pub(crate) http: Vec<String>,
    /// Secrets, by the variable in which workers find a placeholder. The host puts the value in its place in headers and
    /// queries of requests that it is bound to.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
}

/// When a worker is taken out, and what an action may cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Health {
    /// How many failures in a row, from as many actions and with no verdict yet, make a worker suspect: it is given work slowly
    /// until there are verdicts. Default 3.
    pub(crate) suspect_after: Option<u32>,
    /// From which score on a worker is quarantined for failing what others could do. The score is how much likelier it is a
    /// bad one than one as flaky as everybody, as a natural logarithm. Default 7.6, which is 2,000 times.
    pub(crate) quarantine_score: Option<f64>,
    /// How long the first quarantine takes; doubles each time. Default 30s.
    pub(crate) quarantine: Option<Time>,
    /// How many successes end a probation. Default 3.
    pub(crate) probation: Option<u32>,
    /// How many quarantines without passing probation lead to eviction. Default 5.
    pub(crate) evict_after: Option<u32>,
    /// How many attempts of an action may fail before it is given up. Default: 4 to 8, as many as it takes that chance alone
    /// loses one action in 10,000, by how flaky its kind has been.
    pub(crate) attempts: Option<u32>,
    /// The longest wait after the first time that every worker was tried. Default 1s.
    pub(crate) backoff: Option<Time>,
    /// Which part of the attempts of a kind may be second ones beside slow ones, 0 to 1. Only actions that are idempotent get
    /// any, and only while nothing waits. Default 0.05; 0: none.
    pub(crate) hedge: Option<f64>,
    /// Which results of untrusted pools others have to confirm. Default `chance`.
    pub(crate) confirm: Option<ConfirmTable>,
}

/// Which results of untrusted pools have to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConfirmTable {
    /// All of a worker at first, and after ten in a row that were confirmed ever fewer, down to one in 50.
    Chance,
    /// Every one.
    All,
}

impl Health {
    /// `policy` with what is given here in its place.
    pub(crate) fn over(&self, mut policy: Policy) -> Policy {
        let set = |to: &mut u32, value: Option<u32>| *to = value.unwrap_or(*to);
        set(&mut policy.suspect_after, self.suspect_after);
        policy.quarantine_score = self.quarantine_score.unwrap_or(policy.quarantine_score);
        policy.hedge = self.hedge.unwrap_or(policy.hedge);
        if self.confirm == Some(ConfirmTable::All) {
            policy.trusted_after = u32::MAX;
        }
        set(&mut policy.probation, self.probation);
        set(&mut policy.evict_after, self.evict_after);
        set(&mut policy.attempts, self.attempts);
        if let Some(quarantine) = self.quarantine {
            policy.quarantine_min = quarantine.duration();
            policy.quarantine_max = policy.quarantine_max.max(policy.quarantine_min);
        }
        if let Some(backoff) = self.backoff {
            policy.backoff_min = backoff.duration();
            policy.backoff_max = policy.backoff_max.max(policy.backoff_min);
        }
        policy
    }

    /// A policy that can be meant.
    ///
    /// # Errors
    /// It cannot. Says why, in the words of this table.
    pub(crate) fn check(policy: Policy) -> Result<Policy, String> {
        let known = |field| match field {
            "quarantine-min" => "quarantine",
            "backoff-min" => "backoff",
            other => other,
        };
        let checked = policy.check();
        checked.map_err(|error| format!("{} must be {}", known(error.field), error.wanted))?;
        Ok(policy)
    }
}

/// Workers made from one component.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Pool {
    /// Its name, for reports.
    pub(crate) name: String,
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256 in hexadecimal. Another component is not run.
    pub(crate) sha256: Option<Digest>,
    /// A command that makes it, run in the manifest's folder with your rights before anything else.
    pub(crate) build: Option<String>,
    /// What the build reads, relative to the manifest; as of an operation. Default: it is built each time.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// The kinds of action that it serves. None: every kind that no pool lists.
    #[serde(default)]
    pub(crate) kinds: Vec<String>,
    /// How many workers without settings of their own. Default: one for each core, unless workers are listed.
    pub(crate) workers: Option<usize>,
    /// Arguments of a program: a component or core module that runs once for each action. In them `{}` stands for the payload,
    /// `{file}` for the path of a file with it, `{file.EXT}` for one whose name ends so, `{kind}` and `{attempt}` for those of
    /// the action; a placeholder in double braces is text. Without `{}` and `{file}` the payload is on stdin.
    pub(crate) args: Option<Vec<String>>,
    /// How large a program's scratch folder is, `/tmp`, which is empty at each attempt. Default: 16MiB if `{file}` or
    /// `result-file` is used, else there is none. It is kept in memory and counts as that of the host.
    pub(crate) scratch: Option<Size>,
    /// The file in a program's scratch folder that is its result. Default: what it writes to stdout.
    pub(crate) result_file: Option<String>,
    /// The exit statuses of a program that are a success. Default: `[0]`.
    pub(crate) ok_status: Option<Vec<i32>>,
    /// How many attempts one worker takes at once, in one instance: for async workers that mostly wait. Default 1.
    pub(crate) concurrency: Option<NonZeroU32>,
    /// Whether every attempt gets a new instance.
    #[serde(default)]
    pub(crate) fresh: bool,
    /// Whether the workers run on strangers' machines: a result counts when a worker of another owner has the same one, and
    /// who says something else than others is taken out. They are given nothing: no folders, programs, requests, secrets or
    /// settings; every attempt gets a new instance, and in it the clock stands still and luck is the action's.
    #[serde(default)]
    pub(crate) untrusted: bool,
    /// Limits that differ from the manifest's.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
    /// Folders that workers see, as `PATH[::GUEST][:rw]`, relative to the manifest. Read-only without `:rw`.
    #[serde(default)]
    pub(crate) dirs: Vec<String>,
    /// Programs that workers may run, each as its absolute path and patterns for its arguments: `*` in one stands for any
    /// text, a last `...` for any number of arguments.
    #[serde(default)]
    pub(crate) exec: Vec<Vec<String>>,
    /// Requests that workers may send, as `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`; a host `*.NAME` stands
    /// for all names below that one. An address that is not public is granted only as itself, never by a name.
    #[serde(default)]
    pub(crate) http: Vec<String>,
    /// Secrets, by the variable in which workers find a placeholder. The host puts the value in its place in headers and
    /// queries of requests that it is bound to.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
    /// What a service allows each of the workers, or all workers of one account together.
    #[serde(default)]
    pub(crate) quota: Vec<QuotaTable>,
    /// Workers with settings of their own.
    #[serde(default)]
    pub(crate) worker: Vec<Worker>,
}

/// One worker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Worker {
    /// Its name, for reports.
    pub(crate) name: String,
    /// Its arguments, if it is a program, instead of its pool's.
    pub(crate) args: Option<Vec<String>>,
    /// What it is given as environment variables.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    /// Secrets of its own, which come before its pool's.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
    /// What a service allows this one, instead of what it allows its pool's workers.
    pub(crate) quota: Option<Vec<QuotaTable>>,
    /// Whose quota it spends: workers of a pool with the same account spend the same one. Default: its own.
    pub(crate) account: Option<String>,
    /// Who runs it, if its pool is untrusted: workers of one owner never confirm each other. Default: somebody of its own.
    pub(crate) owner: Option<String>,
}

impl Worker {
    pub(super) fn spender(&self) -> Spender<'_> {
        Spender {
            name: &self.name,
            quota: self.quota.as_deref(),
            account: self.account.as_deref(),
        }
    }
}

/// Where a secret's value comes from, one of `env` and `file`, and where it goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SecretTable {
    /// The host's environment variable that holds it.
    pub(crate) env: Option<String>,
    /// The file that holds it, relative to the manifest. One line break at its end is not part of it.
    pub(crate) file: Option<PathBuf>,
    /// The requests that it may go along with, written as in `http`. Default: those https requests that are granted, or if
    /// there are none, those that are granted by address.
    pub(crate) hosts: Option<Vec<String>>,
    /// How it is written into a request. Default: as it is.
    #[serde(rename = "as")]
    pub(crate) form: Option<SecretForm>,
}

/// How a secret is written into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SecretForm {
    /// It is `USER:PASSWORD` and goes out in base64, as `Authorization: Basic` wants it.
    Basic,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{0}")]
    Syntax(String),
    #[error("{0}")]
    Meaning(String),
}

impl Manifest {
    /// Parses the text of a manifest and checks it.
    ///
    /// # Errors
    /// It is no TOML, has a key or a value that is not known, or is invalid as a whole.
    pub(crate) fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError::Syntax(explain(&error)))?;
        check(&manifest).map_err(ManifestError::Meaning)?;
        Ok(manifest)
    }
}

/// The schema of the manifest.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Manifest::parse("[limits]\nmemmory = \"1GiB\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `memory`?"), "{error}");
    }

    #[test]
    fn what_is_not_given_stays() {
        let manifest = Manifest::parse("[limits]\nfuel = \"1M\"\n[health]\nquarantine = \"1s\"\n").unwrap();
        assert_eq!(
            manifest.limits.over(Limits::WORKER),
            Limits {
                fuel: 1_000_000,
                ..Limits::WORKER
            }
        );
        let policy = manifest.health.over(Policy::default());
        assert_eq!(policy.quarantine_min.as_secs(), 1);
        assert_eq!(policy.evict_after, Policy::default().evict_after);
    }
}
