//! Compiled functions in the cache: one file for each component that added some.

use std::{cmp::Reverse, collections::BTreeSet, io};

use wasmtime::Engine;

use super::{Cache, FUNCTIONS, identity, set_used};
use disperse_protocol::digest::Digest;

impl Cache {
    /// Loads the compiled functions that components have added for an engine: of the files that were used last, as many as
    /// have at most `max` bytes together.
    pub(in crate::load) fn load_functions(&self, engine: &Engine, max: u64) -> KnownFunctions {
        let end = functions_of(engine);
        // Without them, all functions are compiled.
        let mut files = self.files().unwrap_or_default();
        files.retain(|file| file.name().is_some_and(|name| name.ends_with(&end)));
        files.sort_by_key(|file| Reverse(file.modified));
        let (mut left, mut known) = (max, KnownFunctions::default());
        for file in files {
            if file.size > left {
                continue;
            }
            let Some(name) = file.name() else {
                continue;
            };
            let mut records = Vec::new();
            if self
                .read_unused(name, |block| records.extend_from_slice(block))
                .is_some()
            {
                left -= file.size;
                known.records.extend(records);
                known.files.push((known.records.len() as u64, name.to_owned()));
            }
        }
        known
    }

    /// Records that the known functions at these positions were used: files without a used function are removed first.
    pub(in crate::load) fn used_functions(&self, known: &KnownFunctions, positions: impl Iterator<Item = u64>) {
        let files: BTreeSet<_> = positions
            .map(|position| known.files.partition_point(|(end, _)| *end <= position))
            .collect();
        for (_, name) in files.into_iter().filter_map(|file| known.files.get(file)) {
            if let Ok(Some(file)) = self.folder.file(name) {
                set_used(&file);
            }
        }
    }

    /// Stores the compiled functions that a component has added, as [`Cache::store`] does.
    pub(in crate::load) fn store_functions(
        &self,
        engine: &Engine,
        digest: &Digest,
        functions: &[u8],
    ) -> io::Result<()> {
        self.write(&format!("{digest}{}", functions_of(engine)), functions)
    }
}

/// The compiled functions that a compilation can use.
#[derive(Debug, Default)]
pub(in crate::load) struct KnownFunctions {
    records: Vec<u8>,
    /// The files that they come from, with the positions at which their records end.
    files: Vec<(u64, String)>,
}

impl KnownFunctions {
    pub(in crate::load) fn records(&self) -> &[u8] {
        &self.records
    }
}

/// The end of the file names of compiled functions.
fn functions_of(engine: &Engine) -> String {
    format!("-{}.{FUNCTIONS}", identity(engine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineKind, Space, compiler};

    /// A cache with one file of functions for each of these, the least recently used first.
    fn cache(folder: &tempfile::TempDir, engine: &Engine, all: &[&[u8]]) -> Cache {
        let cache = Cache::at(&folder.path().join("cache")).unwrap();
        for (n, functions) in all.iter().enumerate() {
            let digest = Digest::of(&[u8::try_from(n).unwrap()]);
            cache.store_functions(engine, &digest, functions).unwrap();
            used(&cache, functions.len(), n);
        }
        cache
    }

    /// Sets the time of last use of the file with functions of this length.
    fn used(cache: &Cache, length: usize, time: usize) {
        let files = cache.files().unwrap();
        let file = files
            .iter()
            .find(|file| file.size as usize == length + super::super::SUM)
            .unwrap();
        let file = std::fs::File::options().append(true).open(&file.path).unwrap();
        let time = std::time::Duration::from_secs(time as u64);
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + time).unwrap();
    }

    #[test]
    fn functions_of_another_engine_are_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let engine = |kind, space| compiler(kind, space, None).unwrap();
        let own = engine(EngineKind::Blocking, Space::Grown);
        let cache = cache(&folder, &own, &[b"one", b"four"]);
        assert_eq!(cache.load_functions(&own, u64::MAX).records().len(), 7);
        for other in [
            engine(EngineKind::Async, Space::Grown),
            engine(EngineKind::Blocking, Space::Reserved),
        ] {
            assert_eq!(cache.load_functions(&other, u64::MAX).records(), b"");
        }
    }

    #[test]
    fn functions_that_were_used_last_are_loaded_up_to_the_maximum() {
        let folder = tempfile::tempdir().unwrap();
        let engine = compiler(EngineKind::Blocking, Space::Grown, None).unwrap();
        let cache = cache(&folder, &engine, &[b"a", b"bb", b"cccccccccccccccc", b"dddd"]);
        let sum = super::super::SUM as u64;
        let load = |max| cache.load_functions(&engine, max);
        assert_eq!(load(0).records(), b"");
        // The large one does not fit; the older ones do. Loading is no use.
        for _ in 0..2 {
            assert_eq!(load(6 + 2 * sum).records(), b"ddddbb");
        }
        let all = load(99);
        assert_eq!(all.records(), b"ddddccccccccccccccccbba");
        // Of `bb` and of none.
        cache.used_functions(&all, [21, 20, 23, u64::MAX].into_iter());
        assert_eq!(load(6 + 2 * sum).records(), b"bbdddd");
        assert_eq!(load(1 + sum).records(), b"a");
    }
}
