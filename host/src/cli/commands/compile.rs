//! `compile`: compiles components ahead of time, into the cache that `run`, `map` and `test` use.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        args::CompileArgs,
        build::{Built, build_all},
        console::{Failure, exit, json_line, print},
        loading::{
            FoundComponent, Loader, Progress, Role, Wanted, files, seconds, stack, to_compile, wanted_by_manifest,
        },
        project::{Source, source, trust},
    },
    limits::{Budget, CompileLimits},
    report::Format,
    sandbox::{Cache, Code, Sandbox},
    settings::{AskKind, Manifest},
    text::plain,
    units::Size,
};

/// One line of `compile --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// A file whose compiled code is in the cache.
    Compiled {
        path: String,
        /// The file's SHA-256.
        sha256: String,
        /// Whether the code was in the cache already.
        cached: bool,
        /// The time that compiling took. Absent: the code was in the cache.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        took_ms: Option<f64>,
        /// The size of the code.
        code_bytes: u64,
    },
    /// A path that cannot be compiled, or whose code cannot be cached.
    Failed {
        path: String,
        /// The error, as stderr shows it.
        message: String,
    },
}

/// The schema of one line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

/// Reports the outcome for each file, and collects the exit code.
struct Reporter<'a> {
    args: &'a CompileArgs,
    /// The highest exit code so far: failures of the machine come before those of components, as in [`exit`].
    code: AtomicU8,
    /// The failure to write to stdout, if any.
    unwritten: Mutex<Option<Failure>>,
}

impl Reporter<'_> {
    fn failed(&self, path: &Path, failure: &Failure) {
        failure.print();
        self.code.fetch_max(failure.code, Ordering::Relaxed);
        if self.args.format == Format::Json {
            self.line(&Line::Failed {
                path: path.display().to_string(),
                message: failure.text(),
            });
        }
    }

    /// Reports a file whose code is in the cache. `took`: the time it took to compile now; None: it was cached.
    fn compiled(&self, one: &FoundComponent, code: &Code, took: Option<Duration>) {
        if let Some(Err(error)) = &code.kept {
            let failure = Failure::machine(format!("cannot cache the code of `{}`", one.path.display()), error);
            return self.failed(&one.path, &failure);
        }
        let digest = one.seen.file();
        match self.args.format {
            _ if self.args.quiet => {}
            Format::Json => self.line(&Line::Compiled {
                path: one.path.display().to_string(),
                sha256: digest.to_string(),
                cached: took.is_none(),
                took_ms: took.map(|took| took.as_secs_f64() * 1e3),
                code_bytes: code.bytes,
            }),
            Format::Text => {
                let how = took.map_or_else(
                    || "already cached".to_owned(),
                    |took| format!("compiled in {}", seconds(took)),
                );
                let path = one.path.display().to_string();
                let size = Size(code.bytes);
                self.print(&format!("{}: {how}, {size} of code, sha256 {digest}\n", plain(&path)));
            }
        }
    }

    fn line(&self, line: &Line) {
        self.print(&json_line(line));
    }

    fn print(&self, text: &str) {
        if let Err(failure) = print(text) {
            *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
    }
}

pub(crate) fn compile(args: &CompileArgs) -> Result<u8, Failure> {
    // Fails before any build.
    let cache = Cache::user().map_err(|error| {
        Failure::machine("cannot cache compiled code", &error)
            .hint("set XDG_CACHE_HOME to the absolute path of a folder that you own")
    })?;
    let reporter = Reporter {
        args,
        code: AtomicU8::new(exit::DONE),
        unwritten: Mutex::new(None),
    };
    let mut built = Built::default();
    for (limits, wanted) in groups(&reporter, &mut built) {
        // No guest runs, so that no memory needs to be counted.
        let budget = Budget::new(u64::MAX);
        let sandbox = Sandbox::new(Some(cache.clone()), limits, stack(None)?, budget);
        group(&sandbox, &wanted, &built, &reporter);
    }
    match reporter.unwritten.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(reporter.code.into_inner()),
    }
}

