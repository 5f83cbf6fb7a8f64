//! The attacks of a worker, each on a limit: how it ends, how much memory it uses, and (in `pace.rs`) how it affects the
//! pace of other workers.

use super::heavy;
use crate::support::{Folder, body, host};

/// The most memory that the host may use while one guest attacks, in MiB: 64 MiB for the guest, 16 MiB for copies made
/// for it, and the engine.
const CEILING: u64 = 200;

/// A worker that attacks.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    text: String,
    flags: &'static [&'static str],
}

impl Attack {
    pub(super) fn new(name: &'static str, text: String, flags: &'static [&'static str]) -> Self {
        Self { name, text, flags }
    }

    /// Its component.
    pub(crate) fn component(&self, folder: &Folder, name: &str) -> String {
        folder.guest(name, &self.text)
    }

    /// Runs one line: the attempt fails as in its snapshot, and the host stays below [`CEILING`].
    #[track_caller]
    pub(super) fn ends(&self) {
        let folder = Folder::new();
        let worker = self.component(&folder, "attack.wasm");
        let args = ["map", &worker, "--attempts", "1", "--workers", "1"];
        let mut live = host(args.iter().chain(self.flags)).once("a\n").start();
        live.wait_until("the failure", |_, stderr| stderr.contains("error: line 1"));
        let peak = live.peak_memory();
        live.close();
        live.end().exits(1).prints("").failure_is(self.name);
        stays_small(peak);
    }
}

/// Checks the most memory that the host used, in MiB.
pub(super) fn stays_small(peak: Option<u64>) {
    if let Some(peak) = peak {
        eprintln!("{peak} MiB");
        assert!(peak < CEILING, "the host had {peak} MiB");
    }
}

/// Flags for attacks that burn fuel.
pub(super) const FUEL: &[&str] = &["--fuel", "50M"];
/// Flags for attacks that must end long before their fuel does.
const SOON: &[&str] = &["--fuel", "50k"];
/// Flags for attacks that burn nearly none.
pub(super) const TIME: &[&str] = &["--timeout", "300ms", "--fuel", "100G", "-v"];

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
    endless_loop: plain(body::ENDLESS), FUEL;
    endless_loop_with_much_fuel: plain(body::ENDLESS), TIME;
    filling_all_memory_again_and_again: reaching(60_000_000, "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 59000000))"),
        FUEL;
    endless_growth_of_memory: plain(body::GREEDY), FUEL;
    endless_growth_of_tables: calling(&growing_table()),
        &["--memory", "512KiB", "--fuel", "50M"];
    deep_recursion: plain(body::DEEP), FUEL;
    a_trap: plain(body::TRAP), FUEL;
    a_huge_result: plain(&body::large((8 << 20) + 1)), FUEL;
    a_result_out_of_bounds: plain("(call $answer (i32.const 0x7fff0000) (i32.const 0x7fff0000))"), FUEL;

