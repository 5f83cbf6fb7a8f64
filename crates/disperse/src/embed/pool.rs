//! The description of a pool of workers.

mod plan;

use std::{fmt, future::Future};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Attempt, Component, Failure, Limits, Quota, attempt};
use crate::worker::NativeCall;
use disperse_sandbox::InvocationSettings;

/// A group of equal workers: made from one component, or from one function of this program.
///
/// Workers of a component have no access to anything unless it is granted here. Invalid settings are errors when the
/// run starts.
#[derive(Debug)]
pub struct Pool {
    name: String,
    source: WorkerSource,
    kinds: Vec<String>,
    count: Option<usize>,
    listed: Vec<Worker>,
    concurrency: u32,
    fresh: bool,
    untrusted: bool,
    limits: Limits,
    dirs: Vec<String>,
    exec: Vec<Vec<String>>,
    http: Vec<String>,
    invocation: InvocationSettings,
    common: Worker,
}

enum WorkerSource {
    Component(Component),
    Native(NativeCall),
}

impl fmt::Debug for WorkerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(component) => component.fmt(f),
            Self::Native(_) => f.write_str("Native"),
        }
    }
}

/// One worker of a pool with a name and settings of its own: a token with its quota, for instance.
pub struct Worker {
    name: String,
    args: Option<Vec<String>>,
    env: Vec<(String, String)>,
    secrets: Vec<(String, Zeroizing<String>)>,
    quotas: Vec<Quota>,
    account: Option<String>,
    owner: Option<String>,
}

impl fmt::Debug for Worker {
    /// Leaves out values, some of which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with this name, which is shown with its pool's as `pool/worker`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            args: None,
            env: Vec::new(),
            secrets: Vec::new(),
            quotas: Vec::new(),
            account: None,
            owner: None,
        }
    }

    /// Arguments of its own instead of its pool's, if it is a program; see [`Pool::args`].
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an environment variable to those of its pool.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a secret of its own, which overrides its pool's; see [`Pool::secret`].
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.push((name.into(), Zeroizing::new(value.into())));
        self
    }

    /// Adds a quota of its own, instead of its pool's; may be called again. See [`Pool::quota`].
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// The account whose quota it spends: workers of a pool with the same account share one. Default: an account of its
    /// own.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The operator of the worker, if its pool is [untrusted](Pool::untrusted): workers of one owner never confirm each
    /// other. Default: an owner of its own.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }
}

impl Pool {
    fn new(name: String, source: WorkerSource) -> Self {
        Self {
            source,
            kinds: Vec::new(),
            count: None,
            listed: Vec::new(),
            concurrency: 1,
            fresh: false,
            untrusted: false,
            limits: Limits::default(),
            dirs: Vec::new(),
            exec: Vec::new(),
            http: Vec::new(),
            invocation: InvocationSettings::default(),
            common: Worker::new(name.clone()),
            name,
        }
    }

    /// A pool of sandboxed workers, each with an instance of its own, made from a component that exports a worker.
    pub fn component(name: impl Into<String>, component: &Component) -> Self {
        Self::new(name.into(), WorkerSource::Component(component.clone()))
    }

    /// A pool of workers that call an async function of this program. They are scheduled, judged and replaced as others
    /// are, but not sandboxed: the function has all rights of its program.
    ///
    /// Every attempt is a tokio task of its own. A panic in it is a failed attempt, as a trap is; the panic hook of the
    /// program runs first. When its time is up, or its result is not needed any more, its future is dropped where it
    /// waits. **A function that blocks or computes without a break cannot be interrupted**: it holds a thread of the
    /// runtime and may stop the others, so such work belongs into `spawn_blocking` or the like. Its attempt still fails
    /// a second after its timeout, and the worker counts as busy until the function returns.
    ///
    /// ```
    /// use disperse::{Attempt, Failure, Pool};
    ///
    /// let pool = Pool::native("lengths", |attempt: Attempt| async move {
    ///     let text = std::str::from_utf8(attempt.payload()).map_err(Failure::permanent)?;
    ///     Ok(text.chars().count().to_string())
    /// })
    /// .kind("length")
    /// .workers(4);
    /// ```
    pub fn native<F, A, R>(name: impl Into<String>, work: F) -> Self
    where
        F: Fn(Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R, Failure>> + Send + 'static,
        R: Into<Bytes>,
    {
        Self::new(name.into(), WorkerSource::Native(attempt::native(work)))
    }

    /// Adds a kind of action that it serves; may be called again. Default: every kind that no other pool names.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// The number of workers without settings of their own. Default: one for each core, or none if some are
    /// [listed](Pool::worker).
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.count = Some(count);
        self
    }

