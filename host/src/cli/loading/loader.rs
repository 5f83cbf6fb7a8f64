//! Inspects and compiles components, several in parallel.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    checked::look,
    component_file::unusable,
    each::{each, or_first_failure},
    progress::Progress,
    wanted::{File, Wanted, files},
};
use crate::{
    cli::{build::Built, console::Failure},
    digest::Digest,
    limits::default_host_memory,
    sandbox::{Code, InspectedComponent, LoadedComponent, Sandbox},
};

/// An inspected component.
pub(crate) struct FoundComponent {
    pub(crate) path: PathBuf,
    pub(crate) seen: InspectedComponent,
    /// Whether a build of the user's project has made it, and it is not pinned or signed, as those from elsewhere are.
    is_own: bool,
    /// Its code, if that was in the cache.
    pub(crate) kept: Option<(LoadedComponent, Code)>,
}

/// A component that was compiled now.
pub(crate) struct Compiled {
    pub(crate) program: LoadedComponent,
    pub(crate) code: Code,
    pub(crate) took: Duration,
}

/// Loads components with one sandbox.
#[derive(Clone, Copy)]
pub(crate) struct Loader<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) built: &'a Built,
    /// Whether to continue after a failure.
    pub(crate) all: bool,
}

impl Loader<'_> {
    /// How many components of at most `largest` bytes to process in parallel: one per core, as far as half of the machine's memory
    /// holds them if each uses its limit, and at least one. The other half is left to the machine, as with `--host-memory`.
    fn width(&self, largest: u64) -> usize {
        self.sandbox.compilers(default_host_memory(), largest)
    }

    /// Inspects components, and looks up their code in the cache.
    pub(crate) fn look(&self, files: &[File]) -> Vec<Option<Result<FoundComponent, Failure>>> {
        each(files, self.width(u64::MAX), self.all, |file| {
            let seen = look(self.sandbox, file)?;
            let kept = self.sandbox.load_cached(&seen);
            Ok(FoundComponent {
                kept: kept.map_err(|error| unusable(&file.path, &error))?,
                path: file.path.clone(),
                is_own: self.built.contains(&seen) && !file.is_checked(),
                seen,
            })
        })
    }

    /// Compiles components. Calls `on_compiled` for each as soon as it is compiled, from any thread.
    pub(crate) fn compile(
        &self,
        components: &[&FoundComponent],
        progress: &Progress,
        on_compiled: impl Fn(&FoundComponent, &Result<Compiled, Failure>) + Sync,
    ) -> Vec<Option<Result<Compiled, Failure>>> {
        let largest = components.iter().map(|one| one.seen.size()).max().unwrap_or_default();
        each(components, self.width(largest), self.all, |one| {
            progress.begin(&one.path);
            let begun = Instant::now();
            let compiled = self.sandbox.compile(&one.seen, one.is_own);
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
pub(crate) fn to_compile(looked: &[FoundComponent]) -> Vec<&FoundComponent> {
    let mut found = BTreeSet::new();
    let missing = looked.iter().filter(|one| one.kept.is_none());
    missing.filter(|one| found.insert(one.seen.digest())).collect()
}

/// The loaded components of a run.
pub(crate) struct LoadedComponents(BTreeMap<PathBuf, (LoadedComponent, Digest)>);

impl LoadedComponents {
    /// Loads all wanted components. Reports the progress of compiling, unless `quiet`.
    ///
    /// # Errors
    /// A component cannot be read, has another digest or signer, or cannot be loaded.
    pub(crate) fn load(sandbox: &Sandbox, wanted: &[Wanted], built: &Built, quiet: bool) -> Result<Self, Failure> {
        let loader = Loader {
            sandbox,
            built,
            all: false,
        };
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
                programs.insert(one.path, (program, one.seen.digest()));
            }
        }
        Ok(Self(programs))
    }

    /// The loaded component of a path.
    ///
    /// # Errors
    /// It was not among the wanted ones.
    pub(crate) fn of(&self, path: &Path) -> Result<LoadedComponent, Failure> {
        self.find(path).map(|(program, _)| program.clone())
    }

    /// The digest of the component of a path.
    ///
    /// # Errors
    /// It was not among the wanted ones.
    pub(crate) fn digest(&self, path: &Path) -> Result<Digest, Failure> {
        self.find(path).map(|(_, digest)| *digest)
    }

    fn find(&self, path: &Path) -> Result<&(LoadedComponent, Digest), Failure> {
        let missing = || Failure::usage(format!("`{}` was not loaded", path.display()));
        self.0.get(path).ok_or_else(missing)
    }
}
