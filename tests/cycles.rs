//! The imports of a crate's modules have no cycle: no module reaches itself through its imports, and no module imports what one
//! above it defines if that one uses it.

use std::{fmt::Write as _, path::PathBuf};

use crate::support::{
    imports::{cycles, imports, imports_of, shown, within},
    root,
};

/// The sources of the host, and of each crate in `crates/`.
fn sources() -> Vec<PathBuf> {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().path().join("src"));
    let mut all: Vec<_> = crates.filter(|source| source.is_dir()).collect();
    all.push(root().join("host/src"));
    all.sort();
    all
}

#[test]
fn modules_import_one_way() {
    let mut wrong = String::new();
    for source in sources() {
        let name = source.strip_prefix(root()).unwrap().display().to_string();
        let imports = imports(&source);
        assert!(imports.values().any(|of_one| !of_one.is_empty()), "{name} has imports");
        for group in cycles(&imports) {
            let count = group.len();
            let _ = writeln!(
                wrong,
                "{name}: {count} modules import each other:\n{}",
                within(&group, &imports)
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The modules in cycles, and the imports that cause these.
fn found(texts: &[(&str, &str)]) -> String {
    let imports = imports_of(texts);
    let groups = cycles(&imports);
    let groups = groups.iter().map(|group| {
        let modules: Vec<_> = group.iter().map(|module| shown(module)).collect();
        format!("{}\n{}", modules.join(" "), within(group, &imports))
    });
    groups.collect()
}

#[test]
fn cycle_over_a_group_an_export_and_a_path_in_code_is_found() {
    let mut texts = [
        ("", "mod a; mod b; mod d; pub use b::{Thing, c::Other as Named};"),
        ("a", "use crate::{x, Thing};"),
        ("b", "mod c; use std::fmt;\nuse super::d::{self, e}; pub struct Thing;"),
        ("b::c", ""),
        ("d", "fn f() -> u8 { call!(1, crate::a::g()) }"),
    ];
    assert_eq!(
        found(&texts),
        "a b d\n    a imports b: Thing\n    b imports d: e, self\n    d imports a: g\n"
    );
    texts[4].1 = "/// [`crate::a`]\nfn f() -> &'static str { \"crate::a::g\" } // crate::a::g";
    assert_eq!(found(&texts), "");
}

#[test]
fn child_that_imports_from_its_parent_is_found_if_the_parent_uses_it() {
    let child = ("a::b", "use super::Item; pub fn made() -> Item {}");
    let user = "mod b; pub struct Item; pub fn make() -> Item { b::made() }";
    let both = "a a::b\n    a imports a::b: made\n    a::b imports a: Item\n";
    assert_eq!(found(&[("", "mod a;"), ("a", user), child]), both);
    // A `use` that a path in the code goes on from.
    let other = "mod b; use self::b as below; pub struct Item; pub fn make() -> Item { below::made() }";
    assert!(found(&[("", "mod a;"), ("a", other), child]).contains("a imports a::b: made, self"));
    // The parent only makes it known.
    let parent = "mod b; pub use self::b::made; pub struct Item;";
    assert_eq!(found(&[("", "mod a;"), ("a", parent), child]), "");
}

#[test]
fn imports_of_tests_of_other_crates_and_within_a_file_cause_no_cycle() {
    let texts = [
        ("", "mod a; mod b; pub use other::c;"),
        (
            "a",
            "use crate::{b::f, c}; use a_crate::b; use b_crate::b_crate; fn f() { b_crate::g() }",
        ),
        (
            "b",
            "#[cfg(test)]\nmod tests { use crate::a::x; }\n#[cfg(test)]\nuse crate::a::y; pub fn f() {}",
        ),
    ];
    assert_eq!(found(&texts), "");
    let within = [
        ("", "mod a;"),
        ("a", "mod part { use super::Item; } pub struct Item; use self::part::x;"),
    ];
    assert_eq!(found(&within), "");
}
