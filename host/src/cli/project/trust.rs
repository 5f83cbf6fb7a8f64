//! A folder's manifest is granted nothing before the user has agreed to it.
//!
//! A single component on the command line, and grants by flags, come from the user and need no trust.

use std::{
    fmt::Write as _,
    io::{BufRead, IsTerminal, Read as _, Write as _},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{
    source::{Project, Source, source},
    store::{Store, store_failure},
};
use crate::{
    cli::{
        args::ManifestFlags,
        console::{Failure, print_stderr},
        tools::shell_word,
    },
    settings::{Ask, AskKind, FILE_NAME},
    text::{plain, plain_line},
};

/// The most lines that an error lists, and the longest line, in characters. Arbitrary: they fit a screen.
const LISTED_MAX: usize = 20;
const SHOWN_MAX: usize = 160;

/// Requires trust in a project that asks for something this command needs. `signed`: see [`Manifest::asks`]. `needs`:
/// whether this command needs the given request.
///
/// # Errors
/// It is not trusted; the failure lists all requests.
///
/// [`Manifest::asks`]: crate::settings::Manifest::asks
pub(crate) fn require(
    project: &mut Project,
    flags: ManifestFlags,
    signed: bool,
    needs: impl Fn(&Ask) -> bool,
) -> Result<(), Failure> {
    if project.trusted || project.is_alone() {
        return Ok(());
    }
    // All requests are listed, because trust covers all of them.
    let all = project.asks(signed);
    let is_taken = |ask: &&Ask| !(flags.no_build && ask.what == AskKind::Build);
    if all.iter().filter(is_taken).any(needs) {
        if !is_confirmed(project, &all)? {
            return Err(untrusted(project, &all));
        }
        project.trusted = true;
    }
    Ok(())
}

fn untrusted(project: &Project, all: &[Ask]) -> Failure {
    let is_usual = project.shown.file_name().is_some_and(|name| name == FILE_NAME);
    let named = if is_usual { &project.folder } else { &project.shown };
    let listed = lines(all, LISTED_MAX, SHOWN_MAX);
    Failure::usage(format!(
        "`{}` asks for things that need your trust",
        project.shown.display()
    ))
    .because(format!("it asks for\n{listed}"))
    .hint(format!(
        "review them; `disperse-host trust {}` trusts the manifest until it changes, --trust-manifest for this run",
        shell_word(&named.display().to_string())
    ))
}

/// Asks the user, if there is a terminal and the folder is likely the user's own. Records trust on a yes.
fn is_confirmed(project: &Project, all: &[Ask]) -> Result<bool, Failure> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    // A list longer than a screen could hide the dangerous part: `trust --show` prints it all.
    let is_short = all.len() <= LISTED_MAX && all.iter().all(|ask| ask.value.len() <= SHOWN_MAX);
    let Some(store) = Store::user().ok().filter(|_| is_terminal && is_short) else {
        return Ok(false);
    };
    let was_trusted = store.all().is_ok_and(|all| all.contains(&project.source.path));
    let folder = project.source.path.parent().unwrap_or(Path::new("/"));
    if !was_trusted && !is_own_work_tree(folder) {
        return Ok(false);
    }
    let shown = project.source.path.display();
    print_stderr(&plain(&format!(
        "`{shown}` asks for{}\n{}",
        if was_trusted { ", now that it has changed" } else { "" },
        lines(all, usize::MAX, usize::MAX).trim_end()
    )));
    let mut stderr = std::io::stderr();
    let asked = write!(stderr, "trust it until it changes? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    // A terminal returns one line per read.
    let read = asked.and_then(|()| std::io::stdin().lock().take(64).read_line(&mut answer));
    let is_yes = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if is_yes {
        store.record(&project.source).map_err(store_failure)?;
    }
    Ok(is_yes)
}

/// Whether this user owns a folder and the `.git` of the work tree that it is in.
fn is_own_work_tree(folder: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let is_ours = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() == us);
    let git = folder
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|git| git.symlink_metadata().is_ok());
    is_ours(folder) && git.is_some_and(|git| is_ours(&git))
}

/// One line per request; at most `count_max` lines, with values of at most `length_max` characters.
pub(crate) fn lines(asks: &[Ask], count_max: usize, length_max: usize) -> String {
    let mut text = String::new();
    for ask in asks.iter().take(count_max) {
        let value = plain_line(&ask.value);
        let cut = value.char_indices().nth(length_max).map(|(at, _)| at);
        let (value, more) = match cut {
            Some(at) => (value.get(..at).unwrap_or_default(), "…"),
            None => (&*value, ""),
        };
        let danger = if ask.dangerous { ", dangerous" } else { "" };
        let (what, table) = (ask.what.word(), plain_line(&ask.table));
        let _ = writeln!(text, "    {what:<6} {value}{more}  ({table}{danger})");
    }
    if asks.len() > count_max {
        let _ = writeln!(
            text,
            "    and {} more, which `disperse-host trust --show` lists",
            asks.len() - count_max
        );
    }
    text
}

/// Trusts a folder that this program has just created.
pub(crate) fn record_new(folder: &Path) {
    let recorded = source(folder, true).and_then(|source| match source {
        Source::Project(project) => Store::user()
            .and_then(|store| store.record(&project.source))
            .map_err(store_failure),
        Source::Component(_) => Ok(()),
    });
    if let Err(failure) = recorded {
        print_stderr(&plain(&format!(
            "warning: the project is not trusted yet: {}",
            failure.text()
        )));
    }
}
