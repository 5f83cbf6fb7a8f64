//! `disperse.toml`.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use disperse::settings::Health;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    QuotaTable, Spender,
    limits::{CompileTable, LimitsTable},
};
use crate::{digest::Digest, signer::Signer, units::Size};

pub(crate) use crate::files::MANIFEST as FILE_NAME;

/// The largest manifest, in bytes. 1 MiB holds some ten thousand workers with settings of their own.
pub(crate) const MANIFEST_MAX: u64 = 1 << 20;

/// A whole manifest. Paths are relative to its folder. Build commands, grants, secrets and paths that lead out of the folder need
/// trust: see `disperse-host trust`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The operation that `run` runs.
    pub(crate) operation: Option<Operation>,
    /// The worker that `map` calls.
    pub(crate) worker: Option<Component>,
    /// A public key of minisign. Only components signed by it are run. The signature of a component is in a file beside it, with
    /// `.minisig` appended to the component's name.
    pub(crate) signed_by: Option<Signer>,
    /// Limits for planner, tasks and workers; the limits of a pool override them for its workers.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
    /// Limits for compiling one component.
    #[serde(default)]
    pub(crate) compile: CompileTable,
    /// When a worker is taken out of service, and how failures are retried.
    #[serde(default)]
    pub(crate) health: Health,
    /// The workers that perform actions. Without a pool, an operation's component that is also a worker performs its own actions.
    #[serde(default)]
    pub(crate) pool: Vec<Pool>,
}

/// An operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Operation {
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256, in hexadecimal. A component with another one is not run.
    pub(crate) sha256: Option<Digest>,
    /// The build command, run with your rights in the manifest's folder before anything else.
    pub(crate) build: Option<String>,
    /// The files that the build reads, relative to the manifest: files, folders, and patterns with `*` for a part of a name and
    /// `**` for any folders. A leading `!` excludes matches of the entries before it. The build is skipped while their contents
    /// and the command are the same as at the last build. Default: the command runs each time and decides itself, as cargo does.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// Maximum number of tasks in flight. Default: three for each attempt that the workers run at once.
    pub(crate) max_concurrent_tasks: Option<NonZeroUsize>,
    /// Arguments of the operation; those of the command line follow.
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

/// A component and how to build it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Component {
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256, in hexadecimal. A component with another one is not run.
    pub(crate) sha256: Option<Digest>,
    /// The build command, run with your rights in the manifest's folder before anything else.
    pub(crate) build: Option<String>,
    /// The files that the build reads, relative to the manifest; see `operation`. Default: the command runs each time.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// Arguments of a program: a component or core module that runs once for each action. `{}` stands for the payload, `{file}`
    /// for the path of a file with the payload, `{file.EXT}` for one with that extension, `{kind}` and `{attempt}` for the
    /// action's kind and attempt number; double braces escape a placeholder. Without `{}` and `{file}` the payload is on stdin.
    pub(crate) args: Option<Vec<String>>,
    /// Size of a program's scratch folder, `/tmp`, which is empty at the start of each attempt. It is held in memory and counts
    /// towards the memory of the host. Default: 16MiB if `{file}` or `result-file` is used, else none.
    pub(crate) scratch: Option<Size>,
    /// The file in a program's scratch folder that holds its result. Default: its stdout is the result.
    pub(crate) result_file: Option<String>,
    /// The exit statuses of a program that mean success. Default: `[0]`.
    pub(crate) ok_status: Option<Vec<i32>>,
    /// Number of attempts that one worker runs at once, in one instance. Only for async workers. Default 1.
    pub(crate) concurrency: Option<NonZeroU32>,
    /// Folders that workers see, as `PATH[::GUEST][:rw]`, relative to the manifest. Read-only without `:rw`.
    #[serde(default)]
    pub(crate) dirs: Vec<String>,
    /// Programs that workers may run, each as its absolute path and patterns for its arguments. In a pattern, `*` matches any
    /// text; a final `...` matches any number of arguments.
    #[serde(default)]
    pub(crate) exec: Vec<Vec<String>>,
    /// Requests that workers may send, as `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`. A host `*.NAME` matches
    /// all names below `NAME`. A host name never grants an address that is not public: grant that one by its address.
    #[serde(default)]
    pub(crate) http: Vec<String>,
    /// Secrets, by the name of the variable that holds a placeholder for workers. The host replaces the placeholder by the value
    /// in headers and queries of the requests that the secret is bound to.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
}