    endless_calls: calling(&for_ever("(drop (call $now))")), TIME;
    endless_calls_that_make_strings: calling(&for_ever("(call $forget) (call $current (i32.const 32))")), TIME;
    // A log line of 16 MB took the host two milliseconds and the guest ten units: a slice took 40 seconds.
    a_flood_of_long_log_lines: reaching(16_000_000, "(call $log (i32.const 1) (i32.const 4096) (i32.const 15900000))"),
        TIME;
    a_flood_of_short_log_lines: calling(&for_ever(SHORT_LINE)), TIME;
    a_flood_on_stderr: calling(&stderr()), TIME;
    a_flood_of_randomness: calling(&randomness()), TIME;
    a_flood_of_requests_that_are_denied: reaching(8_500_000, &format!("(call $forget) {}", fetch(8_000_000))), TIME;
    a_request_that_is_too_large: reaching(9_500_000, &format!(
        "{} (if (i32.eq (i32.load8_u (i32.const 36)) (i32.const 4)) (then unreachable))",
        fetch(9_000_000)
    )), FUEL;
    a_flood_of_quota_reports: calling(&for_ever("(call $report (i32.const 64) (i32.const 200) (i32.const 1) (i32.const 1))")),
        &["--timeout", "300ms", "--fuel", "100G", "-vv"];
    a_bucket_with_a_long_name: reaching(16_000_000, "(call $report (i32.const 64) (i32.const 15000000) (i32.const 1) (i32.const 1))"),
        FUEL;
    four_gigabytes_of_randomness: calling("(call $random (i64.const 4000000000) (i32.const 32)) unreachable"),
        FUEL;
    // This many arguments took the host a minute before a timeout of 300 ms took effect.
    programs_with_many_arguments: heavy::exec(300_000), TIME;
    a_program_with_too_many_arguments: heavy::exec_fails(4097), FUEL;
    programs_with_the_most_arguments_allowed: heavy::exec(4096), TIME;
    requests_with_many_empty_headers: reaching(16_500_000, "(call $forget)
        (call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 150000)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 32))"), TIME;
    long_names_of_fields: heavy::web("(drop (call $has (local.get $stream) (i32.const 131072) (i32.const 15000000)))"),
        TIME;
    long_names_that_fields_reject: heavy::web(
        "(call $append (local.get $stream) (i32.const 131072) (i32.const 15000000) (i32.const 0) (i32.const 0) (i32.const 32))"
    ), TIME;
    long_authorities_of_requests: heavy::web_once(&format!(
        "(local.set $i (call $request (call $fields))) {}",
        for_ever("(drop (call $authority (local.get $i) (i32.const 1) (i32.const 131072) (i32.const 15000000)))")
    )), TIME;
    long_methods_of_requests: heavy::web_once(&format!(
        "(local.set $i (call $request (call $fields))) {}",
        for_ever("(drop (call $method (local.get $i) (i32.const 9) (i32.const 131072) (i32.const 15000000)))")
    )), TIME;
    // Fuel is checked at loops and at functions; this has neither.
    long_calls_in_a_row: heavy::in_a_row(3000), TIME;
    fields_of_many_lines: heavy::web_once("(call $from-list (i32.const 131072) (i32.const 100000) (i32.const 32)) unreachable"),
        FUEL;
    a_value_that_is_too_large_for_fields: heavy::web_once(
        "(call $append (local.get $stream) (i32.const 131072) (i32.const 4) (i32.const 131072) (i32.const 200000) (i32.const 32)) unreachable"
    ), FUEL;
    unsolicited_responses: heavy::web("(drop (call $response (call $fields)))"),
        FUEL;
    polling_one_handle_four_thousand_times: calling(&polling_often(4000)), TIME;
    transcoding_for_ever: heavy::composed("string", "utf8", "utf16", 12_000_000), TIME;
    copying_text_for_ever: heavy::composed("string", "utf8", "utf8", 25_000_000), TIME;
    copying_bytes_for_ever: heavy::composed("(list u8)", "utf8", "utf8", 25_000_000), TIME;
    growing_by_nothing_for_ever: plain("(loop $again (drop (memory.grow (i32.const 0))) (br $again)) unreachable"), TIME;
    sleep_for_ever: calling("(call $block (call $subscribe (i64.const 1000000000000000))) unreachable"), TIME;

    leaking_pollables: calling(&for_ever("(drop (call $subscribe (i64.const 1000000000)))")), SOON;
    leaking_streams: calling(&for_ever("(drop (call $get-stderr))")), SOON;
    one_handle_a_million_times: calling(&polling()), FUEL;
    leaking_futures: concurrent(&for_ever("(drop (call $future))")), SOON;
    leaking_streams_of_the_component_model: concurrent(&for_ever("(drop (call $stream))")), SOON;
    leaking_sets: concurrent(&for_ever("(drop (call $set))")), SOON;
    waiting_on_an_empty_set: concurrent("(i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4)))"), FUEL;
    yielding_for_ever: concurrent("(i32.const 1)"), TIME;
    an_endless_loop_within_an_async_worker: concurrent(&for_ever("")), FUEL;

    a_list_of_four_gigabytes: calling("(call $log (i32.const 1) (i32.const 4096) (i32.const 0xfffffff0)) unreachable"),
        FUEL;
    text_that_is_not_utf8: calling(
        "(i32.store (i32.const 4096) (i32.const -1)) (call $log (i32.const 1) (i32.const 4096) (i32.const 4)) unreachable"
    ), FUEL;
    a_failure_message_that_is_not_utf8: calling(
        "(i32.store (i32.const 4096) (i32.const -1))
         (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 0))
         (i32.store (i32.const 24) (i32.const 4096)) (i32.store (i32.const 28) (i32.const 4)) (i32.const 16)"
    ), FUEL;
    a_trap_in_realloc: caller(ECHO, "unreachable", ""), FUEL;
    an_endless_loop_in_realloc: caller(ECHO, "(loop $again (br $again))", ""), FUEL;
    a_host_call_in_realloc: caller(ECHO, "(drop (call $now))", ""), FUEL;
    a_trap_in_post_return: caller(ECHO, "", "unreachable"), FUEL;
    an_endless_loop_in_post_return: caller(ECHO, "", "(loop $again (br $again))"), FUEL;
}

