//! The imports of a crate's modules have no cycle: no module reaches itself through its imports.
//!
//! The test reads the paths in the sources (`crate::`, `super::`, `self::`), in `use` lines and elsewhere. Folders named
//! `tests` are left out: tests may import everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::support::root;

/// The sources of the crates that are checked.
const CRATES: [&str; 1] = ["crates/scheduler/src"];

/// The text of each module, by its path within the crate: `bucket::span`. The root of the crate is the empty path.
fn modules(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inside = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}::{name}")
        };
        if path.is_dir() {
            if name != "tests" {
                modules(&path, &inside, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match name.as_str() {
                "lib" | "main" | "mod" => prefix.to_owned(),
                _ => inside,
            };
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            found.insert(module, code.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The paths that begin here, with groups written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<String> {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
    let (head, rest) = text.split_at(end.unwrap_or(text.len()));
    let Some(group) = rest
        .strip_prefix('{')
        .filter(|_| head.ends_with("::") || head.is_empty())
    else {
        return vec![head.to_owned()];
    };
    let (mut depth, mut start, mut all) = (1, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if depth == 0 || depth == 1 && letter == ',' {
            let part = group[start..at].trim();
            if !part.is_empty() {
                all.extend(paths(part).iter().map(|path| format!("{head}{path}")));
            }
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    all
}

/// The modules that a module's text names. A name that the root of the crate exports is the module that defines it.
fn imports(module: &str, modules: &BTreeMap<String, String>, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = &modules[module];
    let own: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut found = BTreeSet::new();
    for (prefix, base) in [
        ("crate::", &[][..]),
        ("self::", &own[..]),
        ("super::", &own[..own.len().saturating_sub(1)]),
    ] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            for path in paths(&code[at + prefix.len()..]) {
                let parts: Vec<&str> = base.iter().copied().chain(path.split("::")).collect();
                let known = (1..=parts.len()).rev().map(|length| parts[..length].join("::"));
                let target = known.into_iter().find(|path| modules.contains_key(path));
                found.extend(target.or_else(|| exported.get(parts[0]).cloned()));
            }
        }
    }
    // A module counts together with its submodules, and its `mod` lines are no imports.
    found.retain(|other| other != module && !other.is_empty());
    found
}

/// The names that the root of the crate exports, each with the module that defines it.
fn exports(modules: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let code = modules.get("").map_or("", String::as_str);
    let lines = code.split("pub use ").skip(1);
    let all = lines.flat_map(paths).filter_map(|path| {
        let (module, name) = path.rsplit_once("::")?;
        Some((name.to_owned(), module.to_owned()))
    });
    all.collect()
}

/// The modules of one cycle, with the first one again at the end. Empty if there is no cycle.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    fn visit(
        module: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        done: &mut BTreeSet<String>,
        path: &mut Vec<String>,
    ) -> bool {
        if let Some(first) = path.iter().position(|other| other == module) {
            path.drain(..first);
            path.push(module.to_owned());
            return true;
        }
        if done.contains(module) {
            return false;
        }
        path.push(module.to_owned());
        for other in graph.get(module).into_iter().flatten() {
            if visit(other, graph, done, path) {
                return true;
            }
        }
        path.pop();
        done.insert(module.to_owned());
        false
    }
    let (mut done, mut path) = (BTreeSet::new(), Vec::new());
    for module in graph.keys() {
        if visit(module, graph, &mut done, &mut path) {
            return path;
        }
    }
    Vec::new()
}

fn graph(modules: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let exported = exports(modules);
    let inside = modules.keys().filter(|module| !module.is_empty());
    inside
        .map(|module| (module.clone(), imports(module, modules, &exported)))
        .collect()
}

#[test]
fn modules_import_one_way() {
    for source in CRATES {
        let mut found = BTreeMap::new();
        modules(&root().join(source), "", &mut found);
        assert!(found.len() > 10, "the sources of {source} are here");
        let graph = graph(&found);
        assert!(
            graph.values().map(BTreeSet::len).sum::<usize>() > found.len(),
            "imports are found"
        );
        let cycle = cycle(&graph);
        assert!(cycle.is_empty(), "{source}: {}", cycle.join(" imports "));
    }
}

#[test]
fn cycle_over_a_group_and_an_export_is_found() {
    let sources = [
        ("", "mod a; pub use b::{Thing, c::Other};"),
        ("a", "use crate::{x, Thing};"),
        ("b", "use std::fmt;\nuse super::d::{self, e};"),
        ("b::c", ""),
        ("d", "fn f() { crate::a::g(); }"),
    ];
    let mut modules: BTreeMap<String, String> = sources.map(|(name, code)| (name.to_owned(), code.to_owned())).into();
    assert_eq!(cycle(&graph(&modules)), ["a", "b", "d", "a"]);
    modules.insert("d".to_owned(), String::new());
    assert!(cycle(&graph(&modules)).is_empty());
}
