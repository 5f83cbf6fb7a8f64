//! Features of WebAssembly: which ones run, and the error for a file that needs another one.

use crate::support::{Ended, Folder, Texts, host};

/// A program that writes `ok`, with these fields in its module, after these instructions.
fn program(fields: &str, before: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\08\00\00\00\03\00\00\00ok\0a")
          {fields}
          (func (export "_start") {before}
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))))"#
    )
}

/// Runs a program of this text on one line.
fn run(folder: &Folder, text: &str) -> Ended {
    let program = folder.guest("program.wasm", text);
    host(["map", &program, "--attempts", "1", "--workers", "1"])
        .input("a\n")
        .run()
}

#[test]
fn current_webassembly_features_run() {
    let folder = Folder::new();
    let exception = "(drop (block $h (result i32) (try_table (catch $e $h) (throw $e (i32.const 5))) (i32.const 0)))";
    for (name, fields, before) in [
        ("exceptions", "(tag $e (param i32))", exception),
        (
            "structs",
            "(type $s (struct (field i32)))",
            "(drop (struct.get $s 0 (struct.new $s (i32.const 5))))",
        ),
        (
            "arrays",
            "(type $a (array (mut i8)))",
            "(drop (array.len (array.new_default $a (i32.const 5))))",
        ),
        ("small integers", "", "(drop (i31.get_s (ref.i31 (i32.const 5))))"),
        (
            "reference types",
            "(table $t 4 externref)",
            "(table.set $t (i32.const 0) (ref.null extern))",
        ),
        (
            "references to functions",
            "(elem declare func $f) (type $v (func)) (func $f (type $v))",
            "(call_ref $v (ref.func $f))",
        ),
        ("a large table", "(table 1000000 funcref)", ""),
        (
            "a table of 64 bits",
            "(table i64 1 funcref)",
            "(drop (table.get 0 (i64.const 0)))",
        ),
        (
            "a memory of 64 bits",
            "(memory $m i64 1)",
            "(i32.store $m (i64.const 8) (i32.const 1))",
        ),
        ("tail calls", "(func $f)", "(if (i32.const 0) (then (return_call $f)))"),
        (
            "vectors",
            "",
            "(drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 1 2 3 4)))",
        ),
    ] {
        let text = program(fields, before);
        let ended = run(&folder, &text);
        assert!(ended.code == 0, "{name}: {}", ended.stderr);
        host(["inspect", &folder.path("program.wasm")]).run().exits(0);
    }
}

#[test]
fn unsupported_feature_is_named() {
    let texts = Texts::new("unsupported_feature_is_named");
    let folder = Folder::new();
    for (fields, before) in [
        ("", "(drop (i32.atomic.rmw.add (i32.const 200) (i32.const 1)))"),
        ("(memory $m 1 1 shared)", ""),
        ("(tag $e)", "try catch $e end"),
        (
            "",
            "(drop (drop (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))))",
        ),
        ("(memory $m 1 (pagesize 1))", ""),
    ] {
        let file = folder.guest("program.wasm", &program(fields, before));
        for command in ["inspect", "compile", "map"] {
            let ended = host([command, &file]).input("a\n").run().exits(2);
            ended.stderr_to(&texts);
        }
    }
    texts.match_snapshot();
}

#[test]
fn program_with_a_64_bit_memory_is_told_which_target_to_build() {
    let folder = Folder::new();
    let text = program("", "")
        .replace("(export \"memory\") 1", "(export \"memory\") i64 1")
        .replace("(data (i32.const 0)", "(data (i64.const 0)");
    run(&folder, &text)
        .exits(2)
        .stderr_is("program_with_a_64_bit_memory_is_told_which_target_to_build");
}

#[test]
fn component_over_the_engine_limits_fails_before_it_is_compiled() {
    let texts = Texts::new("component_over_the_engine_limits_fails_before_it_is_compiled");
    let folder = Folder::new();
    for fields in [
        "(table 1000001 funcref)",
        "(memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1)",
    ] {
        let file = folder.guest("program.wasm", &program(fields, ""));
        for command in ["inspect", "compile", "map"] {
            host([command, &file]).input("a\n").run().exits(2).stderr_to(&texts);
        }
    }
    texts.match_snapshot();
}

