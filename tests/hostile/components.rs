//! Components that attack the host before they run.

use crate::support::{Ended, Folder, Texts, body, host};

/// Runs one line on a worker with these additional fields.
fn with(more: &str, code: i32) -> Ended {
    let folder = Folder::new();
    let text = include_str!("../guests/worker.wat")
        .replace("{HANDLE}", body::ECHO)
        .replace("{EXPORT}", "handle");
    let instance = "(core instance $i (instantiate $guest))";
    folder.guest(
        "large.wasm",
        &text.replacen(instance, &format!("{instance}\n{more}"), 1),
    );
    let manifest = folder.file(
        "disperse.toml",
        "[worker]\ncomponent = \"large.wasm\"\n[health]\nquarantine = \"20ms\"\nevict-after = 2\n",
    );
    let args = ["map", &manifest, "--attempts", "1", "--workers", "1"];
    host(args).input("a\n").run().exits(code).prints("")
}

#[test]
fn ten_thousand_instances_are_an_error() {
    let texts = Texts::new("ten_thousand_instances_are_an_error");
    let instances = "(core instance (instantiate $one))".repeat(10_000);
    with(&format!("(core module $one) {instances}"), 2).stderr_to(&texts);
    let instances = "(core instance (instantiate $one))".repeat(100);
    with(&format!("(core module $one) {instances}"), 2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn hundred_memories_are_an_error() {
    let texts = Texts::new("hundred_memories_are_an_error");
    let memories = "(memory 1)".repeat(100);
    with(
        &format!("(core module $m {memories}) (core instance (instantiate $m))"),
        2,
    )
    .stderr_to(&texts);
    let instances = "(core instance (instantiate $m))".repeat(9);
    with(&format!("(core module $m (memory 1)) {instances}"), 2).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn table_of_four_billion_elements_is_an_error() {
    with(
        "(core module $m (table 4000000000 funcref)) (core instance (instantiate $m))",
        2,
    )
    .stderr_is("table_of_four_billion_elements_is_an_error");
}

#[test]
fn two_memories_that_exceed_the_limit_together_fail() {
    with(
        "(core module $m (memory 513)) (core instance (instantiate $m)) (core instance (instantiate $m))",
        3,
    )
    .stderr_is("two_memories_that_exceed_the_limit_together_fail");
}

#[test]
fn enormous_component_fails_before_it_is_read() {
    let texts = Texts::new("enormous_component_fails_before_it_is_read");
    let folder = Folder::new();
    let large = folder.path("large.wasm");
    std::fs::File::create(&large).unwrap().set_len((256 << 20) + 1).unwrap();
    for path in [large.as_str(), "/dev/zero"] {
        for command in ["map", "inspect"] {
            host([command, path]).run().exits(2).prints("").stderr_to(&texts);
        }
    }
    texts.match_snapshot();
}
