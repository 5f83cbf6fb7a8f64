//! Folders of unknown origin: the requests of their manifests, and their files.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use crate::support::{Ended, Folder, Host, Texts, body, host};

/// The most memory that a host may take when it rejects a file, in MiB.
const MEMORY: u64 = 500;

/// A folder with a worker, an operation, and its own trust store.
struct UntrustedFolder(Folder);

impl UntrustedFolder {
    /// `manifest` with `MARK` replaced by a path that nothing but a command of the manifest makes.
    fn new(manifest: &str) -> Self {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("project/tests")).unwrap();
        folder.worker("project/echo.wasm", body::ECHO);
        folder.operation("project/operation.wasm", "run", "");
        folder.file("project/tests/a.toml", "[[answer]]\necho = true\n");
        let untrusted = Self(folder);
        untrusted.manifest(manifest);
        untrusted
    }

    fn manifest(&self, text: &str) {
        self.0
            .file("project/disperse.toml", text.replace("MARK", &self.0.path("mark")));
    }

    fn path(&self, name: &str) -> String {
        self.0.path(&format!("project/{name}"))
    }

    fn host(&self, args: &[&str]) -> Host {
        host(args)
            .folder(self.0.root())
            .env("XDG_STATE_HOME", self.0.path("state"))
            .input("a\n")
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Ended {
        let ended = self.host(args).run();
        assert!(
            ended.peak_memory.is_none_or(|most| most < MEMORY),
            "{:?} MiB",
            ended.peak_memory
        );
        ended
    }

    fn is_marked(&self) -> bool {
        Path::new(&self.0.path("mark")).exists()
    }
}

/// A manifest with every kind of request.
const GREEDY: &str = r#"
    [operation]
    component = "operation.wasm"
    build = "touch MARK"

    [[pool]]
    name = "p"
    component = "echo.wasm"
    workers = 1
    exec = [["/bin/sh", "-c", "..."]]
    dirs = ["/var/tmp::/host:rw", "."]
    http = ["http://127.0.0.1"]
    secrets = { TOKEN = { env = "HOME" } }
"#;

#[test]
fn untrusted_manifest_gets_no_grants() {
    let texts = Texts::new("untrusted_manifest_gets_no_grants");
    let untrusted = UntrustedFolder::new(GREEDY);
    for args in [
        &["run", "project"][..],
        &["run", "project", "--no-build"],
        &["map", "project"],
        &["map", "project", "--no-build"],
        &["map", "project/disperse.toml", "--no-build"],
        &["compile", "project"],
    ] {
        untrusted.run(args).exits(2).prints("").stderr_to(&texts);
    }
    untrusted
        .run(&["test", "project"])
        .exits(2)
        .prints("")
        .stderr_to(&texts);
    assert!(!untrusted.is_marked(), "a command of the manifest ran");
    // A command needs no trust for settings that it does not use.
    untrusted.run(&["compile", "project", "--no-build"]).exits(0);
    untrusted.run(&["test", "project", "--no-build", "--update"]).exits(0);
    untrusted.run(&["map", "project/echo.wasm"]).exits(0).prints("a\n");
    untrusted
        .run(&["map", "project", "--trust-manifest"])
        .exits(0)
        .prints("a\n");
    assert!(untrusted.is_marked());
    texts.match_snapshot();
}

