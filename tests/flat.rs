//! Tens of thousands of hostile attempts leave nothing behind: no memory, no open file, no thread, no file on disk.

use std::{path::Path, time::Duration};

use crate::{
    hostile::attacks::{calling, concurrent, for_ever},
    support::{Folder, host},
};

/// How many attempts, including a good one in each round of kinds. A million, in about five minutes:
/// `DISPERSE_HOSTILE_ATTEMPTS=1000000 cargo test --profile ci --workspace flat`.
const ATTEMPTS: usize = 50_000;
const ATTEMPTS_ENV: &str = "DISPERSE_HOSTILE_ATTEMPTS";

/// By how many MiB the host may grow between a fifth of the run and its end.
const GROWTH: u64 = 6;

fn attempts() -> usize {
    std::env::var(ATTEMPTS_ENV).map_or(ATTEMPTS, |text| text.parse().expect(ATTEMPTS_ENV))
}

/// Code that runs `what` if the line begins with this letter.
fn of(sort: char, address: &str, what: &str) -> String {
    let code = u32::from(sort);
    format!("(if (i32.eq (i32.load8_u {address}) (i32.const {code})) (then {what}))")
}

fn times(times: u32, what: &str) -> String {
    format!(
        "(loop $more
           {what}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const {times}))))"
    )
}

#[test]
fn hostile_attempts_leave_nothing_behind() {
    let at = "(local.get $payload)";
    let flood = times(300, "(call $log (i32.const 1) (i32.const 4096) (i32.const 4000))");
    let greedy = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let tables = "(loop $more (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 9000)) (i32.const -1)))) unreachable";
    let handle = [
        of('t', at, "unreachable"),
        of('f', at, "(loop $again (br $again))"),
        of('g', at, greedy),
        of('b', at, tables),
        of('o', at, "(return (call $answer (i32.const 4096) (i32.const 100000)))"),
        of('d', at, "(return (call $sink (i32.const 0)))"),
        of('h', at, &for_ever("(drop (call $subscribe (i64.const 1000000000)))")),
        of('s', at, &for_ever("(drop (call $get-stderr))")),
        of('r', at, "(call $random (i64.const 4000000000) (i32.const 32)) unreachable"),
        of('w', at, &format!("{} unreachable", times(
            20,
            "(call $forget) (call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
               (i32.const 65536) (i32.const 1000) (i32.const 0) (i32.const 32))",
        ))),
        of('l', at, &flood),
        "(call $answer (local.get $payload) (local.get $len))".to_owned(),
    ];
    let text = calling(&handle.concat());
    // Good attempts, and attempts that log too much and then answer.
    leaves_nothing(&text, b"tfgbodhsrwle", b"le", attempts() / 5 * 4);
}

#[test]
fn hostile_attempts_of_async_workers_leave_nothing_behind() {
    let at = "(i32.const 4096)";
    let handle = [
        of('t', at, "unreachable"),
        of('f', at, &for_ever("")),
        of('p', at, &for_ever("(drop (call $future))")),
        of('q', at, &for_ever("(drop (call $stream))")),
        of('s', at, &for_ever("(drop (call $set))")),
        // Waits for nothing, never answers, answers twice, and continues after the answer.
        of(
            'n',
            at,
            "(return (i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4))))",
        ),
        of('z', at, "(return (i32.const 0))"),
        of(
            'a',
            at,
            "(call $return (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 0))",
        ),
        of(
            'b',
            at,
            "(call $return (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 0)) unreachable",
        ),
        "(call $return (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 0)) (i32.const 0)".to_owned(),
    ];
    let text = concurrent(&handle.concat());
    leaves_nothing(&text, b"tfpqsnzabe", b"e", attempts() / 5);
}

/// How many files are in a folder and its subfolders.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let count = |path: &Path| if path.is_dir() { files(path) } else { 1 };
    entries.map(|entry| count(&entry.unwrap().path())).sum()
}

/// Runs this many lines of these kinds in turn, some of which get a result, and checks that the host leaves nothing behind.
fn leaves_nothing(text: &str, sorts: &[u8], answered: &[u8], lines: usize) {
    let folder = Folder::new();
    folder.guest("mixed.wasm", text);
    let manifest = folder.file(
        "disperse.toml",
        r#"
            [worker]
            component = "mixed.wasm"

            [limits]
            fuel = "1M"
            memory = "4MiB"
            result-size = "64KiB"

            [health]
            suspect-after = 1000000
            quarantine-score = 1e9
            attempts = 1
        "#,
    );
    let lines: Vec<u8> = sorts
        .iter()
        .cycle()
        .take(lines)
        .flat_map(|&sort| [sort, b'\n'])
        .collect();
    let answers = lines.iter().filter(|sort| answered.contains(sort)).count();
    // Whatever it could leave on disk is in the folder.
    let scratch = folder.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut live = host(["map", &manifest, "--workers", "4", "--unordered"])
        .env("XDG_CACHE_HOME", folder.path("cache"))
        .env("TMPDIR", scratch)
        .once(String::from_utf8(lines).unwrap())
        .start()
        .within(Duration::from_secs(60) + Duration::from_micros(500) * attempts() as u32);
    let seen = |stdout: &[u8]| stdout.iter().filter(|&&byte| byte == b'\n').count();
    live.wait_until("a fifth", |stdout, _| seen(stdout) >= answers / 5);
    let (early, left_early) = (live.holds(), files(folder.root()));
    live.wait_until("the last", |stdout, _| seen(stdout) == answers);
    let (late, left_late) = (live.holds(), files(folder.root()));
    assert_eq!(left_late, left_early, "files on disk");
    if let (Some((before, open, threads)), Some((after, ..))) = (early, late) {
        eprintln!("{before} MiB, {open} open files and {threads} threads, then {after} MiB");
        assert!(after <= before + GROWTH, "the host grew from {before} MiB to {after}");
        live.settles_at(open, threads);
    }
    live.close();
    live.end().exits(1);
}
