//! Files in the folder of run records that no run has written.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::PathBuf,
};

use serde_json::Value;

use crate::support::{Ended, Folder, Texts, body, host};

/// The name of a file, and a function that creates something else under that name.
type Foreign<'a> = (&'a str, &'a dyn Fn(&str));

/// A folder with a run that has ended.
struct Ran(Folder);

impl Ran {
    fn new() -> Self {
        let folder = Folder::new();
        let worker = folder.worker("echo.wasm", body::ECHO);
        folder.file("disperse.toml", "");
        host(["map", &worker, "--workers", "1"])
            .folder(folder.root())
            .input("a\n")
            .run()
            .exits(0);
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.root().join(".disperse").join(name)
    }

    /// The record of the run.
    fn kept(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().is_some_and(|ending| ending == "ended"))
            .unwrap()
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Ended {
        let ended = host(args).folder(self.0.root()).run();
        assert!(
            ended.peak_memory.is_none_or(|most| most < 500),
            "{:?} MiB",
            ended.peak_memory
        );
        ended
    }
}

#[test]
fn links_and_pipes_are_skipped_with_a_warning() {
    let texts = Texts::new("links_and_pipes_are_skipped_with_a_warning");
    let ran = Ran::new();
    let elsewhere = ran.0.root().join("other.sock");
    let other = UnixListener::bind(&elsewhere).unwrap();
    other.set_nonblocking(true).unwrap();
    let zero = |name: &str| symlink("/dev/zero", ran.path(name)).unwrap();
    let socket = |name: &str| symlink(&elsewhere, ran.path(name)).unwrap();
    let pipe = |name: &str| {
        rustix::fs::mkfifoat(rustix::fs::CWD, ran.path(name), rustix::fs::Mode::RWXU).unwrap();
    };
    let sorts: [Foreign<'_>; 4] = [
        // Newer than any run, so that it would be taken for the latest.
        ("20991231-235959-zzzzz.ended", &zero),
        ("20991231-235959-zzzzz.ended", &pipe),
        ("20991231-235959-zzzzz.sock", &socket),
        ("20991231-235959-zzzzz.sock", &pipe),
    ];
    for (name, make) in sorts {
        make(name);
        ran.ask(&["explain"]).exits(0).stdout_to(&texts).stderr_to(&texts);
        ran.ask(&["explain", "--run", "20991231"]).exits(2).stderr_to(&texts);
        ran.ask(&["drain"]).exits(2);
        // A run in the same folder starts and ends as usual.
        let worker = ran.0.path("echo.wasm");
        let ended = host(["map", &worker, "-j1"]).folder(ran.0.root()).input("b\n").run();
        ended.exits(0).prints("b\n");
        fs::remove_file(ran.path(name)).unwrap();
    }
    assert!(other.accept().is_err(), "the socket of another user was connected to");
    texts.match_snapshot();
}

/// Appends `end` to every text of a value, except to the one that is a word of a closed list.
fn with(value: &mut Value, end: &str) {
    match value {
        Value::String(word) if word == "healthy" => {}
        Value::String(text) => text.push_str(end),
        Value::Array(values) => values.iter_mut().for_each(|value| with(value, end)),
        Value::Object(fields) => fields.values_mut().for_each(|value| with(value, end)),
        _ => {}
    }
}

#[test]
fn text_of_a_forged_file_is_escaped() {
    const HOSTILE: [char; 6] = ['\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}'];
    let ran = Ran::new();
    let file = ran.kept();
    let mut kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let end = format!("{}[2J\nerror: forged", HOSTILE.iter().collect::<String>());
    with(&mut kept, &end);
    fs::write(&file, serde_json::to_string(&kept).unwrap()).unwrap();
    let worker = format!("echo/1{end}");
    for args in [
        &["explain"][..],
        &["explain", "worker", &worker],
        &["explain", "worker", "no-such"],
        &["explain", "action", "1"],
    ] {
        let ended = ran.ask(args);
        let all = format!("{}{}", ended.out(), ended.stderr);
        assert!(!all.contains(HOSTILE), "{args:?}: {all:?}");
        assert!(
            !all.lines().any(|line| line.starts_with("error: forged")),
            "{args:?}: {all}"
        );
    }
    // The JSON value is unchanged.
    let said = ran.ask(&["explain", "--format", "json"]).exits(0);
    assert!(!said.out().contains(HOSTILE), "{:?}", said.out());
    assert_eq!(said.events()[0]["id"], kept["run"]["id"]);
    assert_eq!(said.out().lines().count(), 1);
}

#[test]
fn damaged_record_or_one_of_another_version_is_an_error() {
    let ran = Ran::new();
    let file = ran.kept();
    let record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let refused = |key: &str, value: Value, what: &str| {
        let mut record = record.clone();
        record[key] = value;
        fs::write(&file, record.to_string()).unwrap();
        for args in [&["explain"][..], &["explain", "worker", "echo/1"]] {
            let ended = ran.ask(args).exits(4);
            assert!(ended.stderr.contains(what), "{}", ended.stderr);
        }
    };
    refused(
        "v",
        1.into(),
        "its record has the format 1, and this disperse-host reads the format 2",
    );
    refused("v", Value::Null, "its record is damaged");
    refused("workers", "\u{1b}[2J".into(), "its record is damaged");
}
