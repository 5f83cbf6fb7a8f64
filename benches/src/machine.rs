//! The machine and the versions of a measurement.

use std::{io::Write, path::Path, time::Instant};

use anyhow::Result;
use serde_json::{Value, json};

/// Machine and versions.
pub(crate) fn describe() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpu": cpu.map_or("unknown", |(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "system": std::env::consts::OS,
        "disperse": env!("CARGO_PKG_VERSION"),
        "wasmtime": locked("wasmtime"),
    })
}

/// Returns the version of a crate in the lock file that this was built from.
fn locked(name: &str) -> &'static str {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let wanted = format!("name = \"{name}\"");
    let version = lines.by_ref().find(|line| *line == wanted).and_then(|_| lines.next());
    version
        .and_then(|line| line.strip_prefix("version = \""))
        .map_or("unknown", |version| version.trim_end_matches('"'))
}

/// Measures microseconds for one message to a sleeping thread and one back, the best of three rounds: the least cost of
/// an action if its task and its worker are on two threads.
pub(crate) fn two_wake_ups(rounds: u32) -> f64 {
    let round = || {
        let (ping, pings) = std::sync::mpsc::sync_channel::<()>(1);
        let (pong, pongs) = std::sync::mpsc::sync_channel::<()>(1);
        std::thread::scope(|scope| {
            scope.spawn(move || while pings.recv().is_ok() && pong.send(()).is_ok() {});
            let began = Instant::now();
            for _ in 0..rounds {
                if ping.send(()).is_err() || pongs.recv().is_err() {
                    break;
                }
            }
            drop(ping);
            began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
        })
    };
    (0..3).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// Measures microseconds for writing two pages to the end of a file in `target/` and syncing them, the median: what a commit takes at
/// least.
pub(crate) fn sync(rounds: u32) -> Result<f64> {
    let program = std::env::current_exe()?;
    let mut file = tempfile::tempfile_in(program.parent().unwrap_or(Path::new(".")))?;
    let mut all = Vec::new();
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        file.write_all(&[1; 8192])?;
        file.sync_data()?;
        all.push(began.elapsed().as_secs_f64() * 1e6);
    }
    all.sort_by(f64::total_cmp);
    Ok(all.get(all.len() / 2).copied().unwrap_or_default())
}
