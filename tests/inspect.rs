//! `inspect`: what a file is, its language and its uses.

use serde_json::{Value, json};

use crate::support::{Ended, Folder, Texts, body, host, wasm};

/// The text report of a usable file.
fn shown(path: &str) -> String {
    host(["inspect", path]).run().exits(0).out().to_owned()
}

/// The JSON report of any file, usable or not.
fn facts(path: &str) -> Value {
    host(["inspect", path, "--format", "json"]).run().events()[0].clone()
}

/// Inspects an unusable file: both reports end with the reason.
fn useless(path: &str) -> Ended {
    let facts = facts(path);
    assert!(facts["error"].is_string() && facts["hint"].is_string(), "{facts}");
    assert_eq!(facts["worlds"], json!([]));
    let ended = host(["inspect", path]).run().exits(2);
    assert!(ended.out().contains("\n  exports"), "{}", ended.out());
    assert!(!ended.out().contains("  limits"), "{}", ended.out());
    ended
}

/// A worker with these additional imports.
fn importing(folder: &Folder, names: &[&str]) -> String {
    let more: String = names
        .iter()
        .map(|name| format!("(import \"{name}\" (instance))\n"))
        .collect();
    let text = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle")
        .replacen("(component\n", &format!("(component\n{more}"), 1);
    folder.guest("importing.wasm", &text)
}

fn line<'a>(text: &'a str, part: &str) -> &'a str {
    text.lines().find(|line| line.contains(part)).unwrap_or_default()
}

