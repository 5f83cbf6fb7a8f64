//! `cache`: the path and size of the cache, and emptying it.

use std::{fmt::Write as _, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        args::{CacheArgs, CacheCommand},
        console::{Failure, exit, json_line, print},
    },
    report::Format,
    sandbox::{Cache, CacheError, CacheUsage},
    text::plain,
    units::Size,
};

/// The line of `cache --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// The path of the cache.
    Dir { path: String },
    /// The size of the cache.
    Size {
        path: String,
        files: u64,
        bytes: u64,
        /// The largest size; beyond it the least recently used entries are removed.
        max_bytes: u64,
        /// The size by kind of entry.
        contents: Vec<Content>,
    },
    /// The removed files.
    Cleaned { path: String, files: u64, bytes: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Content {
    /// `compiled`: machine code; `adapted`: components made from core modules; `inspected`: results of inspecting files;
    /// `built`: the sources that components were built from; `functions`: compiled functions that components share.
    kind: String,
    files: u64,
    bytes: u64,
}

/// The schema of the line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Line)
}

pub(crate) fn cache(args: &CacheArgs) -> Result<u8, Failure> {
    let path = Cache::user_path().map_err(|error| unusable(&error))?;
    let shown = path.display().to_string();
    // A missing folder is not created just to report its size.
    let usage = |cache: Option<Cache>| match cache {
        Some(cache) => cache.usage(),
        None => Ok(Vec::new()),
    };
    let line = match args.what {
        Some(CacheCommand::Dir) => Line::Dir { path: shown },
        None | Some(CacheCommand::Size) => {
            let contents =
                usage(open_existing(&path)?).map_err(|error| Failure::machine("cannot read the cache", &error))?;
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
            let removed = open_existing(&path)?.map_or_else(|| Ok((0, 0)), |cache| cache.clear());
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

fn open_existing(path: &Path) -> Result<Option<Cache>, Failure> {
    if path.exists() {
        Cache::at(path).map(Some).map_err(|error| unusable(&error))
    } else {
        Ok(None)
    }
}

fn unusable(error: &CacheError) -> Failure {
    Failure::machine("the cache cannot be used", error)
        .hint("set XDG_CACHE_HOME to the absolute path of a folder that you own")
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
