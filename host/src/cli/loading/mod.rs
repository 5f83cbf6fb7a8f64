//! Loading all components of a run: each is looked at and compiled once, several at a time.
//!
//! What can be told without compiling is told first, and of several failures always the same one: that of the first
//! component in the order in which they are wanted, which is the manifest's.

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
    error::Failure,
    plan::{read, unusable},
};
use crate::{
    digest::Digest,
    limits::default_host_memory,
    sandbox::{Code, InspectedComponent, LoadedComponent, Sandbox},
    settings::Manifest,
    signer::{SignatureError, Signer},
};

/// A component that is to be loaded.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    path: PathBuf,
    /// What its file has to be, if that is given.
    pin: Option<Digest>,
    /// Who must have signed it.
    signer: Option<Signer>,
    role: Role,
    /// Whether it is on the command line: then it may be a pipe.
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

    /// The same, `typed` or not on the command line.
    pub(super) fn typed(self, typed: bool) -> Self {
        Self { typed, ..self }
    }
}

/// What a component has to be good for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Operation,
    Worker,
    Any,
}

/// All that a manifest names, in its order.
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

/// A component that was looked at.
pub(super) struct Looked {
    pub(super) path: PathBuf,
    pub(super) seen: InspectedComponent,
    /// What there is of it already.
    pub(super) kept: Option<(LoadedComponent, Code)>,
}

/// What came of compiling one.
pub(super) struct Compiled {
    pub(super) program: LoadedComponent,
    pub(super) code: Code,
    pub(super) took: Duration,
}

/// Loads components with one sandbox.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// Whether to go on after one that fails.
    pub(super) all: bool,
}

impl Loader<'_> {
    /// How many of at most this size are worked at: as many as there are cores, and as fit into half of the machine's memory
    /// if each takes what it may, at least one. The other half is for what else the machine does, as with `--host-memory`.
    fn width(&self, largest: u64) -> usize {
        self.sandbox.compilers(default_host_memory(), largest)
    }

    /// Looks at components, and for their code.
    pub(super) fn look(&self, files: &[File]) -> Vec<Option<Result<Looked, Failure>>> {
        each(files, self.width(u64::MAX), self.all, |file| {
            let seen = look(self.sandbox, file)?;
            let kept = self.sandbox.load_cached(&seen);
            Ok(Looked {
                kept: kept.map_err(|error| unusable(&file.path, &error))?,
                path: file.path.clone(),
                seen,
            })
        })
    }

    /// Compiles components; `told` is called for each as soon as it is there, from any thread.
    pub(super) fn compile(
        &self,
        components: &[&Looked],
        progress: &Progress,
        told: impl Fn(&Looked, &Result<Compiled, Failure>) + Sync,
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
            progress.aside(|| told(one, &compiled));
            compiled
        })
    }
}

/// Those whose code is not there, one of each component.
pub(super) fn to_compile(looked: &[Looked]) -> Vec<&Looked> {
    let mut met = BTreeSet::new();
    let missing = looked.iter().filter(|one| one.kept.is_none());
    missing.filter(|one| met.insert(one.seen.digest())).collect()
}

/// The programs of a run.
pub(super) struct Programs(BTreeMap<PathBuf, LoadedComponent>);

impl Programs {
    /// Loads all that is wanted. Compiling is said, unless `quiet`.
    ///
    /// # Errors
    /// One cannot be read, is not the one that is wanted, or cannot be loaded.
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

    /// The program of a component that was wanted.
    ///
    /// # Errors
    /// It was not wanted.
    pub(super) fn of(&self, path: &Path) -> Result<LoadedComponent, Failure> {
        let program = self.0.get(path).cloned();
        program.ok_or_else(|| Failure::usage(format!("`{}` was not loaded", path.display())))
    }
}

/// All that is wanted of one file, so that it is read once: what was checked is what is run.
pub(super) struct File {
    pub(super) path: PathBuf,
    wanted: Vec<Wanted>,
}

/// The files, each where it is wanted first.
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

/// Reads a component and looks at it. Whether it is the one that is wanted is found out before anything is made of it.
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
                Failure::usage(format!("`{}` is not the component that is expected", path.display()))
                    .because(format!("its SHA-256 is {found}, and {pin} is wanted"))
                    .hint("has it been built again or exchanged? `inspect` shows what it is"),
            );
        }
    }
    let seen = sandbox.inspect(bytes, found).map_err(|error| unusable(path, &error))?;
    let contract = seen.contract();
    for wanted in &file.wanted {
        let (wrong, hint) = match wanted.role {
            Role::Operation if contract.operation.is_none() => (
                "is a worker, not an operation",
                "`map` runs a worker over the lines of an input",
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

/// Checks the signature that lies beside a component.
fn check(path: &Path, component: &[u8], signer: &Signer) -> Result<(), Failure> {
    signer.check(path, component).map_err(|error| {
        let untrusted = Failure::usage(format!("`{}` is not known to be by {signer}", path.display())).because(&error);
        match error {
            SignatureError::Unread(..) => untrusted.hint("the component's author signs it with `minisign -Sm`"),
            _ => untrusted,
        }
    })
}
