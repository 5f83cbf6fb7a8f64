//! `new`, and the builds of projects. The Rust project is built here, the others in `tests/languages.py`, with their tools.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use crate::support::{Ended, Folder, Texts, host, root};

fn new(folder: &Folder, args: &[&str]) -> Ended {
    host(["new", "project"].iter().chain(args)).folder(folder.root()).run()
}

#[test]
fn rust_project_outside_the_checkout_builds_runs_and_passes_its_test() {
    let texts = Texts::new("rust_project_outside_the_checkout_builds_runs_and_passes_its_test");
    let folder = Folder::new();
    new(&folder, &[]).exits(0).stderr_to(&texts);
    let project = folder.path("project");
    // The versions that the examples use, not the newest ones.
    fs::copy(
        root().join("examples/Cargo.lock"),
        Path::new(&project).join("Cargo.lock"),
    )
    .unwrap();
    // Compiles all dependencies of the SDK, beside other tests.
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
        .stderr_to(&texts);
    host(["map", &project, "--no-build"])
        .input("3\n4\n")
        .run()
        .exits(0)
        .prints("9\n16\n");
    host(["test", &project, "--no-build"]).run().exits(0);
    // The planner keeps its state from the first task to the end.
    fs::write(Path::new(&project).join("operation/src/lib.rs"), COUNTER).unwrap();
    host(["run", &project])
        .input("1\n2\n3\n")
        .start()
        .within(Duration::from_secs(300))
        .end()
        .exits(0)
        .prints("3 3 14\n");
    texts.match_snapshot();
}

/// A planner that counts in each of its functions, and writes the counts in `finish`.
const COUNTER: &str = r#"
use disperse_guest::{Error, Operation, export_operation, output_line, perform};

#[derive(Default)]
struct Counter {
    handed: u64,
    taken: u64,
    sum: u64,
}

impl Operation for Counter {
    type Task = u64;
    type Output = u64;

    fn next(&mut self) -> Option<u64> {
        let number = std::io::stdin().lines().next()?.ok()?.parse().ok()?;
        self.handed += 1;
        Some(number)
    }

    fn run(number: u64) -> Result<u64, Error> {
        Ok(perform("square", number)?)
    }

    fn collect(&mut self, _: u64, result: Result<u64, String>) {
        self.taken += 1;
        self.sum += result.unwrap_or_default();
    }

    fn finish(&mut self) -> Result<(), String> {
        output_line(format!("{} {} {}", self.handed, self.taken, self.sum));
        Ok(())
    }
}

export_operation!(Counter);
"#;

#[test]
fn rust_project_with_only_a_worker_maps_lines() {
    let folder = Folder::new();
    new(&folder, &["--kind", "worker"]).exits(0);
    let project = folder.path("project");
    fs::copy(
        root().join("examples/Cargo.lock"),
        Path::new(&project).join("Cargo.lock"),
    )
    .unwrap();
    host(["map", &project])
        .input("one two\n\n \"three\"\n")
        .start()
        .within(Duration::from_secs(300))
        .end()
        .exits(0)
        .prints("2\n0\n1\n");
}

#[test]
fn each_language_has_each_kind_of_project() {
    let texts = Texts::new("each_language_has_each_kind_of_project");
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
            // Every file that it names exists, except the outputs of the build.
            let ended = host(["inspect", "project"]).folder(folder.root()).run().exits(2);
            ended.stderr_to(&texts);
        }
    }
    texts.match_snapshot();
}

#[test]
fn new_leaves_a_folder_with_files_unchanged() {
    let texts = Texts::new("new_leaves_a_folder_with_files_unchanged");
    let folder = Folder::new();
    fs::create_dir(folder.path("project")).unwrap();
    new(&folder, &["--lang", "python"]).exits(0);
    let before = fs::read_to_string(folder.path("project/disperse.toml")).unwrap();
    new(&folder, &["--lang", "rust"]).exits(2).stderr_to(&texts);
    assert_eq!(
        fs::read_to_string(folder.path("project/disperse.toml")).unwrap(),
        before
    );
    folder.file("words", "");
    host(["new", "words"])
        .folder(folder.root())
        .run()
        .exits(2)
        .stderr_to(&texts);
    host(["new", "words/project"])
        .folder(folder.root())
        .run()
        .exits(4)
        .stderr_to(&texts);
    host(["new", "other", "--lang", "cobol"])
        .folder(folder.root())
        .run()
        .exits(2)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn missing_tool_is_named_with_how_to_get_it() {
    let texts = Texts::new("missing_tool_is_named_with_how_to_get_it");
    let folder = Folder::new();
    for lang in ["rust", "python", "typescript", "go", "c"] {
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
        ended.stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn tools_of_a_project_take_precedence_over_those_of_the_machine() {
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
    ended.stderr_is("tools_of_a_project_take_precedence_over_those_of_the_machine");
}

#[test]
fn folder_with_only_a_git_repository_counts_as_empty() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("project/.git")).unwrap();
    new(&folder, &["--lang", "py"]).exits(0);
    assert!(Path::new(&folder.path("project/worker.py")).exists());
}

/// A project of one worker whose build leaves a trace, to tell whether a run builds.
struct Built {
    folder: Folder,
}

impl Built {
    fn new(sources: &str) -> Self {
        let folder = Folder::new();
        folder.worker("echo.wasm", crate::support::body::ECHO);
        fs::create_dir_all(folder.path("src/deep")).unwrap();
        folder.file("src/deep/a.txt", "a");
        folder.file("src/b.txt", "b");
        let built = Self { folder };
        built.manifest("echo built >&2 && cp echo.wasm w.wasm", sources);
        built
    }

    fn manifest(&self, build: &str, sources: &str) {
        self.folder.file(
            "disperse.toml",
            format!("[worker]\nbuild = \"{build}\"\nsources = [{sources}]\ncomponent = \"w.wasm\"\n"),
        );
    }

    fn host(&self, flags: &[&str]) -> Ended {
        host(["map", ".", "--trust-manifest"].iter().chain(flags))
            .folder(self.folder.root())
            .input("x\n")
            .run()
    }

    fn builds(&self) -> bool {
        self.host(&[]).exits(0).prints("x\n").stderr.contains("built")
    }

    /// Dates a file later than anything else.
    fn touch(&self, path: &str) {
        let file = fs::File::options().append(true).open(self.folder.path(path)).unwrap();
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(20))
            .unwrap();
    }
}

