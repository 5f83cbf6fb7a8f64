//! `new`, and the building of projects. Rust's is built here; the others in `tests/languages.py`, with their tools.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use crate::support::{Ended, Folder, host, root};

fn new(folder: &Folder, args: &[&str]) -> Ended {
    host(["new", "project"].iter().chain(args)).folder(folder.root()).run()
}

#[test]
fn a_project_in_rust_builds_runs_and_passes_its_test_away_from_here() {
    let folder = Folder::new();
    new(&folder, &[])
        .exits(0)
        .says(&["created `project`", "disperse-host run project"]);
    let project = folder.path("project");
    // The versions that the examples are built with, whatever is newest today.
    fs::copy(
        root().join("examples/Cargo.lock"),
        Path::new(&project).join("Cargo.lock"),
    )
    .unwrap();
    // Compiles all that the SDK needs, beside other tests.
    host(["run", &project])
        .input("1 2 3\n")
        .start()
        .within(Duration::from_secs(300))
        .end()
        .exits(0)
        .prints("14\n");
    host(["run", &project, "--no-build", "--quiet"])
        .input("4\n")
        .run()
        .exits(0)
        .prints("16\n")
        .says(&[]);
    host(["map", &project, "--no-build"])
        .input("3\n4\n")
        .run()
        .exits(0)
        .prints("9\n16\n");
    host(["test", &project, "--no-build"]).run().exits(0);
}

#[test]
fn each_language_has_each_kind_of_project() {
    for lang in ["rust", "python", "typescript", "go", "c"] {
        for kind in ["operation", "worker", "both"] {
            let folder = Folder::new();
            new(&folder, &["--lang", lang, "--kind", kind]).exits(0);
            let manifest = fs::read_to_string(folder.path("project/disperse.toml")).unwrap();
            assert_eq!(manifest.contains("[operation]"), kind != "worker", "{lang} {kind}");
            assert_eq!(manifest.contains("[worker]"), kind == "worker", "{lang} {kind}");
            assert_eq!(manifest.contains("[[pool]]"), kind == "both", "{lang} {kind}");
            assert_eq!(
                Path::new(&folder.path("project/tests/squares.toml")).exists(),
                kind != "worker"
            );
            assert!(Path::new(&folder.path("project/sdk/README.md")).exists());
            // Nothing of it is not there but what the build makes.
            let ended = host(["inspect", "project"]).folder(folder.root()).run().exits(2);
            ended.says(&["cannot read `", ".wasm`", "has it been built?"]);
        }
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = Folder::new();
    fs::create_dir(folder.path("project")).unwrap();
    new(&folder, &["--lang", "python"]).exits(0);
    let before = fs::read_to_string(folder.path("project/disperse.toml")).unwrap();
    new(&folder, &["--lang", "rust"])
        .exits(2)
        .says(&["`project` is there already and not empty"]);
    assert_eq!(
        fs::read_to_string(folder.path("project/disperse.toml")).unwrap(),
        before
    );
    folder.file("words", "");
    host(["new", "words"])
        .folder(folder.root())
        .run()
        .exits(2)
        .says(&["`words` is there already"]);
    host(["new", "words/project"])
        .folder(folder.root())
        .run()
        .exits(4)
        .says(&["cannot write `words/project/"]);
    host(["new", "other", "--lang", "cobol"])
        .folder(folder.root())
        .run()
        .exits(2)
        .says(&["cobol", "typescript"]);
}

#[test]
fn a_tool_that_is_not_there_is_named_and_how_to_get_it() {
    let folder = Folder::new();
    for (lang, tool) in [
        ("rust", "cargo"),
        ("python", "componentize-py"),
        ("typescript", "npm"),
        ("go", "go"),
        ("c", "zig cc"),
    ] {
        let project = format!("a {lang}");
        host(["new", &project, "--lang", lang])
            .folder(folder.root())
            .run()
            .exits(0);
        let ended = host(["run", &project])
            .folder(folder.root())
            .env("PATH", "/nowhere")
            .run()
            .exits(2);
        ended.says(&[
            &format!("the build needs `{tool}`, which is not there"),
            "hint: get it: ",
        ]);
    }
}

#[test]
fn the_tools_of_a_project_come_before_those_of_the_machine() {
    let folder = Folder::new();
    let bin = folder.path(".venv/bin");
    fs::create_dir_all(&bin).unwrap();
    let tool = format!("{bin}/componentize-py");
    fs::write(&tool, "#!/bin/sh\necho mine >&2\nexit 3\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"componentize-py\"\ncomponent = \"w.wasm\"\n",
    );
    let ended = host(["map", ".", "--trust-manifest"])
        .folder(folder.root())
        .run()
        .exits(2);
    ended.says(&["mine", "the build failed: exit status: 3", "--no-build"]);
}

#[test]
fn a_repository_that_was_just_made_is_empty() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("project/.git")).unwrap();
    new(&folder, &["--lang", "py"]).exits(0);
    assert!(Path::new(&folder.path("project/worker.py")).exists());
}

#[test]
fn what_is_newer_than_its_sources_is_not_built_again() {
    let folder = Folder::new();
    let echo = folder.worker("echo.wat.wasm", crate::support::body::ECHO);
    let manifest = |sources: &str| {
        let build = format!("echo built >&2 && cp {echo} w.wasm");
        format!("[worker]\nbuild = \"{build}\"\nsources = [{sources}]\ncomponent = \"w.wasm\"\n")
    };
    fs::create_dir_all(folder.path("src/deep")).unwrap();
    folder.file("src/deep/a.txt", "");
    folder.file("disperse.toml", manifest("\"src\""));
    let builds = |flags: &[&str]| {
        let ended = host(["map", ".", "--trust-manifest"].iter().chain(flags))
            .folder(folder.root())
            .input("x\n")
            .run();
        ended.exits(0).prints("x\n").stderr.contains("built")
    };
    let later = |path: &str, seconds: u64| {
        let file = fs::File::options().append(true).open(folder.path(path)).unwrap();
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(seconds))
            .unwrap();
    };
    assert!(builds(&[]));
    later("w.wasm", 10);
    assert!(!builds(&[]));
    later("src/deep/a.txt", 20);
    assert!(builds(&[]));
    // The manifest counts too.
    later("src/deep/a.txt", 0);
    later("w.wasm", 10);
    assert!(!builds(&[]));
    later("disperse.toml", 20);
    assert!(builds(&[]));
    folder.file("disperse.toml", manifest("\"no-such-folder\""));
    let ended = host(["map", ".", "--trust-manifest"])
        .folder(folder.root())
        .input("x\n")
        .run()
        .exits(2);
    ended.says(&["cannot read `./no-such-folder`", "`sources` in the manifest"]);
}

#[test]
fn a_quiet_build_that_fails_says_why() {
    let folder = Folder::new();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"echo the reason >&2; exit 3\"\ncomponent = \"w.wasm\"\n",
    );
    let ended = host(["map", ".", "--trust-manifest", "--quiet"])
        .folder(folder.root())
        .run()
        .exits(2);
    ended.says(&["the reason", "the build failed: exit status: 3"]);
}

#[test]
fn a_program_that_the_host_does_not_know_is_missed_as_well() {
    let folder = Folder::new();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"no-such-compiler\"\ncomponent = \"w.wasm\"\n",
    );
    let ended = host(["map", ".", "--trust-manifest"])
        .folder(folder.root())
        .run()
        .exits(2);
    ended.says(&["exit status: 127", "a program that it needs is not there"]);
}
