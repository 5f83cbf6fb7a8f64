//! The folder of compiled code: damaged files, and access of other users.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::{
    ahead::{cached_code, with_own_cache},
    support::{Folder, Host, Texts, body, host},
};

/// Whether the code was in the cache.
fn was_cached(folder: &Folder, path: &str) -> bool {
    let ended = with_own_cache(folder, &["compile", path, "--format", "json"])
        .run()
        .exits(0);
    ended.events()[0]["cached"] == true
}

/// The paths of all files in the cache.
pub(crate) fn files(folder: &Folder) -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(&folder.path("cache")).join("disperse")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn changed(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn damaged_code_is_recompiled() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    assert!(!was_cached(&folder, &worker));
    let code = cached_code(&folder).remove(0);
    let whole = fs::read(&code).unwrap();
    let changes: [(&str, Damage); 5] = [
        ("a flipped bit", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        ("a page of zeroes", |bytes| {
            let page = (bytes.len() / 2) & !4095;
            bytes[page..page + 4096].fill(0);
        }),
        ("cut short", |bytes| bytes.truncate(bytes.len() - 4096)),
        ("empty", Vec::clear),
        ("longer", |bytes| bytes.extend([0; 16])),
    ];
    for (what, change) in changes {
        changed(&code, change);
        assert_ne!(fs::read(&code).unwrap(), whole, "{what}");
        // A run does not notice.
        with_own_cache(&folder, &["map", &worker])
            .input("a\n")
            .run()
            .exits(0)
            .prints("a\n");
        assert!(was_cached(&folder, &worker), "{what}");
        assert_eq!(fs::read(&code).unwrap(), whole, "{what}: the file is restored");
        changed(&code, change);
        assert!(!was_cached(&folder, &worker), "{what}");
    }
}

#[test]
fn code_of_another_component_is_not_loaded() {
    let folder = Folder::new();
    let (echo, other) = (
        folder.worker("echo.wasm", body::ECHO),
        folder.worker("other.wasm", &body::large(3)),
    );
    was_cached(&folder, &echo);
    let code = cached_code(&folder).remove(0);
    was_cached(&folder, &other);
    let wrong = cached_code(&folder).into_iter().find(|path| *path != code).unwrap();
    fs::copy(wrong, code).unwrap();
    with_own_cache(&folder, &["map", &echo])
        .input("abc\n")
        .run()
        .exits(0)
        .prints("abc\n");
}

#[test]
fn damaged_cache_files_of_a_core_module_are_rebuilt() {
    let folder = Folder::new();
    let program = folder.guest("program.wasm", include_str!("guests/program.wat"));
    let map = || {
        with_own_cache(&folder, &["map", &program])
            .input("a\n")
            .run()
            .exits(0)
            .prints("a\n")
    };
    map();
    let all = files(&folder);
    assert_eq!(all.len(), 3, "the code, the component and the report on it: {all:?}");
    for path in &all {
        let whole = fs::read(path).unwrap();
        changed(path, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
        map();
        assert_eq!(files(&folder), all);
        assert_eq!(fs::read(path).unwrap(), whole, "{}", path.display());
    }
}

/// The host with a cache below this folder.
fn below(folder: &str, args: &[&str]) -> Host {
    host(args).env("XDG_CACHE_HOME", folder)
}

#[test]
fn cache_below_a_folder_writable_by_others_is_not_used() {
    let texts = Texts::new("cache_below_a_folder_writable_by_others_is_not_used");
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let cache = folder.path("open/mine");
    fs::create_dir_all(&cache).unwrap();
    let link = folder.path("link");
    symlink(&cache, &link).unwrap();
    let mode = |mode| fs::set_permissions(folder.path("open"), fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o777, 0o775, 0o757] {
        mode(open);
        for cache in [&cache, &link] {
            below(cache, &["map", &worker])
                .input("a\n")
                .run()
                .exits(0)
                .prints("a\n")
                .stderr_to(&texts);
            let quiet = below(cache, &["map", &worker, "--quiet"]).input("a\n").run().exits(0);
            assert_eq!(quiet.stderr, "");
            below(cache, &["compile", &worker]).run().exits(4).stderr_to(&texts);
        }
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "nothing is created there");
    }
    // In a sticky folder such as /tmp, users cannot change the files of others.
    for safe in [0o1777, 0o755] {
        mode(safe);
        for cache in [&cache, &link] {
            let ended = below(cache, &["map", &worker]).input("a\n").run().exits(0);
            assert!(!ended.stderr.contains("warning: "), "{}", ended.stderr);
        }
    }
    let kept = fs::read_dir(Path::new(&cache).join("disperse")).unwrap().count();
    assert_eq!(kept, 2, "the code, and the report on the component");
    texts.match_snapshot();
}

#[test]
fn links_and_pipes_in_the_cache_are_not_read() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    assert!(!was_cached(&folder, &worker));
    let code = cached_code(&folder).remove(0);
    let elsewhere = folder.path("elsewhere");
    fs::rename(&code, &elsewhere).unwrap();
    symlink(&elsewhere, &code).unwrap();
    assert!(!was_cached(&folder, &worker));
    assert!(fs::symlink_metadata(&code).unwrap().is_file());
    fs::remove_file(&code).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &code, rustix::fs::Mode::RUSR).unwrap();
    assert!(!was_cached(&folder, &worker));
    assert!(was_cached(&folder, &worker));
}

