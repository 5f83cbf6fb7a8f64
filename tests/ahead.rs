//! Compiling ahead of time and at the start of a run: each component once, several in parallel.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::{
    compile::{compilers, function_of, large_function, worker_with},
    support::{Folder, Host, Texts, body, has, host, of_type},
};

/// The host with an empty cache of its own.
pub(crate) fn with_own_cache(folder: &Folder, args: &[&str]) -> Host {
    host(args).env("XDG_CACHE_HOME", folder.path("cache"))
}

/// The files of compiled code in that cache.
pub(crate) fn cached_code(folder: &Folder) -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(&folder.path("cache")).join("disperse"));
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "cwasm"))
        .collect();
    files.sort();
    files
}

/// An operation, a worker of `map` and a pool, whose worker is the same.
fn project(folder: &Folder) -> String {
    folder.operation("operation.wasm", "run", "");
    folder.worker("echo.wasm", body::ECHO);
    folder.file(
        "disperse.toml",
        r#"
            [operation]
            component = "operation.wasm"
            build = "touch built"

            [worker]
            component = "echo.wasm"

            [[pool]]
            name = "echo"
            component = "echo.wasm"
        "#,
    )
}

/// Too little memory for any compiler: a start with it succeeds only if nothing is compiled.
const NO_COMPILER: [&str; 2] = ["--compile-memory", "1KiB"];

#[test]
fn code_compiled_ahead_is_not_compiled_at_the_start() {
    let folder = Folder::new();
    let manifest = project(&folder);
    let module = folder.guest("program.wasm", include_str!("guests/program.wat"));
    let (operation, worker) = (folder.path("operation.wasm"), folder.path("echo.wasm"));
    with_own_cache(&folder, &["map", &worker, "--compile-memory", "1KiB"])
        .input("a\n")
        .run()
        .exits(2);
    let first = with_own_cache(&folder, &["compile", "--trust-manifest", &manifest, &module])
        .run()
        .exits(0);
    assert!(Path::new(&folder.path("built")).exists(), "it is built first");
    assert_eq!(first.out().lines().count(), 3, "{}", first.out());
    for path in [&operation, &worker, &module] {
        let line = first
            .out()
            .lines()
            .find(|line| line.starts_with(&format!("{path}: compiled in ")));
        let line = line.unwrap_or_else(|| panic!("nothing is said of {path}:\n{}", first.out()));
        assert!(line.contains(" of code, sha256 "), "{line}");
    }
    let files = cached_code(&folder);
    assert_eq!(files.len(), 3);

    let again = with_own_cache(&folder, &["compile", "--trust-manifest", &manifest, &module])
        .run()
        .exits(0);
    assert_eq!(again.out().matches(": already cached, ").count(), 3, "{}", again.out());
    with_own_cache(&folder, &["compile", "--trust-manifest", &manifest, "--quiet"])
        .run()
        .exits(0)
        .prints("");

    for (command, path, printed) in [
        ("run", &manifest, ""),
        ("map", &manifest, "a\n"),
        ("map", &module, "a\n"),
    ] {
        let args = [command, path, NO_COMPILER[0], NO_COMPILER[1], "--no-build"];
        with_own_cache(&folder, &args)
            .input("a\n")
            .run()
            .exits(0)
            .prints(printed);
    }
    assert_eq!(cached_code(&folder), files);
}

#[test]
fn failed_component_does_not_stop_the_others_from_compiling() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let other = folder.worker("other.wasm", body::SLOW_ECHO);
    let broken = folder.file("broken.wasm", "no component");
    let missing = folder.path("missing.wasm");
    let empty = folder.file("empty.toml", "");
    let args = [
        "compile", &broken, &worker, &missing, &empty, &other, "--format", "json",
    ];
    let ended = with_own_cache(&folder, &args)
        .run()
        .exits(2)
        .stderr_is("failed_component_does_not_stop_the_others_from_compiling");
    let events = ended.events();
    let paths = |name: &str| -> Vec<String> {
        let mut paths: Vec<_> = of_type(&events, name)
            .iter()
            .map(|event| event["path"].as_str().unwrap().to_owned())
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(paths("compiled"), [worker, other]);
    assert_eq!(paths("failed"), [broken, empty, missing]);
}

