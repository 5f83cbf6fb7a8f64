//! Compiled functions that components share. Python's interpreter, for example, is the same in every component of Python.
//!
//! A child that compiles is given the known functions and can change none of them: they reach it through its stdin, like
//! the component. It returns those that it had to compile. The parent asks for them only if the component is *own*: the
//! user's project has built it. See `docs/book/src/internals/loading.md` for the threats.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustc_hash::FxHashMap;
use wasmtime::CacheStore;

/// The smallest component for which functions are shared, in bytes. A smaller one compiles in about a second, and those
/// that contain the interpreter of a language are larger: QuickJS has 1.5 MiB, Python 18 MiB.
pub(super) const COMPONENT_MIN: u64 = 1 << 20;

/// The most known functions that a child is given, and the most that it returns, in bytes.
const MAX: u64 = 256 << 20;

/// The most functions that are given to a child with this much memory, and the most that it returns, in bytes.
pub(super) fn max(memory: u64) -> u64 {
    MAX.min(memory / 8)
}

/// A key: the hash of a function's content and of the compiler's settings, by Cranelift.
type Key = [u8; 32];

/// The length of a key and of the length of a function, in bytes.
const HEADER: usize = 32 + 4;

/// The functions of one compilation: those that are known, and those that it adds.
///
/// Both are a list of records: the key, the length of the compiled function in 4 bytes (little-endian), and the function.
#[derive(Debug)]
pub(super) struct Functions {
    known: Vec<u8>,
    index: FxHashMap<Key, Known>,
    added: Mutex<Vec<u8>>,
    added_max: u64,
}

/// A known function: where it is, and whether it was used.
#[derive(Debug)]
struct Known {
    function: Range<usize>,
    is_used: AtomicBool,
}

impl Functions {
    /// `known`: records. Bytes from an incomplete record on are ignored. `added_max`: the most bytes of records to add.
    pub(super) fn new(known: Vec<u8>, added_max: u64) -> Self {
        let mut index = FxHashMap::default();
        let mut at = 0;
        while let Some((key, function)) = record(&known, at) {
            at = function.end;
            let is_used = AtomicBool::new(false);
            index.insert(key, Known { function, is_used });
        }
        Self {
            known,
            index,
            added: Mutex::default(),
            added_max,
        }
    }

    /// The positions in the known records of the functions that were used, as a list of 8 bytes each (little-endian).
    /// Shorter than the known records.
    pub(super) fn used(&self) -> Vec<u8> {
        let used = self
            .index
            .values()
            .filter(|known| known.is_used.load(Ordering::Relaxed));
        used.flat_map(|known| (known.function.start as u64).to_le_bytes())
            .collect()
    }

    /// Takes the records of all functions that were not known.
    pub(super) fn take_added(&self) -> Vec<u8> {
        std::mem::take(&mut *self.added.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The positions in a list of 8 bytes each (little-endian); see [`Functions::used`].
pub(super) fn positions(list: &[u8]) -> impl Iterator<Item = u64> {
    let (positions, _) = list.as_chunks::<8>();
    positions.iter().map(|position| u64::from_le_bytes(*position))
}

/// The record at a position: its key, and where its function is.
fn record(records: &[u8], at: usize) -> Option<(Key, Range<usize>)> {
    let (key, rest) = records.get(at..)?.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let start = at + HEADER;
    rest.get(..length).map(|_| (*key, start..start + length))
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let known = self.index.get(key)?;
        known.is_used.store(true, Ordering::Relaxed);
        self.known.get(known.function.clone()).map(Cow::Borrowed)
    }

    fn insert(&self, key: &[u8], function: Vec<u8>) -> bool {
        let (Ok(key), Ok(length)) = (Key::try_from(key), u32::try_from(function.len())) else {
            return false;
        };
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if (added.len() + HEADER + function.len()) as u64 > self.added_max {
            return false;
        }
        added.extend_from_slice(&key);
        added.extend_from_slice(&length.to_le_bytes());
        added.extend_from_slice(&function);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{EngineKind, Space, compiler};

    #[test]
    fn added_functions_are_known_to_the_next_compilation() {
        let first = Functions::new(Vec::new(), u64::MAX);
        assert!(first.insert(&[1; 32], vec![7; 100]));
        assert!(first.insert(&[2; 32], Vec::new()));
        assert!(!first.insert(b"short", vec![7]), "a key of another length is none");
        assert_eq!(first.get(&[1; 32]), None, "one compilation does not use its own");
        let next = Functions::new(first.take_added(), 0);
        assert_eq!(next.get(&[1; 32]).as_deref(), Some(&[7; 100][..]));
        assert_eq!(next.get(&[2; 32]).as_deref(), Some(&[][..]));
        assert_eq!(next.get(&[3; 32]), None);
        assert!(next.take_added().is_empty());
        let mut used: Vec<_> = positions(&next.used()).collect();
        used.sort_unstable();
        assert_eq!(used, [36, 36 + 100 + 36]);
        assert!(first.used().is_empty());
    }

    #[test]
    fn incomplete_record_is_ignored() {
        let functions = Functions::new(Vec::new(), u64::MAX);
        assert!(functions.insert(&[1; 32], vec![7; 10]));
        assert!(functions.insert(&[2; 32], vec![8; 10]));
        let records = functions.take_added();
        for length in 0..records.len() {
            let cut = Functions::new(records.get(..length).unwrap().to_vec(), 0);
            assert_eq!(cut.get(&[1; 32]).is_some(), length >= 46, "{length}");
            assert_eq!(cut.get(&[2; 32]), None, "{length}");
        }
    }

    #[test]
    fn functions_over_the_maximum_are_not_added() {
        let functions = Functions::new(Vec::new(), 100);
        assert!(functions.insert(&[1; 32], vec![7; 60]));
        assert!(!functions.insert(&[2; 32], vec![7; 60]));
        assert_eq!(functions.take_added().len(), 96);
        assert!(
            !Functions::new(Vec::new(), 0).insert(&[1; 32], Vec::new()),
            "none are wanted"
        );
    }

    const MODULE: &str = r#"
        (component (core module
            (memory 1)
            (func $add (export "add") (param i32 i32) (result i32) (i32.add (i32.load (local.get 0)) (local.get 1)))
            (func (export "call") (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (call $add (local.get 0) (i32.const 2))) (else (unreachable))))))
    "#;

    /// The code of a component with these known functions, and the functions that are added.
    fn compiled(kind: EngineKind, known: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let functions = Arc::new(Functions::new(known, u64::MAX));
        let engine = compiler(kind, Space::Grown, Some(functions.clone())).unwrap();
        let code = engine.precompile_component(&wat::parse_str(MODULE).unwrap()).unwrap();
        (code, functions.take_added())
    }

    #[test]
    fn damaged_function_is_compiled_again() {
        let engine = compiler(EngineKind::Blocking, Space::Grown, None).unwrap();
        let code = engine.precompile_component(&wat::parse_str(MODULE).unwrap()).unwrap();
        let (first, added) = compiled(EngineKind::Blocking, Vec::new());
        assert!(first == code && !added.is_empty());
        let (again, none) = compiled(EngineKind::Blocking, added.clone());
        // Not none: the compiler hashes some functions differently each time.
        assert!(again == code && none.len() < added.len());
        // The version of the compiler comes first in each function.
        let mut other = added.clone();
        other[HEADER] ^= 1;
        let (once_more, one) = compiled(EngineKind::Blocking, other);
        assert!(once_more == code);
        assert!(one.len() > HEADER);
    }
}
