//! `inspect`: describes components, and why one is unusable.

mod json;
mod report;
mod text;

use std::path::PathBuf;

pub(crate) use self::json::schema;
use self::{
    json::Line,
    report::ComponentReport,
    text::{limits, text},
};
use crate::{
    cli::{
        args::InspectArgs,
        console::{Failure, exit, json_line, print},
        loading::{read, unusable},
        project::{Source, source, trust},
    },
    files::leads_out,
    report::Format,
    text::plain_line,
};

/// A component to inspect.
struct InspectedFile {
    path: PathBuf,
    /// Whether it was given on the command line.
    typed: bool,
    /// Its target, if that is out of its folder and the folder is not trusted.
    out: Option<PathBuf>,
}

/// The components to inspect. Prints the requests of a manifest.
fn found(args: &InspectArgs) -> Result<Vec<InspectedFile>, Failure> {
    let project = match source(&args.path, false)? {
        Source::Project(project) => project,
        Source::Component(path) => {
            return Ok(vec![InspectedFile {
                path,
                typed: true,
                out: None,
            }]);
        }
    };
    let asks = project.asks(false);
    let path = project.shown.display().to_string();
    let trusted = project.trusted;
    match args.format {
        Format::Json => print_line(&Line::Manifest { path, trusted, asks }),
        Format::Text if asks.is_empty() => Ok(()),
        Format::Text => {
            let state = if trusted { "trusted" } else { "not trusted" };
            print(&format!(
                "{}\n  asks for ({state})\n{}",
                plain_line(&path),
                trust::lines(&asks, usize::MAX, usize::MAX)
            ))
        }
    }?;
    let mut paths = project.manifest.components();
    paths.sort();
    paths.dedup();
    let found = paths.into_iter().map(|path| InspectedFile {
        path: project.folder.join(path),
        typed: false,
        out: leads_out(&project.folder, path).filter(|_| !trusted),
    });
    Ok(found.collect())
}

fn inspect_file(found: &InspectedFile) -> Result<ComponentReport, Failure> {
    let path = &found.path;
    if let Some(target) = &found.out {
        return Err(Failure::usage(format!("`{}` is not inspected", path.display()))
            .because(format!(
                "it leads to `{}`, out of its folder, and the folder is not trusted",
                target.display()
            ))
            .hint("inspect that file itself, or see `disperse-host trust`"));
    }
    read(path, found.typed).and_then(|bytes| ComponentReport::of(path, &bytes))
}

/// Describes each component, usable or not, and reports those that cannot be read.
pub(crate) fn inspect(args: &InspectArgs) -> Result<u8, Failure> {
    let mut code = exit::DONE;
    for found in found(args)? {
        let path = &found.path;
        let report = match inspect_file(&found) {
            Ok(report) => report,
            Err(failure) => {
                failure.print();
                code = code.max(failure.code);
                if args.format == Format::Json {
                    print_line(&Line::failed(path, &failure))?;
                }
                continue;
            }
        };
        match args.format {
            Format::Json => print_line(&Line::of(path, &report, limits())),
            Format::Text => print(&text(path, &report)),
        }?;
        if let Err(error) = &report.contract {
            let failure = unusable(path, error);
            failure.print();
            code = code.max(failure.code);
        }
    }
    Ok(code)
}

fn print_line(line: &Line) -> Result<(), Failure> {
    print(&json_line(line))
}