#[test]
fn json_reports_the_digest_and_size_of_the_stored_code() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let copy = folder.path("copy.wasm");
    fs::copy(&worker, &copy).unwrap();
    let run = || -> Vec<Value> {
        let args = ["compile", &worker, &copy, "--format", "json"];
        with_own_cache(&folder, &args).run().exits(0).events()
    };
    let first = run();
    let sha256 = host(["inspect", &worker, "--format", "json"]).run().exits(0).events()[0]["sha256"].clone();
    // A checksum follows the code.
    let size = fs::metadata(&cached_code(&folder)[0]).unwrap().len() - 8;
    assert_eq!((first.len(), cached_code(&folder).len()), (2, 1));
    for event in &first {
        assert_eq!(event["sha256"], sha256);
        assert_eq!(event["code_bytes"], size);
        assert_eq!(event["cached"], false);
    }
    // One component with two names is compiled once.
    assert_eq!(first[0]["took_ms"], first[1]["took_ms"]);
    for event in run() {
        assert_eq!((&event["cached"], &event["code_bytes"]), (&true.into(), &size.into()));
        assert_eq!(event.get("took_ms"), None);
    }
}

#[test]
fn pins_and_limits_of_a_manifest_apply() {
    let texts = Texts::new("pins_and_limits_of_a_manifest_apply");
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    let pin = "0".repeat(64);
    let text = format!("[worker]\ncomponent = \"echo.wasm\"\nsha256 = \"{pin}\"\n");
    let manifest = folder.file("disperse.toml", text);
    with_own_cache(&folder, &["compile", &manifest])
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    let text = "[worker]\ncomponent = \"echo.wasm\"\n[compile]\nmemory = \"1KiB\"\n";
    folder.file("disperse.toml", text);
    with_own_cache(&folder, &["compile", &manifest])
        .run()
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    with_own_cache(&folder, &["compile", &manifest, "--compile-memory", "4GiB"])
        .run()
        .exits(0);
    texts.match_snapshot();
}

#[test]
fn pin_applies_to_every_mention_of_a_file() {
    let texts = Texts::new("pin_applies_to_every_mention_of_a_file");
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    let pin = format!("sha256 = \"{}\"\n", "0".repeat(64));
    for (first, second) in [("", &*pin), (&*pin, "")] {
        let pool = |name: &str, pin: &str| format!("[[pool]]\nname = \"{name}\"\ncomponent = \"echo.wasm\"\n{pin}");
        let manifest = folder.file("disperse.toml", pool("a", first) + &pool("b", second));
        for command in ["map", "compile"] {
            with_own_cache(&folder, &[command, &manifest])
                .run()
                .exits(2)
                .prints("")
                .stderr_to(&texts);
        }
    }
    texts.match_snapshot();
}

#[test]
fn project_whose_build_fails_is_not_compiled() {
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    let text = "[worker]\ncomponent = \"echo.wasm\"\nbuild = \"exit 7\"\n";
    let manifest = folder.file("disperse.toml", text);
    with_own_cache(&folder, &["compile", "--trust-manifest", &manifest])
        .run()
        .exits(2)
        .prints("")
        .stderr_is("project_whose_build_fails_is_not_compiled");
    with_own_cache(&folder, &["compile", &manifest, "--no-build"])
        .run()
        .exits(0);
}

#[test]
fn unusable_cache_is_an_error_only_for_compile() {
    let texts = Texts::new("unusable_cache_is_an_error_only_for_compile");
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let shared = folder.path("shared");
    fs::create_dir_all(Path::new(&shared).join("disperse")).unwrap();
    fs::set_permissions(Path::new(&shared).join("disperse"), fs::Permissions::from_mode(0o777)).unwrap();
    for (home, cache) in [("", ""), ("relative", "relative"), ("/dev/null", ""), ("", &*shared)] {
        let with = |args: &[&str]| host(args).env("HOME", home).env("XDG_CACHE_HOME", cache);
        with(&["compile", &worker]).run().exits(4).prints("").stderr_to(&texts);
        let ended = with(&["map", &worker, "--quiet"]).input("a\n").run().exits(0);
        assert_eq!(ended.stderr, "");
    }
    host(["compile", &worker, "--no-cache"]).run().exits(2);
    texts.match_snapshot();
}

