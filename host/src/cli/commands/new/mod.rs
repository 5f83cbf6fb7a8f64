//! `new`: creates a project that builds and runs without a checkout of this repository: the SDK is part of it.

mod files;
mod languages;

use std::{fmt::Write as _, fs, path::Path};

use self::languages::Language;
use crate::{
    cli::{
        args::{Kind, NewArgs},
        console::{Failure, exit, print_stderr},
        project::trust,
        tools,
    },
    settings::FILE_NAME,
};

pub(crate) fn new(args: &NewArgs) -> Result<u8, Failure> {
    let language = Language::of(args.lang);
    let folder = &args.path;
    // If the folder cannot be read, the write below reports why.
    let taken = fs::read_dir(folder).map_or_else(
        |_| folder.exists(),
        // A new git repository counts as empty.
        |entries| entries.flatten().any(|entry| entry.file_name() != ".git"),
    );
    if taken {
        return Err(
            Failure::usage(format!("`{}` exists and is not empty", folder.display()))
                .hint("choose another name; nothing was written"),
        );
    }
    for (path, text) in files(language, args.kind, &name_of(folder)) {
        let path = folder.join(path);
        write(&path, &text).map_err(|error| Failure::machine(format!("cannot write `{}`", path.display()), &error))?;
    }
    trust::record_new(folder);
    let shown = tools::shell_word(&folder.display().to_string());
    let mut report = format!(
        "created `{}`: {} in {}\n",
        folder.display(),
        what(args.kind),
        language.name
    );
    for line in builds(language, args.kind) {
        if let Some(tool) = tools::missing(folder, line) {
            let _ = writeln!(report, "  needs    {}: {}", tool.name, tool.how_in(folder));
            break;
        }
    }
    for (command, does) in next(args.kind) {
        let _ = writeln!(report, "  {does:<8} {}", command.replace("{}", &shown));
    }
    print_stderr(report.trim_end());
    Ok(exit::DONE)
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Operation => "an operation",
        Kind::Worker => "a worker",
        Kind::Both => "an operation with its worker",
    }
}

/// The commands to run in a new project, each with its purpose.
fn next(kind: Kind) -> &'static [(&'static str, &'static str)] {
    const TEST: (&str, &str) = ("disperse-host test {}", "test it");
    match kind {
        Kind::Operation => &[
            TEST,
            (
                "printf '1 2 3\\n' | disperse-host run {} --worker WORKER.wasm",
                "run it",
            ),
        ],
        Kind::Worker => &[("printf 'one two\\nthree\\n' | disperse-host map {}", "run it")],
        Kind::Both => &[("printf '1 2 3\\n' | disperse-host run {}", "run it"), TEST],
    }
}

/// The files of a project, with their texts.
fn files(language: &Language, kind: Kind, name: &str) -> Vec<(String, String)> {
    let (operation, worker) = (kind != Kind::Worker, kind != Kind::Operation);
    let mut files = vec![
        (FILE_NAME.to_owned(), manifest(language, kind)),
        ("README.md".to_owned(), readme(language, kind, name)),
        (".gitignore".to_owned(), files::GITIGNORE.to_owned()),
    ];
    let groups = [
        (true, language.common),
        (operation, language.operation),
        (kind == Kind::Both, language.worker),
        (kind == Kind::Worker, language.lines_worker),
        (operation, files::TESTS),
    ];
    let members: Vec<_> = [(operation, "\"operation\""), (worker, "\"worker\"")]
        .into_iter()
        .filter_map(|(wanted, member)| wanted.then_some(member))
        .collect();
    for (path, text) in groups
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .flat_map(|(_, group)| group)
    {
        let text = text
            .replace("{{members}}", &members.join(", "))
            .replace("{{task}}", language.task);
        // The path of the SDK from an example of its own becomes that from a project.
        files.push(((*path).to_owned(), text.replace("../..", "./sdk")));
    }
    for (folder, group) in language.sdk {
        for (path, text) in *group {
            files.push((format!("{folder}/{path}"), (*text).to_owned()));
        }
    }
    files
}

/// The build commands of a project.
fn builds(language: &Language, kind: Kind) -> impl Iterator<Item = &'static str> {
    let [operation, worker] = language.builds;
    let wanted = [(kind != Kind::Worker, operation), (kind != Kind::Operation, worker)];
    wanted.into_iter().filter_map(|(wanted, build)| wanted.then_some(build))
}

fn manifest(language: &Language, kind: Kind) -> String {
    let ([operation, worker], [operation_at, worker_at]) = (language.builds, language.components);
    let [operation_source, worker_source] = language.own_sources;
    // A source that only the other role's build reads is excluded.
    let sources = |other: &str| {
        let mut sources: Vec<_> = language.sources.iter().map(|source| format!("\"{source}\"")).collect();
        if sources.is_empty() {
            return String::new();
        }
        if kind == Kind::Both {
            sources.push(format!("\"!{other}\""));
        }
        format!(
            "# Built again when one of these changes: add other files that the build reads.\nsources = [{}]\n",
            sources.join(", ")
        )
    };
    let table = |table: &str, build: &str, sources: String, component: &str| {
        format!("[{table}]\nbuild = \"{build}\"\n{sources}component = \"{component}\"\n")
    };
    let operation = || table("operation", operation, sources(worker_source), operation_at);
    let worker = |name: &str| table(name, worker, sources(operation_source), worker_at);
    match kind {
        Kind::Operation => operation(),
        Kind::Worker => worker("worker"),
        Kind::Both => format!(
            "{}\n{}",
            operation(),
            worker("[pool]").replace("]]\n", "]]\nname = \"squares\"\n"),
        ),
    }
}

fn readme(language: &Language, kind: Kind, name: &str) -> String {
    let mut text = format!(
        "# {name}\n\nFor Disperse, in {}: {}.\n\n```console\n",
        language.name,
        what(kind)
    );
    for (command, _) in next(kind) {
        let _ = writeln!(text, "$ {}", command.replace("{}", "."));
    }
    let _ = write!(
        text,
        "```\n\n`disperse.toml` defines the build and the workers; `disperse-host run` and `map` build it first. A build needs \
         {}.\n",
        language.needs
    );
    if let Some(tool) = builds(language, kind).flat_map(tools::needed).next() {
        let _ = writeln!(text, "If `{}` is missing: `{}`.", tool.name, tool.how_in(Path::new("")));
    }
    let _ = write!(
        text,
        "\n`sdk` is the Disperse SDK for {}, as `disperse-host new` wrote it; its README describes it. Files that it links to and that \
         are missing here are in the repository of Disperse.\n",
        language.name
    );
    text
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// The last part of a path; `.` is resolved first.
fn name_of(folder: &Path) -> String {
    let looked_up = || {
        fs::canonicalize(folder)
            .ok()?
            .file_name()
            .map(std::ffi::OsStr::to_owned)
    };
    let name = folder.file_name().map(std::ffi::OsStr::to_owned).or_else(looked_up);
    name.map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned())
}
