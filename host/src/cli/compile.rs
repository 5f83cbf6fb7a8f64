//! `compile`: ahead of time, into the cache that `run`, `map` and `test` look into.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    error::Failure,
    exit,
    inspect::json_line,
    loading::{self, Loader, Looked, Progress, Role, Wanted, files, seconds, to_compile},
    output::print,
    plan::{self, build_all},
    project::{Source, source},
    trust::{self, ManifestFlags},
};
use crate::{
    limits::{Budget, CompileLimits},
    report::Format,
    sandbox::{Cache, Code, Sandbox},
    settings::{AskKind, CompileTable, Manifest},
    text::plain,
    units::{Size, Time},
};

/// What is said of compiling.
#[derive(Debug, Args)]
pub(super) struct Compiling {
    /// How long one component may take to compile [default: 15s and 4s for each MB of it, at most 2m]
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    compile_timeout: Option<Time>,
    /// Memory for compiling one component; several are compiled at once as far as half of the machine's memory goes
    /// [default: 512MiB and 40 times its size, at most 4GiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    compile_memory: Option<Size>,
    /// Inspect and compile within the host and not in processes apart, without limits: for components that you trust
    #[arg(long, hide_short_help = true)]
    trust: bool,
}

impl Compiling {
    /// The limits for the components of a manifest. None: they are trusted.
    pub(super) fn limits(&self, manifest: &Manifest) -> Option<CompileLimits> {
        let typed = CompileTable {
            timeout: self.compile_timeout,
            memory: self.compile_memory,
        };
        let limits = typed.over(manifest.compile.over(CompileLimits::default()));
        (!self.trust).then_some(limits)
    }
}

/// Where it goes, and how it ends.
pub(super) const HELP: &str = "\
The cache is $XDG_CACHE_HOME/disperse, else ~/.cache/disperse. It keeps 1 GiB; what was not used for longest goes first.";

#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// Components (.wasm), core modules, disperse.toml files or folders with one, which are built first [default: .]
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true, value_hint = clap::ValueHint::AnyPath)]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) manifest: ManifestFlags,
    #[command(flatten)]
    pub(super) compiling: Compiling,
    /// How it is written: as text, or as JSON Lines with one for each file
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Print errors only; see the flags of the program.
    #[arg(skip)]
    pub(super) quiet: bool,
}

/// One line of `compile --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// A file whose compiled code is in the cache.
    Compiled {
        path: String,
        /// The file's SHA-256.
        sha256: String,
        /// Whether the code was there already.
        cached: bool,
        /// How long compiling took. Absent: it was there already.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        took_ms: Option<f64>,
        /// The size of the code.
        code_bytes: u64,
    },
    /// A path that cannot be compiled, or whose code cannot be kept.
    Failed {
        path: String,
        /// What stderr says too.
        message: String,
    },
}

/// The schema of one line.
pub(super) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

/// How it has gone so far, and what is said of it.
struct Teller<'a> {
    args: &'a CompileArgs,
    /// The exit code. The machine's failures count more than those of components, as in [`exit`].
    code: AtomicU8,
    /// Why stdout cannot be written to.
    unwritten: Mutex<Option<Failure>>,
}

impl Teller<'_> {
    fn fails(&self, path: &Path, failure: &Failure) {
        failure.print();
        self.code.fetch_max(failure.code, Ordering::Relaxed);
        if self.args.format == Format::Json {
            self.line(&Line::Failed {
                path: path.display().to_string(),
                message: failure.text(),
            });
        }
    }

    /// A file with its code in the cache; `took`: how long it was compiled just now.
    fn is_there(&self, one: &Looked, code: &Code, took: Option<Duration>) {
        if let Some(Err(error)) = &code.kept {
            let failure = Failure::machine(format!("the code of `{}` cannot be kept", one.path.display()), error);
            return self.fails(&one.path, &failure);
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
                    || "was there already".to_owned(),
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

pub(super) fn compile(args: &CompileArgs) -> Result<u8, Failure> {
    // Before anything is built.
    let cache = Cache::user().map_err(|error| {
        Failure::machine("compiled code cannot be kept", &error)
            .hint("XDG_CACHE_HOME says where: the absolute path of a folder of yours")
    })?;
    let teller = Teller {
        args,
        code: AtomicU8::new(exit::DONE),
        unwritten: Mutex::new(None),
    };
    for (limits, wanted) in groups(&teller) {
        // Nothing is run, so that no memory is counted.
        let budget = Budget::new(u64::MAX);
        let sandbox = Sandbox::new(Some(cache.clone()), limits, plan::stack(None)?, budget);
        group(&sandbox, &wanted, &teller);
    }
    match teller.unwritten.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(teller.code.into_inner()),
    }
}

/// What is wanted, by the limits that it is compiled within: one group, unless manifests say different ones.
fn groups(teller: &Teller<'_>) -> Vec<(Option<CompileLimits>, Vec<Wanted>)> {
    let mut groups: Vec<(Option<CompileLimits>, Vec<Wanted>)> = Vec::new();
    for path in &teller.args.paths {
        match wanted(path, teller.args) {
            Ok((limits, wanted)) => match groups.iter_mut().find(|(same, _)| *same == limits) {
                Some((_, group)) => group.extend(wanted),
                None => groups.push((limits, wanted)),
            },
            Err(failure) => teller.fails(path, &failure),
        }
    }
    groups
}

fn wanted(path: &Path, args: &CompileArgs) -> Result<(Option<CompileLimits>, Vec<Wanted>), Failure> {
    let mut project = match source(path, args.manifest.trust_manifest)? {
        Source::Project(project) => project,
        Source::Component(path) => {
            let limits = args.compiling.limits(&Manifest::default());
            return Ok((limits, vec![Wanted::new(path, None, None, Role::Any).typed(true)]));
        }
    };
    let wanted = loading::all(&project.manifest, &project.folder);
    if wanted.is_empty() {
        return Err(Failure::usage(format!("`{}` names no component", path.display()))
            .hint("add an [operation] or a [worker] table, or a [[pool]]"));
    }
    // Nothing is run, so that no grant is taken.
    trust::require(&mut project, args.manifest, false, |ask| {
        matches!(ask.what, AskKind::Build | AskKind::Path)
    })?;
    if !args.manifest.no_build {
        build_all(&project.manifest, &project.folder, args.quiet)?;
    }
    Ok((args.compiling.limits(&project.manifest), wanted))
}

/// Compiles what can be. Says of each file what became of it, as soon as that is known.
fn group(sandbox: &Sandbox, wanted: &[Wanted], teller: &Teller<'_>) {
    let loader = Loader { sandbox, all: true };
    let mut looked: Vec<Looked> = Vec::new();
    let files = files(wanted);
    for (file, one) in files.iter().zip(loader.look(&files)) {
        match one {
            Some(Ok(one)) => {
                if let Some((_, code)) = &one.kept {
                    teller.is_there(&one, code, None);
                }
                looked.push(one);
            }
            Some(Err(failure)) => teller.fails(&file.path, &failure),
            None => {}
        }
    }
    let missing = to_compile(&looked);
    let progress = Progress::new(missing.len(), teller.args.quiet);
    let made = loader.compile(&missing, &progress, |one, made| {
        for same in looked.iter().filter(|other| other.seen.digest() == one.seen.digest()) {
            match made {
                Ok(made) => teller.is_there(same, &made.code, Some(made.took)),
                Err(failure) => teller.fails(&same.path, failure),
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
            &std::io::Error::other("it could not be written whole, or all of it together is more than is kept"),
        );
        teller.fails(&one.path, &failure);
    }
}