#[test]
fn cache_command_reports_the_size_and_removes_the_files() {
    let folder = Folder::new();
    let cache = Path::new(&folder.path("cache")).join("disperse");
    let shown = cache.display().to_string();
    with_own_cache(&folder, &["cache", "dir"])
        .run()
        .exits(0)
        .prints(&format!("{shown}\n"));
    with_own_cache(&folder, &["cache"])
        .run()
        .exits(0)
        .prints(&format!("{shown}: 0B in 0 files, of at most 1GiB\n"));
    with_own_cache(&folder, &["cache", "clean"])
        .run()
        .exits(0)
        .prints(&format!("{shown}: removed 0 files, 0B\n"));
    assert!(!cache.exists(), "reading has created the folder");

    let worker = folder.worker("echo.wasm", body::ECHO);
    assert!(!was_cached(&folder, &worker));
    let foreign = cache.join("a.txt");
    fs::write(&foreign, "not ours").unwrap();
    let begun = cache.join(".new-1");
    fs::write(&begun, "half").unwrap();
    let ended = with_own_cache(&folder, &["cache", "--format", "json"]).run().exits(0);
    let size = &ended.events()[0];
    let bytes: u64 = files(&folder)
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end != "txt"))
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert_eq!((&size["type"], &size["path"]), (&"size".into(), &shown.clone().into()));
    assert_eq!(
        (size["files"].as_u64(), size["bytes"].as_u64()),
        (Some(2), Some(bytes)),
        "{size}"
    );
    assert_eq!(size["contents"][0]["kind"], "compiled");
    let texts = Texts::new("cache_report_as_text");
    with_own_cache(&folder, &["cache", "size"])
        .run()
        .exits(0)
        .stdout_kinds_to(&texts);
    texts.match_snapshot();

    let ended = with_own_cache(&folder, &["cache", "clean", "--format", "json"])
        .run()
        .exits(0);
    let cleaned = &ended.events()[0];
    assert_eq!(
        (&cleaned["type"], cleaned["files"].as_u64()),
        (&"cleaned".into(), Some(2))
    );
    // Files that another process is writing now, and files of other programs, stay.
    assert_eq!(files(&folder), [begun, foreign]);
    assert!(!was_cached(&folder, &worker));
}

#[test]
fn runs_continue_while_the_cache_is_emptied() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    let cleaning = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            while cleaning.load(std::sync::atomic::Ordering::Relaxed) {
                with_own_cache(&folder, &["cache", "clean"]).run().exits(0);
            }
        });
        let runs: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        with_own_cache(&folder, &["map", &worker, "--workers", "4"])
                            .input("a\nb\n")
                            .run()
                            .exits(0)
                            .prints("a\nb\n");
                    }
                })
            })
            .collect();
        let ended = runs
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .all(|run| run.is_ok());
        cleaning.store(false, std::sync::atomic::Ordering::Relaxed);
        cleaner.join().unwrap();
        assert!(ended);
    });
}
