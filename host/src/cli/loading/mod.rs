//! Loads all components of a run: inspects and compiles each once, several in parallel.
//!
//! Failures that need no compiling are reported first. Of several failures, the reported one is deterministic: that of the first
//! component in the order of the manifest.

mod each;
mod progress;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::each::{each, or_first_failure};
pub(super) use self::progress::{Progress, seconds};
use super::{
    console::Failure,
    plan::{read, unusable},
};
use crate::{
    digest::Digest,
    limits::default_host_memory,
    sandbox::{Code, InspectedComponent, LoadedComponent, Sandbox},
    settings::Manifest,
    signer::{SignatureError, Signer},
};

/// A component to load.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    path: PathBuf,
    /// The required digest of its file, if any.
    pin: Option<Digest>,
    /// The key that must have signed it, if any.
    signer: Option<Signer>,
    role: Role,
    /// Whether it was given on the command line. Then it may be a pipe.
    typed: bool,
}

impl Wanted {
    pub(super) fn new(path: PathBuf, pin: Option<Digest>, signer: Option<&Signer>, role: Role) -> Self {
        Self {
            path,
            pin,
            signer: signer.cloned(),
            role,
            typed: false,
        }
    }

    /// Sets whether it was given on the command line.
    pub(super) fn typed(self, typed: bool) -> Self {
        Self { typed, ..self }
    }
}

/// The role that a component must have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Operation,
    Worker,
    Any,
}

/// All components of a manifest, in its order.
pub(super) fn all(manifest: &Manifest, folder: &Path) -> Vec<Wanted> {
    let signer = manifest.signed_by.as_ref();
    let wanted = |component: &Path, pin, role| Wanted::new(folder.join(component), pin, signer, role);
    let operation = manifest.operation.iter();
    let operation = operation.map(|operation| wanted(&operation.component, operation.sha256, Role::Operation));
    let worker = manifest.worker.iter();
    let worker = worker.map(|worker| wanted(&worker.component, worker.sha256, Role::Worker));
    let pools = manifest.pool.iter();
    let pools = pools.map(|pool| wanted(&pool.component, pool.sha256, Role::Worker));
    operation.chain(worker).chain(pools).collect()
}

/// An inspected component.
pub(super) struct FoundComponent {
    pub(super) path: PathBuf,
    pub(super) seen: InspectedComponent,
    /// Its code, if that was in the cache.
    pub(super) kept: Option<(LoadedComponent, Code)>,
}

/// A component that was compiled now.
pub(super) struct Compiled {
    pub(super) program: LoadedComponent,
    pub(super) code: Code,
    pub(super) took: Duration,
}

/// Loads components with one sandbox.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// Whether to continue after a failure.
    pub(super) all: bool,
}

impl Loader<'_> {
    /// How many components of at most `largest` bytes to process in parallel: one per core, as far as half of the machine's memory
    /// holds them if each uses its limit, and at least one. The other half is left to the machine, as with `--host-memory`.
    fn width(&self, largest: u64) -> usize {
        self.sandbox.compilers(default_host_memory(), largest)
    }

    /// Inspects components, and looks up their code in the cache.
    pub(super) fn look(&self, files: &[File]) -> Vec<Option<Result<FoundComponent, Failure>>> {
        each(files, self.width(u64::MAX), self.all, |file| {
            let seen = look(self.sandbox, file)?;
            let kept = self.sandbox.load_cached(&seen);
            Ok(FoundComponent {
                kept: kept.map_err(|error| unusable(&file.path, &error))?,
                path: file.path.clone(),
                seen,
            })
        })
    }

    /// Compiles components. Calls `on_compiled` for each as soon as it is compiled, from any thread.
    pub(super) fn compile(
        &self,
        components: &[&FoundComponent],
        progress: &Progress,
        on_compiled: impl Fn(&FoundComponent, &Result<Compiled, Failure>) + Sync,
    ) -> Vec<Option<Result<Compiled, Failure>>> {
        let largest = components.iter().map(|one| one.seen.size()).max().unwrap_or_default();
        each(components, self.width(largest), self.all, |one| {
            progress.begin(&one.path);
            let begun = Instant::now();
            let compiled = self.sandbox.compile(&one.seen);
            progress.end(&one.path);
            let compiled = compiled
                .map(|(program, code)| Compiled {
                    program,
                    code,
                    took: begun.elapsed(),
                })
                .map_err(|error| unusable(&one.path, &error));
            progress.aside(|| on_compiled(one, &compiled));
            compiled
        })
    }
}

