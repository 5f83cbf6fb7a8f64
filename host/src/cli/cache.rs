//! `cache`: where compiled code is kept, how much that is, and emptying it.

use std::{fmt::Write as _, path::Path};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{error::Failure, exit, inspect::json_line, output::print};
use crate::{
    report::Format,
    sandbox::{Cache, CacheError, CacheUsage},
    text::plain,
    units::Size,
};

/// Where it is, and how it ends.
pub(super) const HELP: &str = "\
The cache is $XDG_CACHE_HOME/disperse, else ~/.cache/disperse. Runs beside `clean` go on: what they have loaded stays loaded, and what
they miss is made again.

Exit codes: 0 done, 4 the cache cannot be used";

#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    what: Option<CacheCommand>,
    /// How it is written: as text, or as a line of JSON
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Print the path of the cache
    Dir,
    /// Print how much is in the cache; the same as without a subcommand
    Size,
    /// Remove everything from the cache: components are compiled, and projects built, at their next start
    Clean,
}

/// The line of `cache --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// Where the cache is.
    Dir { path: String },
    /// How much is in it.
    Size {
        path: String,
        files: u64,
        bytes: u64,
        /// How much is kept: over it, the least recently used goes.
        max_bytes: u64,
        /// By what it is.
        contents: Vec<Content>,
    },
    /// What was removed.
    Cleaned { path: String, files: u64, bytes: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Content {
    /// `compiled`: machine code; `adapted`: components that were made of core modules; `inspected`: what is known of files;
    /// `built`: which sources components were built from.
    kind: String,
    files: u64,
    bytes: u64,
}

/// The schema of the line.
pub(super) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

pub(super) fn cache(args: &CacheArgs) -> Result<u8, Failure> {
    let path = Cache::user_path().map_err(|error| unusable(&error))?;
    let shown = path.display().to_string();
    // A folder that is not there is not made only to be looked at.
    let usage = |cache: Option<Cache>| match cache {
        Some(cache) => cache.usage(),
        None => Ok(Vec::new()),
    };
    let line = match args.what {
        Some(CacheCommand::Dir) => Line::Dir { path: shown },
        None | Some(CacheCommand::Size) => {
            let contents = usage(opened(&path)?).map_err(|error| Failure::machine("cannot read the cache", &error))?;
            let contents: Vec<_> = contents.iter().map(content).collect();
            Line::Size {
                path: shown,
                files: contents.iter().map(|content| content.files).sum(),
                bytes: contents.iter().map(|content| content.bytes).sum(),
                max_bytes: Cache::SIZE_MAX,
                contents,
            }
        }
        Some(CacheCommand::Clean) => {
            let removed = opened(&path)?.map_or_else(|| Ok((0, 0)), |cache| cache.clear());
            let (files, bytes) = removed.map_err(|error| Failure::machine("cannot empty the cache", &error))?;
            Line::Cleaned {
                path: shown,
                files,
                bytes,
            }
        }
    };
    print(&match args.format {
        Format::Json => json_line(&line),
        Format::Text => plain(&text(&line)).into_owned(),
    })?;
    Ok(exit::DONE)
}

fn opened(path: &Path) -> Result<Option<Cache>, Failure> {
    if path.exists() {
        Cache::at(path).map(Some).map_err(|error| unusable(&error))
    } else {
        Ok(None)
    }
}

fn unusable(error: &CacheError) -> Failure {
    Failure::machine("the cache cannot be used", error)
        .hint("XDG_CACHE_HOME says where it is: the absolute path of a folder of yours")
}

fn content(usage: &CacheUsage) -> Content {
    Content {
        kind: usage.kind.to_owned(),
        files: usage.files,
        bytes: usage.bytes,
    }
}

fn text(line: &Line) -> String {
    match line {
        Line::Dir { path } => format!("{path}\n"),
        Line::Size {
            path,
            files,
            bytes,
            max_bytes,
            contents,
        } => {
            let mut text = format!(
                "{path}: {} in {} files, of at most {}\n",
                Size(*bytes),
                files,
                Size(*max_bytes)
            );
            for Content { kind, files, bytes } in contents {
                let _ = writeln!(text, "  {kind:<9}  {} in {files} files", Size(*bytes));
            }
            text
        }
        Line::Cleaned { path, files, bytes } => format!("{path}: removed {files} files, {}\n", Size(*bytes)),
    }
}
