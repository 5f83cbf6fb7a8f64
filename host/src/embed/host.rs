//! The host itself.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::{HostError, Operation, RunBuilder};
use crate::{
    limits::{self, Budget, CompileLimits, HOST_MEMORY_MIN, STACK, STACK_RANGE, default_host_memory},
    sandbox::{Cache, Sandbox, as_compile_child},
};

/// Where runs take place: the sandbox, the compiled components and the memory that all guests have together. Cheap to clone;
/// clones are the same host.
///
/// Several runs may go on at once on one host; they share its memory, so that one whose events nobody reads may hold up the
/// others once much of it is taken. Make one host and keep it: each reserves terabytes of address space, though no memory, for
/// the instances that there may be. If workers send requests, use it within one tokio runtime, where their
/// connections are kept.
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
    /// A host with settings.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Begins to describe a run of this operation. Nothing happens before [`RunBuilder::start`].
    pub fn run(&self, operation: Operation) -> RunBuilder {
        RunBuilder::new(self.clone(), operation)
    }
}

/// Where compiled code is kept.
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
    /// Whether compiled code is kept for the next start of any program with this host, in `$XDG_CACHE_HOME/disperse` or
    /// `~/.cache/disperse`, at most 1 GiB. Default: no.
    #[must_use]
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache.then_some(Folder::User);
        self
    }

    /// Keeps compiled code in this folder, which is made if need be. It has to be this user's alone, and others must not be able
    /// to write to a folder that it lies in: code that they put there would be run.
    #[must_use]
    pub fn cache_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(Folder::Given(folder.into()));
        self
    }

    /// Bytes that all guests and what is kept for them may take together. Over it runs slow down and do not fail: idle
    /// instances are dropped, and new work waits. At least 1 MiB: less counts as that. Default: half of the machine's memory.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// How deep guests may recurse, in bytes of stack: 64 KiB to 1 GiB. Default 512 KiB.
    #[must_use]
    pub fn stack(mut self, bytes: u64) -> Self {
        self.stack = Some(bytes);
        self
    }

    /// Has components inspected and compiled in processes of their own. Default: in this process, without limits on time and
    /// memory, which is for components that you trust. What is nested too deep or declares too much is an error there too.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Makes the host. Engines are made when a component first needs one.
    ///
    /// # Errors
    /// A setting is out of its range, or compiled code cannot be kept where it should be.
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
        let cache = cache.transpose().map_err(|error| HostError::Cache(error.to_string()))?;
        let memory = self.memory.unwrap_or_else(default_host_memory).max(HOST_MEMORY_MIN);
        let compile = self.compiler.map(|compiler| compiler.limits);
        Ok(Host {
            sandbox: Arc::new(Sandbox::new(cache, compile, stack, Budget::new(memory))),
        })
    }
}

/// Says that this program can be a compiler: it is started once more for each component that is inspected or compiled, as a
/// process with limits. For programs that load components from strangers.
///
/// To have one is to have called [`Compiler::prepare`], without which such a process would be your whole program once more.
#[derive(Debug)]
pub struct Compiler {
    limits: CompileLimits,
}

impl Compiler {
    /// Call it first in `main`, before there are threads: in a process that was started to compile it does that and exits, and
    /// does not return.
    ///
    /// Such a process has exactly four arguments after the program's name, the first of which is `compile-child`. One more, which
    /// does not compile, is beside a process whose guests run programs of the machine: it kills them if that process is killed.
    pub fn prepare() -> Self {
        if let Some(code) = as_compile_child() {
            std::process::exit(code.into());
        }
        Self {
            limits: CompileLimits::default(),
        }
    }

    /// How long compiling one component may take, at most a year. Default 15 s and 4 s for each MB of it, at most two
    /// minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout.min(Duration::from_secs(365 * 24 * 3600)));
        self
    }

    /// Bytes of memory that compiling one component may take. Default 512 MiB and 40 times its size, at most 4 GiB.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }
}
