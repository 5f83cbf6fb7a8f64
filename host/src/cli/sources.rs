//! Whether a component is up to date with its sources, by their content: an editor that saves without a change, a checkout, or an
//! output beside the sources causes no build.
//!
//! The cache records the sources of a build. A file with the same size and time of change as recorded is not read again, unless it
//! changed so shortly before the record that the clock may have missed a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{build::Build, console::Failure};
use crate::{digest::Digest, sandbox::Cache};

/// Prefixes and names of files and folders that tools create, which are no sources.
const MADE_PREFIXES: [&str; 2] = [".", "__"];
const MADE: [&str; 3] = ["target", "node_modules", "package-lock.json"];
const MADE_SUFFIX: &str = ".wasm";

/// A time of change within this many ns before the record does not prove that the file is unchanged: the clock of some file systems
/// advances in steps of up to two seconds.
const UNSURE_NS: i64 = 2_000_000_000;

/// Metadata by which a change of a file is detected without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// In ns since 1970: of a source its ctime, of a component its mtime.
    time: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Source {
    stamp: Stamp,
    digest: Digest,
}

/// The recorded sources of a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sources {
    /// The sources by their paths, relative to the manifest's folder; see [`name`].
    files: BTreeMap<String, Source>,
    /// The time of the record, in ns since 1970.
    looked: i64,
    /// The component that was built from them.
    component: Option<Stamp>,
    /// Whether a file was read, because the earlier record did not prove its content.
    #[serde(skip)]
    read: bool,
}

impl Sources {
    /// Whether the component exists and was built from sources with the same content.
    fn made(&self, before: &Self, component: &Path) -> bool {
        let same =
            |(one, other): ((&String, &Source), (&String, &Source))| one.0 == other.0 && one.1.digest == other.1.digest;
        self.files.len() == before.files.len()
            && self.files.iter().zip(&before.files).all(same)
            && before.component.is_some()
            && before.component == stamp_of(component)
    }
}

/// The sources to record once a component is built; None if it is up to date.
///
/// # Errors
/// A source is missing or cannot be read.
pub(super) fn changed(cache: Option<&Cache>, folder: &Path, build: &Build<'_>) -> Result<Option<Sources>, Failure> {
    let kept = cache.and_then(|cache| cache.load_build(&key(folder, build)));
    let before: Option<Sources> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    let now = look(folder, build, before.as_ref())?;
    if !before.is_some_and(|before| now.made(&before, &folder.join(build.component))) {
        return Ok(Some(now));
    }
    if let (true, Some(cache)) = (now.read, cache) {
        keep(cache, folder, build, now);
    }
    Ok(None)
}

/// Records the sources of a component. A record that cannot be stored costs a build the next time.
pub(super) fn keep(cache: &Cache, folder: &Path, build: &Build<'_>, mut sources: Sources) {
    sources.component = stamp_of(&folder.join(build.component));
    if let Ok(text) = serde_json::to_vec(&sources) {
        let _ = cache.store_build(&key(folder, build), &text);
    }
}

/// The key of a component's record: a digest of its path, its build command and its `sources`.
fn key(folder: &Path, build: &Build<'_>) -> Digest {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut text = Vec::new();
    for part in [folder.as_os_str(), build.component.as_os_str(), build.line.as_ref()] {
        text.extend_from_slice(part.as_encoded_bytes());
        text.push(0);
    }
    for source in build.sources {
        text.extend_from_slice(source.as_os_str().as_encoded_bytes());
        text.push(0);
    }
    Digest::of(&text)
}

