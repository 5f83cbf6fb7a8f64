//! The attacks of a task or a planner: how each ends, how much memory it uses, and (in `pace.rs`) how it affects the pace of
//! other tasks.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use super::{
    attacks::{SHORT_LINE, for_ever, growing_table, polling, randomness, stays_small, stderr},
    heavy,
};
use crate::support::{Ended, Folder, body, hidden_in, host, masked_snapshot};

/// The function of an operation that attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A task of its own.
    Run,
    /// The planner, when all tasks are started.
    Next,
    /// The planner, when a task has ended and all are started.
    Collect,
    /// The planner, when all is done.
    Finish,
}

use Place::{Collect, Finish, Next, Run};

/// A task or a planner that attacks.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    body: String,
    flags: &'static [&'static str],
    end: End,
}

/// How an attack ends. The text is in its snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// When the fuel is used up.
    OutOfFuel,
    /// At once, at another limit or as an error.
    Fails,
    /// Not before the run is stopped, and it harms nothing.
    Never,
}

use End::{Fails, Never, OutOfFuel};

/// How many tasks there are during a measurement.
pub(crate) const MANY_TASKS: u32 = 1_000_000_000;
/// How many honest tasks must complete beside an attack.
const SOME: usize = 10;

/// An operation of honest tasks and, one at a time, of hostile ones; see `guests/attacker.wat`.
pub(crate) fn operation(place: Place, body: &str, honest: u32, hostile: u32) -> String {
    let mut text = include_str!("../guests/attacker.wat")
        .replace("{HONEST}", &honest.to_string())
        .replace("{HOSTILE}", &hostile.to_string());
    for (this, name) in [
        (Run, "{RUN}"),
        (Next, "{NEXT}"),
        (Collect, "{COLLECT}"),
        (Finish, "{FINISH}"),
    ] {
        text = text.replace(name, if this == place { body } else { "" });
    }
    if body.contains("$fields") {
        text = heavy::web_in(&text);
    }
    text
}

/// How many tasks have succeeded, and whether one has failed, from the output of `--format json`.
pub(crate) fn ended(stdout: &[u8]) -> (usize, bool) {
    let lines = stdout.split(|byte| *byte == b'\n');
    let ends = lines.filter(|line| line.starts_with(b"{\"type\":\"task-ended\""));
    let (failed, done): (Vec<_>, Vec<_>) = ends.partition(|line| line.windows(8).any(|part| part == b"\"error\":"));
    (done.len(), !failed.is_empty())
}

impl Attack {
    /// Its component.
    pub(crate) fn component(&self, folder: &Folder, name: &str, honest: u32, hostile: u32) -> String {
        folder.guest(name, &operation(self.place, &self.body, honest, hostile))
    }

    /// Whether other tasks run for as long as the fuel lasts: a task that ends is followed by another one, a
    /// planner that ends ends the run.
    pub(crate) fn lasts(&self) -> bool {
        self.place == Run || self.place != Finish && self.end == OutOfFuel
    }

    /// Runs it beside honest tasks: it ends as in its snapshot, they complete, and the host stays small.
    fn ends(&self) {
        let folder = Folder::new();
        // An attack in a task runs beside endless honest tasks.
        let (honest, hostile) = if self.place == Run {
            (MANY_TASKS, 1)
        } else {
            (SOME as u32, 0)
        };
        let operation = self.component(&folder, "attack.wasm", honest, hostile);
        let worker = folder.worker("echo.wasm", body::ECHO);
        let worker = format!("{worker}=1");
        let mut live = host(
            [
                "run",
                &operation,
                "--worker",
                &worker,
                "--tasks",
                "16",
                "--format",
                "json",
                "--output",
                "/dev/null",
            ]
            .iter()
            .chain(self.flags),
        )
        .start();
        if self.place == Run {
            live.wait_until("its end and honest tasks after it", |stdout, _| {
                let (done, has_failed) = ended(stdout);
                done >= SOME && (has_failed || self.end == Never)
            });
            let peak = live.peak_memory();
            if self.end != Never {
                live.send(Signal::INT);
                masked_snapshot(self.name, &failure_of(&live.end().exits(130)));
            }
            stays_small(peak);
        } else {
            let ended = live.end().exits(1);
            masked_snapshot(self.name, &failure_of(&ended));
            stays_small(ended.peak_memory);
        }
    }
}

