//! Compiled functions that components share, and which components add to them.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    ahead::{cached_code, with_own_cache},
    cache::{changed, files},
    compile::{compilers, large_function, worker_with},
    signed::Signer,
    support::{Folder, has},
};

/// A build that makes `large.wasm`.
const BUILD: &str = "cp made.wasm large.wasm";

/// Writes a worker of more than 1 MiB with hundreds of functions, so that they are shared. Workers with another `fill` have the
/// same functions.
fn large_worker(folder: &Folder, name: &str, fill: u8) -> String {
    let function = |n| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))\n");
    let functions: String = (0..300).map(function).collect();
    let path = folder.path(name);
    fs::rename(worker_with(folder, &functions), &path).unwrap();
    changed(Path::new(&path), |bytes| {
        let mut section = b"\x04fill".to_vec();
        section.resize((1 << 20) + 5, fill);
        // A custom section, with its length in LEB128.
        bytes.push(0);
        let mut length = section.len();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend(section);
    });
    path
}

/// The files of compiled functions in the cache.
fn shared(folder: &Folder) -> Vec<PathBuf> {
    let mut shared = files(folder);
    shared.retain(|path| path.extension().is_some_and(|end| end == "functions"));
    shared
}

/// The bytes of the files of compiled functions that are not among others.
fn added(folder: &Folder, others: &[PathBuf]) -> u64 {
    let added = shared(folder).into_iter().filter(|path| !others.contains(path));
    added.map(|path| path.metadata().unwrap().len()).sum()
}

/// Compiles a project with the worker `large.wasm` and these settings.
fn compile_project(folder: &Folder, settings: &str, args: &[&str]) {
    let manifest = folder.file(
        "disperse.toml",
        format!("[worker]\ncomponent = \"large.wasm\"\n{settings}\n"),
    );
    let compile = ["compile", "--trust-manifest", &*manifest];
    with_own_cache(folder, &[&compile, args].concat()).run().exits(0);
}

/// Makes `made.wasm` with this `fill`, and compiles a project whose build copies it.
fn build_and_compile(folder: &Folder, fill: u8) {
    large_worker(folder, "made.wasm", fill);
    compile_project(folder, &format!("build = \"{BUILD}\""), &[]);
}

#[test]
fn only_components_that_a_build_makes_add_functions() {
    let folder = Folder::new();
    let path = large_worker(&folder, "large.wasm", 1);
    with_own_cache(&folder, &["compile", &path]).run().exits(0);
    assert!(shared(&folder).is_empty(), "the component is named by its path");

    let signer = Signer::new(1);
    let made = large_worker(&folder, "made.wasm", 2);
    let component = fs::read(&made).unwrap();
    folder.file("large.wasm.minisig", signer.sign(&component));
    let digest = hex::encode(Sha256::digest(&component));
    let build = format!("build = \"{BUILD}\"");
    let pinned = format!("{build}\nsha256 = \"{digest}\"");
    let signed = ["--signed-by", &signer.public()].map(str::to_owned);
    let linked = "build = \"ln -sf made.wasm large.wasm\"";
    for (why, settings, flag) in [
        ("there is no build", "", None),
        ("the build is skipped", &*build, Some("--no-build")),
        ("the build writes nothing", "build = \"true\"", None),
        ("the build makes a link", linked, None),
        ("the component is pinned", &*pinned, None),
    ] {
        // Code that is in the cache is not compiled.
        let _ = cached_code(&folder).iter().try_for_each(fs::remove_file);
        let _ = fs::remove_file(folder.path("large.wasm"));
        fs::copy(&made, folder.path("large.wasm")).unwrap();
        compile_project(&folder, settings, flag.as_slice());
        assert_eq!(cached_code(&folder).len(), 1, "{why}");
        assert!(shared(&folder).is_empty(), "{why}");
    }

    let _ = cached_code(&folder).iter().try_for_each(fs::remove_file);
    fs::remove_file(folder.path("large.wasm")).unwrap();
    let manifest = folder.file(
        "disperse.toml",
        format!("[worker]\ncomponent = \"large.wasm\"\n{build}\n"),
    );
    let map = ["map", "--trust-manifest", &manifest, &signed[0], &signed[1]];
    with_own_cache(&folder, &map).input("a\n").run().exits(0).prints("a\n");
    assert_eq!(cached_code(&folder).len(), 1);
    assert!(shared(&folder).is_empty(), "the component is signed");

    let _ = cached_code(&folder).iter().try_for_each(fs::remove_file);
    compile_project(&folder, &build, &[]);
    assert_eq!(shared(&folder).len(), 1, "a build has made it");
}

#[test]
fn component_replaced_after_its_build_adds_no_functions() {
    let folder = Folder::new();
    large_worker(&folder, "made.wasm", 1);
    folder.file("source.txt", "1");
    let settings = format!("build = \"{BUILD}; date >> builds\"\nsources = [\"source.txt\"]");
    let compile = || {
        let cache = Path::new(&folder.path("cache")).join("disperse");
        let stored = if cache.exists() { shared(&folder) } else { Vec::new() };
        for file in cached_code(&folder).iter().chain(&stored) {
            fs::remove_file(file).unwrap();
        }
        compile_project(&folder, &settings, &[]);
        assert_eq!(
            fs::read_to_string(folder.path("builds")).unwrap().lines().count(),
            1,
            "it is up to date"
        );
        shared(&folder).len()
    };
    assert_eq!(compile(), 1);
    assert_eq!(compile(), 1, "it was built by an earlier command");

    let large = PathBuf::from(folder.path("large.wasm"));
    let before = large.metadata().unwrap();
    large_worker(&folder, "large.wasm", 2);
    let file = fs::File::options().append(true).open(&large).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = large.metadata().unwrap();
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()));
    assert_eq!(compile(), 0, "its content is not the one that was built");
}

