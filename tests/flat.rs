//! Tens of thousands of hostile attempts leave nothing behind in the host.

use crate::support::{Folder, host};

/// How many lines, and of how many sorts.
const LINES: usize = 50_000;
const SORTS: &[u8] = b"tfgodle";

/// By how many MiB the host may grow between a fifth of the way and its end. What it keeps of each failed line for the
/// report is the most of it.
const GROWTH: u64 = 24;

#[test]
fn fifty_thousand_hostile_attempts_leave_nothing_behind() {
    let folder = Folder::new();
    let of = |sort: char, what: &str| {
        format!(
            "(if (i32.eq (i32.load8_u (local.get $payload)) (i32.const {})) (then {what}))",
            u32::from(sort)
        )
    };
    let flood = "(loop $more
        (call $log (i32.const 1) (i32.const 4096) (i32.const 4000))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 300))))";
    let greedy = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let handle = [
        of('t', "unreachable"),
        of('f', "(loop $again (br $again))"),
        of('g', greedy),
        of('o', "(return (call $answer (i32.const 4096) (i32.const 100000)))"),
        of('d', "(return (call $sink (i32.const 0)))"),
        of('l', flood),
        "(call $answer (local.get $payload) (local.get $len))".to_owned(),
    ];
    let text = include_str!("guests/caller.wat")
        .replace("{HANDLE}", &handle.concat())
        .replace("{REALLOC}", "")
        .replace("{RETURNED}", "");
    folder.guest("mixed.wasm", &text);
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
            quarantine-after = 1000000
            attempts = 1
        "#,
    );
    let lines: Vec<u8> = SORTS
        .iter()
        .cycle()
        .take(LINES)
        .flat_map(|&sort| [sort, b'\n'])
        .collect();
    // Good ones, and those that say too much and then answer.
    let answers = lines.iter().filter(|sort| b"el".contains(sort)).count();
    let mut live = host(["map", &manifest, "--workers", "4", "--unordered"])
        .once(String::from_utf8(lines).unwrap())
        .start();
    let seen = |stdout: &[u8]| stdout.iter().filter(|&&byte| byte == b'\n').count();
    live.wait_until("a fifth", |stdout, _| seen(stdout) >= answers / 5);
    let early = live.holds();
    live.wait_until("the last", |stdout, _| seen(stdout) == answers);
    let late = live.holds();
    if let (Some((before, files, threads)), Some((after, files_after, threads_after))) = (early, late) {
        eprintln!("{before} MiB, {files} files and {threads} threads, then {after}, {files_after} and {threads_after}");
        assert!(after <= before + GROWTH, "the host grew from {before} MiB to {after}");
        assert_eq!((files_after, threads_after), (files, threads), "files and threads");
    }
    live.close();
    live.end().exits(1);
}
