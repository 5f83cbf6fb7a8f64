//! `test`: runs an operation with scripted workers in virtual time.

mod report;
mod verdict;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use disperse_scheduler::Policy;

use self::verdict::Verdict;
use crate::{
    cli::{
        args::TestArgs,
        build::{self, Built},
        console::{Failure, exit, print, print_stderr},
        loading::{LoadedComponents, Role, Wanted, cache, name_of, stack},
        plan,
        process::runtime,
        project::{Project, operation_alone, project, trust},
    },
    files::{FolderReader, leads_out},
    limits::{Budget, Limits},
    logger::Level,
    run::Stage,
    sandbox::Sandbox,
    script::Script,
    settings::{AskKind, FILE_NAME, OPERATION},
    units::Time,
};

pub(crate) use self::report::schema;

/// The default limit of a test, in real time. Arbitrary: far more than a test takes that does not hang.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The folder of a project's scripts.
const FOLDER: &str = "tests";

/// The most scripts of a folder, and the largest size of all scripts and the files that they name, in bytes. All of them are in
/// memory before the first one runs.
const SCRIPTS_MAX: usize = 1000;
const FILES_MAX: u64 = 512 << 20;

pub(crate) fn test(args: &TestArgs) -> Result<u8, Failure> {
    let mut project = project(&args.path, args.manifest, operation_alone)?;
    // Workers are scripted and need no grants.
    trust::require(&mut project, args.manifest, false, |ask| {
        ask.table == OPERATION && matches!(ask.what, AskKind::Build | AskKind::Path)
    })?;
    let paths = scripts(args, &project.folder)?;
    // All scripts are read before the first one runs: an error in the last one is reported at once.
    let left = Cell::new(FILES_MAX);
    let read = |path: PathBuf| {
        let script = read(&path, &FolderReader::new(within(args, &project, &path), &left))?;
        Ok((path, script))
    };
    let scripts: Vec<(PathBuf, Script)> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
    let stage = stage(args, &project)?;
    let threads = runtime(args.threads)?;
    let (mut passed, mut failed) = (0u64, 0u64);
    for (path, script) in scripts {
        let left = Cell::new(u64::MAX);
        let reader = FolderReader::new(within(args, &project, &path), &left);
        let verdict = threads.block_on(Verdict::of(&stage, &path, script, &reader, args.update))?;
        if verdict.has_passed() {
            passed += 1;
        } else {
            failed += 1;
        }
        if let (Some(written), false) = (verdict.written(), args.quiet) {
            print_stderr(&format!("wrote {}", written.display()));
        }
        print(&report::test(&path, &verdict, args))?;
    }
    // A guest that does not end is ended with the process.
    threads.shutdown_background();
    print(&report::all(passed, failed, args))?;
    Ok(if failed > 0 { exit::FAILED } else { exit::DONE })
}

/// The scripts of `--script`, or all scripts of the project.
fn scripts(args: &TestArgs, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !args.script.is_empty() {
        return Ok(args.script.clone());
    }
    let tests = folder.join(FOLDER);
    let none = || {
        Failure::usage(format!("`{}` has no tests", args.path.display())).hint(format!(
            "write one as {FOLDER}/NAME.toml beside its {FILE_NAME}, or name one with --script"
        ))
    };
    // A component without a manifest has no folder.
    if folder.as_os_str().is_empty() || !tests.is_dir() {
        return Err(none());
    }
    let unusable = |error: std::io::Error| Failure::usage(format!("cannot read `{}`", tests.display())).because(error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&tests).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
        if found.len() > SCRIPTS_MAX {
            return Err(
                Failure::usage(format!("`{}` has more than {SCRIPTS_MAX} tests", tests.display()))
                    .hint("name some of them with --script"),
            );
        }
    }
    found.sort();
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

/// The folder that files of a script may not lead out of: that of the project, or that of a script given with `--script` that is
/// elsewhere. None: the project is trusted.
fn within(args: &TestArgs, project: &Project, script: &Path) -> Option<PathBuf> {
    if project.trusted {
        return None;
    }
    let is_in_project =
        || std::path::absolute(script).is_ok_and(|script| leads_out(&project.folder, &script).is_none());
    if args.script.is_empty() || !project.is_alone() && is_in_project() {
        return Some(project.folder.clone());
    }
    let folder = script.parent().filter(|folder| !folder.as_os_str().is_empty());
    Some(folder.unwrap_or(Path::new(".")).to_owned())
}

fn read(path: &Path, reader: &FolderReader<'_>) -> Result<Script, Failure> {
    let unusable = |error: String| Failure::usage(format!("cannot use the script `{}`", path.display())).because(error);
    Script::read(path, reader).map_err(unusable)
}

fn stage(args: &TestArgs, project: &Project) -> Result<Stage, Failure> {
    let (manifest, folder) = (&project.manifest, &project.folder);
    let Some(operation) = &manifest.operation else {
        return Err(Failure::usage(format!("`{}` names no operation", args.path.display()))
            .hint("add an [operation] table; scripts test operations, not workers"));
    };
    let policy = plan::checked(manifest.health.over(Policy::default()))?;
    let sandbox = Sandbox::new(
        cache(!args.no_cache, args.quiet),
        args.compiling.limits(manifest),
        stack(manifest.limits.stack)?,
        Budget::new(u64::MAX),
    );
    let built = if args.manifest.no_build {
        Built::default()
    } else {
        // Workers are scripted: only the operation is built.
        build::build(folder, build::operation_build(operation).into_iter(), args.quiet)?
    };
    let component = folder.join(&operation.component);
    let signer = manifest.signed_by.as_ref();
    let wanted = Wanted::new(component.clone(), operation.sha256, signer, Role::Operation).typed(project.is_alone());
    let program = LoadedComponents::load(&sandbox, &[wanted], &built, args.quiet)?.of(&component)?;
    let mut operation_args = operation.args.clone();
    operation_args.insert(0, name_of(&component));
    Ok(Stage {
        sandbox: Arc::new(sandbox),
        program,
        args: operation_args,
        task_limits: manifest.limits.over(Limits::WORKER),
        planner_limits: manifest.limits.over(Limits::PLANNER),
        policy,
        tasks_max: operation.max_concurrent_tasks,
        timeout: args.timeout.map_or(TIMEOUT, Time::duration),
        log_level: if args.verbose > 1 { Level::Debug } else { Level::Info },
    })
}
