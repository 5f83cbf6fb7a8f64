//! The engines and the cache, and the steps from a file to a loaded component.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use wasmtime::component::Component;

use super::{
    cache::Cache,
    compile,
    component::{EngineContext, LoadedComponent},
    error::LoadError,
    inspection,
};
use crate::{
    digest::Digest,
    grants::{Denials, Grants},
    http::{Access, Client, Placed},
    limits::{Account, Budget, CompileLimits, Limits, cores},
    sandbox::{
        engine::EngineKind,
        imports::files::{FileAccess, FileLimits, Folders},
        inspect::{contract::Contract, report::Inspection, shape::Depth},
    },
};

/// The largest component that is looked at. The largest known guest, Python, has 18 MiB.
pub(crate) const COMPONENT_MAX: u64 = 256 << 20;

/// The two engines, made when first needed, and what all instances share.
pub(crate) struct Sandbox {
    blocking: OnceLock<Arc<EngineContext>>,
    concurrent: OnceLock<Arc<EngineContext>>,
    /// Held while an engine is made: each reserves terabytes of address space, so none is made to be thrown away.
    making: Mutex<()>,
    cache: Option<Cache>,
    /// None: what is compiled is trusted, and compiled here.
    compile: Option<CompileLimits>,
    /// How deep guests may recurse, in bytes.
    stack: usize,
    pub(crate) budget: Arc<Budget>,
    /// Of all workers.
    http: Arc<Client>,
    /// Of all workers.
    files: FileLimits,
}

/// A component that was looked at, and what it is.
pub(crate) struct Seen {
    bytes: Vec<u8>,
    /// Of the file, and of the component: another one if the file is a core module.
    file: Digest,
    digest: Digest,
    contract: Contract,
}

impl Seen {
    pub(crate) fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The digest of the file.
    pub(crate) fn file(&self) -> Digest {
        self.file
    }

    /// The digest of the component.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of the component.
    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Compiled code, as it was found or made.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) bytes: u64,
    /// Whether it is there for the next start. None: nothing is kept.
    pub(crate) kept: Option<std::io::Result<()>>,
}

