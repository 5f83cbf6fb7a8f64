//! The attacks that a task or a planner can make: how each ends, what it takes of the machine, and (in `pace.rs`) what the
//! tasks beside it have of their time.

use rustix::process::Signal;

use super::{
    attacks::{
        HANDLES, OUT_OF_FUEL, OUT_OF_MEMORY, RESOURCES, SHORT_LINE, TRAPPED, for_ever, growing_table, polling,
        randomness, stays_small, stderr,
    },
    heavy,
};
use crate::support::{Ended, Folder, body, has, host};

/// Where in an operation an attack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A task of its own.
    Run,
    /// The planner, when it has handed out all tasks.
    Next,
    /// The planner, when a task has ended and all are handed out.
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
    /// How it ends; nothing: it never does, and nobody is hurt.
    says: &'static [&'static str],
}

/// How many tasks there are while a measurement goes on.
pub(crate) const MANY_TASKS: u32 = 1_000_000_000;
/// How many honest ones have to be done beside an attack.
const SOME: usize = 10;

/// An operation of so many honest tasks and, one at a time, so many that attack; see `guests/attacker.wat`.
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

/// How many tasks have ended well, and whether one has not, in what `--format json` says.
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

    /// Whether there is something beside it for as long as the fuel lasts: a task that ends is followed by another one, a
    /// planner that ends ends all.
    pub(crate) fn lasts(&self) -> bool {
        let is_fuel = |words: &&str| words.contains("ran out of fuel");
        self.place == Run || self.place != Finish && self.says.iter().any(is_fuel)
    }

    /// Made beside honest tasks: it ends with the right words, they are done, and the host stays small.
    fn ends(&self) {
        let folder = Folder::new();
        // What attacks in a task has neighbours without end.
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
                done >= SOME && (has_failed || self.says.is_empty())
            });
            let peak = live.peak_memory();
            if !self.says.is_empty() {
                live.send(Signal::INT);
                self.said(&live.end().exits(130));
            }
            stays_small(peak);
        } else {
            let ended = live.end().exits(1);
            self.said(&ended);
            stays_small(ended.peak_memory);
        }
    }

    fn said(&self, ended: &Ended) {
        let said = format!("{}\n{}", ended.out(), ended.stderr);
        has("what it said", &said, self.says);
    }
}

/// Flags for what burns fuel. A planner may have more memory than others, unless it is said how much.
const FUEL: &[&str] = &["--fuel", "50M", "--memory", "64MiB"];
/// Flags for what has the host do much for little of it: tasks and planners may take all the time that their fuel lasts.
const LITTLE: &[&str] = &["--fuel", "200k", "--memory", "64MiB"];
/// Enough for more short lines than are shown.
const MORE: &[&str] = &["--fuel", "20M", "--memory", "64MiB"];
const LEAST: &[&str] = &["--fuel", "4k", "--memory", "64MiB"];

const OUT_OF_LITTLE_FUEL: &[&str] = &["ran out of fuel: used all of 200k", "--fuel"];
const FLOOD: &[&str] = &[
    "ran out of fuel",
    "of what it said is not shown: it may say 64KiB in a second",
    "--log-rate",
];
/// It never ends.
const GOES_ON: &[&str] = &[];

macro_rules! attacks {
    ($($name:ident: $place:expr, $body:expr, $flags:expr, $says:expr;)*) => {
        /// All of them.
        pub(crate) fn all() -> Vec<Attack> {
            vec![$(Attack { name: stringify!($name), place: $place, body: $body.into(), flags: $flags, says: $says }),*]
        }
        $(#[test]
        fn $name() {
            Attack { name: stringify!($name), place: $place, body: $body.into(), flags: $flags, says: $says }.ends();
        })*
    };
}

