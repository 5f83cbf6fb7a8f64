//! The templates and build commands of each language.

use super::files::{self, Files};
use crate::cli::args::Lang;

pub(super) struct Language {
    /// The name that is shown.
    pub(super) name: &'static str,
    /// The requirements of a build, as text.
    pub(super) needs: &'static str,
    /// The build commands of the operation and of the worker.
    pub(super) builds: [&'static str; 2],
    /// The paths of the components.
    pub(super) components: [&'static str; 2],
    /// The task that the operation creates for the line `1 2 3`, as logs show it.
    pub(super) task: &'static str,
    /// The `sources` of both builds. Empty: the build command checks them itself, and is fast if they have not changed.
    pub(super) sources: &'static [&'static str],
    /// The source that only the operation's build reads, and the one that only the worker's does.
    pub(super) own_sources: [&'static str; 2],
    pub(super) common: Files,
    pub(super) operation: Files,
    /// The worker of the operation: it squares numbers.
    pub(super) worker: Files,
    /// A worker without an operation: it counts the words of lines.
    pub(super) lines_worker: Files,
    /// The files of the SDK and the contract, by folder.
    pub(super) sdk: &'static [(&'static str, Files)],
}

/// The paths of the components in most languages.
const BESIDE: [&str; 2] = ["operation.wasm", "worker.wasm"];

impl Language {
    pub(super) fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::Rust => &RUST,
            Lang::Python => &PYTHON,
            Lang::Typescript => &TYPESCRIPT,
            Lang::Go => &GO,
            Lang::C => &C,
        }
    }
}

const RUST: Language = Language {
    name: "Rust",
    needs: "Rust with its target wasm32-wasip2",
    builds: ["cargo build --release --target wasm32-wasip2 --target-dir target"; 2],
    components: [
        "target/wasm32-wasip2/release/operation.wasm",
        "target/wasm32-wasip2/release/worker.wasm",
    ],
    task: "[1,2,3]",
    sources: &[],
    own_sources: [""; 2],
    common: files::RUST,
    operation: files::RUST_OPERATION,
    worker: files::RUST_WORKER,
    lines_worker: files::RUST_LINES_WORKER,
    sdk: &[("sdk", files::RUST_SDK_MANIFEST), ("sdk", files::RUST_SDK)],
};

const PYTHON: Language = Language {
    name: "Python",
    needs: "componentize-py 0.25.1",
    builds: [
        "componentize-py -q -d wit -w operation-async componentize -p . -p sdk operation -o operation.wasm",
        "componentize-py -q -d wit -w worker-async componentize -p . -p sdk worker -o worker.wasm",
    ],
    components: BESIDE,
    task: "[1,2,3]",
    sources: &["**/*.py", "wit"],
    own_sources: ["operation.py", "worker.py"],
    common: &[],
    operation: files::PYTHON_OPERATION,
    worker: files::PYTHON_WORKER,
    lines_worker: files::PYTHON_LINES_WORKER,
    sdk: &[("sdk", files::PYTHON_SDK), ("wit", files::WIT)],
};

const TYPESCRIPT: Language = Language {
    name: "TypeScript",
    needs: "Node 20 or later with npm",
    builds: [
        "[ node_modules/.package-lock.json -nt package.json ] || npm install --no-audit --no-fund --loglevel=error && npm run --silent build:operation",
        "[ node_modules/.package-lock.json -nt package.json ] || npm install --no-audit --no-fund --loglevel=error && npm run --silent build:worker",
    ],
    components: BESIDE,
    task: "[1,2,3]",
    sources: &["**/*.ts", "**/*.js", "**/*.wit", "package.json", "tsconfig.json"],
    own_sources: ["operation.ts", "worker.ts"],
    common: files::TYPESCRIPT,
    operation: files::TYPESCRIPT_OPERATION,
    worker: files::TYPESCRIPT_WORKER,
    lines_worker: files::TYPESCRIPT_LINES_WORKER,
    sdk: &[("sdk", files::TYPESCRIPT_SDK), ("sdk/wit", files::WIT)],
};

const GO: Language = Language {
    name: "Go",
    needs: "Go 1.25 or later",
    builds: [
        "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o operation.wasm ./operation",
        "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o worker.wasm ./worker",
    ],
    components: BESIDE,
    task: "\"1 2 3\"",
    sources: &["**/*.go", "go.mod"],
    own_sources: ["operation", "worker"],
    common: files::GO,
    operation: files::GO_OPERATION,
    worker: files::GO_WORKER,
    lines_worker: files::GO_LINES_WORKER,
    sdk: &[("sdk", files::GO_SDK)],
};

const C: Language = Language {
    name: "C",
    needs: "`zig cc`, as `pip install ziglang==0.17.1` brings it, or clang with wasi-libc",
    builds: ["sh sdk/build.sh operation operation", "sh sdk/build.sh worker worker"],
    components: BESIDE,
    task: "1 2 3",
    sources: &["**/*.c", "**/*.h", "sdk"],
    own_sources: ["operation.c", "worker.c"],
    common: &[],
    operation: files::C_OPERATION,
    worker: files::C_WORKER,
    lines_worker: files::C_LINES_WORKER,
    sdk: &[("sdk", files::C_SDK)],
};
