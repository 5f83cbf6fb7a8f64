//! Workers that attack through their folders: they escape them, write to files of the host, and exhaust shared resources.

use std::{
    os::unix::{fs::symlink, net::UnixListener},
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::attacks::stays_small;
use crate::support::{Ended, Folder, Texts, body, host, probe, shell};

/// Runs the probe on these lines, one after the other, each with a new instance.
fn try_lines(lines: &[&str], flags: &[&str]) -> Ended {
    let probe = probe();
    let args = ["map", &probe, "--workers", "1", "--attempts", "1", "--fresh"];
    host(args.iter().chain(flags)).input(lines.join("\n") + "\n").run()
}

/// `work/in` with the file `p`, and beside `work` a private folder with the file `s`.
fn nested() -> Folder {
    let folder = Folder::new();
    for name in ["work/in", "private"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    folder.file("work/in/p", "public");
    folder.file("private/s", "secret");
    folder
}

/// A guest that may write around another of its folders replaces that folder by a link.
const EXCHANGE: [&str; 2] = ["rename /w/in /w/old", "symlink ../private /w/in"];

#[test]
fn granted_folder_replaced_by_a_link_stays_the_original_folder() {
    let texts = Texts::new("granted_folder_replaced_by_a_link_stays_the_original_folder");
    for rights in ["", ":rw"] {
        let folder = nested();
        let (outer, inner) = (folder.path("work"), folder.path("work/in"));
        let flags = [
            "--dir",
            &format!("{outer}::/w:rw"),
            "--dir",
            &format!("{inner}::/in{rights}"),
        ];
        let [rename, link] = EXCHANGE;
        let lines = [
            rename,
            link,
            "list /in",
            "read /in/p",
            "read /in/s",
            "write /in/s x",
            "list /w/in",
        ];
        let ended = try_lines(&lines, &flags).exits(1);
        let ended = ended.stderr_to(&texts);
        assert!(ended.out().starts_with("\n\np\npublic\n"), "{}", ended.out());
        assert_eq!(std::fs::read_to_string(folder.path("private/s")).unwrap(), "secret");
        let written = std::fs::exists(folder.path("work/old/s")).unwrap();
        assert_eq!(written, rights == ":rw");
    }
    texts.match_snapshot();
}

#[test]
fn folders_of_a_manifest_are_opened_once() {
    let folder = nested();
    std::fs::create_dir(folder.path("project")).unwrap();
    let manifest = format!(
        "[worker]\ncomponent = \"{}\"\ndirs = [\"../work::/w:rw\", \"../work/in::/in\"]\n",
        probe()
    );
    let manifest = folder.file("project/disperse.toml", manifest);
    let args = [
        "map",
        &manifest,
        "--trust-manifest",
        "--workers",
        "1",
        "--attempts",
        "1",
        "--fresh",
    ];
    let lines = [&EXCHANGE[..], &["list /in", "read /in/s"]].concat();
    let ended = host(args).input(lines.join("\n") + "\n").run().exits(1);
    ended
        .prints("\n\np\n")
        .stderr_is("folders_of_a_manifest_are_opened_once");
}

#[test]
fn later_changes_to_a_granted_path_have_no_effect() {
    // Granted by a link that then leads elsewhere, and by a path that then names another folder.
    let folder = nested();
    symlink(folder.path("work/in"), folder.path("link")).unwrap();
    let (link, inner) = (folder.path("link::/link"), folder.path("work/in::/in"));
    let probe = probe();
    let args = [
        "map",
        &probe,
        "--workers",
        "1",
        "--fresh",
        "--dir",
        &link,
        "--dir",
        &inner,
    ];
    let mut live = host(args).once("read /link/p\nread /in/p\n".repeat(200)).start();
    live.wait_until("a result", |stdout, _| !stdout.is_empty());
    std::fs::remove_file(folder.path("link")).unwrap();
    symlink(folder.path("private"), folder.path("link")).unwrap();
    std::fs::rename(folder.path("work/in"), folder.path("work/old")).unwrap();
    std::fs::rename(folder.path("private"), folder.path("work/in")).unwrap();
    folder.file("work/in/p", "other");
    let before = live.results();
    live.close();
    let ended = live.end().exits(0);
    assert_eq!(ended.out(), "public\n".repeat(400));
    assert!(before < ended.stdout.len(), "all was read before that");
}

#[test]
fn special_files_are_not_opened_and_block_no_thread() {
    let texts = Texts::new("special_files_are_not_opened_and_block_no_thread");
    let folder = Folder::new();
    std::fs::create_dir(folder.path("d")).unwrap();
    mknodat(
        CWD,
        folder.path("d/pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(folder.path("d/socket")).unwrap();
    symlink("pipe", folder.path("d/link")).unwrap();
    let file = folder.file("d/file", "fine");
    std::fs::hard_link(folder.path("d/pipe"), folder.path("d/hard")).unwrap();
    let grant = format!("{}::/d:rw", folder.path("d"));
    for line in [
        "read /d/pipe",
        "read /d/link",
        "read /d/hard",
        "read /d/socket",
        "touch /d/pipe",
        "append /d/pipe x",
        "write /d/pipe x",
        "date /d/pipe",
    ] {
        let ended = try_lines(&[line], &["--dir", &grant]).exits(1).prints("");
        ended.stderr_to(&texts);
    }
    // They can still be listed, renamed and removed.
    let ended = try_lines(
        &["list /d", "rename /d/hard /d/other", "remove /d/other"],
        &["--dir", &grant],
    )
    .exits(0);
    ended.prints("file hard link pipe socket\n\n\n");

    // Each attempt would block one of a few hundred threads for ever.
    let lines = format!("{}{}", "read /d/pipe\n".repeat(600), "read /d/file\n".repeat(3));
    let probe = probe();
    let args = [
        "map",
        &probe,
        "--workers",
        "4",
        "--attempts",
        "1",
        "--timeout",
        "5s",
        "--dir",
        &grant,
    ];
    let mut live = host(args).once(lines).start();
    live.wait_until("the last", |stdout, _| stdout.ends_with(b"fine\nfine\nfine\n"));
    let threads = live.holds().map(|(_, _, threads)| threads);
    live.close();
    live.end().exits(1).stderr_kinds_to(&texts);
    assert!(threads.is_none_or(|threads| threads < 100), "{threads:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "fine");
    texts.match_snapshot();
}

#[test]
fn files_of_a_proc_file_system_are_not_opened() {
    let texts = Texts::new("files_of_a_proc_file_system_are_not_opened");
    let refused = try_lines(&["list /p"], &["--dir", "/proc/self::/p"])
        .exits(2)
        .prints("");
    refused.stderr_to(&texts);
    let lines = [
        "read /r/proc/self/environ",
        "list /r/proc/self",
        "write /r/proc/self/comm x",
    ];
    let ended = try_lines(&lines, &["--dir", "/::/r:rw", "--no-socket", "--no-cache"]);
    // The component lies there too, so that it could be replaced.
    ended.exits(2).stderr_to(&texts);
    let ended = try_lines(&lines, &["--dir", "/::/r"]).exits(1).prints("");
    ended.stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn a_folder_is_listed_in_pieces() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("d")).unwrap();
    for number in 0..5000 {
        folder.file(&format!("d/{number}-a-name-that-is-longer-than-most-names-are"), "");
    }
    let probe = probe();
    let grant = format!("{}::/d", folder.path("d"));
    let args = [
        "map",
        &probe,
        "--workers",
        "1",
        "--attempts",
        "1",
        "--timeout",
        "20s",
        "--dir",
        &grant,
    ];
    let mut live = host(args).once("count /d\nlists /d 4000\n").start();
    live.wait_until("both", |stdout, _| {
        stdout.iter().filter(|&&byte| byte == b'\n').count() == 2
    });
    let peak = live.peak_memory();
    live.close();
    let ended = live.end().exits(0);
    let out = ended.out();
    assert!(out.starts_with("5000\n512 ") && out.contains("emory"), "{out}");
    ended.stderr_is("a_folder_is_listed_in_pieces");
    // A whole listing would take more than half a megabyte.
    stays_small(peak);
}

#[test]
fn open_files_of_some_workers_leave_enough_for_others() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("d")).unwrap();
    folder.file("d/a", "");
    let lines = format!("{}{}", "opens /d/a 4000\n".repeat(4), "run /bin/true\n".repeat(20));
    let line = format!(
        "ulimit -n 1024; exec disperse-host map {} --workers 8 --attempts 1 --dir {}::/d --exec /bin/true",
        probe(),
        folder.path("d")
    );
    let ended = shell(&line).input(lines).run().exits(0);
    // Half of them, for eight workers.
    let held = ended.out().lines().filter(|line| line.starts_with("64 ")).count();
    let ran = ended.out().lines().filter(|line| *line == "Some(0) ").count();
    assert_eq!((held, ran), (4, 20), "{}", ended.out());
    ended.stderr_is("open_files_of_some_workers_leave_enough_for_others");
    // A worker that closes its files may open any number.
    let line = line.replace("1024", "64");
    let ended = shell(&line).input("tries /d/a 500\n".repeat(3)).run().exits(0);
    let ended = ended.prints("500\n500\n500\n");
    assert!(!ended.stderr.contains("was denied"), "{}", ended.stderr);
}

#[test]
fn open_file_limit_is_raised_to_its_maximum() {
    let folder = Folder::new();
    folder.file("a", "");
    let line = format!(
        "ulimit -S -n 128; exec disperse-host map {} --workers 1 --dir {}::/d",
        probe(),
        folder.path("")
    );
    shell(&line).input("opens /d/a 200\n").run().exits(0).prints("200\n");
}

#[test]
fn files_are_written_and_read_whole() {
    let folder = Folder::new();
    let grant = format!("{}::/d:rw", folder.path(""));
    let lines = [
        "fill /d/small 3",
        "fill /d/large 1000003",
        "mkdir /d/m",
        "rename /d/small /d/m/small",
        "list /d/m",
        "type /d/m",
    ];
    let ended = try_lines(&lines, &["--dir", &grant]).exits(0);
    assert!(ended.out().starts_with("true\ntrue\n\n\nsmall\n"), "{}", ended.out());
}

/// A folder with `open`, which is granted for writing, and `shut`, each with all of these files.
fn open_and_shut(files: &[&str]) -> Folder {
    let folder = Folder::new();
    for name in ["open", "shut"] {
        std::fs::create_dir(folder.path(name)).unwrap();
        for file in files {
            folder.file(&format!("{name}/{file}"), "value");
        }
    }
    symlink(folder.path("shut"), folder.path("open/link")).unwrap();
    symlink(folder.path("open"), folder.path("shut/link")).unwrap();
    folder
}

#[test]
fn workers_cannot_write_to_folders_with_files_the_host_uses() {
    let texts = Texts::new("workers_cannot_write_to_folders_with_files_the_host_uses");
    let folder = open_and_shut(&["tool", "token", "input"]);
    let worker = folder.worker("worker.wasm", body::ECHO);
    for place in ["open", "shut"] {
        let program = folder.path(&format!("{place}/tool"));
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        folder.worker(&format!("{place}/worker.wasm"), body::ECHO);
        folder.file(
            &format!("{place}/disperse.toml"),
            "[worker]\ncomponent = \"worker.wasm\"\n",
        );
    }
    let grant = format!("{}::/w:rw", folder.path("open"));
    let run = |component: &str, flags: &[&str]| {
        let args = ["map", component, "--dir", &grant];
        host(args.iter().chain(flags)).input("a\n").run()
    };
    // Inside the folder, through a link inside it, and through a link that leads there.
    for place in ["open", "open/link", "shut/link"] {
        let path = |name: &str| folder.path(&format!("{place}/{name}"));
        let (program, secret, output) = (path("tool"), format!("TOKEN=file:{}", path("token")), path("output"));
        for flags in [
            ["--exec", &program],
            ["--secret", &secret],
            ["--output", &output],
            ["--input", &path("input")],
        ] {
            let ended = run(&worker, &flags).exits(2).prints("");
            ended.stderr_to(&texts);
        }
        run(&path("worker.wasm"), &[]).exits(2).stderr_to(&texts);
        run(&path(""), &[]).exits(2).stderr_to(&texts);
    }
    let path = |name: &str| folder.path(&format!("shut/{name}"));
    let flags = [
        "--exec",
        &path("tool"),
        "--output",
        &path("output"),
        "--input",
        &path("input"),
    ];
    run(&worker, &flags).exits(0);
    run(&path(""), &["--secret", &format!("TOKEN=file:{}", path("token"))]).exits(0);
    // A folder granted for reading may contain all of them.
    let args = ["map", &folder.path("open/worker.wasm"), "--dir", &folder.path("open")];
    host(args).input("a\n").run().exits(0).prints("a\n");
    texts.match_snapshot();
}

#[test]
fn workers_cannot_write_to_files_the_host_keeps() {
    let texts = Texts::new("workers_cannot_write_to_files_the_host_keeps");
    let folder = open_and_shut(&[]);
    let worker = folder.worker("worker.wasm", body::ECHO);
    let grant = format!("{}::/w:rw", folder.path("open"));
    let run = |flags: &[&str], cache: &str, current: &str| {
        let args = ["map", &worker, "--dir", &grant];
        let command = host(args.iter().chain(flags)).env("XDG_CACHE_HOME", folder.path(cache));
        command.folder(&folder.root().join(current)).input("a\n").run()
    };
    run(&[], "shut", "shut").exits(0);
    run(&[], "open", "shut").exits(2).stderr_to(&texts);
    run(&["--no-cache"], "open", "shut").exits(0);
    // Records of a run outside a project are elsewhere.
    run(&[], "shut", "open").exits(0);
    folder.file("open/disperse.toml", "");
    run(&[], "shut", "open").exits(2).stderr_to(&texts);
    run(&["--no-socket"], "shut", "open").exits(0);
    texts.match_snapshot();
}

#[test]
fn secrets_are_removed_from_the_environment() {
    let flags = ["--secret", "TOKEN=env:MY_TOKEN", "--exec", "/bin/sh -c *"];
    let probe = probe();
    let args = ["map", &probe, "--workers", "1", "--attempts", "1"];
    // The programs of the worker are children of the host.
    let command = host(args.iter().chain(&flags))
        .env("MY_TOKEN", "canary-1742")
        .env("MY_TOKENS", "others");
    let mut live = command.once("run /bin/sh -c cat</proc/$PPID/environ\n").start();
    live.wait_until("it has read", |stdout, _| !stdout.is_empty());
    let owner = live.owner_of("environ");
    live.close();
    let ended = live.end().exits(0);
    assert!(
        !ended.out().contains("canary") && !ended.stderr.contains("canary"),
        "{}",
        ended.out()
    );
    if rustix::process::geteuid().is_root() {
        // A reader with all rights finds the other variables unchanged.
        assert!(ended.out().contains("MY_TOKENS=others"), "{}", ended.out());
    } else {
        // Other processes of this user can read neither its environment nor its memory.
        assert_eq!(owner, Some(0));
    }
}

#[test]
fn thousand_workers_with_folders_can_open_files() {
    let folder = Folder::new();
    folder.file("a", "fine");
    let grant = format!("{}::/d", folder.path(""));
    let probe = probe();
    let args = ["map", &probe, "--workers", "1000", "--dir", &grant];
    let live = host(args)
        .input("read /d/a\n".repeat(2000))
        .start()
        .within(Duration::from_secs(120));
    live.end().exits(0).prints(&"fine\n".repeat(2000));
}