attacks! {
    a_task_without_end: Run, for_ever(""), FUEL, OUT_OF_FUEL;
    a_planner_without_end: Next, for_ever(""), FUEL, OUT_OF_FUEL;
    a_collect_without_end: Collect, for_ever(""), FUEL, OUT_OF_FUEL;
    a_finish_without_end: Finish, for_ever(""), FUEL, OUT_OF_FUEL;
    a_task_that_fills_its_memory: Run, filling(), FUEL, OUT_OF_FUEL;
    a_planner_that_fills_its_memory: Next, filling(), FUEL, OUT_OF_FUEL;
    a_task_that_grows: Run, growing(), FUEL, OUT_OF_MEMORY;
    a_planner_that_grows: Next, growing(), FUEL, OUT_OF_MEMORY;
    a_collect_that_grows: Collect, growing(), FUEL, OUT_OF_MEMORY;
    a_task_that_grows_a_table: Run, growing_table(), SMALL, OUT_OF_SMALL_MEMORY;
    a_planner_that_grows_a_table: Next, growing_table(), SMALL, OUT_OF_SMALL_MEMORY;
    a_task_that_recurses: Run, "(drop (call $sink (i32.const 0)))", FUEL, &["recursed too deep: used all of 512KiB of stack", "--stack"];
    a_planner_that_recurses: Next, "(drop (call $sink (i32.const 0)))", FUEL, &["recursed too deep: used all of 512KiB of stack", "--stack"];
    a_task_that_traps: Run, "unreachable", FUEL, TRAPPED;
    a_planner_that_traps: Next, "unreachable", FUEL, TRAPPED;
    a_collect_that_traps: Collect, "unreachable", FUEL, TRAPPED;
    a_finish_that_traps: Finish, "unreachable", FUEL, TRAPPED;
    a_result_of_a_task_that_is_too_large: Run, huge(0), FUEL, &["returned more than 8MiB", "--result-size"];
    a_task_that_is_too_large: Next, huge(1), FUEL, &["returned more than 8MiB", "--result-size"];
    a_result_of_a_task_out_of_bounds: Run, "(return (call $say (i32.const 0) (i32.const 0x7fff0000) (i32.const 0x7fff0000)))", FUEL, &["out of bounds"];
    a_task_out_of_bounds: Next, "(return (call $say (i32.const 1) (i32.const 0x7fff0000) (i32.const 0x7fff0000)))", FUEL, &["out of bounds"];
    an_error_of_a_task_that_is_no_text: Run, no_text(), FUEL, &["invalid utf-8"];
    an_error_of_a_planner_that_is_no_text: Finish, no_text(), FUEL, &["invalid utf-8"];

    a_task_that_calls_for_ever: Run, for_ever("(drop (call $now))"), FUEL, OUT_OF_FUEL;
    a_planner_that_calls_for_ever: Next, for_ever("(drop (call $now))"), FUEL, OUT_OF_FUEL;
    a_task_that_floods_the_log: Run, for_ever(SHORT_LINE), MORE, FLOOD;
    a_planner_that_floods_the_log: Next, for_ever(SHORT_LINE), MORE, FLOOD;
    a_task_that_floods_the_log_with_long_lines: Run, long_lines(), FUEL, FLOOD;
    a_planner_that_floods_the_log_with_long_lines: Next, long_lines(), FUEL, FLOOD;
    a_task_that_floods_stderr: Run, stderr(), LITTLE, FLOOD;
    a_planner_that_floods_stderr: Next, stderr(), LITTLE, FLOOD;
    a_task_that_floods_itself_with_randomness: Run, randomness(), LITTLE, OUT_OF_LITTLE_FUEL;
    a_planner_that_floods_itself_with_randomness: Next, randomness(), LITTLE, OUT_OF_LITTLE_FUEL;
    a_task_that_wants_four_gigabytes_of_randomness: Run, "(call $random (i64.const 4000000000) (i32.const 32))",
        FUEL, &["asked for 3.7GiB of randomness at once, of 64KiB", "--random-size"];
    a_task_that_waits_for_the_clock: Run, "(call $block (call $subscribe (i64.const 1000000000000000)))",
        FUEL, &["waited for the clock, which stands still"];
    a_task_that_leaks_pollables: Run, for_ever("(drop (call $subscribe (i64.const 0)))"), FUEL, RESOURCES;
    a_planner_that_leaks_pollables: Next, for_ever("(drop (call $subscribe (i64.const 0)))"), FUEL, RESOURCES;
    a_planner_that_leaks_streams: Next, for_ever("(drop (call $get-stdin))"), FUEL, RESOURCES;
    a_task_that_polls_one_handle_a_million_times: Run, polling(), FUEL, HANDLES;
    a_planner_that_polls_one_handle_a_million_times: Next, polling(), FUEL, HANDLES;

    a_task_that_asks_and_never_takes: Run, for_ever(&format!("(drop {SUBMIT})")), FUEL, HANDLES;
    a_task_that_asks_and_cancels: Run, for_ever(&format!("(call $drop-pending {SUBMIT})")), FUEL, GOES_ON;
    a_task_that_asks_for_ever: Run, for_ever("(call $forget) (call $perform (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 6) (i32.const 32))"),
        FUEL, GOES_ON;
    a_task_that_asks_for_what_nobody_does: Run, for_ever("(call $forget) (call $perform (i32.const 64) (i32.const 7) (i32.const 64) (i32.const 6) (i32.const 32))"),
        FUEL, GOES_ON;
    a_task_that_sleeps_no_time_for_ever: Run, for_ever("(drop (call $sleep (i32.const 0)))"), FUEL, GOES_ON;
    a_task_that_sleeps_for_ever: Run, for_ever("(drop (call $sleep (i32.const -1)))"), FUEL, GOES_ON;
    a_task_that_takes_twice: Run, format!("(local.set $i {SUBMIT}) (call $take (local.get $i) (i32.const 32)) (call $take (local.get $i) (i32.const 32))"),
        FUEL, &["was taken already"];
    a_task_that_waits_for_nothing: Run, "(call $wait-any (i32.const 0) (i32.const 0) (i32.const 32))", FUEL, &["would wait for ever"];
    a_task_that_asks_for_a_million_actions_at_once: Run,
        "(call $reach (i32.const 20000000)) (call $perform-all (i32.const 65536) (i32.const 1000000) (i32.const 32))",
        FUEL, &["passed more than 16MiB to the host in one call", "--result-size"];
    a_kind_without_end: Run, for_ever("(call $reach (i32.const 16000000)) (drop (call $submit (i32.const 64) (i32.const 15000000) (i32.const 64) (i32.const 6)))"),
        FUEL, &["a kind of 15000000 bytes is over the limit of 256"];
    a_payload_that_is_too_large: Run, for_ever("(call $reach (i32.const 16000000)) (call $drop-pending (call $submit (i32.const 96) (i32.const 4) (i32.const 64) (i32.const 8388609)))"),
        FUEL, OUT_OF_FUEL;
    a_task_that_waits_for_one_action_four_thousand_times: Run, waiting(), FUEL, OUT_OF_FUEL;
    a_task_with_large_payloads: Run, for_ever("(call $reach (i32.const 9000000)) (call $drop-pending (call $submit (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 8000000)))"),
        FUEL, OUT_OF_FUEL;
    a_task_with_headers_of_http: Run, WITH_FIELDS, FUEL, &["called a function that is not for it: only `handle` has"];
    a_planner_with_headers_of_http: Next, WITH_FIELDS, FUEL, &["called a function that is not for it: only `handle` has"];
    a_task_that_writes_output: Run, "(call $output (i32.const 64) (i32.const 1))", FUEL, &["only `next`, `collect` and `finish` may write output"];
    a_planner_that_asks: Next, format!("(drop {SUBMIT})"), FUEL, &["only `run` may perform, submit or sleep"];
    a_planner_that_sleeps: Collect, "(drop (call $sleep (i32.const 1)))", FUEL, &["only `run` may perform, submit or sleep"];
    a_planner_that_floods_the_output: Next, for_ever("(call $output (i32.const 64) (i32.const 1))"), LITTLE, OUT_OF_LITTLE_FUEL;
    a_planner_that_floods_the_output_with_nothing: Next, for_ever("(call $output (i32.const 64) (i32.const 0))"), LITTLE, OUT_OF_LITTLE_FUEL;
    a_planner_that_floods_the_output_with_much: Next,
        format!("(call $reach (i32.const 9000000)) {}", for_ever("(call $output (i32.const 64) (i32.const 8388608))")),
        LEAST, &["ran out of fuel"];
    a_collect_that_floods_the_output: Collect, for_ever("(call $output (i32.const 64) (i32.const 1))"), LITTLE, OUT_OF_LITTLE_FUEL;
    an_output_that_is_too_large: Next, "(call $reach (i32.const 9000000)) (call $output (i32.const 64) (i32.const 8388609))",
        FUEL, &["an output of 8MiB is over the limit of 8MiB", "--result-size"];
}

/// What only workers may use, called for ever; see [`heavy::web_in`].
const WITH_FIELDS: &str =
    "(loop $again (drop (call $has (call $fields) (i32.const 64) (i32.const 7))) (br $again)) unreachable";

/// Has one action done and then waits for it for ever, four thousand times at once.
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

/// Flags for what grows tables, which cannot be as large as the memory that a guest may have.
const SMALL: &[&str] = &["--fuel", "50M", "--memory", "512KiB"];
const OUT_OF_SMALL_MEMORY: &[&str] = &["ran out of memory", "of 512KiB", "--memory"];

/// One action of the honest worker, whose handle it leaves.
const SUBMIT: &str = "(call $submit (i32.const 112) (i32.const 2) (i32.const 64) (i32.const 6))";

fn filling() -> String {
    let fill = "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 59000000))";
    format!("(call $reach (i32.const 60000000)) {}", for_ever(fill))
}

fn growing() -> String {
    let grow = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))";
    for_ever(grow)
}

/// A result, or a task if the case is one, that is a byte too large.
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
