//! Whether a component is up to date with its sources, by their content: an editor that saves without a change, a checkout, or an
//! output beside the sources causes no build.
//!
//! The cache records the sources of a build. A file with the same size and time of change as recorded is not read again, unless it
//! changed so shortly before the record that the clock may have missed a change.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    files::{add, unreadable},
    manifest::Build,
};
use crate::{cli::console::Failure, digest::Digest, sandbox::Cache};

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

/// Whether a component is up to date with its sources.
pub(super) enum Sources {
    /// It is. The digest of the component, if the build that made it was run by this program.
    UpToDate(Option<Digest>),
    /// It is not. The sources to record once it is built.
    Changed(Record),
}

/// The recorded sources of a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The sources by their paths, relative to the manifest's folder; see [`name`].
    files: BTreeMap<String, Source>,
    /// The time of the record, in ns since 1970.
    looked: i64,
    /// The component that was built from them.
    component: Option<Stamp>,
    /// The digest of that component, if the build has written it. Records of earlier versions have none.
    #[serde(default)]
    made: Option<Digest>,
    /// Whether a file was read, because the earlier record did not prove its content.
    #[serde(skip)]
    read: bool,
}

impl Record {
    /// Whether the component exists and was built from sources with the same content.
    fn fits(&self, before: &Self, component: &Path) -> bool {
        let same =
            |(one, other): ((&String, &Source), (&String, &Source))| one.0 == other.0 && one.1.digest == other.1.digest;
        self.files.len() == before.files.len()
            && self.files.iter().zip(&before.files).all(same)
            && before.component.is_some()
            && before.component == stamp_of(component)
    }
}

/// Compares the sources of a component with the record of its last build.
///
/// # Errors
/// A source is missing or cannot be read.
pub(super) fn look(cache: Option<&Cache>, folder: &Path, build: &Build<'_>) -> Result<Sources, Failure> {
    let kept = cache.and_then(|cache| cache.load_build(&key(folder, build)));
    let before: Option<Record> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    let now = find(folder, build, before.as_ref())?;
    let Some(before) = before.filter(|before| now.fits(before, &folder.join(build.component))) else {
        return Ok(Sources::Changed(now));
    };
    if let (true, Some(cache)) = (now.read, cache) {
        keep(cache, folder, build, now, before.made);
    }
    Ok(Sources::UpToDate(before.made))
}

/// Records the sources of a component, and its digest if the build has written it. A record that cannot be stored costs a build
/// the next time.
pub(super) fn keep(cache: &Cache, folder: &Path, build: &Build<'_>, mut record: Record, made: Option<Digest>) {
    record.component = stamp_of(&folder.join(build.component));
    record.made = made;
    if let Ok(text) = serde_json::to_vec(&record) {
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

fn find(folder: &Path, build: &Build<'_>, before: Option<&Record>) -> Result<Record, Failure> {
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
    Ok(Record {
        files,
        looked,
        component: None,
        made: None,
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

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, path::PathBuf};

    use super::*;

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
        assert_eq!(find(folder.path(), &build, None).unwrap().files.len(), 2);
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
            let looked = find(folder.path(), &build, None).unwrap();
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