/// The components whose code is not in the cache, without duplicates.
pub(super) fn to_compile(looked: &[FoundComponent]) -> Vec<&FoundComponent> {
    let mut found = BTreeSet::new();
    let missing = looked.iter().filter(|one| one.kept.is_none());
    missing.filter(|one| found.insert(one.seen.digest())).collect()
}

/// The loaded components of a run.
pub(super) struct LoadedComponents(BTreeMap<PathBuf, LoadedComponent>);

impl LoadedComponents {
    /// Loads all wanted components. Reports the progress of compiling, unless `quiet`.
    ///
    /// # Errors
    /// A component cannot be read, has another digest or signer, or cannot be loaded.
    pub(super) fn load(sandbox: &Sandbox, wanted: &[Wanted], quiet: bool) -> Result<Self, Failure> {
        let loader = Loader { sandbox, all: false };
        let looked = or_first_failure(loader.look(&files(wanted)))?;
        let missing = to_compile(&looked);
        let progress = Progress::new(missing.len(), quiet);
        let compiled = loader.compile(&missing, &progress, |one, compiled| {
            if let Ok(compiled) = compiled {
                progress.compiled(&one.path, &compiled.code, compiled.took);
            }
        });
        let compiled = or_first_failure(compiled)?;
        let made = missing.iter().map(|one| one.seen.digest());
        let made: BTreeMap<Digest, LoadedComponent> = made.zip(compiled.into_iter().map(|one| one.program)).collect();
        let mut programs = BTreeMap::new();
        for one in looked {
            let made = || made.get(&one.seen.digest()).cloned();
            if let Some(program) = one.kept.map(|(program, _)| program).or_else(made) {
                programs.insert(one.path, program);
            }
        }
        Ok(Self(programs))
    }

    /// The loaded component of a path.
    ///
    /// # Errors
    /// It was not among the wanted ones.
    pub(super) fn of(&self, path: &Path) -> Result<LoadedComponent, Failure> {
        let program = self.0.get(path).cloned();
        program.ok_or_else(|| Failure::usage(format!("`{}` was not loaded", path.display())))
    }
}

/// All requirements of one file. The file is read once, so that the checked bytes are the ones that run.
pub(super) struct File {
    pub(super) path: PathBuf,
    wanted: Vec<Wanted>,
}

/// The files of the wanted components, in the order of their first use.
pub(super) fn files(wanted: &[Wanted]) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    for one in wanted {
        match files.iter_mut().find(|file| file.path == one.path) {
            Some(file) => file.wanted.push(one.clone()),
            None => files.push(File {
                path: one.path.clone(),
                wanted: vec![one.clone()],
            }),
        }
    }
    files
}

/// Reads a component, checks its digest and signature, and then inspects it.
fn look(sandbox: &Sandbox, file: &File) -> Result<InspectedComponent, Failure> {
    let path = &file.path;
    let bytes = read(path, file.wanted.iter().any(|wanted| wanted.typed))?;
    for signer in file.wanted.iter().filter_map(|wanted| wanted.signer.as_ref()) {
        check(path, &bytes, signer)?;
    }
    let found = Digest::of(&bytes);
    for pin in file.wanted.iter().filter_map(|wanted| wanted.pin) {
        if found != pin {
            return Err(
                Failure::usage(format!("`{}` is not the expected component", path.display()))
                    .because(format!("its SHA-256 is {found}, and {pin} is expected"))
                    .hint("has it been rebuilt or replaced? `inspect` shows what it is"),
            );
        }
    }
    let seen = sandbox.inspect(bytes, found).map_err(|error| unusable(path, &error))?;
    let contract = seen.contract();
    for wanted in &file.wanted {
        let (wrong, hint) = match wanted.role {
            Role::Operation if contract.operation.is_none() => (
                "is a worker, not an operation",
                "`map` calls a worker for each line of its input",
            ),
            Role::Worker if contract.worker.is_none() => (
                "is an operation, not a worker",
                "a worker exports `handle`; `run` runs an operation",
            ),
            _ => continue,
        };
        return Err(Failure::usage(format!("`{}` {wrong}", path.display())).hint(hint));
    }
    Ok(seen)
}

/// Checks the signature in the file beside a component.
fn check(path: &Path, component: &[u8], signer: &Signer) -> Result<(), Failure> {
    signer.check(path, component).map_err(|error| {
        let untrusted =
            Failure::usage(format!("`{}` has no valid signature by {signer}", path.display())).because(&error);
        match error {
            SignatureError::Unread(..) => untrusted.hint("the component's author signs it with `minisign -Sm`"),
            _ => untrusted,
        }
    })
}
