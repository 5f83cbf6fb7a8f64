//! The layers of the host, as `host/src/lib.rs` describes them: a module imports only from layers below its own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::root;

/// The layers from the top. Modules of one layer do not import each other.
const FLOORS: [&[&str]; 6] = [
    &["cli", "embed", "fuzz"],
    &["run"],
    &["driver", "operation"],
    &["worker", "transport"],
    &["settings", "sandbox", "report", "script"],
    &[
        "http", "inbox", "control", "digest", "signer", "grants", "limits", "logger", "units", "files", "text",
    ],
];

/// The exceptions: a module, and another one of its layer that it imports.
const NEIGHBOURS: [(&str, &str); 2] = [("driver", "operation"), ("script", "settings")];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn may_know(room: &str, other: &str) -> bool {
    match (floor(room), floor(other)) {
        (Some(mine), Some(its)) if mine == its => {
            mine == FLOORS.len() - 1 || room == other || NEIGHBOURS.contains(&(room, other))
        }
        (Some(mine), Some(its)) => mine < its,
        _ => false,
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code without line comments.
fn code(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn word(text: &str) -> &str {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .next()
        .unwrap_or_default()
}

/// The first names of the paths that follow this prefix, also in groups: `crate::{a::b, c}` names `a` and `c`.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest).to_owned());
            continue;
        };
        let mut depth = 1;
        let mut start = 0;
        for (end, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => {}
                _ => continue,
            }
            if depth == 0 || (depth == 1 && letter == ',') {
                names.insert(word(group[start..end].trim_start()).to_owned());
                start = end + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn names_are_found_in_groups() {
    let found = named(
        "use crate::{\n    a::{self, b},\n    c,\n};\nuse crate::d::e;\nlet x = (crate::f(), xcrate::g);",
        "crate::",
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "c", "d", "f"]);
}

#[test]
fn imports_only_go_down() {
    let source = root().join("host/src");
    let mut found = Vec::new();
    files(&source, &mut found);
    assert!(found.len() > 20, "the host's sources are here");
    let mut wrong = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&source).unwrap();
        let first = Path::new(inside.components().next().unwrap().as_os_str());
        let room = first.file_stem().unwrap().to_str().unwrap().to_owned();
        let code = code(&std::fs::read_to_string(&path).unwrap());
        if room != "sandbox" && (code.contains("wasmtime::") || code.contains("wasmtime_wasi")) {
            wrong.push(format!("{} names wasmtime", inside.display()));
        }
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        if floor(&room).is_none() {
            wrong.push(format!("{} is on no floor", inside.display()));
        }
        let mut names = named(&code, "crate::");
        // `super` in the root of a module is the crate.
        let is_root =
            inside.components().count() == 1 || inside.ends_with("mod.rs") && inside.components().count() == 2;
        if is_root {
            let imports: String = code
                .lines()
                .filter(|line| !line.starts_with(' '))
                .map(|line| format!("{line}\n"))
                .collect();
            names.extend(named(&imports, "super::"));
        }
        for other in names.iter().filter(|other| !may_know(&room, other)) {
            wrong.push(format!("{} names {other}", inside.display()));
        }
    }
    assert!(wrong.is_empty(), "imports only go down:\n{}", wrong.join("\n"));
}
