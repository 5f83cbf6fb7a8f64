//! `test`: an operation, rehearsed with scripted workers in virtual time.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use disperse_scheduler::Policy;

use super::{
    args::TestArgs,
    build,
    error::{Failure, say},
    exit,
    inspect::print,
    plan,
    pools::name_of,
    runtime,
};
use crate::{
    driver::Rehearsed,
    limits::{CompileLimits, Limits},
    logger::Level,
    report::plain,
    run::{self, Rehearsal},
    sandbox::{Program, Sandbox},
    script::{Script, diff, shown},
    settings::{FILE_NAME, Manifest},
    units::Time,
};

/// How long a test may take, in real time, unless said otherwise. Far more than one takes that does not hang.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where the scripts of a project are.
const FOLDER: &str = "tests";

/// What all tests of an operation have in common.
struct Stage {
    sandbox: Arc<Sandbox>,
    program: Program,
    args: Vec<String>,
    task_limits: Limits,
    planner_limits: Limits,
    policy: Policy,
    tasks_max: Option<NonZeroUsize>,
    timeout: Duration,
    log_level: Level,
}

/// How one test went.
struct Verdict {
    /// What is wrong, each in some lines. Empty: nothing.
    problems: Vec<String>,
    /// A golden that was written.
    written: Option<PathBuf>,
    rehearsed: Shown,
}

/// What of a rehearsal is shown.
struct Shown {
    log: String,
    events: usize,
    took: Time,
    said: Vec<String>,
}

pub(super) fn test(args: &TestArgs) -> Result<u8, Failure> {
    let (manifest, folder) = plan::project(&args.path, plan::operation_alone)?;
    let paths = scripts(args, &folder)?;
    // All of them before any is run: a mistake in the last one is not found out after minutes.
    let scripts: Vec<(PathBuf, Script)> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
    let stage = stage(args, &manifest, &folder)?;
    let threads = runtime(args.threads).map_err(|error| Failure::machine("cannot start", &error))?;
    let (mut passed, mut failed) = (0, 0);
    for (path, script) in scripts {
        let verdict = threads.block_on(one(&stage, &path, script, args.update))?;
        if verdict.problems.is_empty() {
            passed += 1;
        } else {
            failed += 1;
        }
        print(&told(&path, &verdict, args))?;
    }
    // A guest that would not end ends with the process.
    threads.shutdown_background();
    if !args.quiet {
        print(&format!("{passed} passed, {failed} failed\n"))?;
    }
    Ok(if failed > 0 { exit::FAILED } else { exit::DONE })
}

/// The scripts that are meant: those that were typed, or all of the project.
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
    // A component alone has no folder of its own.
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
    }
    found.sort();
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

fn read(path: PathBuf) -> Result<(PathBuf, Script), Failure> {
    let unusable = |error: String| Failure::usage(format!("cannot use the script `{}`", path.display())).because(error);
    let script = Script::read(&path).map_err(unusable)?;
    Ok((path, script))
}

