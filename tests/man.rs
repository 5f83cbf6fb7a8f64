//! `man`: the manual pages.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{Folder, host};

#[test]
fn the_page_of_the_program_is_printed() {
    let ended = host(["man"]).run().exits(0);
    let page = ended.out();
    for part in [
        ".TH disperse",
        ".SH NAME",
        ".SH \"EXIT STATUS\"",
        ".SH FILES",
        "disperse\\-host\\-explain(1)",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(!page.contains("compile\\-child"), "a command that is hidden:\n{page}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn every_command_that_is_not_hidden_has_a_page() {
    let folder = Folder::new();
    let pages = folder.path("share/man1");
    host(["man", "--dir", &pages]).run().exits(0).prints("");
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["", "-run", "-map", "-inspect", "-man", "-explain", "-explain-worker"] {
        assert!(
            written.contains(&format!("disperse-host{name}.1")),
            "{name}: {written:?}"
        );
    }
    assert!(
        !written
            .iter()
            .any(|name| name.contains("compile-child") || name.contains("help"))
    );
    let help = host(["--help"]).run().exits(0);
    for word in help.out().lines().filter_map(|line| line.strip_prefix("  ")) {
        let name = word.split(' ').next().unwrap_or_default();
        let is_command = name.bytes().all(|byte| byte.is_ascii_lowercase()) && !["", "help"].contains(&name);
        assert!(
            !is_command || written.contains(&format!("disperse-host-{name}.1")),
            "{name}"
        );
    }
    let run = fs::read_to_string(Path::new(&pages).join("disperse-host-run.1")).unwrap();
    assert!(run.contains("\\-\\-worker") && run.contains(".SH GRANTS"), "{run}");
    // Scripts keep their format.
    let test = fs::read_to_string(Path::new(&pages).join("disperse-host-test.1")).unwrap();
    assert!(test.contains(".nf\nA script:\n"), "{test}");
    assert_eq!(
        host(["man"]).run().out(),
        fs::read_to_string(Path::new(&pages).join("disperse-host.1")).unwrap()
    );
}

#[test]
fn folder_that_cannot_be_created_is_an_error() {
    let folder = Folder::new();
    let file = folder.file("words", "");
    host(["man", "--dir", &format!("{file}/man1")])
        .run()
        .exits(4)
        .prints("")
        .stderr_is("folder_that_cannot_be_created_is_an_error");
}
