//! A hundred thousand actions wait for the quotas of a thousand workers: that uses nearly no CPU, and when a window
//! opens the next action is dispatched.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    control::json_answer,
    support::{Folder, Live, alone, becomes_true, body, host, player, probe},
};

const WORKERS: usize = 1_000;

/// How many actions wait.
const ACTIONS: usize = 100_000;

/// How long the host is observed while it waits, and how much of a core it may use in that time: 1 %.
const WATCHED: Duration = Duration::from_secs(10);
const SHARE: f64 = 0.01;

/// How long it may take until every action that can start is dispatched. A second on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many actions each task requests.
const TASK: usize = 1_000;

/// Starts a run in the folder of a test, with this many actions of this payload. There are more tasks and workers than there may be
/// instances at once, so that waiting workers have to release theirs.
fn start(folder: &Folder, args: &[&str], payload: &str, actions: usize) -> Live {
    let limits = ["--tasks", "200", "--"];
    let args = ["run"].iter().chain(args).chain(&limits).map(|arg| (*arg).to_owned());
    let tasks = (0..actions).step_by(TASK).map(|begun| {
        let payloads = format!(" {payload}").repeat(TASK.min(actions - begun));
        format!("all line{payloads}")
    });
    host(args.chain(tasks))
        .folder(folder.root())
        .start()
        .within(2 * DEADLINE)
}

/// Whether a run has completed this many actions, and all others wait for a worker with enough quota.
fn is_waiting(run: &Value, done: usize, waiting: usize) -> bool {
    run["actions_done"] == done && run["actions_running"] == 0 && run["waiting"]["all"] == waiting
}

#[test]
fn waiting_for_quotas_uses_nearly_no_cpu() {
    let folder = Folder::new();
    let player = player();
    let worker = format!("{}={WORKERS}", folder.worker("echo.wasm", body::ECHO));
    let _alone = alone();
    // The windows are closed until long after the test.
    let args = [&player, "--worker", &worker, "--quota", "1/24h", "-v"];
    // With a hundredth of the actions, then with all: the first thousand are done, one by each worker.
    let memory = [ACTIONS / 100, ACTIONS].map(|waiting| {
        let mut live = start(&folder, &args, "x", WORKERS + waiting);
        live.wait_until("its name", |_, stderr| stderr.contains("run "));
        let is_quiet = || is_waiting(&json_answer(folder.root(), &["explain"]), WORKERS, waiting);
        assert!(becomes_true(DEADLINE, is_quiet), "{waiting} actions never waited");
        if waiting == ACTIONS {
            is_at_rest(&live);
            assert!(is_quiet(), "windows opened meanwhile");
        }
        live.holds().map(|(memory, ..)| memory)
    });
    if let [Some(few), Some(all)] = memory {
        let each = (all.saturating_sub(few) << 20) / (ACTIONS - ACTIONS / 100) as u64;
        eprintln!("{few} MiB while few actions wait, {all} MiB while {ACTIONS} do: {each} bytes for each");
    }
}

/// Checks that the host uses nearly no CPU.
fn is_at_rest(live: &Live) {
    let (began, before) = (Instant::now(), live.cpu_time());
    // This sleep waits for nothing: it is the time of observation.
    std::thread::sleep(WATCHED);
    let (watched, after) = (began.elapsed(), live.cpu_time());
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let share = (after - before).as_secs_f64() / watched.as_secs_f64();
    eprintln!("{:.2} % of a core while {ACTIONS} actions wait", share * 100.0);
    assert!(share <= SHARE, "waiting takes {:.2} % of a core", share * 100.0);
}

/// The shortest window, and by how much that of the next worker is longer: they open one after the other, so that each dispatch
/// waits for the host and not for the other workers.
const WINDOW: Duration = Duration::from_millis(2_000);
const LONGER: Duration = Duration::from_millis(2);

/// How much longer than such a window a unit counts: `docs/book/src/quotas.md` describes this margin for clock differences.
const MARGIN: Duration = Duration::from_millis(50);

/// How many dispatches are measured.
const MEASURED: usize = 4_000;

/// The highest 99th percentile of the delay that passes. 20 ms are expected.
const LATE: Duration = Duration::from_millis(500);

/// How late an action reaches the guest after its window opens.
///
/// The window opens by its rule when the window and the margin are over since the last answer was there; the host counts in steps
/// of an eighth of the margin, 6.25 ms. A guest does not see when its answer arrives, only when it was called then and now. So
/// the measured delay is never less than the host's: it includes the step, the way of the last answer, and the way into the
/// guest.
#[test]
fn action_is_dispatched_when_its_quota_window_opens() {
    let folder = Folder::new();
    let (player, probe) = (player(), probe());
    let mut manifest = format!("[[pool]]\nname = \"p\"\ncomponent = \"{probe}\"\nkinds = [\"line\"]\n");
    for number in 0..WORKERS as u32 {
        let window = (WINDOW + LONGER * number).as_millis();
        let quota = format!("[{{ limit = 1, per = \"{window}ms\" }}]");
        let _ = write!(manifest, "[[pool.worker]]\nname = \"{number}\"\nquota = {quota}\n");
    }
    let operation = format!("[operation]\ncomponent = \"{player}\"\n");
    let manifest = folder.file("disperse.toml", operation + &manifest);
    let _alone = alone();
    let args = [&manifest, "--trust-manifest", "--format", "json", "-v"];
    let mut live = start(&folder, &args, "since", ACTIONS + 8 * WORKERS);
    let mut late = Late::default();
    live.wait_until("enough dispatches", |stdout, _| {
        late.read(stdout);
        late.measured.len() >= MEASURED
    });
    let run = json_answer(folder.root(), &["explain"]);
    let waiting = run["waiting"]["all"].as_u64().unwrap();
    assert!(waiting >= ACTIONS as u64, "only {waiting} actions wait");
    late.measured.sort_unstable();
    let at = |part: f64| late.measured[((late.measured.len() - 1) as f64 * part) as usize];
    let (half, most, all) = (at(0.5), at(0.99), at(1.0));
    eprintln!("late by {half:?} at the median, {most:?} at the 99th percentile, {all:?} at most");
    assert!(most <= LATE, "one in a hundred is late by more than {most:?}");
}

/// The log lines of the guests, as they arrive.
#[derive(Default)]
struct Late {
    /// How many bytes of stdout were read.
    read: usize,
    /// How many log lines each worker has written.
    said: Vec<u32>,
    measured: Vec<Duration>,
}

impl Late {
    fn read(&mut self, stdout: &[u8]) {
        while let Some(end) = stdout[self.read..].iter().position(|byte| *byte == b'\n') {
            let line = &stdout[self.read..self.read + end];
            self.read += end + 1;
            let event: Value = serde_json::from_slice(line).unwrap();
            if event["type"] == "log" {
                self.event(&event);
            }
        }
    }

    fn event(&mut self, event: &Value) {
        let worker = event["speaker"].as_str().unwrap_or_else(|| panic!("{event}"));
        let number: usize = worker.strip_prefix("p/").unwrap().parse().unwrap();
        let between: u64 = event["text"].as_str().unwrap().trim().parse().unwrap();
        let whole = WINDOW + LONGER * number as u32 + MARGIN;
        let late = Duration::from_micros(between).checked_sub(whole);
        let late = late.unwrap_or_else(|| panic!("{worker} was called {between} us after the last time"));
        self.said.resize(self.said.len().max(number + 1), 0);
        self.said[number] += 1;
        // At first all are called at once, and answers wait for each other: that delay does not count.
        if self.said[number] > 1 {
            self.measured.push(late);
        }
    }
}