const ECHO: &str = "(call $answer (local.get $payload) (local.get $len))";

/// A worker that calls no host function; see `guests/worker.wat`.
pub(super) fn plain(handle: &str) -> String {
    include_str!("../guests/worker.wat")
        .replace("{HANDLE}", handle)
        .replace("{EXPORT}", "handle")
}

/// A worker that calls the host; see `guests/caller.wat`.
fn caller(handle: &str, realloc: &str, returned: &str) -> String {
    include_str!("../guests/caller.wat")
        .replace("{HANDLE}", handle)
        .replace("{REALLOC}", realloc)
        .replace("{RETURNED}", returned)
}

pub(crate) fn calling(handle: &str) -> String {
    caller(handle, "", "")
}

/// The same with this much memory, and `what` repeated for ever.
fn reaching(bytes: u32, what: &str) -> String {
    calling(&format!("(call $reach (i32.const {bytes})) {}", for_ever(what)))
}

/// An async worker; see `guests/concurrent.wat`.
pub(crate) fn concurrent(handle: &str) -> String {
    include_str!("../guests/concurrent.wat").replace("{HANDLE}", handle)
}

pub(crate) fn for_ever(what: &str) -> String {
    format!("(loop $again {what} (br $again)) unreachable")
}

/// A request with a body of this many bytes, whose result is written to address 32.
fn fetch(body: u32) -> String {
    format!(
        "(call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 65536) (i32.const {body}) (i32.const 0) (i32.const 32))"
    )
}

/// A log line of one letter.
pub(super) const SHORT_LINE: &str = "(call $log (i32.const 1) (i32.const 64) (i32.const 1))";

/// Grows a table for ever.
pub(super) fn growing_table() -> String {
    let grow = "(if (i32.eq (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))";
    for_ever(grow)
}

/// Writes to stderr for ever.
pub(super) fn stderr() -> String {
    let write = "(call $write (local.get $stream) (i32.const 8192) (i32.const 4096) (i32.const 32))";
    format!(
        "(local.set $stream (call $get-stderr)) (memory.fill (i32.const 8192) (i32.const 97) (i32.const 4096)) {}",
        for_ever(write)
    )
}

/// Reads random bytes for ever.
pub(super) fn randomness() -> String {
    for_ever("(call $forget) (call $random (i64.const 65536) (i32.const 32))")
}

/// Polls a list with a million times the same handle, for ever.
pub(super) fn polling() -> String {
    polling_often(1_000_000)
}

/// Polls a list with this many times the same handle, for ever.
fn polling_often(times: u32) -> String {
    format!(
        "(call $reach (i32.const 16000000)) (local.set $stream (call $subscribe (i64.const 0)))
         (loop $fill
           (i32.store (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 2))) (local.get $stream))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $fill (i32.lt_u (local.get $i) (i32.const {times}))))
         {}",
        for_ever(&format!(
            "(call $forget) (call $poll (i32.const 65536) (i32.const {times}) (i32.const 32))"
        ))
    )
}