fn stage(args: &TestArgs, manifest: &Manifest, folder: &Path) -> Result<Stage, Failure> {
    let Some(operation) = &manifest.operation else {
        return Err(Failure::usage(format!("`{}` names no operation", args.path.display()))
            .hint("add an [operation] table; a worker alone has no logic that a script could test"));
    };
    let policy = plan::checked(manifest.health.over(Policy::default()))?;
    let compile = manifest.compile.over(CompileLimits::default());
    let sandbox = run::sandbox(
        u64::MAX,
        !args.no_cache,
        (!args.trust).then_some(compile),
        plan::stack(manifest.limits.stack)?,
    );
    if !args.no_build {
        // Workers are scripted: only the operation has to be there.
        build::build(folder, operation.build.as_deref().into_iter(), args.quiet)?;
    }
    let component = folder.join(&operation.component);
    let program = plan::load_operation(&sandbox, &component, operation.sha256, manifest.signed_by.as_ref())?;
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

async fn one(stage: &Stage, path: &Path, script: Script, update: bool) -> Result<Verdict, Failure> {
    let (output, exit, compared) = (script.output.clone(), script.exit, script.golden);
    let mut args = stage.args.clone();
    args.extend(script.args.iter().cloned());
    let rehearsal = Rehearsal {
        program: stage.program.clone(),
        args,
        task_limits: stage.task_limits,
        planner_limits: stage.planner_limits,
        policy: stage.policy.clone(),
        tasks_max: stage.tasks_max,
        script,
        timeout: stage.timeout,
        log_level: stage.log_level,
    };
    let rehearsed = run::rehearse(stage.sandbox.clone(), rehearsal)
        .await
        .map_err(|error| Failure::machine("the test was stopped by the machine", &error))?;
    let Rehearsed {
        summary,
        log,
        trouble,
        said,
        took,
    } = rehearsed;
    let events = log.lines();
    let (log, written) = log.into_parts();
    let mut verdict = Verdict {
        problems: Vec::new(),
        written: None,
        rehearsed: Shown {
            log,
            events,
            took: took.into(),
            said: said.iter().map(ToString::to_string).collect(),
        },
    };
    // What broke off differs from everything that was expected.
    if let Some(trouble) = trouble {
        verdict.problems.push(trouble);
        return Ok(verdict);
    }
    let found = exit::code(&summary, 0);
    if found != exit {
        let why = summary
            .failure
            .map_or_else(String::new, |failure| format!(": {failure}"));
        verdict
            .problems
            .push(format!("the exit code is {found}, and {exit} is expected{why}"));
    }
    if let Some(problem) = output.and_then(|output| differs(&output, &written)) {
        verdict.problems.push(problem);
    }
    if compared {
        compare(path, update, &mut verdict)?;
    }
    Ok(verdict)
}

/// In what the output is not as expected.
fn differs(expected: &[u8], found: &[u8]) -> Option<String> {
    if expected == found {
        return None;
    }
    Some(match (std::str::from_utf8(expected), std::str::from_utf8(found)) {
        (Ok(expected), Ok(found)) => format!("the output is not as expected:\n{}", diff(expected, found)),
        _ => format!(
            "the output is not as expected:\n-{}\n+{}\n",
            shown(expected),
            shown(found)
        ),
    })
}

/// Compares a log with the golden one beside the script, or writes that.
fn compare(script: &Path, update: bool, verdict: &mut Verdict) -> Result<(), Failure> {
    let golden = script.with_extension("golden");
    let known = match std::fs::read_to_string(&golden) {
        Ok(known) => Some(known),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Failure::usage(format!("cannot read `{}`", golden.display())).because(error));
        }
    };
    let log = &verdict.rehearsed.log;
    if known.as_ref() == Some(log) {
        return Ok(());
    }
    if update {
        std::fs::write(&golden, log)
            .map_err(|error| Failure::machine(format!("cannot write `{}`", golden.display()), &error))?;
        verdict.written = Some(golden);
        return Ok(());
    }
    verdict.problems.push(match known {
        None => format!(
            "`{}` is not there; look at the log with -v, and keep it with --update",
            golden.display()
        ),
        Some(known) => format!(
            "the log differs from `{}`; if that is right, --update keeps it:\n{}",
            golden.display(),
            diff(&known, log)
        ),
    });
    Ok(())
}

/// What is said of a test.
fn told(path: &Path, verdict: &Verdict, args: &TestArgs) -> String {
    let Verdict {
        problems,
        written,
        rehearsed: Shown {
            log,
            events,
            took,
            said,
        },
    } = verdict;
    let is_ok = problems.is_empty();
    if let (Some(written), false) = (written, args.quiet) {
        say(&format!("wrote {}", written.display()));
    }
    if is_ok && args.quiet {
        return String::new();
    }
    let word = if is_ok { "ok  " } else { "FAIL" };
    let mut text = format!("{word} {} ({events} events in {took})\n", path.display());
    let mut add = |lines: &str| {
        for line in lines.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    };
    problems.iter().for_each(|problem| add(problem));
    if args.verbose > 0 {
        add("its log:");
        add(log);
    }
    if !said.is_empty() && (args.verbose > 0 || !is_ok) {
        add("what guests said:");
        said.iter().for_each(|line| add(line));
    }
    plain(&text).into_owned()
}