    /// Adds a worker with settings of its own; may be called again.
    #[must_use]
    pub fn worker(mut self, worker: Worker) -> Self {
        self.listed.push(worker);
        self
    }

    /// The number of attempts that one worker makes at once, from 1, the default, to 50,000; all workers of a component
    /// together at most 1,000. More than 1 in a component needs an async worker: the attempts share an instance.
    #[must_use]
    pub fn concurrency(mut self, attempts: u32) -> Self {
        self.concurrency = attempts;
        self
    }

    /// Whether every attempt gets a new instance. Default: no. Native workers ignore it.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// Whether the workers are untrusted: a result is accepted when a worker of another [owner](Worker::owner) returns
    /// the same one, byte for byte and with the same fuel. A worker that is outvoted more often than chance explains is
    /// taken out. Default: no.
    ///
    /// So that honest workers agree, every attempt gets a new instance with a stopped clock and random numbers seeded
    /// by the action, and the workers get no grants. Only for components.
    #[must_use]
    pub fn untrusted(mut self, untrusted: bool) -> Self {
        self.untrusted = untrusted;
        self
    }

    /// The limits of each worker.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Grants a folder, as `PATH[::GUEST][:rw]`; read-only without `:rw`. It is opened once, when the run starts.
    /// Guests open regular files and folders in it and nothing else. Errors at the start: a folder of a proc file
    /// system, and a writable folder with a program that guests of the run may run or with the host's cache of compiled
    /// code.
    #[must_use]
    pub fn dir(mut self, rule: impl Into<String>) -> Self {
        self.dirs.push(rule.into());
        self
    }

    /// Grants a program: its absolute path and patterns for its arguments. `*` in a pattern stands for any text, a last
    /// `...` for any number of arguments. It is killed with all of its process group when the attempt ends. If your
    /// process is killed first, a small process beside it kills the group, provided that your program calls
    /// [`Compiler::prepare`](crate::Compiler::prepare).
    #[must_use]
    pub fn exec<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.exec.push(words.into_iter().map(Into::into).collect());
        self
    }

    /// Grants requests, as `[METHOD[,METHOD...] ]SCHEME://HOST[:PORT][/PATH-PREFIX]`. A host `*.NAME` stands for all
    /// names below it; an address that is not public is granted only if the rule names that address.
    #[must_use]
    pub fn http(mut self, rule: impl Into<String>) -> Self {
        self.http.push(rule.into());
        self
    }

    /// Arguments, if the component is a program of WASI, which runs once for each action. In them `{}` stands for the
    /// payload, `{file}` for the path of a file with it, `{file.EXT}` for one with that extension, `{kind}` and
    /// `{attempt}` for those of the action; a placeholder in double braces, such as `{{}}`, is text. Without `{}` and
    /// `{file}` the payload is on stdin.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.invocation.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// The size of a program's scratch folder, `/tmp`, in bytes, from 64 KiB; names of files and folders count. It is
    /// empty at each attempt, and kept in memory, which counts as memory of the host. Default: 16 MiB if `{file}` or a
    /// [result file](Pool::result_file) is used, else there is none.
    #[must_use]
    pub fn scratch(mut self, bytes: u64) -> Self {
        self.invocation.scratch = Some(bytes);
        self
    }

    /// The file in a program's scratch folder that holds its result. Default: its stdout without the newline of the
    /// last line.
    #[must_use]
    pub fn result_file(mut self, path: impl Into<String>) -> Self {
        self.invocation.result_file = Some(path.into());
        self
    }

    /// The exit statuses of a program that mean success. Default: 0 alone.
    #[must_use]
    pub fn ok_status(mut self, statuses: impl IntoIterator<Item = u8>) -> Self {
        self.invocation.ok_status = Some(statuses.into_iter().map(i32::from).collect());
        self
    }

    /// Adds an environment variable of every guest.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.common = self.common.env(name, value);
        self
    }

    /// Adds a secret that the guests never see: the variable of this name holds a placeholder, and the host replaces it
    /// by the value in granted requests that use https. **If none does**, it replaces it in requests that are granted
    /// by an address, such as `http://10.0.0.5:8000`, unencrypted.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.common = self.common.secret(name, value);
        self
    }

    /// Adds a quota that a service allows each worker; may be called again. Holds for native workers too.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.common = self.common.quota(quota);
        self
    }
}
