//! Finds the journal of a run.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    cli::{console::Failure, tools::shell_word},
    control::{Folder, JOURNAL, RunId},
};

/// The journal of the run with this name, or the file of this path; None: of the newest run that was started here.
///
/// # Errors
/// There is none, or several.
pub(crate) fn find(name: Option<&str>) -> Result<PathBuf, Failure> {
    if let Some(path) = name.map(Path::new).filter(|path| path.is_file()) {
        return Ok(path.to_owned());
    }
    let journals = all()?;
    let fits = |id: &RunId| name.is_none_or(|name| id.is_meant_by(name));
    let mut fitting = journals.iter().filter(|(id, _)| fits(id));
    let (Some((_, path)), others) = (fitting.next(), fitting.count()) else {
        let what = match name {
            Some(name) => format!("no run `{name}` has a journal here"),
            None => "no run has a journal here".to_owned(),
        };
        let names: Vec<_> = journals.iter().map(|(id, _)| id.as_str()).collect();
        return Err(Failure::usage(what).hint(match names.as_slice() {
            [] => "run this command in the folder in which the run was started, or give the path of its journal"
                .to_owned(),
            names => format!("there are: {}", names.join(", ")),
        }));
    };
    if name.is_some() && others > 0 {
        return Err(
            Failure::usage(format!("several runs fit `{}`", name.unwrap_or_default())).hint("give the whole name"),
        );
    }
    Ok(path.clone())
}

/// The command that resumes a run: by its name if [`find`] finds that, else by the file of its journal.
pub(crate) fn resume_command(id: &RunId, journal: &Path) -> String {
    let place = journal.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_found = Folder::find()
        .ok()
        .flatten()
        .is_some_and(|folder| Some(folder.path()) == place);
    let name = if is_found {
        id.to_string()
    } else {
        shell_word(&journal.display().to_string())
    };
    format!("disperse-host resume {name}")
}

/// The journals of the runs that were started here, the newest first.
///
/// # Errors
/// The folder of runs cannot be read.
pub(super) fn all() -> Result<Vec<(RunId, PathBuf)>, Failure> {
    let unreadable = |error| Failure::machine("cannot read the folder of runs", &error);
    match Folder::find().map_err(unreadable)? {
        Some(folder) => journals(folder.path()).map_err(unreadable),
        None => Ok(Vec::new()),
    }
}

/// The journals in a folder, the newest first.
fn journals(folder: &Path) -> io::Result<Vec<(RunId, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_journal = path.extension().is_some_and(|ending| ending == JOURNAL) && entry.file_type()?.is_file();
        let id = path.file_stem().and_then(|stem| RunId::parse(stem.to_str()?));
        found.extend(id.filter(|_| is_journal).map(|id| (id, path)));
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found)
}
