//! The files that the entries of `sources` name: files, folders and patterns.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use crate::cli::console::Failure;

/// Prefixes and names of files and folders that tools create, which are no sources.
const MADE_PREFIXES: [&str; 2] = [".", "__"];
const MADE: [&str; 3] = ["target", "node_modules", "package-lock.json"];
const MADE_SUFFIX: &str = ".wasm";

pub(super) type Found = BTreeMap<PathBuf, Metadata>;

/// Adds the files that an entry of `sources` names.
pub(super) fn add(folder: &Path, source: &Path, found: &mut Found) -> Result<(), Failure> {
    let text = source.to_string_lossy();
    if text.contains('*') {
        let root = if source.is_absolute() { "/" } else { "" };
        let mut parts: Vec<_> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        // Consecutive `**` are equivalent to one.
        parts.dedup_by(|one, other| *one == "**" && *other == "**");
        let mut pattern = Pattern {
            folder,
            seen: BTreeSet::new(),
            found,
        };
        pattern.matching(Path::new(root), &parts);
        return Ok(());
    }
    let whole = folder.join(source);
    let meta = fs::metadata(&whole).map_err(|error| unreadable(&whole, &error))?;
    let named = source.components().filter(|part| *part != Component::CurDir);
    everything(folder, named.collect(), meta, found);
    Ok(())
}

/// Adds a file, or every file below a folder except for those that tools create. Other kinds of files are no sources.
fn everything(folder: &Path, path: PathBuf, meta: Metadata, found: &mut Found) {
    if meta.is_dir() {
        for (name, meta) in entries(folder, &path) {
            everything(folder, path.join(name), meta, found);
        }
    } else if meta.is_file() || meta.is_symlink() {
        found.insert(path, meta);
    }
}

/// The search for the matches of a pattern.
struct Pattern<'a> {
    folder: &'a Path,
    /// Folders and numbers of remaining parts that were searched already: several `**` reach a folder in many ways.
    seen: BTreeSet<(PathBuf, usize)>,
    found: &'a mut Found,
}

impl Pattern<'_> {
    /// Adds the matches of `parts` below `base`: `*` stands for any part of a name, `**` for any number of folders.
    fn matching(&mut self, base: &Path, parts: &[&str]) {
        if !self.seen.insert((base.to_owned(), parts.len())) {
            return;
        }
        let Some((part, rest)) = parts.split_first() else {
            if let Ok(meta) = fs::metadata(self.folder.join(base)) {
                everything(self.folder, base.to_owned(), meta, self.found);
            }
            return;
        };
        if *part == "**" {
            self.matching(base, rest);
            for (name, meta) in entries(self.folder, base) {
                if meta.is_dir() {
                    self.matching(&base.join(name), parts);
                }
            }
        } else if part.contains('*') {
            for (name, _) in entries(self.folder, base) {
                if fits(part.as_bytes(), name.as_bytes()) {
                    self.matching(&base.join(name), rest);
                }
            }
        } else {
            self.matching(&base.join(part), rest);
        }
    }
}

/// The entries of a folder except for those that tools create. A link to a file counts as the file; one to a folder stays a link,
/// so that a cycle ends.
fn entries(folder: &Path, path: &Path) -> Vec<(OsString, Metadata)> {
    let there = folder.join(path);
    let there = if there.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &there
    };
    let Ok(entries) = fs::read_dir(there) else {
        return Vec::new();
    };
    let entries = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let is_made = MADE.iter().any(|made| name == OsStr::new(made))
            || name.as_bytes().ends_with(MADE_SUFFIX.as_bytes())
            || MADE_PREFIXES
                .iter()
                .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
        let meta = entry.metadata().ok().filter(|_| !is_made)?;
        let target = meta.is_symlink().then(|| fs::metadata(entry.path()).ok()).flatten();
        Some((name, target.filter(Metadata::is_file).unwrap_or(meta)))
    });
    entries.collect()
}

/// Whether a name matches a pattern, in which `*` stands for any part of it, including an empty one.
///
/// Not globset: names need not be text, and `?` and `[` are letters like others.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    // The last part must end the name; every other one is matched as early as possible, which leaves the most for the rest.
    let Some(last) = parts.next_back() else {
        return left.is_empty();
    };
    for part in parts.filter(|part| !part.is_empty()) {
        let Some(at) = left.windows(part.len()).position(|window| window == part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

pub(super) fn unreadable(source: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read `{}`, a source of a component", source.display()))
        .because(error)
        .hint("check `sources` in the manifest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_parts_of_names() {
        for (pattern, name, fit) in [
            ("*", "a.py", true),
            ("*.py", "a.py", true),
            ("*.py", "a.pyc", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("é*", "é", true),
            ("a", "a", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_with_many_stars_are_matched_fast() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d/".repeat(40));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("a-file"), "").unwrap();
        let found = |pattern: &str| {
            let mut found = Found::new();
            add(folder.path(), Path::new(pattern), &mut found).unwrap();
            found.len()
        };
        // Each `**` could end at any of forty folders, and each `*` at any letter.
        assert_eq!(found(&"**/d/".repeat(12)), 1);
        assert_eq!(found(&format!("{}a-file", "**/".repeat(12))), 1);
        assert!(!fits("*a".repeat(40).as_bytes(), "a".repeat(39).as_bytes()));
        assert!(fits("*a".repeat(40).as_bytes(), "a".repeat(40).as_bytes()));
    }
}
