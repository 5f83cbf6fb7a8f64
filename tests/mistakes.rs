//! The errors of typical mistakes. Each text says what is wrong and what to do; all of them are in one snapshot, so that
//! they are read together.

use std::fmt::Write;

use crate::support::{Folder, body, host, probe, shell, snapshot, wasm};

/// A mistake, the command line with `DIR` for the folder, and the input.
type Mistake = (&'static str, &'static str, &'static [u8]);

const MISTAKES: &[Mistake] = &[
    ("explain where nothing ran", "explain", b""),
    ("stopping where nothing runs", "drain", b""),
    ("a component that is not there", "map DIR/missing.wasm", b""),
    ("text in the place of a component", "map DIR/notes.txt", b""),
    ("a component that was not built", "map DIR/unbuilt", b""),
    ("a folder without a project", "map DIR/empty", b""),
    ("a manifest that is not trusted", "map DIR/building", b""),
    ("an operation in the place of a worker", "map DIR/operation.wasm", b""),
    ("a worker in the place of an operation", "run DIR/echo.wasm", b""),
    ("an operation without workers", "run DIR/operation.wasm", b""),
    ("a command that is nearly right", "mapp DIR/echo.wasm", b""),
    ("a flag that is nearly right", "map DIR/echo.wasm --memmory 1GiB", b""),
    ("a size without a unit", "map DIR/echo.wasm --memory 64", b""),
    ("a time without a unit", "map DIR/echo.wasm --timeout 30", b""),
    ("no workers", "map DIR/echo.wasm -j0", b""),
    ("a quota that is none", "map DIR/echo.wasm --quota 100", b""),
    ("an unknown key in a manifest", "map DIR/keys", b""),
    ("a number without a unit in a manifest", "map DIR/sizes", b""),
    (
        "a secret whose variable is not set",
        "map DIR/echo.wasm --secret TOKEN=env:DISPERSE_NOT_SET",
        b"",
    ),
    ("a secret that is typed", "map DIR/echo.wasm --secret TOKEN=abc", b""),
    (
        "a variable that is not set",
        "map DIR/echo.wasm --env DISPERSE_NOT_SET",
        b"",
    ),
    (
        "a folder to grant that is not there",
        "map DIR/echo.wasm --dir DIR/missing",
        b"",
    ),
    (
        "a program to grant that is not there",
        "map DIR/echo.wasm --exec disperse-no-such-program",
        b"",
    ),
    ("a program to grant that PATH has", "map DIR/echo.wasm --exec sh", b""),
    ("a folder as a program to grant", "map DIR/echo.wasm --exec /usr", b""),
    (
        "a file that is no program",
        "map DIR/echo.wasm --exec DIR/notes.txt",
        b"",
    ),
    (
        "a file as a folder to grant",
        "map DIR/echo.wasm --dir DIR/notes.txt",
        b"",
    ),
    ("a folder as the input", "map DIR/echo.wasm -i DIR/empty", b""),
    (
        "a folder as a secret",
        "map DIR/echo.wasm --secret TOKEN=file:DIR/empty",
        b"",
    ),
    ("adding no workers", "workers add pool --count 0", b""),
    ("a status that is none", "map DIR/echo.wasm --ok-status 0,300", b""),
    ("a color that is none", "map DIR/echo.wasm --color pink", b""),
    (
        "a file of the input that is not there",
        "map DIR/echo.wasm -q --files",
        b"no-such-file\n",
    ),
    ("a URL without a scheme", "map DIR/echo.wasm --http example.com", b""),
    (
        "an input that is not there",
        "map DIR/echo.wasm -i DIR/missing.txt",
        b"",
    ),
    (
        "an output in a folder that is not there",
        "map DIR/echo.wasm -o DIR/missing/out.txt",
        b"",
    ),
    ("a folder as the output", "map DIR/echo.wasm -o DIR/empty", b""),
    (
        "the input as the output",
        "map DIR/echo.wasm -i DIR/notes.txt -o DIR/notes.txt",
        b"",
    ),
    ("a kind that no pool serves", "map DIR/kinds -q --kind pages", b"a\n"),
    ("a line that is no text", "map SQUARE -q", b"\xff\n"),
    ("text for a worker that takes JSON", "map ROLL_CALL -q", b"ann\n"),
    (
        "a line that is too long",
        "map DIR/echo.wasm -q --result-size 10B",
        b"twelve bytes\n",
    ),
    (
        "too little memory",
        "map DIR/greedy.wasm -q --memory 1MiB --attempts 1",
        b"a\n",
    ),
    ("too little fuel", "map SQUARE -q --fuel 100 --attempts 1", b"1\n"),
    (
        "too little time",
        "map DIR/endless.wasm -q --timeout 100ms --attempts 1",
        b"a\n",
    ),
    (
        "a request that is not granted",
        "map PROBE -q",
        b"get http://127.0.0.1:9/\n",
    ),
    ("a file that is not granted", "map PROBE -q", b"read /etc/passwd\n"),
    ("a program that is not granted", "map PROBE -q", b"run ls\n"),
    ("explaining a run that is not known", "explain --run zzz", b""),
    ("explaining an action that is none", "explain action one", b""),
    ("a new project where there is something", "new DIR/full", b""),
];

/// The texts of all mistakes, without the parts that differ between machines.
fn told() -> String {
    let folder = Folder::new();
    folder.worker("echo.wasm", body::ECHO);
    folder.worker("greedy.wasm", body::GREEDY);
    folder.worker("endless.wasm", body::ENDLESS);
    folder.operation("operation.wasm", "run", "");
    folder.file("notes.txt", "some notes\n");
    for (name, text) in [
        ("unbuilt", "[worker]\ncomponent = \"worker.wasm\"\n"),
        ("building", "[worker]\nbuild = \"make\"\ncomponent = \"worker.wasm\"\n"),
        ("keys", "[worker]\ncompoment = \"worker.wasm\"\n"),
        (
            "sizes",
            "[worker]\ncomponent = \"worker.wasm\"\n[limits]\nmemory = 64\n",
        ),
        (
            "kinds",
            "[[pool]]\nname = \"words\"\ncomponent = \"worker.wasm\"\nkinds = [\"words\"]\nworkers = 1\n",
        ),
    ] {
        std::fs::create_dir(folder.path(name)).unwrap();
        folder.file(&format!("{name}/disperse.toml"), text);
    }
    folder.worker("kinds/worker.wasm", body::ECHO);
    std::fs::create_dir(folder.path("empty")).unwrap();
    std::fs::create_dir(folder.path("full")).unwrap();
    folder.file("full/file", "");
    let places = [
        ("SQUARE", wasm("square")),
        ("ROLL_CALL", wasm("roll_call")),
        ("PROBE", probe()),
        ("DIR", folder.path("")),
    ];
    let dir = places[3].1.trim_end_matches('/').to_owned();
    let mut text = String::new();
    for (what, line, input) in MISTAKES {
        let args = line.split(' ').map(|word| {
            let word = word.replace("DIR", &dir);
            places.iter().fold(word, |word, (name, path)| word.replace(name, path))
        });
        let ended = host(args).folder(folder.root()).input(*input).run();
        assert_ne!(ended.code, 0, "{what}: {}", ended.stderr);
        assert_eq!(ended.out(), "", "{what}");
        // The program is in one of two folders of PATH.
        let said = ended.stderr.replace("/usr/bin/sh", "/bin/sh");
        // Names of runs contain the time, and the amounts used before a timeout differ.
        let marks = ["runs of this folder: ", "it has used "];
        let said = said.lines().fold(String::new(), |said, line| {
            let cut = marks.iter().find_map(|mark| Some((line.split_once(mark)?.0, mark)));
            match cut {
                Some((before, mark)) => format!("{said}{before}{mark}…\n"),
                None => format!("{said}{line}\n"),
            }
        });
        write!(
            text,
            "## {what}\n$ disperse-host {line}\n{said}exit code {}\n\n",
            ended.code
        )
        .unwrap();
    }
    text
}

#[test]
fn typical_mistakes_are_reported_with_a_remedy() {
    snapshot("typical_mistakes_are_reported_with_a_remedy", &told());
}

#[test]
fn terminal_is_read_as_input_only_on_request() {
    let folder = Folder::new();
    let worker = folder.worker("echo.wasm", body::ECHO);
    if shell("script -qec true /dev/null").run().code != 0 {
        eprintln!("skipped: there is no `script` of util-linux to run a program at a terminal");
        return;
    }
    let ended = shell(&format!("script -qec 'disperse-host map {worker}' /dev/null")).run();
    ended.exits(2).stdout_is("terminal_is_read_as_input_only_on_request");
}
