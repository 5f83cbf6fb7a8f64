//! Files that attack commands which only read them: none makes a command take much memory or time, or crash.

use std::{fmt::Write, time::Duration};

use crate::{
    compile::children,
    support::{Ended, Folder, Texts, becomes_true, body, has, host, peak_memory},
};

/// The most memory of the host and its child process together, in MiB.
const MEMORY_MAX: u64 = 1024;

/// How long one command may take.
const TIME_MAX: Duration = Duration::from_secs(55);

/// The most bytes written to stdout and to stderr.
const OUTPUT_MAX: usize = 2 << 20;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &*leb(content.len()), content].concat()
}

/// A component with these types.
fn types(types: &[Vec<u8>]) -> Vec<u8> {
    let content = [leb(types.len()), types.concat()].concat();
    [COMPONENT, &section(7, &content)].concat()
}

/// A worker with `before` in front of its own types, and these functions and exports after them.
fn worker_with(before: &str, functions: &str, exports: &str) -> Vec<u8> {
    let text = include_str!("../guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    let text = text.replacen("(core module $guest", &format!("{before}\n(core module $guest"), 1);
    let text = text.replacen(
        "(func (export \"handle\")",
        &format!("{functions}\n(func (export \"handle\")"),
        1,
    );
    let at = text.rfind("(export \"handle\"").unwrap();
    wat::parse_str(format!("{}{exports}{}", &text[..at], &text[at..])).unwrap()
}

/// Runs a command on a file and checks its memory, time and output.
fn watched(folder: &Folder, args: &[&str]) -> Ended {
    let mut live = host(args)
        .env("XDG_CACHE_HOME", folder.path("cache"))
        .input("a\n")
        .start();
    let id = live.id();
    let (mut most, mut its) = (0, 0);
    let ended = becomes_true(TIME_MAX, || {
        its = its.max(live.peak_memory().unwrap_or_default());
        let children = children(id).into_iter().filter_map(|child| peak_memory(child as u32));
        most = most.max(its + children.sum::<u64>());
        !live.is_running()
    });
    assert!(ended, "{args:?} takes more than {TIME_MAX:?}");
    assert!(most <= MEMORY_MAX, "{args:?}: {most} MiB of memory");
    let ended = live.end();
    let output = (ended.stdout.len(), ended.stderr.len());
    assert!(
        output.0 <= OUTPUT_MAX && output.1 <= OUTPUT_MAX,
        "{args:?}: {output:?} bytes"
    );
    ended
}

/// Checks that every command rejects this file, with the texts of the snapshot.
#[track_caller]
fn refused(texts: &Texts, name: &str, file: &[u8]) {
    let folder = Folder::new();
    let path = folder.file("hostile.wasm", file);
    let script = folder.file("script.toml", "");
    for args in [
        &["inspect", &path][..],
        &["inspect", &path, "--format", "json"],
        &["map", &path],
        &["compile", &path],
        &["test", &path, "--script", &script],
    ] {
        let ended = watched(&folder, args);
        assert_eq!(ended.code, 2, "{name}, {args:?}: {}", ended.stderr);
        assert!(ended.stderr.len() < 10_000, "{name}, {args:?}: {}", ended.stderr);
        ended.stderr_to(texts);
    }
}

#[test]
fn deeply_nested_types_and_components_are_errors() {
    let texts = Texts::new("deeply_nested_types_and_components_are_errors");
    let nested = |open: &[u8], close: &[u8], deep: usize| types(&[[open.repeat(deep), close.to_vec()].concat()]);
    for deep in [101, 2_160, 3_000_000] {
        refused(&texts, "instance types", &nested(b"\x42\x01\x01", b"\x42\x00", deep));
    }
    refused(
        &texts,
        "component types",
        &nested(b"\x41\x01\x01", b"\x41\x00", 100_000),
    );
    refused(
        &texts,
        "both",
        &nested(b"\x41\x01\x01\x42\x01\x01", b"\x42\x00", 100_000),
    );
    let mut component = COMPONENT.to_vec();
    for _ in 0..1_000 {
        component = [COMPONENT, &section(4, &component)].concat();
    }
    refused(&texts, "components", &component);
    // The section that a toolchain leaves in a core module for the componentizer.
    let types = nested(b"\x42\x01\x01", b"\x42\x00", 100_000);
    let custom = [b"\x10component-type:x", &*types].concat();
    let module = [b"\0asm\x01\0\0\0", &*section(0, &custom)].concat();
    refused(&texts, "types in a core module", &module);
    texts.match_snapshot();
}

#[test]
fn types_nested_a_hundred_deep_are_inspected() {
    let folder = Folder::new();
    let deep = [b"\x42\x01\x01".repeat(99), b"\x42\x00".to_vec()].concat();
    let path = folder.file("deep.wasm", types(&[deep]));
    let ended = watched(&folder, &["inspect", &path]);
    ended.exits(2).stderr_is("types_nested_a_hundred_deep_are_inspected");
}

#[test]
fn deeply_nested_trusted_file_is_an_error() {
    let texts = Texts::new("deeply_nested_trusted_file_is_an_error");
    let folder = Folder::new();
    let deep = [b"\x42\x01\x01".repeat(100_000), b"\x42\x00".to_vec()].concat();
    let path = folder.file("deep.wasm", types(&[deep]));
    for command in ["map", "compile"] {
        watched(&folder, &[command, &path, "--trust"])
            .exits(2)
            .stderr_to(&texts);
    }
    texts.match_snapshot();
}

#[test]
fn repeated_long_names_are_cut_while_they_are_written() {
    let names: String = (0..100).fold(String::new(), |mut text, n| {
        let _ = write!(text, "\"a{n}{}\" ", "b".repeat(900));
        text
    });
    let before = format!("(type $ee (enum {names})) (import \"e\" (type $e (eq $ee)))");
    let exports: String = (0..400).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "(export \"bomb{n}\" (func $bomb))");
        text
    });
    let bomb = format!(
        "(func $bomb (param \"x\" (tuple {})) (canon lift (core func $i \"bomb\") (memory $memory) (realloc $realloc)))\n",
        "$e ".repeat(500)
    );
    let file = worker_with(&before, "(func (export \"bomb\") (param i32))", &(bomb + &exports));
    let folder = Folder::new();
    let path = folder.file("names.wasm", file);
    let ended = watched(&folder, &["inspect", &path]).exits(0);
    assert!(ended.stdout.len() < 1 << 20, "{} bytes", ended.stdout.len());
    assert!(ended.out().contains("…\n"), "a type that is cut shows that it is");
    assert!(ended.out().contains("    handle: func("), "what is of use is listed");
    assert!(ended.out().contains("    and "), "what is not listed is counted");
    let facts = watched(&folder, &["inspect", &path, "--format", "json"])
        .exits(0)
        .events()
        .remove(0);
    let (exports, more) = (
        facts["exports"].as_object().unwrap(),
        facts["more_exports"].as_u64().unwrap(),
    );
    assert_eq!(exports.len() as u64 + more, 401);
    assert!(more > 0 && exports.values().all(|ty| ty.as_str().unwrap().len() < 2100));
    watched(&folder, &["map", &path]).exits(0).prints("a\n");
}

