//! Which crates use which, as `ARCHITECTURE.md` lists it. Cargo checks the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::root;

/// The crates from the top, each with those of the workspace that it may use.
const USES: [(&str, &[&str]); 8] = [
    (
        "host",
        &[
            "disperse",
            "egress",
            "engine",
            "journal",
            "protocol",
            "sandbox",
            "scheduler",
        ],
    ),
    (
        "crates/disperse",
        &["egress", "engine", "protocol", "sandbox", "scheduler"],
    ),
    ("crates/journal", &["engine", "protocol", "scheduler"]),
    ("crates/engine", &["protocol", "scheduler"]),
    ("crates/sandbox", &["egress", "protocol", "scheduler"]),
    ("crates/egress", &["protocol"]),
    ("crates/protocol", &["scheduler"]),
    ("crates/scheduler", &[]),
];

/// Packages that only these crates may use.
const ONLY: [(&str, &[&str]); 11] = [
    ("clap", &["host"]),
    ("hyper", &["crates/egress"]),
    ("indicatif", &["host"]),
    ("libc", &["crates/sandbox"]),
    ("rusqlite", &["crates/journal"]),
    ("rustls", &["crates/egress"]),
    ("seccompiler", &["crates/sandbox"]),
    ("toml", &["host"]),
    ("wasmparser", &["crates/sandbox"]),
    ("wasmtime", &["crates/sandbox"]),
    ("wasmtime-wasi", &["crates/sandbox"]),
];

/// The dependencies of a crate that it always has, without those of its tests.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: BTreeMap<String, toml::Value> = toml::from_str(&text).unwrap();
    let is_optional = |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool) == Some(true);
    let all = manifest["dependencies"].as_table().unwrap();
    let kept = all.iter().filter(|(_, value)| !is_optional(value));
    kept.map(|(name, _)| name.clone()).collect()
}

#[test]
fn crates_use_only_those_below_them() {
    for (folder, uses) in USES {
        let own = dependencies(folder).into_iter();
        let own = own.filter(|name| name == "disperse" || name.starts_with("disperse-"));
        let own: BTreeSet<String> = own
            .map(|name| name.trim_start_matches("disperse-").to_owned())
            .collect();
        assert_eq!(
            own.iter().collect::<Vec<_>>(),
            uses.iter().collect::<Vec<_>>(),
            "{folder}"
        );
    }
    let folders = std::fs::read_dir(root().join("crates")).unwrap();
    assert_eq!(folders.count(), USES.len() - 1, "a crate is missing in the list");
    assert_eq!(dependencies("crates/scheduler"), BTreeSet::new());
}

#[test]
fn packages_stay_where_they_belong() {
    for (package, users) in ONLY {
        let using = USES.iter().map(|(folder, _)| *folder);
        let using: Vec<&str> = using.filter(|folder| dependencies(folder).contains(package)).collect();
        assert_eq!(using, users, "{package}");
    }
    // The schemas of its settings are an option, for the program.
    assert!(!dependencies("crates/disperse").contains("schemars"));
}
