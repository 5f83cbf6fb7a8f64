//! The host itself.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::HostError;
use disperse_protocol::limits::{
    self, Budget, CompileLimits, HOST_MEMORY_MIN, STACK, STACK_RANGE, default_host_memory,
};
use disperse_sandbox::{Cache, Sandbox, as_compile_child};

/// The place where runs execute: the sandbox, the compiled components and the memory that all guests share. Cheap to
/// clone; clones are the same host.
///
/// One host may execute several runs at once. They share its memory, so a run whose events are not read may delay the
/// others once much of it is taken. Make one host and keep it: each reserves terabytes of address space, but no memory,
/// for its instances. If workers send requests, use it within one tokio runtime, which keeps their
/// connections.
#[derive(Clone)]
pub struct Host {
    pub(super) sandbox: Arc<Sandbox>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// Makes a builder with default settings.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }
}

/// The folder of compiled code.
#[derive(Debug)]
enum Folder {
    User,
    Given(PathBuf),
}

/// The settings of a [`Host`].
#[derive(Debug, Default)]
pub struct HostBuilder {
    cache: Option<Folder>,
    memory: Option<u64>,
    stack: Option<u64>,
    compiler: Option<Compiler>,
}

impl HostBuilder {
    /// Whether compiled code is cached for the next start of any program with this host, in `$XDG_CACHE_HOME/disperse`
    /// or `~/.cache/disperse`, at most 1 GiB. Default: no.
    #[must_use]
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache.then_some(Folder::User);
        self
    }

    /// Caches compiled code in this folder, which is made if it does not exist. It must belong to this user alone, and
    /// other users must not be able to write to any folder above it: code that they put there would be executed.
    #[must_use]
    pub fn cache_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(Folder::Given(folder.into()));
        self
    }

    /// The most memory of all guests and of the data held for them, in bytes. Above it runs slow down and do not fail:
    /// idle instances are dropped, and new work waits. At least 1 MiB: less counts as that. Default: half of the
    /// machine's memory.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The stack of a guest, in bytes: 64 KiB to 1 GiB. Default 512 KiB.
    #[must_use]
    pub fn stack(mut self, bytes: u64) -> Self {
        self.stack = Some(bytes);
        self
    }

    /// Inspects and compiles components in processes of their own. Default: in this process, without limits on time and
    /// memory, which suits trusted components. Too deep nesting and too many declarations are errors in either case.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Makes the host. An engine is made when a component first needs it.
    ///
    /// # Errors
    /// A setting is out of its range, or the folder of compiled code cannot be used.
    pub fn build(self) -> Result<Host, HostError> {
        let bytes = self.stack.unwrap_or(STACK);
        let stack = limits::stack(bytes).ok_or(HostError::Stack {
            bytes,
            least: *STACK_RANGE.start(),
            most: *STACK_RANGE.end(),
        })?;
        let cache = self.cache.map(|folder| match folder {
            Folder::User => Cache::user(),
            Folder::Given(path) => Cache::at(&path),
        });
        let cache = cache.transpose().map_err(|error| HostError::Cache(error.into()))?;
        let memory = self.memory.unwrap_or_else(default_host_memory).max(HOST_MEMORY_MIN);
        let compile = self.compiler.map(|compiler| compiler.limits);
        Ok(Host {
            sandbox: Arc::new(Sandbox::new(cache, compile, stack, Budget::new(memory))),
        })
    }
}

/// Proof that this program can compile in child processes: it is started once more for each component that is inspected
/// or compiled, with limits. For programs that load components of strangers.
///
/// Only [`Compiler::prepare`] makes one: without that call the child process would run the whole program again.
#[derive(Debug)]
pub struct Compiler {
    limits: CompileLimits,
}

impl Compiler {
    /// Call it first in `main`, before there are threads. In a process that was started to compile, it compiles, exits
    /// and does not return.
    ///
    /// Such a process has exactly four arguments after the program's name, the first of which is `compile-child`. One
    /// more process of this sort does not compile: it runs beside a process whose guests run programs of the machine,
    /// and kills them if that process is killed.
    pub fn prepare() -> Self {
        if let Some(code) = as_compile_child() {
            std::process::exit(code.into());
        }
        Self {
            limits: CompileLimits::default(),
        }
    }

    /// The most time to compile one component, at most a year. Default 15 s plus 4 s for each MB of it, at most two
    /// minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout.min(Duration::from_secs(365 * 24 * 3600)));
        self
    }

    /// The most memory to compile one component, in bytes. Default 512 MiB plus 40 times its size, at most 4 GiB.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }
}