#[test]
fn trust_lasts_until_the_manifest_changes() {
    let texts = Texts::new("trust_lasts_until_the_manifest_changes");
    let untrusted = UntrustedFolder::new(GREEDY);
    let path = untrusted.path("disperse.toml");
    untrusted
        .run(&["trust", "--show", "project"])
        .exits(0)
        .stdout_to(&texts);
    untrusted.run(&["map", "project"]).exits(2);
    untrusted.run(&["trust", "project"]).exits(0).stdout_to(&texts);
    assert!(!untrusted.is_marked(), "trust alone runs nothing");
    for typed in ["project", "project/disperse.toml", "project/../project"] {
        untrusted.run(&["map", typed]).exits(0).prints("a\n");
        untrusted.run(&["trust", "--show", typed]).exits(0).stdout_to(&texts);
    }
    untrusted
        .run(&["trust", "--list"])
        .exits(0)
        .prints(&format!("{path}\n"));
    untrusted.manifest(&format!("{GREEDY}\n"));
    untrusted.run(&["map", "project"]).exits(2).stderr_to(&texts);
    untrusted.manifest(GREEDY);
    untrusted.run(&["map", "project"]).exits(0);
    // A copy elsewhere needs its own trust.
    let copied = Command::new("cp")
        .args(["-r", "project", "copy"])
        .current_dir(untrusted.0.root())
        .status();
    assert!(copied.unwrap().success());
    untrusted.run(&["map", "copy"]).exits(2).stderr_to(&texts);
    untrusted
        .run(&["trust", "--revoke", "project"])
        .exits(0)
        .stdout_to(&texts);
    untrusted.run(&["map", "project"]).exits(2);
    untrusted.run(&["trust", "--list"]).exits(0).prints("");
    texts.match_snapshot();
}