/// Components within a worker, each with an instance type of functions that it imports again and again. A validator copies the type
/// for each import, and counts it for each component alone.
fn clones(components: usize, functions: usize, imports: usize) -> Vec<u8> {
    let functions: String = (0..functions).fold(String::new(), |mut text, n| {
        let _ = write!(text, "(export \"f{n}\" (func (param \"x\" (borrow $r))))");
        text
    });
    let imports: String = (0..imports).fold(String::new(), |mut text, n| {
        let _ = write!(text, "(import \"a{n}\" (instance (type $t)))");
        text
    });
    let component =
        format!("(component (type $t (instance (export \"r\" (type $r (sub resource))) {functions})) {imports})\n");
    worker_with(&component.repeat(components), "", "")
}

/// A function of two bytes takes the compiler a thousand times as much memory.
#[test]
fn compile_limits_follow_from_the_file_size() {
    let folder = Folder::new();
    let path = crate::compile::worker_with(&folder, &"(func)".repeat(900_000));
    let ended = watched(&folder, &["map", &path, "--no-cache"]).exits(2).prints("");
    // Which of time and memory is used up first depends on the machine.
    has("stderr", &ended.stderr, &["--compile-"]);
}

#[test]
fn types_cloned_by_imports_are_errors() {
    let texts = Texts::new("types_cloned_by_imports_are_errors");
    refused(&texts, "clones", &clones(100, 1_000, 300));
    texts.match_snapshot();
}