/// Workers made from one component.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Pool {
    /// Its name in reports.
    pub(crate) name: String,
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Its SHA-256, in hexadecimal. A component with another one is not run.
    pub(crate) sha256: Option<Digest>,
    /// The build command, run with your rights in the manifest's folder before anything else.
    pub(crate) build: Option<String>,
    /// The files that the build reads, relative to the manifest; see `operation`. Default: the command runs each time.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
    /// The kinds of action that it serves. Default: every kind that no pool lists.
    #[serde(default)]
    pub(crate) kinds: Vec<String>,
    /// Number of workers without settings of their own. Default: one per core, or none if workers are listed.
    pub(crate) workers: Option<usize>,
    /// Arguments of a program: a component or core module that runs once for each action. `{}` stands for the payload, `{file}`
    /// for the path of a file with the payload, `{file.EXT}` for one with that extension, `{kind}` and `{attempt}` for the
    /// action's kind and attempt number; double braces escape a placeholder. Without `{}` and `{file}` the payload is on stdin.
    pub(crate) args: Option<Vec<String>>,
    /// Size of a program's scratch folder, `/tmp`, which is empty at the start of each attempt. It is held in memory and counts
    /// towards the memory of the host. Default: 16MiB if `{file}` or `result-file` is used, else none.
    pub(crate) scratch: Option<Size>,
    /// The file in a program's scratch folder that holds its result. Default: its stdout is the result.
    pub(crate) result_file: Option<String>,
    /// The exit statuses of a program that mean success. Default: `[0]`.
    pub(crate) ok_status: Option<Vec<i32>>,
    /// Number of attempts that one worker runs at once, in one instance. Only for async workers. Default 1.
    pub(crate) concurrency: Option<NonZeroU32>,
    /// Whether every attempt starts a new instance.
    #[serde(default)]
    pub(crate) fresh: bool,
    /// Whether the workers run on untrusted machines. A result counts once a worker of another owner returns the same one; a
    /// worker whose results differ from the others' is taken out of service. Such workers have no folders, programs, requests,
    /// secrets or settings. Every attempt starts a new instance, with a stopped clock and random numbers that depend on the
    /// action alone.
    #[serde(default)]
    pub(crate) untrusted: bool,
    /// Limits that override the manifest's.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
    /// Folders that workers see, as `PATH[::GUEST][:rw]`, relative to the manifest. Read-only without `:rw`.
    #[serde(default)]
    pub(crate) dirs: Vec<String>,
    /// Programs that workers may run, each as its absolute path and patterns for its arguments. In a pattern, `*` matches any
    /// text; a final `...` matches any number of arguments.
    #[serde(default)]
    pub(crate) exec: Vec<Vec<String>>,
    /// Requests that workers may send, as `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`. A host `*.NAME` matches
    /// all names below `NAME`. A host name never grants an address that is not public: grant that one by its address.
    #[serde(default)]
    pub(crate) http: Vec<String>,
    /// Secrets, by the name of the variable that holds a placeholder for workers. The host replaces the placeholder by the value
    /// in headers and queries of the requests that the secret is bound to.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
    /// Quotas of each worker, or of all workers of one account together.
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
    /// Its name in reports.
    pub(crate) name: String,
    /// Its arguments, if it is a program, in place of its pool's.
    pub(crate) args: Option<Vec<String>>,
    /// Its environment variables.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    /// Secrets of its own, which override its pool's.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, SecretTable>,
    /// Quotas of this worker, in place of its pool's.
    pub(crate) quota: Option<Vec<QuotaTable>>,
    /// The account whose quotas it uses; workers of a pool with the same account share them. Default: an account of its own.
    pub(crate) account: Option<String>,
    /// The owner of its machine, if its pool is untrusted; workers of one owner never confirm each other. Default: an owner of its own.
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

/// The source of a secret, one of `env` and `file`, and the requests that it is bound to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SecretTable {
    /// The host's environment variable that holds it.
    pub(crate) env: Option<String>,
    /// The file that holds it, relative to the manifest. One trailing line break is not part of it.
    pub(crate) file: Option<PathBuf>,
    /// The requests that may carry it, written as in `http`. Default: the granted https requests, or if there are none, those
    /// that are granted by address.
    pub(crate) hosts: Option<Vec<String>>,
    /// Its form in a request. Default: verbatim.
    #[serde(rename = "as")]
    pub(crate) form: Option<SecretForm>,
}

/// The form of a secret in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SecretForm {
    /// `USER:PASSWORD`, encoded in base64, as `Authorization: Basic` requires.
    Basic,
}

/// The schema of the manifest.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Manifest)
}