fn stamp_of(component: &Path) -> Option<Stamp> {
    let meta = fs::metadata(component).ok()?;
    Some(Stamp {
        size: meta.len(),
        time: nanoseconds(meta.mtime(), meta.mtime_nsec()),
    })
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

fn look(folder: &Path, build: &Build<'_>, before: Option<&Sources>) -> Result<Sources, Failure> {
    let looked = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let looked = i64::try_from(looked.as_nanos()).unwrap_or_default();
    let mut found = BTreeMap::new();
    for source in build.sources {
        let text = source.to_string_lossy();
        match text.strip_prefix('!') {
            Some(pattern) => {
                let mut out = BTreeMap::new();
                // A missing file needs no exclusion.
                let _ = add(folder, Path::new(pattern), &mut out);
                found.retain(|path, _| !out.contains_key(path));
            }
            None => add(folder, source, &mut found)?,
        }
    }
    let (mut files, mut read) = (BTreeMap::new(), false);
    for (path, meta) in found {
        let name = name(&path);
        let stamp = Stamp {
            size: meta.len(),
            time: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        };
        let known = before.and_then(|before| {
            let source = before.files.get(&name)?;
            (source.stamp == stamp && stamp.time < before.looked - UNSURE_NS).then_some(source.digest)
        });
        read |= known.is_none();
        let digest = match known {
            Some(digest) => digest,
            None => content(&folder.join(&path)).map_err(|error| unreadable(&folder.join(&path), &error))?,
        };
        files.insert(name, Source { stamp, digest });
    }
    Ok(Sources {
        files,
        looked,
        component: None,
        read,
    })
}

/// A unique text for a path: a path that is not UTF-8 is named by its digest.
fn name(path: &Path) -> String {
    let digest = || format!("\0{}", Digest::of(path.as_os_str().as_bytes()));
    path.to_str().map_or_else(digest, str::to_owned)
}

/// The digest of a file's content, or of the target path of a link that does not lead to a file.
fn content(path: &Path) -> io::Result<Digest> {
    if fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
        return Digest::read(&mut File::open(path)?);
    }
    Ok(Digest::of(fs::read_link(path)?.as_os_str().as_encoded_bytes()))
}

fn unreadable(source: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read `{}`, a source of a component", source.display()))
        .because(error)
        .hint("check `sources` in the manifest")
}

type Found = BTreeMap<PathBuf, Metadata>;

/// Adds the files that an entry of `sources` names.
fn add(folder: &Path, source: &Path, found: &mut Found) -> Result<(), Failure> {
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

    #[test]
    fn names_that_are_not_text_are_distinct() {
        let folder = tempfile::tempdir().unwrap();
        let path = |byte: u8| folder.path().join(OsStr::from_bytes(&[b'n', byte]));
        for byte in [0xfe, 0xff] {
            fs::write(path(byte), "").unwrap();
        }
        let sources = [PathBuf::from(".")];
        let build = Build {
            line: "",
            component: Path::new("out.wasm"),
            sources: &sources,
        };
        assert_eq!(look(folder.path(), &build, None).unwrap().files.len(), 2);
    }

    #[test]
    fn sources_are_files_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "a.py",
            "b.py",
            "data.csv",
            "out.wasm",
            "sub/c.py",
            "sub/deep/d.py",
            "sub/d.txt",
            ".venv/e.py",
            "__pycache__/f.py",
            "node_modules/g.py",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(".", folder.path().join("sub/round")).unwrap();
        let found = |sources: &[&str]| {
            let sources: Vec<_> = sources.iter().map(PathBuf::from).collect();
            let build = Build {
                line: "",
                component: Path::new("out.wasm"),
                sources: &sources,
            };
            let looked = look(folder.path(), &build, None).unwrap();
            looked.files.into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found(&["a.py"]), "a.py");
        assert_eq!(found(&["./a.py", "a.py"]), "a.py");
        assert_eq!(found(&["*.py", "sub/*.txt"]), "a.py b.py sub/d.txt");
        assert_eq!(found(&["**/*.py", "!b.py"]), "a.py sub/c.py sub/deep/d.py");
        assert_eq!(found(&["**/*.py", "!sub"]), "a.py b.py");
        assert_eq!(found(&["sub", "!sub/deep/*"]), "sub/c.py sub/d.txt sub/round");
        assert_eq!(
            found(&["."]),
            "a.py b.py data.csv sub/c.py sub/d.txt sub/deep/d.py sub/round"
        );
        assert_eq!(found(&["no-*", "a.py", "!no-file"]), "a.py");
    }
}