#[test]
fn ten_megabytes_of_types_fail_or_are_inspected() {
    let texts = Texts::new("ten_megabytes_of_types_fail_or_are_inspected");
    let name = |n: usize| format!("a{n:04}").into_bytes();
    let named = |open: u8, behind: &[u8]| {
        let items = (0..10_000).flat_map(|n| [&[5], &*name(n), behind].concat());
        [vec![open], leb(10_000), items.collect()].concat()
    };
    for ty in [named(0x72, b"\x7d"), named(0x6d, b""), named(0x71, b"\0\0")] {
        refused(&texts, "types", &types(&vec![ty; (10 << 20) / 70_000]));
    }
    let tuple = [b"\x6f", &*leb(10_000), &b"\x7d".repeat(10_000)].concat();
    refused(&texts, "tuples", &types(&vec![tuple; 1_000]));
    // Each takes 4 bytes in a core module and 100 in memory.
    let module = |functions: usize| {
        let types = section(1, b"\x01\x60\x00\x00");
        let declared = section(3, &[leb(functions), vec![0; functions]].concat());
        let code = section(10, &[leb(functions), b"\x02\0\x0b".repeat(functions)].concat());
        section(1, &[b"\0asm\x01\0\0\0", &*types, &*declared, &*code].concat())
    };
    let modules = [COMPONENT, &module(700_000).repeat(3)].concat();
    refused(&texts, "functions", &modules);
    texts.match_snapshot();
}

#[test]
fn many_imports_and_exports_are_counted() {
    let folder = Folder::new();
    let imports: String = (0..30_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "(import \"x:y/z{n}\" (func))");
        text
    });
    let path = folder.file("many.wasm", wat::parse_str(format!("(component {imports})")).unwrap());
    let facts = watched(&folder, &["inspect", &path, "--format", "json"])
        .exits(2)
        .events()
        .remove(0);
    let (listed, more) = (
        facts["imports"].as_array().unwrap().len(),
        facts["more_imports"].as_u64().unwrap(),
    );
    assert_eq!(listed as u64 + more, 30_000);
    assert!(more > 0 && listed > 1_000);
}

/// A worker may have more unknown imports than `inspect` lists.
#[test]
fn unlisted_imports_are_linked() {
    let folder = Folder::new();
    let long = "x".repeat(50_000);
    let imports: String = (0..20).fold(String::new(), |mut text, n| {
        let _ = write!(text, "(import \"a{n}{long}\" (func))");
        text
    });
    let path = folder.file("imports.wasm", worker_with(&imports, "", ""));
    watched(&folder, &["inspect", &path]).exits(0);
    watched(&folder, &["map", &path]).exits(0).prints("a\n");
}

/// Types of WebAssembly 3.0: groups that refer to each other, and chains of subtypes.
#[test]
fn large_recursion_groups_and_long_subtype_chains_fail_or_run() {
    let texts = Texts::new("large_recursion_groups_and_long_subtype_chains_fail_or_run");
    let module = |types: Vec<u8>| [b"\0asm\x01\0\0\0", &*section(1, &types)].concat();
    let group = |types: usize, of: &[u8]| [b"\x01\x4e", &*leb(types), &of.repeat(types)].concat();
    // A struct of one reference to the first type.
    let node = b"\x5f\x01\x63\x00\x00";
    refused(&texts, "a group", &module(group(1_000_001, node)));
    refused(
        &texts,
        "groups",
        &module([leb(20_000), group(200, node)[1..].repeat(20_000)].concat()),
    );
    let wide = [b"\x5f", &*leb(10_000), &b"\x7f\x00".repeat(10_000)].concat();
    refused(&texts, "fields", &module([leb(300), wide.repeat(300)].concat()));
    let worker = |types: String| worker_with("", &types, "");
    let chain = |length: usize| {
        (1..length).fold("(type $t0 (sub (struct)))".to_owned(), |mut text, n| {
            let _ = write!(text, "(type $t{n} (sub $t{} (struct)))", n - 1);
            text
        })
    };
    refused(&texts, "subtypes", &worker(chain(65)));
    let folder = Folder::new();
    let types = (0..50_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "(type $s{n} (struct (field i32) (field (ref null $s{n}))))");
        text
    });
    for (name, text) in [("chain.wasm", chain(60)), ("types.wasm", types)] {
        let path = folder.file(name, worker(text));
        watched(&folder, &["inspect", &path]).exits(0);
        watched(&folder, &["map", &path]).exits(0).prints("a\n");
    }
    texts.match_snapshot();
}