/// Groups the wanted components by their compile limits: one group, unless manifests differ in them. Adds the components that
/// were built to `built`.
fn groups(reporter: &Reporter<'_>, built: &mut Built) -> Vec<(Option<CompileLimits>, Vec<Wanted>)> {
    let mut groups: Vec<(Option<CompileLimits>, Vec<Wanted>)> = Vec::new();
    for path in &reporter.args.paths {
        match wanted(path, reporter.args, built) {
            Ok((limits, wanted)) => match groups.iter_mut().find(|(same, _)| *same == limits) {
                Some((_, group)) => group.extend(wanted),
                None => groups.push((limits, wanted)),
            },
            Err(failure) => reporter.failed(path, &failure),
        }
    }
    groups
}

fn wanted(path: &Path, args: &CompileArgs, built: &mut Built) -> Result<(Option<CompileLimits>, Vec<Wanted>), Failure> {
    let mut project = match source(path, args.manifest.trust_manifest)? {
        Source::Project(project) => project,
        Source::Component(path) => {
            let limits = args.compiling.limits(&Manifest::default());
            return Ok((limits, vec![Wanted::new(path, None, None, Role::Any).typed(true)]));
        }
    };
    let wanted = wanted_by_manifest(&project.manifest, &project.folder);
    if wanted.is_empty() {
        return Err(Failure::usage(format!("`{}` names no component", path.display()))
            .hint("add an [operation] or a [worker] table, or a [[pool]]"));
    }
    // No guest runs, so that grants are not needed.
    trust::require(&mut project, args.manifest, false, |ask| {
        matches!(ask.what, AskKind::Build | AskKind::Path)
    })?;
    if !args.manifest.no_build {
        built.extend(build_all(&project.manifest, &project.folder, args.quiet)?);
    }
    Ok((args.compiling.limits(&project.manifest), wanted))
}

/// Compiles a group of components, and reports the outcome of each as soon as it is known.
fn group(sandbox: &Sandbox, wanted: &[Wanted], built: &Built, reporter: &Reporter<'_>) {
    let loader = Loader {
        sandbox,
        built,
        all: true,
    };
    let mut looked: Vec<FoundComponent> = Vec::new();
    let files = files(wanted);
    for (file, one) in files.iter().zip(loader.look(&files)) {
        match one {
            Some(Ok(one)) => {
                if let Some((_, code)) = &one.kept {
                    reporter.compiled(&one, code, None);
                }
                looked.push(one);
            }
            Some(Err(failure)) => reporter.failed(&file.path, &failure),
            None => {}
        }
    }
    let missing = to_compile(&looked);
    let progress = Progress::new(missing.len(), reporter.args.quiet);
    let made = loader.compile(&missing, &progress, |one, made| {
        for same in looked.iter().filter(|other| other.seen.digest() == one.seen.digest()) {
            match made {
                Ok(made) => reporter.compiled(same, &made.code, Some(made.took)),
                Err(failure) => reporter.failed(&same.path, failure),
            }
        }
    });
    drop(progress);
    let had = looked.iter().filter_map(|one| Some((one, &one.kept.as_ref()?.1)));
    let made = missing.iter().zip(&made);
    let made = made.filter_map(|(one, made)| Some((*one, &made.as_ref()?.as_ref().ok()?.code)));
    for (one, _) in had
        .chain(made)
        .filter(|(one, code)| matches!(code.kept, Some(Ok(()))) && !sandbox.has_cached(&one.seen))
    {
        let failure = Failure::machine(
            format!("the code of `{}` is not in the cache", one.path.display()),
            &std::io::Error::other(
                "it could not be written in full, or all code together exceeds the size of the cache",
            ),
        );
        reporter.failed(&one.path, &failure);
    }
}