#[test]
fn known_functions_are_used_and_not_stored_again() {
    let folder = Folder::new();
    build_and_compile(&folder, 1);
    let first = shared(&folder);
    assert_eq!(first.len(), 1);
    let all = added(&folder, &[]);
    // Not none: the compiler hashes a few functions differently each time.
    build_and_compile(&folder, 2);
    assert!(shared(&folder).contains(&first[0]));
    assert!(added(&folder, &first) < all / 2, "{} of {all}", added(&folder, &first));
    let path = folder.path("large.wasm");
    let map = ["map", &path, "--idempotent"];
    with_own_cache(&folder, &map)
        .input("a\nb\n")
        .run()
        .exits(0)
        .prints("a\nb\n");
    has(
        "stdout",
        with_own_cache(&folder, &["cache"]).run().exits(0).out(),
        &["functions"],
    );

    // Damaged functions are removed, compiled and stored again.
    changed(&first[0], |bytes| bytes[40] ^= 1);
    let before = shared(&folder);
    build_and_compile(&folder, 3);
    assert!(!shared(&folder).contains(&first[0]));
    assert!(added(&folder, &before) > all / 2);

    with_own_cache(&folder, &["cache", "clean"]).run().exits(0);
    assert!(shared(&folder).is_empty());
}

#[test]
fn code_with_known_functions_is_the_same_as_without() {
    let (one, other) = (Folder::new(), Folder::new());
    build_and_compile(&one, 1);
    let (first, all) = (shared(&one), added(&one, &[]));
    build_and_compile(&one, 2);
    assert!(added(&one, &first) < all / 2, "known functions are used");
    let path = large_worker(&other, "large.wasm", 2);
    with_own_cache(&other, &["compile", &path]).run().exits(0);
    let alone = cached_code(&other).remove(0);
    let mut with = cached_code(&one).into_iter();
    let with = with.find(|code| code.file_name() == alone.file_name()).unwrap();
    assert!(fs::read(with).unwrap() == fs::read(alone).unwrap());
}

#[test]
fn hosts_with_one_cache_share_functions_at_the_same_time() {
    let folder = Folder::new();
    let hosts: Vec<_> = (1..=4)
        .map(|n| {
            let project = folder.root().join(n.to_string());
            fs::create_dir(&project).unwrap();
            large_worker(&folder, &format!("{n}/made.wasm"), n);
            let manifest = folder.file(
                &format!("{n}/disperse.toml"),
                format!("[worker]\ncomponent = \"large.wasm\"\nbuild = \"{BUILD}\"\n"),
            );
            with_own_cache(&folder, &["compile", "--trust-manifest", &manifest]).start()
        })
        .collect();
    for host in hosts {
        host.end().exits(0);
    }
    let stored = shared(&folder);
    assert!((1..=4).contains(&stored.len()), "{stored:?}");
    let all = added(&folder, &[]);
    // Each file is whole: a damaged one would be removed.
    build_and_compile(&folder, 5);
    assert!(stored.iter().all(|file| file.exists()));
    assert!(added(&folder, &stored) < all / 2);
}

#[test]
fn functions_that_cannot_be_stored_change_nothing_else() {
    let folder = Folder::new();
    build_and_compile(&folder, 1);
    // No file can take the place of a folder.
    let stored = shared(&folder).remove(0);
    fs::remove_file(&stored).unwrap();
    fs::create_dir(&stored).unwrap();
    for code in cached_code(&folder) {
        fs::remove_file(code).unwrap();
    }
    build_and_compile(&folder, 1);
    assert!(stored.is_dir());
    assert_eq!(cached_code(&folder).len(), 1);
    let unfinished = |path: &PathBuf| path.to_string_lossy().contains(".new-");
    assert!(!files(&folder).iter().any(unfinished));
}

#[test]
fn compiling_child_is_isolated_and_has_only_pipes_open() {
    let folder = Folder::new();
    // Functions are shared with components of this size.
    let worker = worker_with(&folder, &large_function());
    let mut live = with_own_cache(
        &folder,
        &[
            "compile",
            &worker,
            "--compile-memory",
            "3GiB",
            "--compile-timeout",
            "5m",
        ],
    )
    .start();
    let host = live.id();
    let mut open = Vec::new();
    live.wait_until("a compiler", |_, _| {
        let isolated = |child: &i32| {
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            ["NoNewPrivs:\t1", "Seccomp:\t2"]
                .iter()
                .all(|line| status.contains(line))
        };
        let child = compilers(host, 3 << 30).find(isolated);
        let files = child.and_then(|child| fs::read_dir(format!("/proc/{child}/fd")).ok());
        let files = files.into_iter().flatten();
        open = files
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .collect();
        !open.is_empty()
    });
    let is_pipe = |target: &PathBuf| target.to_string_lossy().starts_with("pipe:") || target == Path::new("/dev/null");
    assert!(open.iter().all(is_pipe), "{open:?}");
    live.end().exits(0);
}
