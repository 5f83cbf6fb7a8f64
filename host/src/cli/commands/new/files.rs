//! The files that `new` writes, taken from this repository: SDKs, the contract, and templates.
//!
//! Not include_dir: it takes everything in a folder, also tests and what tools leave there, and cargo does not notice a new file.

/// Paths of files, with their texts.
pub(super) type Files = &'static [(&'static str, &'static str)];

/// Files below a folder, each with its path there and its text.
macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../../", $folder, "/", $path)))),+]
    };
}

pub(super) const GITIGNORE: &str = include_str!("../../../../../guest-sdk/templates/common/gitignore");
pub(super) const TESTS: Files = &[
    (
        "tests/squares.toml",
        include_str!("../../../../../guest-sdk/templates/common/squares.toml"),
    ),
    (
        "tests/squares.golden",
        include_str!("../../../../../guest-sdk/templates/common/squares.golden"),
    ),
];
pub(super) const WIT: Files = files!("wit": "disperse.wit");

pub(super) const RUST: Files = files!("guest-sdk/templates/rust": "Cargo.toml");
pub(super) const RUST_OPERATION: Files =
    files!("guest-sdk/templates/rust": "operation/Cargo.toml", "operation/src/lib.rs");
pub(super) const RUST_WORKER: Files = files!("guest-sdk/templates/rust": "worker/Cargo.toml", "worker/src/lib.rs");
pub(super) const RUST_LINES_WORKER: Files = &[
    (
        "worker/Cargo.toml",
        include_str!("../../../../../guest-sdk/templates/rust/worker/Cargo.toml"),
    ),
    (
        "worker/src/lib.rs",
        include_str!("../../../../../guest-sdk/templates/rust/words/src/lib.rs"),
    ),
];
/// The SDK's own manifest inherits from the workspace, so that a project needs another one.
pub(super) const RUST_SDK_MANIFEST: Files = &[(
    "Cargo.toml",
    include_str!("../../../../../guest-sdk/templates/rust/sdk.toml"),
)];
pub(super) const RUST_SDK: Files = files!("guest-sdk":
    "README.md",
    "src/action.rs",
    "src/bindings.rs",
    "src/bindings/both.rs",
    "src/bindings/both_async.rs",
    "src/bindings/imports.rs",
    "src/bindings/operation.rs",
    "src/bindings/operation_async.rs",
    "src/bindings/worker.rs",
    "src/bindings/worker_async.rs",
    "src/codec.rs",
    "src/concurrent.rs",
    "src/exec.rs",
    "src/export.rs",
    "src/http.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/many.rs",
    "src/operation.rs",
    "src/worker.rs",
);

pub(super) const PYTHON_OPERATION: Files = files!("guest-sdk/python/examples/squares": "operation.py");
pub(super) const PYTHON_WORKER: Files = files!("guest-sdk/python/examples/squares": "worker.py");
pub(super) const PYTHON_LINES_WORKER: Files = files!("guest-sdk/python/examples/words": "worker.py");
pub(super) const PYTHON_SDK: Files = files!("guest-sdk/python":
    "README.md",
    "pyproject.toml",
    "disperse/__init__.py",
    "disperse/_asking.py",
    "disperse/_codec.py",
    "disperse/_concurrent.py",
    "disperse/_context.py",
    "disperse/_export.py",
    "disperse/_failures.py",
    "disperse/_fill.py",
    "disperse/_host.py",
    "disperse/_loop.py",
    "disperse/blocking.py",
    "disperse/log.py",
    "disperse/py.typed",
);

pub(super) const TYPESCRIPT: Files = &[
    (
        "package.json",
        include_str!("../../../../../guest-sdk/javascript/examples/squares/package.json"),
    ),
    (
        "tsconfig.json",
        include_str!("../../../../../guest-sdk/javascript/examples/squares/tsconfig.json"),
    ),
];
pub(super) const TYPESCRIPT_OPERATION: Files = files!("guest-sdk/javascript/examples/squares": "operation.ts");
pub(super) const TYPESCRIPT_WORKER: Files = files!("guest-sdk/javascript/examples/squares": "worker.ts");
pub(super) const TYPESCRIPT_LINES_WORKER: Files = files!("guest-sdk/javascript/examples/words": "worker.ts");
pub(super) const TYPESCRIPT_SDK: Files = files!("guest-sdk/javascript":
    "README.md",
    "bundle.js",
    "common.d.ts",
    "common.js",
    "globals.d.ts",
    "operation.d.ts",
    "operation.js",
    "package.json",
    "timers.js",
    "worker.d.ts",
    "worker.js",
    "wit/javascript.wit",
    "wit/deps/cli/cli.wit",
    "wit/deps/io/io.wit",
    "wit/deps/random/random.wit",
);