/// Why the hostile task or the run failed, and which kinds of lines are not shown. Only these of many events are parsed.
fn failure_of(ended: &Ended) -> String {
    let (mut failure, mut hidden) = (None, BTreeSet::new());
    for line in ended.out().lines() {
        if line.starts_with("{\"type\":\"log\"") && hidden_in(line).is_some() {
            let event: Value = serde_json::from_str(line).unwrap();
            hidden.extend(hidden_in(event["text"].as_str().unwrap()).map(str::to_owned));
        } else if line.starts_with("{\"type\":\"task-ended\"") && line.contains("\"error\":")
            || line.starts_with("{\"type\":\"report\"")
        {
            let event: Value = serde_json::from_str(line).unwrap();
            let why = event["error"].as_str().or(event["failure"].as_str());
            failure = failure.or(why.map(str::to_owned));
        }
    }
    let failure = failure.unwrap_or_else(|| panic!("nothing has failed:\n{}", ended.stderr));
    let lines = failure.lines().filter(|line| !line.trim_start().starts_with("at "));
    lines
        .chain(hidden.iter().map(|line| &**line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Flags for attacks that burn fuel. They set the memory, because a planner has more by default.
const FUEL: &[&str] = &["--fuel", "50M", "--memory", "64MiB"];
/// Flags for attacks that cause much work of the host for little fuel: tasks and planners have no timeout.
const LITTLE: &[&str] = &["--fuel", "200k", "--memory", "64MiB"];
/// Enough for more short lines than are shown.
const MORE: &[&str] = &["--fuel", "20M", "--memory", "64MiB"];
const LEAST: &[&str] = &["--fuel", "4k", "--memory", "64MiB"];

macro_rules! attacks {
    ($($name:ident: $place:expr, $body:expr, $flags:expr, $end:expr;)*) => {
        /// All attacks of this file.
        pub(crate) fn all() -> Vec<Attack> {
            vec![$(Attack { name: stringify!($name), place: $place, body: $body.into(), flags: $flags, end: $end }),*]
        }
        $(#[test]
        fn $name() {
            Attack { name: stringify!($name), place: $place, body: $body.into(), flags: $flags, end: $end }.ends();
        })*
    };
}

attacks! {
    a_task_without_end: Run, for_ever(""), FUEL, OutOfFuel;
    a_planner_without_end: Next, for_ever(""), FUEL, OutOfFuel;
    a_collect_without_end: Collect, for_ever(""), FUEL, OutOfFuel;
    a_finish_without_end: Finish, for_ever(""), FUEL, OutOfFuel;
    a_task_that_fills_its_memory: Run, filling(), FUEL, OutOfFuel;
    a_planner_that_fills_its_memory: Next, filling(), FUEL, OutOfFuel;
    a_task_that_grows: Run, growing(), FUEL, Fails;
    a_planner_that_grows: Next, growing(), FUEL, Fails;
    a_collect_that_grows: Collect, growing(), FUEL, Fails;
    a_task_that_grows_a_table: Run, growing_table(), SMALL, Fails;
    a_planner_that_grows_a_table: Next, growing_table(), SMALL, Fails;
    a_task_that_recurses: Run, "(drop (call $sink (i32.const 0)))", FUEL, Fails;
    a_planner_that_recurses: Next, "(drop (call $sink (i32.const 0)))", FUEL, Fails;
    a_task_that_traps: Run, "unreachable", FUEL, Fails;
    a_planner_that_traps: Next, "unreachable", FUEL, Fails;
    a_collect_that_traps: Collect, "unreachable", FUEL, Fails;
    a_finish_that_traps: Finish, "unreachable", FUEL, Fails;
    a_result_of_a_task_that_is_too_large: Run, huge(0), FUEL, Fails;
    a_task_that_is_too_large: Next, huge(1), FUEL, Fails;
    a_result_of_a_task_out_of_bounds: Run, "(return (call $say (i32.const 0) (i32.const 0x7fff0000) (i32.const 0x7fff0000)))", FUEL, Fails;
    a_task_out_of_bounds: Next, "(return (call $say (i32.const 1) (i32.const 0x7fff0000) (i32.const 0x7fff0000)))", FUEL, Fails;
    an_error_of_a_task_that_is_not_utf8: Run, no_text(), FUEL, Fails;
    an_error_of_a_planner_that_is_not_utf8: Finish, no_text(), FUEL, Fails;

    a_task_that_calls_for_ever: Run, for_ever("(drop (call $now))"), FUEL, OutOfFuel;
    a_planner_that_calls_for_ever: Next, for_ever("(drop (call $now))"), FUEL, OutOfFuel;
    a_task_that_floods_the_log: Run, for_ever(SHORT_LINE), MORE, OutOfFuel;
    a_planner_that_floods_the_log: Next, for_ever(SHORT_LINE), MORE, OutOfFuel;
    a_task_that_floods_the_log_with_long_lines: Run, long_lines(), FUEL, OutOfFuel;
    a_planner_that_floods_the_log_with_long_lines: Next, long_lines(), FUEL, OutOfFuel;
    a_task_that_floods_stderr: Run, stderr(), LITTLE, OutOfFuel;
    a_planner_that_floods_stderr: Next, stderr(), LITTLE, OutOfFuel;
    a_task_that_floods_itself_with_randomness: Run, randomness(), LITTLE, OutOfFuel;
    a_planner_that_floods_itself_with_randomness: Next, randomness(), LITTLE, OutOfFuel;
    a_task_that_wants_four_gigabytes_of_randomness: Run, "(call $random (i64.const 4000000000) (i32.const 32))",
        FUEL, Fails;
    a_task_that_waits_for_the_clock: Run, "(call $block (call $subscribe (i64.const 1000000000000000)))",
        FUEL, Fails;
    a_task_that_leaks_pollables: Run, for_ever("(drop (call $subscribe (i64.const 0)))"), FUEL, Fails;
    a_planner_that_leaks_pollables: Next, for_ever("(drop (call $subscribe (i64.const 0)))"), FUEL, Fails;
    a_planner_that_leaks_streams: Next, for_ever("(drop (call $get-stdin))"), FUEL, Fails;
    a_task_that_polls_one_handle_a_million_times: Run, polling(), FUEL, Fails;
    a_planner_that_polls_one_handle_a_million_times: Next, polling(), FUEL, Fails;

    a_task_that_submits_and_never_takes: Run, for_ever(&format!("(drop {SUBMIT})")), FUEL, Fails;
    a_task_that_submits_and_cancels: Run, for_ever(&format!("(call $drop-pending {SUBMIT})")), FUEL, Never;
    a_task_that_performs_for_ever: Run, for_ever("(call $forget) (call $perform (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 6) (i32.const 32))"),
        FUEL, Never;
    a_task_that_performs_an_unserved_kind: Run, for_ever("(call $forget) (call $perform (i32.const 64) (i32.const 7) (i32.const 64) (i32.const 6) (i32.const 32))"),
        FUEL, Never;
    a_task_that_sleeps_no_time_for_ever: Run, for_ever("(drop (call $sleep (i32.const 0)))"), FUEL, Never;
    a_task_that_sleeps_for_ever: Run, for_ever("(drop (call $sleep (i32.const -1)))"), FUEL, Never;
    a_task_that_takes_twice: Run, format!("(local.set $i {SUBMIT}) (call $take (local.get $i) (i32.const 32)) (call $take (local.get $i) (i32.const 32))"),
        FUEL, Fails;
    a_task_that_waits_on_an_empty_list: Run, "(call $wait-any (i32.const 0) (i32.const 0) (i32.const 32))", FUEL, Fails;
    a_task_that_performs_a_million_actions_at_once: Run,
        "(call $reach (i32.const 20000000)) (call $perform-all (i32.const 65536) (i32.const 1000000) (i32.const 32))",
        FUEL, Fails;
    a_kind_that_is_too_long: Run, for_ever("(call $reach (i32.const 16000000)) (drop (call $submit (i32.const 64) (i32.const 15000000) (i32.const 64) (i32.const 6)))"),
        FUEL, Fails;
    a_payload_that_is_too_large: Run, for_ever("(call $reach (i32.const 16000000)) (call $drop-pending (call $submit (i32.const 96) (i32.const 4) (i32.const 64) (i32.const 8388609)))"),
        FUEL, OutOfFuel;
    a_task_that_waits_for_one_action_four_thousand_times: Run, waiting(), FUEL, OutOfFuel;
    a_task_with_large_payloads: Run, for_ever("(call $reach (i32.const 9000000)) (call $drop-pending (call $submit (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 8000000)))"),
        FUEL, OutOfFuel;
    a_task_with_headers_of_http: Run, WITH_FIELDS, FUEL, Fails;
    a_planner_with_headers_of_http: Next, WITH_FIELDS, FUEL, Fails;
    a_task_that_writes_output: Run, "(call $output (i32.const 64) (i32.const 1))", FUEL, Fails;
    a_planner_that_submits: Next, format!("(drop {SUBMIT})"), FUEL, Fails;
    a_planner_that_sleeps: Collect, "(drop (call $sleep (i32.const 1)))", FUEL, Fails;
    a_planner_that_floods_the_output: Next, for_ever("(call $output (i32.const 64) (i32.const 1))"), LITTLE, OutOfFuel;
    a_planner_that_floods_the_output_with_empty_pieces: Next, for_ever("(call $output (i32.const 64) (i32.const 0))"), LITTLE, OutOfFuel;
    a_planner_that_floods_the_output_with_large_pieces: Next,
        format!("(call $reach (i32.const 9000000)) {}", for_ever("(call $output (i32.const 64) (i32.const 8388608))")),
        LEAST, OutOfFuel;
    a_collect_that_floods_the_output: Collect, for_ever("(call $output (i32.const 64) (i32.const 1))"), LITTLE, OutOfFuel;
    an_output_that_is_too_large: Next, "(call $reach (i32.const 9000000)) (call $output (i32.const 64) (i32.const 8388609))",
        FUEL, Fails;
}

/// An import for workers only, called for ever; see [`heavy::web_in`].
const WITH_FIELDS: &str =
    "(loop $again (drop (call $has (call $fields) (i32.const 64) (i32.const 7))) (br $again)) unreachable";

/// Performs one action and then waits for it for ever, four thousand times in one list.
fn waiting() -> String {
    format!(
        "(call $reach (i32.const 200000)) (local.set $stream {SUBMIT})
         (loop $fill
           (i32.store (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 2))) (local.get $stream))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $fill (i32.lt_u (local.get $i) (i32.const 4000))))
         {}",
        for_ever("(call $forget) (call $wait-any (i32.const 65536) (i32.const 4000) (i32.const 32))")
    )
}

/// Flags for attacks that grow tables, which stay smaller than the usual memory of a guest.
const SMALL: &[&str] = &["--fuel", "50M", "--memory", "512KiB"];

/// Submits one action of the honest worker and leaves its handle.
const SUBMIT: &str = "(call $submit (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 6))";

fn filling() -> String {
    let fill = "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 59000000))";
    format!("(call $reach (i32.const 60000000)) {}", for_ever(fill))
}

fn growing() -> String {
    let grow = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))";
    for_ever(grow)
}

/// A result, or a task if `case` is 1, that is a byte too large.
fn huge(case: u32) -> String {
    format!(
        "(call $reach (i32.const 9000000)) (return (call $say (i32.const {case}) (i32.const 64) (i32.const 8388609)))"
    )
}

fn no_text() -> &'static str {
    "(i32.store (i32.const 4096) (i32.const -1)) (return (call $say (i32.const 1) (i32.const 4096) (i32.const 4)))"
}

fn long_lines() -> String {
    let line = "(call $log (i32.const 1) (i32.const 65536) (i32.const 15900000))";
    format!("(call $reach (i32.const 16000000)) {}", for_ever(line))
}
