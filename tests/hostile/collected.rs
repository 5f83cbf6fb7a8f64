//! Workers that attack with garbage-collected objects: structs, arrays and exceptions. Their heap counts as memory, and
//! a collection, which burns no fuel, yields to other guests and ends at the timeout.

use std::time::Duration;

use super::attacks::{Attack, FUEL, TIME, concurrent, for_ever, plain};
use crate::support::{Folder, Texts, becomes_true, body, host};

/// Flags for attacks that are charged by length before they fail.
const RICH: &[&str] = &["--fuel", "100G"];

const NODE: &str = "(type $node (struct (field $next (mut (ref null $node))) (field i64)))";
const PUSH: &str = "(local.set $head (struct.new $node (local.get $head) (i64.const 7)))";
const TAGS: &str = "(tag $e (param i32)) (tag $chain (param exnref i64)) (tag $carrier (param externref))";

/// A worker with these fields in its module.
fn with(fields: &str, handle: &str) -> String {
    plain(handle).replacen("(core module $guest", &format!("(core module $guest {fields}"), 1)
}

/// A list of this many nodes, and garbage for ever: with a large list, each collection copies much and frees little.
fn list(nodes: u32) -> String {
    let garbage = for_ever("(drop (struct.new $node (ref.null $node) (i64.const 1)))");
    format!(
        "(local $head (ref null $node)) (local $i i32)
         (loop $more {PUSH}
           (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {nodes}))))
         (global.set $kept (local.get $head)) {garbage}"
    )
}

/// The same with one array of this many references.
fn array(elements: u32) -> String {
    format!(
        "(global.set $all (array.new $refs (struct.new $node (ref.null $node) (i64.const 1)) (i32.const {elements}))) {}",
        for_ever("(drop (array.new_default $refs (i32.const 1000)))")
    )
}

/// The same with a table of this many.
fn table(elements: u32) -> String {
    format!(
        "(table.fill $all (i32.const 0) (struct.new $node (ref.null $node) (i64.const 1)) (i32.const {elements})) {}",
        for_ever("(drop (struct.new $node (ref.null $node) (i64.const 1)))")
    )
}

fn kept() -> String {
    format!("{NODE} (global $kept (mut (ref null $node)) (ref.null $node))")
}

fn refs() -> String {
    format!("{NODE} (type $refs (array (mut (ref null $node)))) (global $all (mut (ref null $refs)) (ref.null $refs))")
}

/// Throws from this call depth to the top.
fn thrower(deep: u32) -> String {
    let fields = format!(
        "{TAGS} (func $down (param $left i32)
           (if (local.get $left) (then (call $down (i32.sub (local.get $left) (i32.const 1)))))
           (throw $e (i32.const 1)))"
    );
    let throw = format!(
        "(block $caught (result i32) (try_table (catch $e $caught) (call $down (i32.const {deep}))) (i32.const 0)) drop"
    );
    with(&fields, &for_ever(&throw))
}

macro_rules! attacks {
    ($($name:ident: $text:expr, $flags:expr;)*) => {
        /// All attacks of this file.
        pub(crate) fn all() -> Vec<Attack> {
            vec![$(Attack::new(stringify!($name), $text, $flags)),*]
        }
        $(#[test]
        fn $name() {
            Attack::new(stringify!($name), $text, $flags).ends();
        })*
    };
}