pub(super) const GO: Files = files!("guest-sdk/go/examples/squares": "go.mod");
pub(super) const GO_OPERATION: Files = files!("guest-sdk/go/examples/squares": "operation/main.go");
pub(super) const GO_WORKER: Files = files!("guest-sdk/go/examples/squares": "worker/main.go");
pub(super) const GO_LINES_WORKER: Files = files!("guest-sdk/go/examples/words": "worker/main.go");
pub(super) const GO_SDK: Files = files!("guest-sdk/go":
    "README.md",
    "disperse.go",
    "go.mod",
    "internal/README.md",
    "internal/common/common.go",
    "internal/exports/operation/impl/impl.go",
    "internal/exports/operation/wit_exports.go",
    "internal/exports/worker/impl/impl.go",
    "internal/exports/worker/wit_exports.go",
    "internal/imports/disperse_guest_attempt/empty.s",
    "internal/imports/disperse_guest_attempt/wit_bindings.go",
    "internal/imports/disperse_guest_exec/empty.s",
    "internal/imports/disperse_guest_exec/wit_bindings.go",
    "internal/imports/disperse_guest_host/empty.s",
    "internal/imports/disperse_guest_host/wit_bindings.go",
    "internal/imports/disperse_guest_http/empty.s",
    "internal/imports/disperse_guest_http/wit_bindings.go",
    "internal/imports/disperse_guest_http_types/empty.s",
    "internal/imports/disperse_guest_http_types/wit_bindings.go",
    "internal/imports/disperse_guest_log/empty.s",
    "internal/imports/disperse_guest_log/wit_bindings.go",
    "internal/imports/disperse_guest_output/empty.s",
    "internal/imports/disperse_guest_output/wit_bindings.go",
    "internal/imports/disperse_guest_quota/empty.s",
    "internal/imports/disperse_guest_quota/wit_bindings.go",
    "internal/imports/disperse_guest_types/empty.s",
    "internal/imports/disperse_guest_types/wit_bindings.go",
    "internal/wit/LICENSE",
    "internal/wit/runtime/empty.s",
    "internal/wit/runtime/runtime.go",
    "internal/wit/types/option.go",
    "internal/wit/types/result.go",
    "internal/wit/types/tuple.go",
    "internal/wit/types/unit.go",
    "log.go",
    "log_other.go",
    "log_wasip1.go",
    "operation/operation.go",
    "worker/worker.go",
);

pub(super) const C_OPERATION: Files = files!("guest-sdk/c/examples/squares": "operation.c");
pub(super) const C_WORKER: Files = files!("guest-sdk/c/examples/squares": "worker.c");
pub(super) const C_LINES_WORKER: Files = files!("guest-sdk/c/examples/words": "worker.c");
pub(super) const C_SDK: Files = files!("guest-sdk/c":
    "README.md",
    "build.sh",
    "disperse.c",
    "disperse.h",
    "gen/README.md",
    "gen/both/guest.c",
    "gen/both/guest.h",
    "gen/operation/guest.c",
    "gen/operation/guest.h",
    "gen/worker/guest.c",
    "gen/worker/guest.h",
    "src/operation.c",
    "src/worker.c",
);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Every file below a folder with one of these endings.
    fn there(folder: &str, ends: &[&str]) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        let mut found = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let aside =
                    ["node_modules", "examples", "tests", "__pycache__", "_test."].map(|part| name.contains(part));
                if aside.contains(&true) {
                } else if path.is_dir() {
                    folders.push(path);
                } else if ends.iter().any(|end| name.ends_with(end)) {
                    found.insert(name);
                }
            }
        }
        found
    }

    #[test]
    fn project_has_all_files_of_its_sdk() {
        let rust = there("guest-sdk/src", &[".rs"])
            .into_iter()
            .map(|name| format!("src/{name}"))
            .collect();
        let sdks = [
            (RUST_SDK, rust, ".rs"),
            (PYTHON_SDK, there("guest-sdk/python", &[".py"]), ".py"),
            (TYPESCRIPT_SDK, there("guest-sdk/javascript", &[".js"]), ".js"),
            (TYPESCRIPT_SDK, there("guest-sdk/javascript", &[".ts"]), ".ts"),
            (GO_SDK, there("guest-sdk/go", &[".go"]), ".go"),
            (GO_SDK, there("guest-sdk/go", &[".s"]), ".s"),
            (C_SDK, there("guest-sdk/c", &[".c"]), ".c"),
            (C_SDK, there("guest-sdk/c", &[".h"]), ".h"),
        ];
        for (files, there, end) in sdks {
            let have: BTreeSet<_> = files
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .filter(|name| name.ends_with(end))
                .collect();
            assert!(!there.is_empty());
            assert_eq!(have, there);
        }
    }

    #[test]
    fn sdk_manifest_of_a_rust_project_has_the_dependencies_of_the_sdk() {
        let table = |text: &str| -> toml::Table { text.parse().unwrap() };
        let root =
            |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap();
        let (written, sdk, workspace) = (
            table(RUST_SDK_MANIFEST[0].1),
            table(&root("guest-sdk/Cargo.toml")),
            table(&root("Cargo.toml")),
        );
        let written_of = |name: &str| written["dependencies"][name].clone();
        for (name, dependency) in sdk["dependencies"].as_table().unwrap() {
            let inherits = dependency.get("workspace").is_some();
            let wanted = if inherits {
                &workspace["workspace"]["dependencies"][name]
            } else {
                dependency
            };
            assert_eq!(written_of(name), *wanted, "{name}");
        }
        for key in ["version", "edition", "rust-version", "license"] {
            assert_eq!(written["package"][key], workspace["workspace"]["package"][key], "{key}");
        }
    }
}