impl Sandbox {
    /// Makes one. Compiled code is kept in `cache` if given; components are compiled apart within the limits `compile`, or
    /// here if there are none. Guests may recurse as deep as `stack` bytes go.
    pub(crate) fn new(cache: Option<Cache>, compile: Option<CompileLimits>, stack: usize, budget: Arc<Budget>) -> Self {
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

    /// What one worker may reach by HTTP, counted as `memory`; `slots`: how many attempts it makes at once.
    pub(crate) fn access(
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

    /// Where compiled code is kept, if it is.
    pub(crate) fn cache(&self) -> Option<&Path> {
        self.cache.as_ref().map(Cache::folder)
    }

    /// What one of `workers` workers with these folders may do with files; none: it has no folders.
    pub(crate) fn files(&self, folders: &Folders, workers: usize, limits: &Limits) -> Option<Arc<FileAccess>> {
        let access = || FileAccess::new(&self.files, folders.clone(), workers, limits.handles.get() as usize);
        (!folders.is_empty()).then(access)
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Reads a file, not more than a component can have.
    ///
    /// # Errors
    /// It cannot be read, or is too large to be one.
    pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // Not by its length, which a device or a pipe does not say.
        let read = File::open(path)?.take(COMPONENT_MAX + 1).read_to_end(&mut bytes)?;
        if read as u64 > COMPONENT_MAX {
            let message = format!("it is larger than {}", crate::units::Size(COMPONENT_MAX));
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        Ok(bytes)
    }

    /// Inspects a component, or a core module of which one is made; `file` is the digest of what is given. Blocks.
    ///
    /// # Errors
    /// It is no component of this contract, or takes too much to be inspected.
    pub(crate) fn look(&self, bytes: Vec<u8>, file: Digest) -> Result<Seen, LoadError> {
        let cached = self.cache.as_ref().and_then(|cache| cache.load_inspection(&file));
        let (inspection, made) = match cached {
            Some(cached) => cached,
            None => self.inspected(&bytes, &file)?,
        };
        Ok(Seen {
            contract: inspection.contract()?,
            file,
            digest: inspection.digest.unwrap_or(file),
            bytes: made.unwrap_or(bytes),
        })
    }

    /// Inspects a file and keeps what was found out: apart, or here if it is trusted.
    fn inspected(&self, bytes: &[u8], file: &Digest) -> Result<(Inspection, Option<Vec<u8>>), LoadError> {
        let answer = match &self.compile {
            Some(_) => inspection::apart(bytes, Depth::Declarations),
            None => inspection::here(bytes, Depth::Declarations),
        };
        let (inspection, made) = answer?.found()?;
        if let Some(cache) = &self.cache {
            // Without it the next start is slower and nothing else.
            let _ = cache.store_inspection(file, &inspection, made.as_deref());
        }
        Ok((inspection, made))
    }

    /// The program of a component that was compiled before, if it was kept.
    ///
    /// # Errors
    /// It cannot be linked.
    pub(crate) fn kept(&self, seen: &Seen) -> Result<Option<(LoadedComponent, Code)>, LoadError> {
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

    /// Whether its code is in the cache now.
    pub(crate) fn keeps(&self, seen: &Seen) -> bool {
        let context = self.context(seen.contract.engine);
        let (Some(cache), Ok(context)) = (&self.cache, context) else {
            return false;
        };
        // Of a core module also the component that was made of it.
        let is_whole = seen.file == seen.digest || cache.has_adapted(&seen.file);
        is_whole && cache.has(&context.engine, &seen.digest)
    }

    /// Compiles a component, which takes a tenth of a second to many seconds, and keeps its code for the next start. Blocks;
    /// several threads may each compile one.
    ///
    /// # Errors
    /// It does not compile, or cannot be linked.
    pub(crate) fn compile(&self, seen: &Seen) -> Result<(LoadedComponent, Code), LoadError> {
        let context = self.context(seen.contract.engine)?;
        let (component, code) = self.compiled(&context, seen.contract.engine, &seen.bytes)?;
        let cache = self.cache.as_ref();
        let told = Code {
            bytes: code.len() as u64,
            // Without it the next start is slower and nothing else, so most do not mind.
            kept: cache.map(|cache| cache.store(&context.engine, &seen.digest, &code)),
        };
        Ok((LoadedComponent::new(context, &seen.contract, &component)?, told))
    }

    /// A component compiled, and its code.
    fn compiled(
        &self,
        context: &EngineContext,
        kind: EngineKind,
        bytes: &[u8],
    ) -> Result<(Component, Vec<u8>), LoadError> {
        let code = match &self.compile {
            Some(limits) => compile::apart(kind, context.space, bytes, limits)?,
            None => compile::here(&context.engine, bytes)?,
        };
        // SAFETY: a compiler with this engine's configuration, this very program, has just made it.
        #[allow(unsafe_code, reason = "the only way to load compiled code")]
        let component = unsafe { Component::deserialize(&context.engine, &code) };
        let component = component.map_err(|error| LoadError::of(&error, LoadError::Code))?;
        Ok((component, code))
    }

    /// How many components of at most `size` bytes may be compiled at once in so much memory: each by a core, and each may
    /// take all that one may.
    pub(crate) fn compilers(&self, memory: u64, size: u64) -> usize {
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
        // Whoever died here left nothing behind.
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
    use crate::limits::STACK;

    #[test]
    fn no_more_are_compiled_at_once_than_memory_and_cores_allow() {
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

    /// Here no child can be had: this program does not offer itself as one.
    #[test]
    fn a_file_that_was_inspected_before_needs_no_child() {
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
            let error = sandbox.look(bytes.clone(), file).err();
            assert!(matches!(error, Some(LoadError::Inspection(_))), "{error:?}");
            let found = inspection::here(&bytes, Depth::Declarations).unwrap().found();
            let (inspection, made) = found.unwrap();
            cache.store_inspection(&file, &inspection, made.as_deref()).unwrap();
            let seen = sandbox.look(bytes.clone(), file).unwrap();
            assert_eq!(seen.digest(), Digest::of(made.as_deref().unwrap_or(&bytes)));
            assert_eq!(seen.contract(), &inspection.contract().unwrap());
        }
    }

    #[test]
    fn threads_that_come_at_once_get_one_engine() {
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
