//! Manual pages, from the same text as `--help`.

use std::path::Path;

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::cli::{
    console::Failure,
    help::{Page, codes, page as page_of},
};

/// The date of the pages: that of the last release, or of the start of the project. The date of the build would make builds of the
/// same source differ.
const WRITTEN: &str = "2026-11-25";

/// The files and folders that the host uses without being told.
const FILES: [(&str, &str); 5] = [
    (
        "disperse.toml",
        "The manifest of a project; `disperse-host schema manifest` prints its schema.",
    ),
    (
        ".disperse",
        "In a folder with a disperse.toml: the sockets and journals of runs that were started there, and their records for `explain`.",
    ),
    (
        "$XDG_STATE_HOME/disperse/runs, $HOME/.local/state/disperse/runs",
        "The same for runs that were started in other folders, with one folder for each of these. If it cannot be used, .disperse is.",
    ),
    (
        "$XDG_CACHE_HOME/disperse, $HOME/.cache/disperse",
        "The cache of compiled code; `disperse-host cache clean` empties it, at any time.",
    ),
    (
        "$XDG_STATE_HOME/disperse/trust, $HOME/.local/state/disperse/trust",
        "The list of trusted manifests. Without it none is trusted.",
    ),
];

/// The page of the program.
///
/// # Errors
/// The page cannot be rendered, which needs only memory.
pub(crate) fn page(command: Command) -> Result<String, Failure> {
    one(built(command), true, None)
}

/// Writes a page for the program and one for each of its visible commands to a folder.
///
/// # Errors
/// The folder or a page cannot be written.
pub(crate) fn write(folder: &Path, command: Command) -> Result<(), Failure> {
    let cannot =
        |path: &Path, error: &std::io::Error| Failure::machine(format!("cannot write `{}`", path.display()), error);
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let mut left = vec![(built(command), true, None)];
    while let Some((command, whole, page)) = left.pop() {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        left.extend(below.map(|below| (below.clone(), false, page_of(below.get_name()).or(page))));
        let path = folder.join(Man::new(command.clone()).get_filename());
        std::fs::write(&path, one(command, whole, page)?).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

/// The command with the full names of its subcommands, without `help`.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// One page. `whole`: it is that of the program, with the sections that hold for all commands.
fn one(command: Command, whole: bool, page: Option<&Page>) -> Result<String, Failure> {
    let help = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
        .map(ToString::to_string);
    let has_options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_commands = command.get_subcommands().any(|below| !below.is_hide_set());
    // The usage line of `--help`: clap_mangen lists `[OPTIONS]` even for a command without any.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let about = page;
    let man = Man::new(command)
        .manual("Disperse")
        .source(concat!("disperse-host ", env!("CARGO_PKG_VERSION")))
        .date(WRITTEN);
    let mut page = Vec::new();
    let rendered = (|| {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        let mut synopsis = Roff::new();
        synopsis
            .control("SH", ["SYNOPSIS"])
            .text([roman(usage)])
            .to_writer(&mut page)?;
        man.render_description_section(&mut page)?;
        if has_options {
            man.render_options_section(&mut page)?;
        }
        if has_commands {
            man.render_subcommands_section(&mut page)?;
        }
        rest(help.as_deref(), whole, about).to_writer(&mut page)?;
        if whole {
            man.render_version_section(&mut page)?;
        }
        Ok(())
    })();
    rendered.map_err(|error: std::io::Error| Failure::machine("cannot render the page", &error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The sections after the commands.
fn rest(help: Option<&str>, whole: bool, page: Option<&Page>) -> Roff {
    let mut roff = Roff::new();
    if let Some(help) = help {
        // Verbatim, line by line: it shows the format of a file.
        roff.control("SH", ["NOTES"]).control("nf", []);
        for line in help.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    if let Some(page) = page {
        roff.control("SH", ["EXAMPLES"]);
        for (what, line) in page.examples {
            roff.control("TP", []).text([roman(*what)]).text([bold(*line)]);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, what) in codes(page) {
        roff.control("TP", [])
            .text([bold(code.to_string())])
            .text([roman(what)]);
    }
    if whole {
        roff.control("SH", ["FILES"]);
        for (name, what) in FILES {
            roff.control("TP", []).text([bold(name)]).text([roman(what)]);
        }
    } else {
        roff.control("SH", ["SEE ALSO"])
            .text([bold("disperse-host"), roman("(1)")]);
    }
    roff
}