/// A program of WASI snapshot 0 that inspects a file with each function that differs from 0.1.
const SNAPSHOT_0: &str = r#"(module
  (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_unstable" "path_filestat_get" (func $stat-of (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "file")
  (data (i32.const 0) "\08\00\00\00\03\00\00\00ok\0a")
  ;; Ends with this status unless it is so.
  (func $check (param $status i32) (param $is i32)
    (if (i32.eqz (local.get $is)) (then (call $exit (local.get $status)))))
  ;; The size of a file of five bytes and one link is where it was, and nothing behind that was written to.
  (func $is-stat (param $at i32) (result i32)
    (i32.and
      (i32.and (i64.eq (i64.load offset=24 (local.get $at)) (i64.const 5)) (i32.eq (i32.load offset=20 (local.get $at)) (i32.const 1)))
      (i64.eq (i64.load offset=56 (local.get $at)) (i64.const -1))))
  (func (export "_start") (local $fd i32)
    (call $check (i32.const 10) (i32.eqz
      (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i64.const 0x200006) (i64.const 0) (i32.const 0) (i32.const 80))))
    (local.set $fd (i32.load (i32.const 80)))
    ;; (To read, to seek and to be looked at.)
    ;; Two before the end, one on from there, and to the second byte.
    (call $check (i32.const 11) (i32.eqz (call $seek (local.get $fd) (i64.const -2) (i32.const 1) (i32.const 88))))
    (call $check (i32.const 12) (i64.eq (i64.load (i32.const 88)) (i64.const 3)))
    (call $check (i32.const 13) (i32.eqz (call $seek (local.get $fd) (i64.const 1) (i32.const 0) (i32.const 88))))
    (call $check (i32.const 14) (i64.eq (i64.load (i32.const 88)) (i64.const 4)))
    (call $check (i32.const 15) (i32.eqz (call $seek (local.get $fd) (i64.const 2) (i32.const 2) (i32.const 88))))
    (call $check (i32.const 16) (i64.eq (i64.load (i32.const 88)) (i64.const 2)))
    (call $check (i32.const 17) (call $seek (local.get $fd) (i64.const 2) (i32.const 3) (i32.const 88)))
    (i64.store (i32.const 256) (i64.const -1))
    (call $check (i32.const 18) (i32.eqz (call $stat (local.get $fd) (i32.const 200))))
    (call $check (i32.const 19) (call $is-stat (i32.const 200)))
    (i64.store (i32.const 456) (i64.const -1))
    (call $check (i32.const 20) (i32.eqz
      (call $stat-of (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 400))))
    (call $check (i32.const 21) (call $is-stat (i32.const 400)))
    ;; Two clocks: one of a millisecond and one of an hour, each with its own name.
    (i64.store (i32.const 1024) (i64.const 7)) (i32.store (i32.const 1048) (i32.const 1))
    (i64.store (i32.const 1056) (i64.const 3600000000000))
    (i64.store (i32.const 1080) (i64.const 8)) (i32.store (i32.const 1104) (i32.const 1))
    (i64.store (i32.const 1112) (i64.const 1000000))
    (call $check (i32.const 22) (i32.eqz (call $poll (i32.const 1024) (i32.const 2048) (i32.const 2) (i32.const 3000))))
    (call $check (i32.const 23) (i32.eq (i32.load (i32.const 3000)) (i32.const 1)))
    (call $check (i32.const 24) (i64.eq (i64.load (i32.const 2048)) (i64.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))))"#;

#[test]
fn program_of_wasi_snapshot_0_runs() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.file("data/file", "abcde");
    let program = folder.guest("old.wasm", SNAPSHOT_0);
    host(["inspect", &program]).run().exits(0);
    let given = format!("{}::/data", folder.path("data"));
    let args = [
        "map",
        &program,
        "--attempts",
        "1",
        "--workers",
        "1",
        "-v",
        "--dir",
        &given,
    ];
    let ended = host(args).input("a\n").run();
    assert!(
        ended.code == 0 && ended.out().starts_with("ok\n"),
        "{}{}",
        ended.out(),
        ended.stderr
    );
}