#[test]
fn code_that_cannot_be_stored_is_an_error_only_for_compile() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    with_own_cache(&folder, &["compile", &worker]).run().exits(0);
    // A folder takes its place.
    let file = cached_code(&folder).remove(0);
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("full")).unwrap();
    let ended = with_own_cache(&folder, &["compile", &worker, "--format", "json"])
        .run()
        .exits(4);
    assert_eq!(ended.events()[0]["type"], "failed");
    ended.stderr_is("code_that_cannot_be_stored_is_an_error_only_for_compile");
    let ended = with_own_cache(&folder, &["map", &worker, "--quiet"])
        .input("a\n")
        .run()
        .exits(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn code_that_the_cache_evicts_at_once_is_an_error() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    with_own_cache(&folder, &["compile", &worker]).run().exits(0);
    // Larger than the limit of the cache, sparse, and used most recently.
    let other = cached_code(&folder)[0].with_file_name("other.cwasm");
    fs::remove_file(&cached_code(&folder)[0]).unwrap();
    let file = fs::File::create(other).unwrap();
    file.set_len(2 << 30).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600))
        .unwrap();
    with_own_cache(&folder, &["compile", &worker])
        .run()
        .exits(4)
        .stderr_is("code_that_the_cache_evicts_at_once_is_an_error");
}

#[test]
fn first_failure_in_manifest_order_is_reported() {
    let texts = Texts::new("first_failure_in_manifest_order_is_reported");
    let folder = Folder::new();
    folder.operation("operation.wasm", "run", "");
    folder.operation("planner.wasm", "run", "");
    folder.file("broken.wasm", "no component");
    let text = |pools: [&str; 3]| {
        let pools = pools.map(|file| format!("[[pool]]\nname = \"{file}\"\ncomponent = \"{file}.wasm\"\n"));
        format!("[operation]\ncomponent = \"operation.wasm\"\n{}", pools.concat())
    };
    for pools in [
        ["broken", "missing", "planner"],
        ["missing", "planner", "broken"],
        ["planner", "broken", "missing"],
    ] {
        let manifest = folder.file("disperse.toml", text(pools));
        for _ in 0..3 {
            let ended = with_own_cache(&folder, &["run", &manifest]).run().exits(2).prints("");
            assert_eq!(ended.stderr.matches("error: ").count(), 1, "{}", ended.stderr);
            ended.stderr_to(&texts);
        }
    }
    // All of them are checked before one is compiled.
    assert_eq!(cached_code(&folder), Vec::<PathBuf>::new());
    texts.match_snapshot();
}

#[test]
fn components_are_compiled_in_parallel() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let folder = Folder::new();
    let bomb = worker_with(&folder, &large_function());
    fs::rename(&bomb, folder.path("first.wasm")).unwrap();
    worker_with(&folder, &format!("(func){}", large_function()));
    let manifest = folder.file(
        "disperse.toml",
        "[[pool]]\nname = \"a\"\ncomponent = \"first.wasm\"\n[[pool]]\nname = \"b\"\ncomponent = \"bomb.wasm\"\n",
    );
    // Small enough for two compilers on any machine that runs this.
    let mut live = with_own_cache(&folder, &["map", &manifest, "--compile-memory", "1GiB"]).start();
    let host = live.id();
    live.wait_until("two compilers", |_, _| compilers(host, 1 << 30).count() == 2);
}

/// Whether it takes long depends on the machine: a fast one reports nothing.
#[test]
fn slow_compilation_is_reported_once() {
    let folder = Folder::new();
    let bomb = worker_with(&folder, &function_of(250_000));
    let map = |more: &[&str]| {
        let limits = ["--compile-memory", "16GiB", "--compile-timeout", "4m"];
        let args = [&["map", &bomb][..], &limits, more].concat();
        let live = with_own_cache(&folder, &args).input("a\n").start();
        live.within(Duration::from_secs(300)).end().exits(0)
    };
    let said = "compiled bomb.wasm in ";
    let begun = Instant::now();
    let quiet = map(&["--quiet", "--no-cache"]);
    let long = begun.elapsed() > Duration::from_secs(5);
    assert_eq!(quiet.stderr, "");
    let first = map(&[]);
    if long || first.stderr.contains(said) {
        has("stderr", &first.stderr, &[said, "s, cached for the next start\n"]);
    }
    let second = map(&[]);
    assert!(!second.stderr.contains(said), "{}", second.stderr);
}
