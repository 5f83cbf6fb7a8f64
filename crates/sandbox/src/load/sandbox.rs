//! The sandbox: the engines, the cache, and the steps from a file to a loaded component.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use wasmtime::component::Component;

use super::{
    cache::Cache,
    compile::{self, Shared},
    component::{EngineContext, LoadedComponent},
    error::{CompileError, LoadError},
    functions::{self, COMPONENT_MIN},
    inspection,
};
use crate::{
    engine::EngineKind,
    imports::files::{FileAccess, FileLimits, Folders},
    inspect::{contract::Contract, report::Inspection, shape::Depth},
};
use disperse_egress::{
    grants::{Denials, Grants},
    http::{Access, Client, Placed},
};
use disperse_protocol::{
    digest::Digest,
    limits::{Account, Budget, CompileLimits, Limits, cores},
};

/// The largest component, in bytes. The largest known guest, Python, has 18 MiB.
pub const COMPONENT_MAX: u64 = 256 << 20;

/// The two engines, made when first needed, and the limits that all instances share.
pub struct Sandbox {
    blocking: OnceLock<Arc<EngineContext>>,
    concurrent: OnceLock<Arc<EngineContext>>,
    /// Held while an engine is made. Each reserves terabytes of address space, so two threads must not both make one.
    making: Mutex<()>,
    cache: Option<Cache>,
    /// None: components are trusted and are compiled in this process.
    compile: Option<CompileLimits>,
    /// The wasm stack of a guest, in bytes.
    stack: usize,
    pub budget: Arc<Budget>,
    /// The HTTP client of all workers.
    http: Arc<Client>,
    /// Limits on files, for all workers together.
    files: FileLimits,
}

/// An inspected component and its contract.
pub struct InspectedComponent {
    bytes: Vec<u8>,
    /// The digests of the file and of the component. They differ if the file is a core module.
    file: Digest,
    digest: Digest,
    contract: Contract,
}

impl InspectedComponent {
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The digest of the file.
    pub fn file(&self) -> Digest {
        self.file
    }

    /// The digest of the component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of the component, in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Describes compiled code that was loaded or made.
#[derive(Debug)]
pub struct Code {
    pub bytes: u64,
    /// Whether the code is in the cache for the next start. None: there is no cache.
    pub kept: Option<std::io::Result<()>>,
}

impl Sandbox {
    /// Makes a sandbox. `cache`: where compiled code is kept, if anywhere. `compile`: limits of the child processes
    /// that compile; none to compile in this process. `stack`: the wasm stack of a guest, in bytes.
    pub fn new(cache: Option<Cache>, compile: Option<CompileLimits>, stack: usize, budget: Arc<Budget>) -> Self {
        Self {
            blocking: OnceLock::new(),
            concurrent: OnceLock::new(),
            making: Mutex::new(()),
            cache,
            compile,
            stack,
            budget,
            http: Arc::default(),
            files: FileLimits::default(),
        }
    }

    /// The HTTP access of one worker. Its bodies are charged to `memory`. `slots`: the attempts that it runs at once.
    pub fn access(
        &self,
        memory: &Arc<Account>,
        grants: &Arc<Grants>,
        secrets: Arc<[Placed]>,
        limits: &Limits,
        denials: &Arc<Denials>,
        slots: u32,
    ) -> Access {
        let (client, memory) = (self.http.clone(), memory.clone());
        Access::new(client, grants.clone(), secrets, limits, memory, denials.clone(), slots)
    }

    /// The folder of the cache, if there is one.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_ref().map(Cache::folder)
    }