#[test]
fn language_comes_from_the_producers_section() {
    let folder = Folder::new();
    for (producers, language) in [
        (
            r#"(language "Go" "go1.27.3") (processed-by "Go cmd/compile" "go1.27.3")"#,
            "Go 1.27.3",
        ),
        (
            r#"(language "C11" "") (processed-by "clang" "21.1.4-wasi-sdk (x)")"#,
            "C (clang 21.1.4-wasi-sdk)",
        ),
        (
            r#"(language "C11" "") (language "Rust" "") (processed-by "rustc" "1.95.0 (x)")"#,
            "Rust (rustc 1.95.0)",
        ),
        (r#"(language "C_plus_plus_17" "")"#, "C++"),
        (
            r#"(language "C99" "") (processed-by "TinyGo" "0.39.0")"#,
            "Go (TinyGo 0.39.0)",
        ),
        (
            r#"(language "Zig" "0.15.1") (processed-by "Zig" "0.15.1")"#,
            "Zig 0.15.1",
        ),
        (r#"(language "AssemblyScript" "")"#, "AssemblyScript"),
        (
            r#"(language "JavaScript" "") (processed-by "ComponentizeJS" "0.19.3")"#,
            "JavaScript (ComponentizeJS 0.19.3)",
        ),
    ] {
        let text = include_str!("guests/reactor.wat").trim_end();
        let text = text.strip_suffix(')').unwrap();
        let guest = folder.guest("guest.wasm", &format!("{text}\n(@producers {producers}))"));
        assert_eq!(facts(&guest)["language"], language);
        assert_eq!(line(&shown(&guest), "language"), format!("  language {language}"));
    }
}

#[test]
fn adapter_of_a_core_module_is_not_its_language() {
    let folder = Folder::new();
    let program = folder.guest("program.wasm", include_str!("guests/program.wat"));
    let facts = facts(&program);
    assert_eq!(facts["language"], Value::Null);
    assert_eq!(facts["producers"], json!([]));
    assert_eq!(facts["core_module"], true);
    let shown = shown(&program);
    assert!(line(&shown, "  kind").contains("core module"), "{shown}");
    assert!(!shown.contains("language") && !shown.contains("Rust"), "{shown}");
}

#[test]
fn world_of_a_guest_is_named() {
    let folder = Folder::new();
    let program = folder.guest("program.wasm", include_str!("guests/program.wat"));
    let operation = folder.operation("operation.wasm", "run", "");
    for (path, world) in [
        (wasm("square"), "worker"),
        (wasm("fetch"), "worker-async"),
        (wasm("mandelbrot"), "both"),
        (wasm("roll_call"), "both-async"),
        (operation, "operation"),
        (program, "program"),
    ] {
        assert_eq!(facts(&path)["worlds"], json!([world]), "{path}");
        assert_eq!(line(&shown(&path), "  world"), format!("  world    {world}"));
    }
    assert_eq!(facts(&wasm("square"))["language"], "Rust");
}

#[test]
fn import_is_shown_with_the_grant_it_needs() {
    let folder = Folder::new();
    let imports = [
        ("wasi:filesystem/types@0.2.0", "(folders, with --dir)", Some("--dir")),
        (
            "wasi:cli/environment@0.2.0",
            "(environment variables, with --env)",
            Some("--env"),
        ),
        (
            "wasi:http/outgoing-handler@0.2.0",
            "(requests to servers, with --http)",
            Some("--http"),
        ),
        (
            "disperse:guest/exec@0.1.0",
            "(programs of the machine, with --exec)",
            Some("--exec"),
        ),
        (
            "wasi:sockets/tcp@0.2.0",
            "(not available: no grant opens sockets)",
            None,
        ),
        (
            "disperse:guest/output@0.1.0",
            "(for operations: fails in a worker)",
            None,
        ),
        (
            "wasi:keyvalue/store@0.2.0-draft",
            "(not provided: traps when called)",
            None,
        ),
        (
            "wasi:cli/stdin@0.4.0",
            "(not provided: traps when called; this host has WASI 0.2 and 0.3)",
            None,
        ),
        (
            "disperse:guest/atempt@0.1.0",
            "(not provided: traps when called; `attempt` is near)",
            None,
        ),
    ];
    let guest = importing(&folder, &imports.map(|(name, ..)| name));
    let (shown, facts) = (shown(&guest), facts(&guest));
    for (name, note, grant) in imports {
        assert_eq!(line(&shown, name), format!("    {name}  {note}"));
        let all = facts["imports"].as_array().unwrap();
        let import = all.iter().find(|import| import["name"] == name).unwrap();
        assert_eq!(import["grant"], json!(grant), "{name}");
        assert_eq!(import["known"], json!(!note.contains("not provided")), "{name}");
    }
    assert_eq!(facts["grants"], json!(["--dir", "--env", "--http", "--exec"]));
    assert_eq!(facts["error"], Value::Null);
}

#[test]
fn unusable_component_is_described_with_the_reason() {
    let texts = Texts::new("unusable_component_is_described_with_the_reason");
    let folder = Folder::new();
    let empty = useless(&folder.guest("empty.wasm", "(component)"));
    empty.stdout_to(&texts).stderr_to(&texts);
    let text = include_str!("guests/worker.wat").replace("{HANDLE}", "unreachable");
    let misspelt = folder.guest("misspelt.wasm", &text.replace("{EXPORT}", "handel"));
    useless(&misspelt).stdout_to(&texts);
    assert_eq!(
        facts(&misspelt)["misspelt"],
        json!([{ "export": "handel", "meant": "handle" }])
    );
    let server = r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;
    useless(&folder.guest("server.wasm", server)).stderr_to(&texts);
    let newer = r#"(component (import "disperse:guest/types@0.2.0" (instance)))"#;
    let newer = useless(&folder.guest("newer.wasm", newer));
    newer.stdout_to(&texts).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn import_that_cannot_be_linked_is_reported_before_the_run() {
    let texts = Texts::new("import_that_cannot_be_linked_is_reported_before_the_run");
    let folder = Folder::new();
    let worker = include_str!("guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    for (import, func) in [
        ("disperse:guest/log@0.1.0", r#""wrote" (func)"#),
        ("disperse:guest/log@0.1.0", r#""write" (func (param "message" string))"#),
        ("wasi:cli/environment@0.2.0", r#""get-enviroment" (func)"#),
    ] {
        let import = format!("(component (import \"{import}\" (instance (export {func})))");
        let guest = folder.guest("linked.wasm", &worker.replacen("(component", &import, 1));
        useless(&guest).stderr_to(&texts);
        host(["map", &guest]).input("a\n").run().exits(2).stderr_to(&texts);
    }
    let program = r#"(component (instance $none) (export "wasi:cli/run@0.2.0" (instance $none)))"#;
    useless(&folder.guest("program.wasm", program)).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn unusable_core_module_is_described_with_the_reason() {
    let folder = Folder::new();
    let text = r#"(module (import "env" "now" (func)) (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (memory (export "memory") 1) (func (export "handel")) (@producers (language "Zig" "0.15.1")))"#;
    let texts = Texts::new("unusable_core_module_is_described_with_the_reason");
    let core = useless(&folder.guest("core.wasm", text));
    core.stdout_to(&texts).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn file_that_is_not_webassembly_is_not_described() {
    let texts = Texts::new("file_that_is_not_webassembly_is_not_described");
    let folder = Folder::new();
    for bytes in ["These are words.\n", "", "\0asm\x01\0\0\0rubbish"] {
        let file = folder.file("words.wasm", bytes);
        for format in ["text", "json"] {
            let ended = host(["inspect", &file, "--format", format]).run();
            let ended = ended.exits(2).stderr_to(&texts);
            if format == "text" {
                ended.prints("");
            } else {
                let line = &ended.events()[0];
                assert!(line["type"] == "failed" && line["path"] == file.as_str(), "{line}");
            }
        }
    }
    texts.match_snapshot();
}

#[test]
fn all_components_of_a_project_are_described() {
    let folder = Folder::new();
    folder.guest("empty.wasm", "(component)");
    folder.worker("worker.wasm", body::ECHO);
    let manifest = "[operation]\ncomponent = \"empty.wasm\"\n[worker]\ncomponent = \"worker.wasm\"\n";
    folder.file("disperse.toml", manifest);
    let ended = host(["inspect", "."]).folder(folder.root()).run().exits(2);
    let texts = Texts::new("all_components_of_a_project_are_described");
    ended.stdout_to(&texts).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn untrusted_names_are_escaped_and_cut() {
    let folder = Folder::new();
    let long = "x".repeat(90_000);
    let text = format!(
        "(module (import \"\\1b[2J\" \"\\0d\" (func)) (func (export \"{long}\")) \
         (func (export \"\\1b[2Jhandle\\0a  role     worker\")) (@producers (language \"\\1b[2JRust\\0a  role\" \"\")))"
    );
    let ended = useless(&folder.guest("odd.wasm", &text));
    assert!(ended.out().len() < 2_000, "{} bytes", ended.out().len());
    for text in [ended.out(), &ended.stderr] {
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
        assert!(!text.contains("\n  role"), "{text}");
    }
    let many: String = (0..5_000).map(|n| format!("(func (export \"f{n}\"))")).collect();
    let ended = useless(&folder.guest("many.wasm", &format!("(module {many})")));
    assert!(ended.out().contains("    and 4744 more, which"), "{}", ended.out());
}

#[test]
fn exponentially_large_type_is_cut() {
    let folder = Folder::new();
    let types: String = (1..17)
        .map(|n| format!("(type $t{n} (tuple $t{} $t{}))\n", n - 1, n - 1))
        .collect();
    // A function with this result; the core function returns a pointer to it.
    let text = format!(
        "(component (type $t0 (tuple u8 u8)) {types}
           (import \"make\" (func $make (result $t16)))
           (export \"make\" (func $make)))"
    );
    let ended = useless(&folder.guest("large.wasm", &text));
    assert!(
        ended.out().contains('…') && ended.out().len() < 20_000,
        "{} bytes",
        ended.out().len()
    );
}
