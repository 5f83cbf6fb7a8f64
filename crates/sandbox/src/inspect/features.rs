//! Names the WebAssembly feature that a rejected component needs.

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};

use crate::engine::EngineKind;

/// A part of every message about a missing feature. By it the hint is found for a message that a child process has
/// written.
const NEEDS: &str = "it needs the WebAssembly feature";

/// A WebAssembly feature that is off.
struct Feature {
    flag: WasmFeatures,
    /// The name of its proposal.
    name: &'static str,
    /// A description in terms of toolchains.
    what: &'static str,
}

/// Features that toolchains can emit and that are off in both engines, the most likely first. Threads are off because
/// the order of several threads is not deterministic, so a task could not be replayed, and because fuel is counted for
/// a whole store. The others are proposals that wasmtime has off by default, or (legacy exceptions) does not implement.
const OFF: [Feature; 9] = [
    Feature {
        flag: WasmFeatures::THREADS,
        name: "threads",
        what: "atomic instructions and shared memory",
    },
    Feature {
        flag: WasmFeatures::LEGACY_EXCEPTIONS,
        name: "legacy exceptions",
        what: "`try` and `catch` as they were before WebAssembly 3.0, which has `try_table`",
    },
    Feature {
        flag: WasmFeatures::SHARED_EVERYTHING_THREADS,
        name: "shared-everything-threads",
        what: "shared functions, tables and globals",
    },
    Feature {
        flag: WasmFeatures::STACK_SWITCHING,
        name: "stack switching",
        what: "continuations",
    },
    Feature {
        flag: WasmFeatures::WIDE_ARITHMETIC,
        name: "wide arithmetic",
        what: "instructions on 128-bit integers",
    },
    Feature {
        flag: WasmFeatures::CUSTOM_PAGE_SIZES,
        name: "custom page sizes",
        what: "memories with pages of one byte",
    },
    Feature {
        flag: WasmFeatures::MEMORY_CONTROL,
        name: "memory control",
        what: "`memory.discard`",
    },
    Feature {
        flag: WasmFeatures::CUSTOM_DESCRIPTORS,
        name: "custom descriptors",
        what: "types with descriptors",
    },
    Feature {
        flag: WasmFeatures::COMPACT_IMPORTS,
        name: "compact imports",
        what: "import sections that are grouped by module",
    },
];

/// Features of the component model that are off.
const OFF_IN_COMPONENTS: WasmFeatures = WasmFeatures::CM_VALUES
    .union(WasmFeatures::CM_NESTED_NAMES)
    .union(WasmFeatures::CM_ASYNC_STACKFUL)
    .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
    .union(WasmFeatures::CM_THREADING)
    .union(WasmFeatures::CM_ERROR_CONTEXT)
    .union(WasmFeatures::CM_FIXED_LENGTH_LISTS)
    .union(WasmFeatures::CM_GC)
    .union(WasmFeatures::CM_MAP)
    .union(WasmFeatures::CM64)
    .union(WasmFeatures::CM_IMPLEMENTS)
    .union(WasmFeatures::CM_CANON_NAMES);

/// The features of an engine of this kind: all of WebAssembly 3.0 except threads, and components.
pub(crate) fn of(kind: EngineKind) -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::GC_TYPES | WasmFeatures::COMPONENT_MODEL;
    features.remove(WasmFeatures::THREADS);
    features.set(WasmFeatures::CM_ASYNC, kind == EngineKind::Async);
    features
}

/// The message about the missing feature of a file that the validator rejected. None: it is invalid with all features.
/// Validates the file again for each feature that may be missing.
pub(crate) fn missing(bytes: &[u8], error: &BinaryReaderError) -> Option<String> {
    let named = |flag: WasmFeatures| {
        let off = OFF.iter().find(|feature| flag.intersects(feature.flag))?;
        Some(format!("{NEEDS} `{}` ({}), which is off here", off.name, off.what))
    };
    let of_components = |flag: WasmFeatures| {
        let (name, _) = flag.intersection(OFF_IN_COMPONENTS).iter_names().next()?;
        let name = name.trim_start_matches("CM_").replace('_', "-").to_lowercase();
        Some(format!("{NEEDS} `{name}` of the component model, which is off here"))
    };
    if let Some(flag) = error.missing_wasm_feature() {
        return named(flag).or_else(|| of_components(flag));
    }
    // Not every error names the missing feature: without it, a byte can simply be unknown.
    let helps = |more: WasmFeatures| {
        let mut validator = Validator::new_with_features(of(EngineKind::Async) | more);
        match validator.validate_all(bytes) {
            Ok(_) => true,
            Err(next) => next.offset() > error.offset(),
        }
    };
    let all = OFF
        .iter()
        .fold(WasmFeatures::empty(), |all, feature| all | feature.flag);
    if !helps(all | OFF_IN_COMPONENTS) {
        return None;
    }
    let found = OFF.iter().find(|feature| helps(feature.flag));
    found.and_then(|feature| named(feature.flag))
}

/// The message about the missing feature of a component that does not compile; see [`missing`].
pub(crate) fn missing_in(component: &[u8]) -> Option<String> {
    let mut validator = Validator::new_with_features(of(EngineKind::Async));
    let error = validator.validate_all(component).err()?;
    missing(component, &error)
}

/// The hint for a rejection with this reason, if the reason is a feature.
pub(crate) fn hint(why: &str) -> Option<&'static str> {
    if why.contains("mismatch in index type used for memories") {
        // This is about the first memory, which a program or component shares with the host.
        return Some("the memory that WASI and components share with the host is one of 32 bits; build it for wasm32");
    }
    why.contains(NEEDS).then_some(
        "build it again without this feature: a flag of the compiler, or a target without threads, turns it off",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(text: &str) -> Option<String> {
        let bytes = wat::parse_str(text).unwrap();
        let mut validator = Validator::new_with_features(of(EngineKind::Blocking));
        missing(&bytes, &validator.validate_all(&bytes).err().unwrap())
    }

    #[test]
    fn missing_feature_is_named() {
        let atomics = "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))";
        let legacy = "(module (tag $e) (func try catch $e end))";
        for (text, name) in [
            (atomics, "`threads`"),
            ("(module (memory 1 1 shared))", "`threads`"),
            (legacy, "`legacy exceptions`"),
            ("(module (memory 1 (pagesize 1)))", "`custom page sizes`"),
            (
                "(module (func (param i64 i64 i64 i64) (drop (drop (i64.add128 (local.get 0) (local.get 1) \
                 (local.get 2) (local.get 3))))))",
                "`wide arithmetic`",
            ),
            ("(component (type (list u8 4)))", "`fixed-length-lists`"),
        ] {
            let found = of_text(text).unwrap_or_else(|| panic!("{text}"));
            assert!(found.contains(name), "{found}");
            assert!(hint(&found).is_some());
        }
    }

    #[test]
    fn invalid_file_is_not_reported_as_missing_a_feature() {
        assert_eq!(of_text("(module (func (result i32)))"), None);
        let bytes = b"\0asm\x01\0\0\0\x01\x05";
        let error = Validator::new().validate_all(bytes).err().unwrap();
        assert_eq!(missing(bytes, &error), None);
        assert_eq!(hint("unexpected end"), None);
    }
}
