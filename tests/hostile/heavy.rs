//! Workers whose cheap calls cause much work for the host: more imports than `guests/caller.wat` has.

use super::attacks::{calling, for_ever};

/// An additional import for `guests/caller.wat`, with the functions that the guest uses.
struct Import {
    /// Its part of the component.
    import: &'static str,
    /// The core functions.
    lowered: &'static str,
    /// Its part of the module.
    imported: &'static str,
    /// The instantiation arguments that connect the two.
    exported: &'static str,
}

const EXEC: Import = Import {
    import: r#"
      (import "disperse:guest/exec@0.1.0" (instance $exec
        (type $strings (list string))
        (type $bytes (list u8))
        (type $a-command (record (field "program" string) (field "arguments" $strings) (field "input" $bytes)
          (field "timeout" u32)))
        (export "command" (type $command (eq $a-command)))
        (type $an-end (record (field "code" (option s32)) (field "output" $bytes) (field "errors" $bytes)))
        (export "ended" (type $ended (eq $an-end)))
        (type $a-problem (variant (case "denied" string) (case "failed" string) (case "timeout" string)
          (case "oversize" string)))
        (export "problem" (type $problem (eq $a-problem)))
        (export "run" (func (param "command" $command) (result (result $ended (error $problem)))))))
    "#,
    lowered: r#"(core func $exec (canon lower (func $exec "run") (memory $memory) (realloc $realloc)))"#,
    imported: r#"(import "host" "exec" (func $exec (param i32 i32 i32 i32 i32 i32 i32 i32)))"#,
    exported: r#"(export "exec" (func $exec))"#,
};

const WEB: Import = Import {
    import: r#"
      (import "wasi:http/types@0.2.0" (instance $web
        (export "fields" (type $fields (sub resource)))
        (type $an-error (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
        (export "header-error" (type $header-error (eq $an-error)))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[method]fields.has" (func (param "self" (borrow $fields)) (param "name" string) (result bool)))
        (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string)
          (param "value" (list u8)) (result (result (error $header-error)))))
        (export "[static]fields.from-list" (func (param "entries" (list (tuple string (list u8))))
          (result (result (own $fields) (error $header-error)))))
        (export "outgoing-request" (type $request (sub resource)))
        (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $request))))
        (type $a-method (variant (case "get") (case "head") (case "post") (case "put") (case "delete")
          (case "connect") (case "options") (case "trace") (case "patch") (case "other" string)))
        (export "method" (type $method (eq $a-method)))
        (export "[method]outgoing-request.set-method" (func (param "self" (borrow $request)) (param "method" $method)
          (result (result))))
        (export "[method]outgoing-request.set-authority" (func (param "self" (borrow $request))
          (param "authority" (option string)) (result (result))))
        (export "outgoing-response" (type $response (sub resource)))
        (export "[constructor]outgoing-response" (func (param "headers" (own $fields)) (result (own $response))))))
    "#,
    lowered: r#"
      (core func $fields (canon lower (func $web "[constructor]fields")))
      (core func $has (canon lower (func $web "[method]fields.has") (memory $memory)))
      (core func $append (canon lower (func $web "[method]fields.append") (memory $memory)))
      (core func $from-list (canon lower (func $web "[static]fields.from-list") (memory $memory)))
      (core func $request (canon lower (func $web "[constructor]outgoing-request")))
      (core func $method (canon lower (func $web "[method]outgoing-request.set-method") (memory $memory)))
      (core func $authority (canon lower (func $web "[method]outgoing-request.set-authority") (memory $memory)))
      (core func $response (canon lower (func $web "[constructor]outgoing-response")))
    "#,
    imported: r#"
      (import "host" "fields" (func $fields (result i32)))
      (import "host" "has" (func $has (param i32 i32 i32) (result i32)))
      (import "host" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
      (import "host" "from-list" (func $from-list (param i32 i32 i32)))
      (import "host" "request" (func $request (param i32) (result i32)))
      (import "host" "method" (func $method (param i32 i32 i32 i32) (result i32)))
      (import "host" "authority" (func $authority (param i32 i32 i32 i32) (result i32)))
      (import "host" "response" (func $response (param i32) (result i32)))
    "#,
    exported: r#"
      (export "fields" (func $fields)) (export "has" (func $has)) (export "append" (func $append))
      (export "from-list" (func $from-list)) (export "request" (func $request)) (export "method" (func $method))
      (export "authority" (func $authority)) (export "response" (func $response))
    "#,
};

/// A guest with one more import. `text`: a guest like `guests/caller.wat`.
fn with(text: &str, more: &Import) -> String {
    let stdin = "(export \"get-stdin\" (func $get-stdin))";
    let module = "  (core module $room\n";
    let guest = "  (core module $guest\n";
    let table = "    (table $table 1 funcref)\n";
    let (before, after) = text.rsplit_once(stdin).expect("a guest like caller.wat");
    format!("{before}{stdin} {}{after}", more.exported)
        .replacen(module, &format!("{}{module}", more.import), 1)
        .replacen(guest, &format!("{}{guest}", more.lowered), 1)
        .replacen(table, &format!("{}{table}", more.imported), 1)
}

/// Calls `exec` with this many empty arguments, for ever.
pub(super) fn exec(arguments: u32) -> String {
    with(&calling(&format!("{REACH} {}", for_ever(&run(arguments)))), &EXEC)
}

/// Calls `exec` once, and traps if the call failed rather than was denied.
pub(super) fn exec_fails(arguments: u32) -> String {
    let is_failed = "(if (i32.eq (i32.load8_u (i32.const 36)) (i32.const 1)) (then unreachable))";
    with(
        &calling(&format!("{REACH} {} {is_failed} (i32.const -4)", run(arguments))),
        &EXEC,
    )
}

fn run(arguments: u32) -> String {
    format!(
        "(call $forget) (call $exec (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const {arguments})
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 32))"
    )
}

/// Memory for as much as one call may pass.
pub(super) const REACH: &str = "(call $reach (i32.const 16500000))";

/// Repeats `what` for ever, with wasi:http, memory full of `a` from 131072 on, and some fields as `$stream`.
pub(super) fn web(what: &str) -> String {
    web_once(&for_ever(what))
}

/// Does `what` once; otherwise as [`web`].
pub(super) fn web_once(what: &str) -> String {
    with(&calling(&full(what)), &WEB)
}

/// The same in a guest with this text.
pub(super) fn web_in(text: &str) -> String {
    with(text, &WEB)
}

/// With memory full of `a` from 131072 on, and some fields as `$stream`.
pub(super) fn full(what: &str) -> String {
    format!(
        "{REACH} (memory.fill (i32.const 131072) (i32.const 97) (i32.const 15000000)) (local.set $stream (call $fields)) {what}"
    )
}

/// Passes a method of 15 MB this many times in a row, without a loop.
pub(super) fn in_a_row(times: usize) -> String {
    let call = "(drop (call $method (local.get $i) (i32.const 9) (i32.const 131072) (i32.const 15000000)))";
    let calls = call.repeat(times);
    web_once(&format!(
        "(local.set $i (call $request (call $fields))) {calls} unreachable"
    ))
}

/// Passes this much of a type between two components, for ever; see `guests/composed.wat`.
pub(super) fn composed(ty: &str, from: &str, to: &str, count: u32) -> String {
    include_str!("../guests/composed.wat")
        .replace("{TYPE}", ty)
        .replace("{FROM}", from)
        .replace("{TO}", to)
        .replace("{COUNT}", &count.to_string())
}
