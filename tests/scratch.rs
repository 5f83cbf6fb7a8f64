//! The scratch folders of programs, and attacks on them.

use crate::support::{Ended, Folder, Texts, host, tool, tool_module};

fn called(program: &str, flags: &[&str], args: &[&str], input: &[u8]) -> Ended {
    let host_args = ["map", program, "--workers", "1", "--attempts", "1"];
    host(host_args.iter().chain(flags).chain(&["--"]).chain(args))
        .input(input.to_vec())
        .run()
}

#[test]
fn program_uses_files_in_its_scratch_folder() {
    let wanted = "hello Wo hello Wo! 9 a d e\n\
                  [Some(AlreadyExists), Some(NotFound), Some(IsADirectory)]\nSome(55)\n[]\n";
    for program in [tool(), tool_module()] {
        for folder in ["/tmp", "/tmp/.", "."] {
            called(&program, &["--scratch", "1MiB"], &["files", folder], b"a\n")
                .exits(0)
                .prints(wanted);
        }
    }
}

#[test]
fn payload_and_result_are_files() {
    for program in [tool(), tool_module()] {
        let flags = ["--result-file", "out.bin"];
        // The line end of a file is kept.
        let ended = called(&program, &flags, &["copy", "{file.bin}", "out.bin"], b"a\xff\nb\n");
        assert_eq!(ended.exits(0).stdout, b"a\xff\nb\n");
        called(&program, &[], &["args", "{file.tar.gz}", "{file}"], b"a\n")
            .exits(0)
            .prints("/tmp/payload.tar.gz|/tmp/payload\n");
        called(&program, &["--scratch", "64KiB"], &["variable", "TMPDIR"], b"a\n")
            .exits(0)
            .prints("/tmp\n");
        called(&program, &[], &["variable", "TMPDIR"], b"a\n")
            .exits(0)
            .prints("\n");
    }
}

#[test]
fn payload_may_be_larger_than_the_folder_until_it_is_written_to() {
    let long = "y".repeat(200_000);
    let args = ["cat", "{file}"];
    let ended = called(&tool(), &["--scratch", "64KiB"], &args, format!("{long}\n").as_bytes());
    ended.exits(0).prints(&format!("{long}\n"));
    let args = ["copy", "{file}", "/tmp/b"];
    called(&tool(), &["--scratch", "64KiB"], &args, format!("{long}\n").as_bytes())
        .exits(1)
        .stderr_is("payload_may_be_larger_than_the_folder_until_it_is_written_to");
}

#[test]
fn missing_or_oversize_result_file_fails_the_attempt() {
    let texts = Texts::new("missing_or_oversize_result_file_fails_the_attempt");
    let flags = ["--result-file", "/tmp/r", "--result-size", "64KiB"];
    called(&tool(), &flags, &["args"], b"a\n").exits(1).stderr_to(&texts);
    // The program writes a sparse result file of 16 MiB.
    let flags = ["--result-file", "a", "--result-size", "64KiB"];
    called(&tool(), &flags, &["attack", "sparse"], b"a\n")
        .exits(1)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn each_attempt_has_an_empty_folder_of_its_own() {
    let folder = Folder::new();
    std::fs::copy(tool(), folder.path("tool.wasm")).unwrap();
    let args = [
        "map",
        &tool(),
        "--workers",
        "2",
        "--scratch",
        "1MiB",
        "--",
        "files",
        "/tmp",
    ];
    let ended = host(args).input("a\n".repeat(20)).run().exits(0);
    assert_eq!(ended.out().matches("[]\n").count(), 20);
    // The machine's file system stays unchanged.
    let before = std::fs::read_dir("/tmp").unwrap().count();
    called(&tool(), &["--scratch", "1MiB"], &["attack", "files"], b"a\n").exits(0);
    assert!(std::fs::read_dir("/tmp").unwrap().count() < before + 100);
}

#[test]
fn size_limit_of_the_folder_holds_under_every_attack() {
    const MIB: u64 = 1 << 20;
    for program in [tool(), tool_module()] {
        for (attack, least, most) in [
            ("bytes", MIB - (64 << 10), MIB),
            ("sparse", MIB, MIB),
            // Each counts as a KiB, and as another one for its name.
            ("files", 500, 512),
            ("folders", 500, 512),
            ("links", 1000, 1024),
            ("deep", 500, 512),
            ("open", MIB / 2, MIB),
            // Removed files free their space.
            ("again", 1000 << 16, 1000 << 16),
        ] {
            let ended = called(&program, &["--scratch", "1MiB"], &["attack", attack], b"a\n").exits(0);
            let count: u64 = ended.out().trim().parse().unwrap();
            assert!((least..=most).contains(&count), "{attack}: {count}");
        }
    }
}

#[test]
fn files_cannot_be_moved_out_of_the_folder_or_into_it() {
    let folder = Folder::new();
    let kept = folder.file("kept", "kept");
    let dir = format!("{}::/data:rw", folder.root().display());
    for program in [tool(), tool_module()] {
        called(
            &program,
            &["--scratch", "1MiB", "--dir", &dir],
            &["attack", "out"],
            b"a\n",
        )
        .exits(0)
        .prints("0\n");
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(folder.root()).unwrap().count(), 1);
    }
}

#[test]
fn scratch_folders_count_as_host_memory() {
    // Without the limit they would hold 768 MiB.
    let tool = tool();
    let args = [
        "map",
        &tool,
        "--workers",
        "12",
        "--scratch",
        "64MiB",
        "--host-memory",
        "160MiB",
    ];
    let args = args.iter().chain(&["--", "attack", "bytes"]);
    let ended = host(args).input("a\n".repeat(24)).run().exits(0);
    assert_eq!(ended.out().lines().count(), 24);
    assert!(
        ended.peak_memory.is_none_or(|peak| peak < 450),
        "{:?} MiB",
        ended.peak_memory
    );
    let args = [
        "map",
        &tool,
        "--scratch",
        "1GiB",
        "--host-memory",
        "160MiB",
        "--",
        "args",
    ];
    host(args)
        .input("a\n")
        .run()
        .exits(2)
        .stderr_is("scratch_folders_count_as_host_memory");
}

#[test]
fn untrusted_workers_see_the_same_file_times() {
    let folder = Folder::new();
    std::fs::copy(tool(), folder.path("tool.wasm")).unwrap();
    let worker = |name: &str| format!("[[pool.worker]]\nname = \"{name}\"\nowner = \"{name}\"\n");
    let manifest = format!(
        "[[pool]]\nname = \"p\"\ncomponent = \"tool.wasm\"\nuntrusted = true\nscratch = \"1MiB\"\n\
         args = [\"time\", \"/tmp/a\"]\n{}{}{}",
        worker("ann"),
        worker("bob"),
        worker("cem")
    );
    folder.file("disperse.toml", &manifest);
    let run = || host(["map", "."]).folder(folder.root()).input("a\nb\n").run();
    run().exits(0).prints("Ok(946684800s)\nOk(946684800s)\n");
    folder.file("disperse.toml", format!("{manifest}args = [\"time\", \"/tmp/b\"]\n"));
    run().exits(2).stderr_is("untrusted_workers_see_the_same_file_times");
}

#[test]
fn scratch_limit_over_the_host_memory_is_a_usage_error() {
    let flags = ["--scratch", "2GiB", "--host-memory", "1GiB"];
    called(&tool(), &flags, &["files", "/tmp"], b"a\n")
        .exits(2)
        .stderr_is("scratch_limit_over_the_host_memory_is_a_usage_error");
}