    /// The file access of one of `workers` workers with these folders. None: no folders.
    pub fn files(&self, folders: &Folders, workers: usize, limits: &Limits) -> Option<Arc<FileAccess>> {
        let access = || FileAccess::new(&self.files, folders.clone(), workers, limits.handles.get() as usize);
        (!folders.is_empty()).then(access)
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Reads a file of at most [`COMPONENT_MAX`] bytes.
    ///
    /// # Errors
    /// It cannot be read, or is larger than that.
    pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // Not checked by the file's length, which a device or a pipe does not report.
        let read = File::open(path)?.take(COMPONENT_MAX + 1).read_to_end(&mut bytes)?;
        if read as u64 > COMPONENT_MAX {
            let message = format!("it is larger than {}", disperse_protocol::units::Size(COMPONENT_MAX));
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        Ok(bytes)
    }

    /// Inspects a component, or a core module that is made into one. `file`: the digest of `bytes`. Blocks.
    ///
    /// # Errors
    /// It implements no contract, or inspecting it takes more than the limits.
    pub fn inspect(&self, bytes: Vec<u8>, file: Digest) -> Result<InspectedComponent, LoadError> {
        let cached = self.cache.as_ref().and_then(|cache| cache.load_inspection(&file));
        let (inspection, made) = match cached {
            Some(cached) => cached,
            None => self.inspect_file(&bytes, &file)?,
        };
        Ok(InspectedComponent {
            contract: inspection.contract()?,
            file,
            digest: inspection.digest.unwrap_or(file),
            bytes: made.unwrap_or(bytes),
        })
    }

    /// Inspects a file and caches the result. In a child process, or in this process if components are trusted.
    fn inspect_file(&self, bytes: &[u8], file: &Digest) -> Result<(Inspection, Option<Vec<u8>>), LoadError> {
        let answer = match &self.compile {
            Some(_) => inspection::in_child(bytes, Depth::Declarations),
            None => inspection::in_process(bytes, Depth::Declarations),
        };
        let (inspection, made) = answer?.found()?;
        if let Some(cache) = &self.cache {
            // A failure only makes the next start slower.
            let _ = cache.store_inspection(file, &inspection, made.as_deref());
        }
        Ok((inspection, made))
    }

    /// Loads a component's compiled code from the cache, if it is there.
    ///
    /// # Errors
    /// It cannot be linked.
    pub fn load_cached(&self, seen: &InspectedComponent) -> Result<Option<(LoadedComponent, Code)>, LoadError> {
        let Some(cache) = &self.cache else {
            return Ok(None);
        };
        let context = self.context(seen.contract.engine)?;
        let Some((component, bytes)) = cache.load(&context.engine, &seen.digest) else {
            return Ok(None);
        };
        let code = Code {
            bytes,
            kept: Some(Ok(())),
        };
        Ok(Some((LoadedComponent::new(context, &seen.contract, &component)?, code)))
    }

    /// Whether the component's code is in the cache now.
    pub fn has_cached(&self, seen: &InspectedComponent) -> bool {
        let context = self.context(seen.contract.engine);
        let (Some(cache), Ok(context)) = (&self.cache, context) else {
            return false;
        };
        // For a core module, the component that was made of it must be there too.
        let is_whole = seen.file == seen.digest || cache.has_adapted(&seen.file);
        is_whole && cache.has(&context.engine, &seen.digest)
    }

    /// Compiles a component and caches its code for the next start. Blocks for a tenth of a second to many seconds.
    /// Several threads may compile at once. `is_own`: the user's project has built it, so that its functions may be used for
    /// other components.
    ///
    /// # Errors
    /// It does not compile, or cannot be linked.
    pub fn compile(&self, seen: &InspectedComponent, is_own: bool) -> Result<(LoadedComponent, Code), LoadError> {
        let context = self.context(seen.contract.engine)?;
        let (component, code) = self.compiled(&context, seen, is_own)?;
        let cache = self.cache.as_ref();
        let described = Code {
            bytes: code.len() as u64,
            // A failure only makes the next start slower, so most callers ignore it.
            kept: cache.map(|cache| cache.store(&context.engine, &seen.digest, &code)),
        };
        Ok((LoadedComponent::new(context, &seen.contract, &component)?, described))
    }

    /// Compiles a component. Returns it and its code.
    fn compiled(
        &self,
        context: &EngineContext,
        seen: &InspectedComponent,
        is_own: bool,
    ) -> Result<(Component, Vec<u8>), LoadError> {
        let code = match &self.compile {
            Some(limits) => self.compiled_in_child(context, seen, is_own, limits)?,
            None => compile::in_process(&context.engine, &seen.bytes)?,
        };
        // SAFETY: this program's own compiler has just made the code, with this engine's configuration.
        #[allow(unsafe_code, reason = "the only way to load compiled code")]
        let component = unsafe { Component::deserialize(&context.engine, &code) };
        let component = component.map_err(|error| LoadError::of(&error, LoadError::Code))?;
        Ok((component, code))
    }

    /// Compiles a component in a child process that is given the known functions.
    fn compiled_in_child(
        &self,
        context: &EngineContext,
        seen: &InspectedComponent,
        is_own: bool,
        limits: &CompileLimits,
    ) -> Result<Vec<u8>, CompileError> {
        let cache = self.cache.as_ref().filter(|_| seen.size() >= COMPONENT_MIN);
        let max = functions::max(limits.memory(seen.size()));
        let known = cache
            .map(|cache| cache.load_functions(&context.engine, max))
            .unwrap_or_default();
        let shared = Shared {
            known: known.records(),
            // The functions of a component are as trustworthy as the component, and others would use them.
            added_max: if is_own && cache.is_some() { max } else { 0 },
        };
        let made = compile::in_child((seen.contract.engine, context.space), &seen.bytes, shared, limits)?;
        if let Some(cache) = cache {
            cache.used_functions(&known, functions::positions(&made.used));
            if !made.added.is_empty() {
                // A failure only makes compiling the next component slower.
                let _ = cache.store_functions(&context.engine, &seen.digest, &made.added);
            }
        }
        Ok(made.code)
    }

    /// How many components of at most `size` bytes may be compiled at once in `memory` bytes: at most one for each
    /// core, and each may take its full memory limit. At least 1.
    pub fn compilers(&self, memory: u64, size: u64) -> usize {
        let one = self.compile.unwrap_or_default().memory(size).max(1);
        let fit = usize::try_from(memory / one).unwrap_or(usize::MAX);
        cores().min(fit).max(1)
    }

    fn context(&self, kind: EngineKind) -> Result<Arc<EngineContext>, LoadError> {
        let cell = match kind {
            EngineKind::Blocking => &self.blocking,
            EngineKind::Async => &self.concurrent,
        };
        if let Some(context) = cell.get() {
            return Ok(context.clone());
        }
        // A thread that panicked while it held the lock changed nothing.
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = cell.get() {
            return Ok(context.clone());
        }
        let context = EngineContext::new(kind, self.stack, self.budget.limit());
        let context = context.map_err(|error| LoadError::of(&error, LoadError::Engine))?;
        Ok(cell.get_or_init(|| Arc::new(context)).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disperse_protocol::limits::STACK;

    #[test]
    fn concurrent_compilations_are_bounded_by_memory_and_cores() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let limits = CompileLimits {
            memory: Some(4 << 30),
            ..CompileLimits::default()
        };
        let stack = usize::try_from(STACK).unwrap();
        let sandbox = Sandbox::new(None, Some(limits), stack, Budget::new(u64::MAX));
        for (memory, compilers) in [(0, 1), (1 << 30, 1), (8 << 30, cores.min(2)), (u64::MAX, cores)] {
            assert_eq!(sandbox.compilers(memory, 0), compilers, "{memory}");
        }
    }

    /// The test program cannot run as a child, so inspecting a file that is not cached fails.
    #[test]
    fn cached_inspection_needs_no_child_process() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("cache")).unwrap();
        let text = include_str!("../../../../tests/guests/worker.wat");
        let worker = text.replace("{HANDLE}", "unreachable").replace("{EXPORT}", "handle");
        let program = include_str!("../../../../tests/guests/program.wat");
        for text in [&*worker, program] {
            let bytes = wat::parse_str(text).unwrap();
            let file = Digest::of(&bytes);
            let stack = usize::try_from(STACK).unwrap();
            let limits = Some(CompileLimits::default());
            let sandbox = Sandbox::new(Some(cache.clone()), limits, stack, Budget::new(u64::MAX));
            let error = sandbox.inspect(bytes.clone(), file).err();
            assert!(matches!(error, Some(LoadError::Inspection(_))), "{error:?}");
            let found = inspection::in_process(&bytes, Depth::Declarations).unwrap().found();
            let (inspection, made) = found.unwrap();
            cache.store_inspection(&file, &inspection, made.as_deref()).unwrap();
            let seen = sandbox.inspect(bytes.clone(), file).unwrap();
            assert_eq!(seen.digest(), Digest::of(made.as_deref().unwrap_or(&bytes)));
            assert_eq!(seen.contract(), &inspection.contract().unwrap());
        }
    }

    #[test]
    fn concurrent_threads_share_one_engine() {
        let stack = usize::try_from(STACK).unwrap();
        let sandbox = Sandbox::new(None, None, stack, Budget::new(u64::MAX));
        let contexts: Vec<_> = std::thread::scope(|scope| {
            let context = || sandbox.context(EngineKind::Blocking).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(context)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(contexts.iter().all(|context| Arc::ptr_eq(context, &contexts[0])));
    }
}