#[test]
fn trust_store_writable_by_others_is_ignored() {
    let texts = Texts::new("trust_store_writable_by_others_is_ignored");
    use std::os::unix::fs::PermissionsExt;

    let untrusted = UntrustedFolder::new(GREEDY);
    untrusted.run(&["trust", "project"]).exits(0);
    let store = untrusted.0.path("state/disperse/trust");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).unwrap();
    untrusted.run(&["map", "project"]).exits(2).stderr_to(&texts);
    untrusted.run(&["trust", "project"]).exits(4).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn inspect_lists_what_a_manifest_requests() {
    let untrusted = UntrustedFolder::new(GREEDY);
    untrusted
        .run(&["inspect", "project"])
        .exits(0)
        .stdout_is("inspect_lists_what_a_manifest_requests");
    let json = || {
        untrusted
            .run(&["inspect", "project", "--format", "json"])
            .exits(0)
            .events()[0]
            .clone()
    };
    let manifest = json();
    assert_eq!(
        (&manifest["type"], &manifest["trusted"]),
        (&"manifest".into(), &false.into())
    );
    let asks = manifest["asks"].as_array().unwrap();
    let kinds: Vec<_> = asks.iter().map(|ask| ask["what"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["build", "exec", "dir", "dir", "http", "secret"]);
    assert_eq!(asks.iter().filter(|ask| ask["dangerous"] == true).count(), 5);
    untrusted.run(&["trust", "project"]).exits(0);
    assert_eq!(json()["trusted"], true);
    assert!(!untrusted.is_marked());
}

#[test]
fn project_made_by_new_is_trusted_until_it_changes() {
    let texts = Texts::new("project_made_by_new_is_trusted_until_it_changes");
    let folder = Folder::new();
    let state = folder.path("state");
    let run = |args: &[&str]| host(args).folder(folder.root()).env("XDG_STATE_HOME", &state).run();
    run(&["new", "made", "--lang", "c"]).exits(0);
    run(&["trust", "--show", "made"]).exits(0).stdout_to(&texts);
    let text = fs::read_to_string(folder.path("made/disperse.toml")).unwrap();
    folder.file("made/disperse.toml", format!("{text}# changed\n"));
    run(&["run", "made"]).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn paths_that_lead_out_of_the_folder_need_trust() {
    let texts = Texts::new("paths_that_lead_out_of_the_folder_need_trust");
    let untrusted = UntrustedFolder::new("");
    let outside = untrusted.0.worker("outside.wasm", body::ECHO);
    symlink(&outside, untrusted.path("link.wasm")).unwrap();
    symlink("echo.wasm", untrusted.path("inside.wasm")).unwrap();
    symlink(untrusted.0.root(), untrusted.path("up")).unwrap();
    for component in ["../outside.wasm", &outside, "link.wasm", "up/outside.wasm"] {
        untrusted.manifest(&format!("[worker]\ncomponent = \"{component}\"\n"));
        for args in [&["map", "project"][..], &["compile", "project", "--no-build"]] {
            untrusted.run(args).exits(2).prints("").stderr_to(&texts);
        }
        let inspected = untrusted.run(&["inspect", "project"]).exits(2);
        inspected.stdout_to(&texts).stderr_to(&texts);
        untrusted
            .run(&["map", "project", "--trust-manifest"])
            .exits(0)
            .prints("a\n");
    }
    for component in ["inside.wasm", &untrusted.path("echo.wasm"), "tests/../echo.wasm"] {
        untrusted.manifest(&format!("[worker]\ncomponent = \"{component}\"\n"));
        untrusted.run(&["map", "project"]).exits(0).prints("a\n");
    }
    // The manifest itself: nothing of it is shown.
    let secret = untrusted.0.file("secret.toml", "canary-7261\n");
    fs::remove_file(untrusted.path("disperse.toml")).unwrap();
    symlink(secret, untrusted.path("disperse.toml")).unwrap();
    for command in ["map", "run", "test", "compile", "inspect"] {
        let ended = untrusted.run(&[command, "project"]).exits(2).stderr_to(&texts);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
    untrusted
        .run(&["map", "project", "--trust-manifest"])
        .exits(2)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn files_of_tests_stay_within_the_folder() {
    let texts = Texts::new("files_of_tests_stay_within_the_folder");
    let untrusted = UntrustedFolder::new("[operation]\ncomponent = \"operation.wasm\"\n");
    let test = |flags: &[&str]| untrusted.run(&[&["test", "project"], flags].concat());
    test(&["--update"]).exits(0);
    let (script, golden) = (untrusted.path("tests/a.toml"), untrusted.path("tests/a.golden"));
    let log = fs::read_to_string(&golden).unwrap();
    let secret = untrusted.0.file("secret", "canary-7261\n");
    for text in [
        "[[answer]]\nfile = \"../../secret\"\n",
        "[[answer]]\nfile = \"link\"\n",
        "input-file = \"../../secret\"\n[[answer]]\necho = true\n",
        &format!("[expect]\noutput-file = \"{secret}\"\n[[answer]]\necho = true\n"),
    ] {
        drop(fs::remove_file(untrusted.path("tests/link")));
        symlink(&secret, untrusted.path("tests/link")).unwrap();
        fs::write(&script, text).unwrap();
        let typed = ["--script", script.as_str()];
        for flags in [&[][..], &typed] {
            let ended = test(flags).exits(2).prints("").stderr_to(&texts);
            assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
        }
        let ended = test(&["--trust-manifest"]);
        assert_ne!(ended.code, 2, "{}", ended.stderr);
    }
    fs::write(&script, "[[answer]]\necho = true\n").unwrap();
    // A golden file that leads out is neither read nor written.
    fs::remove_file(&golden).unwrap();
    symlink(&secret, &golden).unwrap();
    for flags in [&[][..], &["--update"]] {
        let ended = test(flags).exits(2).stderr_to(&texts);
        assert!(!ended.out().contains("canary"), "{}", ended.out());
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "canary-7261\n");
    // One that leads elsewhere within the folder is replaced, not written through.
    fs::remove_file(&golden).unwrap();
    symlink("a.toml", &golden).unwrap();
    test(&["--update"]).exits(0);
    assert_eq!(fs::read_to_string(&script).unwrap(), "[[answer]]\necho = true\n");
    assert!(!Path::new(&golden).is_symlink());
    assert_eq!(fs::read_to_string(&golden).unwrap(), log);
    texts.match_snapshot();
}

fn pipe(path: &str) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
}

#[test]
fn irregular_files_are_neither_read_nor_waited_for() {
    let texts = Texts::new("irregular_files_are_neither_read_nor_waited_for");
    const REGULAR: &str = "it is not a regular file";
    let untrusted =
        UntrustedFolder::new("[operation]\ncomponent = \"operation.wasm\"\n[worker]\ncomponent = \"echo.wasm\"\n");
    let zero = |path: &str| symlink("/dev/zero", path).unwrap();
    let sorts: [&dyn Fn(&str); 2] = [&zero, &pipe];
    for make in sorts {
        for (file, commands) in [
            ("disperse.toml", &["map", "run", "test", "compile", "inspect"][..]),
            ("echo.wasm", &["map", "compile", "inspect"]),
            ("operation.wasm", &["run", "test"]),
            ("tests/a.toml", &["test"]),
        ] {
            let path = untrusted.path(file);
            let kept = untrusted.0.path("kept");
            fs::rename(&path, &kept).unwrap();
            make(&path);
            for command in commands {
                // Trust covers requests: it makes no file a regular one.
                let flags: &[&str] = if *command == "inspect" {
                    &[]
                } else {
                    &["--trust-manifest"]
                };
                let ended = untrusted.run(&[&[*command, "project"], flags].concat()).exits(2);
                assert!(
                    ended.stderr.contains(REGULAR) || ended.stderr.contains("out of its folder"),
                    "{command} {file}: {}",
                    ended.stderr
                );
            }
            fs::remove_file(&path).unwrap();
            fs::rename(&kept, &path).unwrap();
        }
        let golden = untrusted.path("tests/a.golden");
        make(&golden);
        untrusted
            .run(&["test", "project", "--trust-manifest"])
            .exits(2)
            .stderr_to(&texts);
        fs::remove_file(&golden).unwrap();
        let signature = untrusted.path("echo.wasm.minisig");
        make(&signature);
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        untrusted
            .run(&["map", "project", "--trust-manifest", "--signed-by", key])
            .exits(2)
            .stderr_to(&texts);
        fs::remove_file(&signature).unwrap();
    }
    // A path on the command line may be a pipe.
    let typed = untrusted.0.path("typed.wasm");
    pipe(&typed);
    let component = fs::read(untrusted.path("echo.wasm")).unwrap();
    std::thread::spawn({
        let typed = typed.clone();
        move || fs::write(typed, component).unwrap()
    });
    untrusted.run(&["map", &typed]).exits(0).prints("a\n");
    texts.match_snapshot();
}

#[test]
fn files_of_a_folder_have_a_size_limit() {
    let texts = Texts::new("files_of_a_folder_have_a_size_limit");
    let untrusted = UntrustedFolder::new("[operation]\ncomponent = \"operation.wasm\"\n");
    let grow = |file: &str, size: u64| {
        let file = fs::File::options()
            .append(true)
            .create(true)
            .open(untrusted.path(file))
            .unwrap();
        file.set_len(size).unwrap();
    };
    let too_large = |args: &[&str]| {
        untrusted.run(args).exits(2).stderr_to(&texts);
    };
    grow("tests/a.golden", (64 << 20) + 1);
    too_large(&["test", "project"]);
    grow("tests/a.toml", (16 << 20) + 1);
    too_large(&["test", "project"]);
    grow("operation.wasm", (256 << 20) + 1);
    too_large(&["run", "project"]);
    grow("disperse.toml", (1 << 20) + 1);
    too_large(&["inspect", "project"]);
    // Many files, each within the limit.
    untrusted.manifest("[operation]\ncomponent = \"operation.wasm\"\n");
    grow("answer", 60 << 20);
    let script = "[[answer]]\nfile = \"../answer\"\n".repeat(9);
    fs::write(untrusted.path("tests/a.toml"), script).unwrap();
    let ended = untrusted.host(&["test", "project"]).run().exits(2);
    ended.stderr_to(&texts);
    for n in 0..=1000 {
        fs::write(untrusted.path(&format!("tests/{n}.toml")), "").unwrap();
    }
    untrusted.run(&["test", "project"]).exits(2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn deep_and_wide_manifests_fail_quickly() {
    let texts = Texts::new("deep_and_wide_manifests_fail_quickly");
    let untrusted = UntrustedFolder::new("");
    let wide: String = (0..5000)
        .map(|n| format!("[[pool]]\nname=\"{n}\"\ncomponent=\"echo.wasm\"\n"))
        .collect();
    for text in [
        format!("x = {}{}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("{}b = 1", "a.".repeat(200_000)),
        format!("x = {}1{}", "{a=".repeat(100_000), "}".repeat(100_000)),
        wide,
        "[[pool]]\nname = \"p\"\ncomponent = \"echo.wasm\"\nworkers = 9223372036854775808\n".to_owned(),
        "[[pool]]\nname = \"p\\u001b[2J\\nerror: forged\"\ncomponent = \"echo.wasm\"\n".to_owned(),
    ] {
        untrusted.manifest(&text);
        let ended = untrusted
            .host(&["map", "project"])
            .start()
            .within(Duration::from_secs(30))
            .end();
        assert!(
            !ended.stderr.contains('\u{1b}') && !ended.stderr.contains("\nerror: forged"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.len() < 10_000, "{} bytes of error", ended.stderr.len());
        ended.exits(2).stderr_to(&texts);
    }
    texts.match_snapshot();
}

/// The output of a command on a terminal on which `answer` is typed. None if there is no program `script`.
fn on_terminal(folder: &Path, state: &str, line: &str, answer: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_disperse-host");
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("printf '{answer}\\n' | script -qec '{program} {line}' /dev/null"),
        ])
        .current_dir(folder)
        .env("XDG_STATE_HOME", state)
        .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(127) {
        eprintln!("not tried on a terminal: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(said)
}

#[test]
fn user_is_asked_on_a_terminal_about_a_folder_of_their_own() {
    let texts = Texts::new("user_is_asked_on_a_terminal_about_a_folder_of_their_own");
    let untrusted = UntrustedFolder::new("[worker]\ncomponent = \"echo.wasm\"\nbuild = \"touch MARK\"\n");
    // The folder of the tests is in a work tree: another one begins here, without any trust.
    let (root, state) = (tempfile::tempdir().unwrap(), untrusted.0.path("state"));
    let copied = Command::new("cp")
        .args(["-r", &untrusted.0.path("project")])
        .arg(root.path())
        .status();
    assert!(copied.unwrap().success());
    let ask = |answer: &str| on_terminal(root.path(), &state, "map project --no-socket --input /dev/null", answer);
    let Some(said) = ask("y") else { return };
    assert!(
        !said.contains("[y/N]") && !untrusted.is_marked(),
        "not in a work tree: {said}"
    );
    fs::create_dir(root.path().join(".git")).unwrap();
    for answer in ["n", "", "yy", "no"] {
        let said = ask(answer).unwrap();
        texts.add(&format!("answered `{answer}`"), &said);
        assert!(!untrusted.is_marked(), "{answer}: {said}");
    }
    let said = ask("y").unwrap();
    assert!(said.contains("[y/N]") && untrusted.is_marked(), "{said}");
    fs::remove_file(untrusted.0.path("mark")).unwrap();
    // The answer is stored.
    let said = ask("n").unwrap();
    assert!(!said.contains("[y/N]") && untrusted.is_marked(), "{said}");
    // A folder that was trusted before is asked about again when it has changed, in a work tree or not.
    fs::remove_file(untrusted.0.path("mark")).unwrap();
    fs::remove_dir(root.path().join(".git")).unwrap();
    let manifest = root.path().join("project/disperse.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + "# changed\n").unwrap();
    let said = ask("n").unwrap();
    texts.add("changed, answered `n`", &said);
    texts.match_snapshot();
    assert!(!untrusted.is_marked(), "{said}");
}
