//! The guests of the tests, and folders for them.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{beside, command, root};

/// A folder for the files of one test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A guest in the text format.
    pub(crate) fn guest(&self, name: &str, text: &str) -> String {
        self.file(
            name,
            wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    }

    /// A worker with this body; see `guests/worker.wat`.
    pub(crate) fn worker(&self, name: &str, handle: &str) -> String {
        let text = include_str!("../guests/worker.wat");
        self.guest(name, &text.replace("{HANDLE}", handle).replace("{EXPORT}", "handle"))
    }

    /// An operation with this body in one of its functions; see `guests/operation.wat`.
    pub(crate) fn operation(&self, name: &str, function: &str, body: &str) -> String {
        self.guest(name, &operation_text(&[(function, body)]))
    }

    /// A manifest with these settings and two pools for the kind of `map`: two honest workers, and the worker `mallory` with
    /// this body in a pool of this name.
    pub(crate) fn mixed(&self, settings: &str, pool: &str, handle: &str) -> String {
        self.worker("honest.wasm", body::SLOW_ECHO);
        self.worker(&format!("{pool}.wasm"), handle);
        self.file(
            "disperse.toml",
            format!(
                r#"
                    {settings}

                    [[pool]]
                    name = "honest"
                    component = "honest.wasm"
                    kinds = ["line"]
                    workers = 2

                    [[pool]]
                    name = "{pool}"
                    component = "{pool}.wasm"
                    kinds = ["line"]

                    [[pool.worker]]
                    name = "mallory"
                "#
            ),
        )
    }
}

/// Bodies of workers.
pub(crate) mod body {
    /// Returns the payload.
    pub(crate) const ECHO: &str = "(call $answer (local.get $payload) (local.get $len))";
    /// The same after about five milliseconds of work.
    pub(crate) const SLOW_ECHO: &str =
        "(call $spin (i32.const 1000000)) (call $answer (local.get $payload) (local.get $len))";
    pub(crate) const TRAP: &str = "unreachable";
    pub(crate) const ENDLESS: &str = "(loop $again (br $again)) unreachable";
    pub(crate) const GREEDY: &str =
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    pub(crate) const DEEP: &str = "(call $sink (i32.const 0))";
    pub(crate) const RETRYABLE: &str = "(call $refuse (i32.const 0))";
    pub(crate) const UNFIT: &str = "(call $refuse (i32.const 3))";

    /// A result of this many bytes.
    pub(crate) fn large(bytes: u32) -> String {
        format!(
            "(call $reach (i32.const {})) (call $answer (i32.const 1024) (i32.const {bytes}))",
            bytes + 1024
        )
    }

    /// Fails this many times and then succeeds.
    pub(crate) fn fails_first(times: u32) -> String {
        format!(
            "(global.set $times (i32.add (global.get $times) (i32.const 1)))
             (if (i32.le_u (global.get $times) (i32.const {times})) (then (return {RETRYABLE})))
             {ECHO}"
        )
    }
}

/// A component of an example. All are built once.
pub(crate) fn wasm(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "examples", name)
}

/// The worker that tries the action in each line; see `guests/probe`.
pub(crate) fn probe() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/probe", "probe")
}

/// The same with wasi:http, also as an operation; see `guests/web`.
pub(crate) fn web() -> String {
    of_web("web")
}

/// The worker that drops one of its requests; see `guests/web/abandon`.
pub(crate) fn abandon() -> String {
    of_web("abandon")
}

fn of_web(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/web", name)
}

/// The async worker that runs the command in each line; see `guests/several`.
pub(crate) fn several() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/several", "several")
}

/// The WASI 0.3 program that runs the command in its input; see `guests/preview3`.
pub(crate) fn preview3() -> String {
    of_preview3("preview3")
}

/// The async worker that calls functions of WASI 0.3; see `guests/preview3/worker`.
pub(crate) fn preview3_worker() -> String {
    of_preview3("preview3_worker")
}

fn of_preview3(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/preview3", name)
}

/// The operation whose tasks run the steps in its arguments; see `guests/player`.
pub(crate) fn player() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/player", "player")
}

/// The program that runs the command in its arguments, as a component; see `guests/tool`.
pub(crate) fn tool() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    of(&FOLDER, "tests/guests/tool", "tool")
}

/// The same program as a core module of WASI 0.1.
pub(crate) fn tool_module() -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| built(&root().join("tests/guests/tool"), "wasm32-wasip1"));
    folder.join("tool.wasm").to_str().unwrap().to_owned()
}

/// The path of one guest of a workspace. The workspace is built once.
fn of(folder: &OnceLock<PathBuf>, workspace: &str, name: &str) -> String {
    let folder = folder.get_or_init(|| built(&root().join(workspace), "wasm32-wasip2"));
    folder.join(format!("{name}.wasm")).to_str().unwrap().to_owned()
}

/// Builds the guests of a workspace for a target and returns their folder.
fn built(workspace: &Path, target: &str) -> PathBuf {
    let _beside = beside();
    let built = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--target", target])
        .current_dir(workspace)
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{}: {said}", workspace.display());
    workspace.join("target").join(target).join("release")
}

/// The text of an operation with these bodies in its functions, and empty ones in the others; see `guests/operation.wat`.
pub(crate) fn operation_text(bodies: &[(&str, &str)]) -> String {
    let text = include_str!("../guests/operation.wat").to_owned();
    ["next", "run", "collect", "finish"]
        .iter()
        .fold(text, |text, &function| {
            let body = bodies.iter().find(|(name, _)| *name == function);
            text.replace(
                &format!("{{{}}}", function.to_uppercase()),
                body.map_or("", |(_, body)| body),
            )
        })
}