#[test]
fn unchanged_sources_are_not_rebuilt() {
    let built = Built::new("\"src\"");
    assert!(built.builds());
    assert!(!built.builds());
    // Modification times, other files and the rest of the manifest do not count.
    built.touch("src/deep/a.txt");
    built.touch("disperse.toml");
    built.folder.file("src/.swap", "");
    built.folder.file("output.txt", "results");
    assert!(!built.builds());
    let manifest = fs::read_to_string(built.folder.path("disperse.toml")).unwrap();
    built
        .folder
        .file("disperse.toml", format!("{manifest}\n[limits]\ntimeout = \"9s\"\n"));
    assert!(!built.builds());
    // Of the same size, changed at once, and with an old date.
    for content in ["c", "d", "e"] {
        let file = built.folder.file("src/deep/a.txt", content);
        let file = fs::File::options().append(true).open(file).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(built.builds(), "{content}");
        assert!(!built.builds(), "{content}");
    }
    // Files that are added, removed and renamed, and a component that is replaced or removed.
    built.folder.file("src/new.txt", "");
    assert!(built.builds());
    fs::rename(built.folder.path("src/new.txt"), built.folder.path("src/newer.txt")).unwrap();
    assert!(built.builds());
    fs::remove_file(built.folder.path("src/newer.txt")).unwrap();
    assert!(built.builds());
    built.touch("w.wasm");
    assert!(built.builds());
    fs::remove_file(built.folder.path("w.wasm")).unwrap();
    assert!(built.builds());
    assert!(!built.builds());
    built.manifest("echo built >&2 && cp echo.wasm w.wasm && true", "\"src\"");
    assert!(built.builds());
    assert!(!built.builds());
}

#[test]
fn sources_can_be_patterns_with_exclusions() {
    let built = Built::new("\"**/*.txt\", \"!src/b.txt\"");
    assert!(built.builds());
    built.folder.file("src/b.txt", "other");
    built.folder.file("src/c.csv", "other");
    assert!(!built.builds());
    built.folder.file("src/deep/a.txt", "other");
    assert!(built.builds());
    built.folder.file("new.txt", "other");
    assert!(built.builds());
    assert!(!built.builds());
}

#[test]
fn failed_build_is_repeated_and_missing_source_is_named() {
    let texts = Texts::new("failed_build_is_repeated_and_missing_source_is_named");
    let built = Built::new("\"src\"");
    built.manifest("echo built >&2 && cp echo.wasm w.wasm && exit 3", "\"src\"");
    for _ in 0..2 {
        built.host(&[]).exits(2).stderr_to(&texts);
    }
    built.manifest("true", "\"no-such-folder\"");
    built.host(&[]).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn stdout_of_a_failed_build_is_shown() {
    let built = Built::new("");
    built.manifest("echo the reason; exit 3", "");
    built
        .host(&["--quiet"])
        .exits(2)
        .stderr_is("stdout_of_a_failed_build_is_shown");
    built.manifest("printf 'no %s' news; cp echo.wasm w.wasm", "");
    let ended = built.host(&[]).exits(0).prints("x\n");
    assert!(!ended.stderr.contains("no news"), "{}", ended.stderr);
}

#[test]
fn failed_build_is_explained_despite_quiet() {
    let folder = Folder::new();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"echo the reason >&2; exit 3\"\ncomponent = \"w.wasm\"\n",
    );
    let ended = host(["map", ".", "--trust-manifest", "--quiet"])
        .folder(folder.root())
        .run()
        .exits(2);
    ended.stderr_is("failed_build_is_explained_despite_quiet");
}

#[test]
fn missing_tool_without_known_instructions_is_named() {
    let folder = Folder::new();
    folder.file(
        "disperse.toml",
        "[worker]\nbuild = \"no-such-compiler\"\ncomponent = \"w.wasm\"\n",
    );
    let ended = host(["map", ".", "--trust-manifest"])
        .folder(folder.root())
        .run()
        .exits(2);
    ended.stderr_is("missing_tool_without_known_instructions_is_named");
}