attacks! {
    structs_in_an_endless_list: with(NODE, &format!("(local $head (ref null $node)) {}", for_ever(PUSH))), FUEL;
    array_of_a_gigabyte: with(
        "(type $bytes (array (mut i8)))",
        "(drop (array.new_default $bytes (i32.const 0x40000000))) unreachable"
    ), RICH;
    array_that_is_larger_than_any_heap: with(
        "(type $longs (array (mut i64)))",
        "(drop (array.new $longs (i64.const 1) (i32.const -1))) unreachable"
    ), RICH;
    endless_arrays_of_a_megabyte: with(
        "(type $bytes (array (mut i8)))",
        &for_ever("(drop (array.new_default $bytes (i32.const 0x100000)))")
    ), FUEL;
    collections_of_a_long_list: with(&kept(), &list(400_000)), TIME;
    collections_of_a_large_array: with(&refs(), &array(6_000_000)), TIME;
    collections_from_a_large_table: with(
        &format!("{NODE} (table $all 1000000 (ref null $node))"),
        &table(1_000_000)
    ), TIME;
    exceptions_that_are_caught_for_ever: with(TAGS, &for_ever(
        "(block $caught (result i32) (try_table (catch $e $caught) (throw $e (i32.const 5))) (i32.const 0)) drop"
    )), FUEL;
    exceptions_with_much_fuel: thrower(0), TIME;
    exceptions_from_deep_within: thrower(5_000), TIME;
    exceptions_that_carry_references: with(TAGS, &for_ever(
        "(block $caught (result externref)
           (try_table (catch $carrier $caught) (throw $carrier (ref.null extern))) (ref.null extern)) drop"
    )), FUEL;
    exceptions_in_an_endless_chain: with(TAGS, &format!("(local $chain exnref) {}", for_ever(
        "(local.set $chain (block $caught (result exnref)
           (try_table (catch_all_ref $caught) (throw $chain (local.get $chain) (i64.const 1))) (ref.null exn)))"
    ))), FUEL;
    exception_that_nothing_catches: with(TAGS, "(throw $e (i32.const 5))"), FUEL;
    null_that_is_thrown: with(TAGS, "(throw_ref (ref.null exn))"), FUEL;
    collections_within_an_async_worker: concurrent(&list(400_000))
        .replacen("(func (export \"handle\")", &format!("{} (func (export \"handle\")", kept()), 1), TIME;
}

/// A collection of millions of objects takes a second; it is not one slice, and the attempt ends at its timeout.
#[test]
fn timeout_interrupts_a_collection_of_millions_of_objects() {
    let folder = Folder::new();
    let worker = folder.guest("list.wasm", &with(&kept(), &list(7_000_000)));
    let flags = ["--memory", "1GiB", "--timeout", "4s", "--fuel", "1000T"];
    let args = ["map", &worker, "--attempts", "1", "--workers", "1"];
    let ended = host(args.iter().chain(&flags)).input("a\n").run().exits(1);
    ended.stderr_is("timeout_interrupts_a_collection_of_millions_of_objects");
}

/// A worker's heap comes on top of its memory, and both are counted together.
#[test]
fn heap_and_memory_share_one_limit() {
    let folder = Folder::new();
    let handle = format!(
        "(local $head (ref null $node)) (local $i i32)
         (call $reach (i32.const 3000000))
         (loop $more {PUSH}
           (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000))))
         {}",
        body::ECHO
    );
    let worker = folder.guest("both.wasm", &with(NODE, &handle));
    let args = ["map", &worker, "--attempts", "1", "--workers", "1"];
    host(args.iter().chain(&["--memory", "6MiB"]))
        .input("a\n")
        .run()
        .exits(0)
        .prints("a\n");
    let ended = host(args.iter().chain(&["--memory", "3MiB"]))
        .input("a\n")
        .run()
        .exits(1);
    ended.stderr_is("heap_and_memory_share_one_limit");
}

/// An operation has no timeout, so it may not use features that cost time and no fuel.
#[test]
fn operation_with_exceptions_is_an_error() {
    let texts = Texts::new("operation_with_exceptions_is_an_error");
    let folder = Folder::new();
    let text = include_str!("../guests/operation.wat")
        .replace("{NEXT}", "")
        .replace("{RUN}", "")
        .replace("{COLLECT}", "")
        .replace("{FINISH}", "");
    let at = text.find("(core module").unwrap();
    let (before, rest) = text.split_at(at);
    let tagged = rest.replacen("(memory", "(tag $e (param i32)) (memory", 1);
    let operation = folder.guest("operation.wasm", &format!("{before}{tagged}"));
    for command in ["inspect", "compile"] {
        let ended = host([command, &operation]).run().exits(2);
        ended.stderr_to(&texts);
    }
    texts.match_snapshot();
}

/// Instances with a heap each: those beyond the pool's capacity wait, and none of them is lost.
#[test]
fn many_workers_with_heaps_share_the_pool() {
    let folder = Folder::new();
    let handle = format!(
        "(drop (struct.new $node (ref.null $node) (i64.const 1))) {}",
        body::ECHO
    );
    let worker = folder.guest("heaps.wasm", &with(NODE, &handle));
    let lines: String = (0..1200).map(|n| format!("{n}\n")).collect();
    let mut live = host(["map", &worker, "--workers", "1100", "--host-memory", "4GiB"])
        .input(lines.clone())
        .start();
    assert!(becomes_true(Duration::from_secs(120), || !live.is_running()));
    live.end().exits(0).prints(&lines);
}
